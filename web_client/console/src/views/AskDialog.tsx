/**
 * A service's question, over everything else.
 *
 * The focus goes to the question, not to a choice: somebody who is typing when it opens must not answer by accident.
 * Escape and the close button decline, which the asker is told.
 */
import { useEffect, useRef } from "preact/hooks";
import type { Console } from "../console";
import type { Page } from "../page";
import { countdown } from "../state/format";
import { type OpenQuestion, shareLeft } from "../state/operator";

const SOON_SECONDS = 10;

export function AskDialog({ model }: { readonly model: Console }) {
  const { operator, page } = model;
  const { open } = operator.desk.value;
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);

  useEffect(() => {
    if (open === undefined) {
      dialog.current?.close();
      return;
    }
    dialog.current?.showModal();
    heading.current?.focus();
  }, [open]);

  return (
    <dialog
      ref={dialog}
      class="ask"
      aria-labelledby="ask-text"
      data-testid="ask"
      onCancel={(event) => {
        event.preventDefault();
        operator.decline();
      }}
    >
      {open !== undefined && (
        <>
          <p class="ask-lead">A service asks {operator.name.value}</p>
          <h2 id="ask-text" ref={heading} tabIndex={-1}>
            {open.question.text}
          </h2>
          <div class="ask-choices">
            {open.question.choices.map((choice) => (
              <button key={choice} type="button" class="button button-choice" onClick={() => operator.answer(choice)}>
                {choice}
              </button>
            ))}
          </div>
          <Remaining open={open} page={page} />
          <div class="ask-foot">
            <button type="button" class="button button-quiet" onClick={operator.decline}>
              Decline to answer
            </button>
            <kbd>Esc</kbd>
          </div>
        </>
      )}
    </dialog>
  );
}

function Remaining({ open, page }: { readonly open: OpenQuestion; readonly page: Page }) {
  const left = open.deadline - page.clock.value;
  return (
    <div class={left <= SOON_SECONDS ? "remaining remaining-soon" : "remaining"}>
      <div class="remaining-track" aria-hidden="true">
        <div class="remaining-bar" style={{ transform: `scaleX(${shareLeft(open, page.clock.value)})` }} />
      </div>
      <span class="number" role="timer" aria-label="Time left to answer">
        {countdown(left)}
      </span>
    </div>
  );
}
