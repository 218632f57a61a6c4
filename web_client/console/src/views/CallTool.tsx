/** Any procedure, with JSON in and JSON or a reasoned "no" out. */
import { useRef, useState } from "preact/hooks";
import type { Console } from "../console";
import { asRefusal, type Link, type Refusal } from "../link";
import { type Parsed, parseInput } from "../state/input";
import { Panel, RefusalNote } from "./Panel";

type Outcome =
  | { readonly phase: "none" }
  | { readonly phase: "calling" }
  | { readonly phase: "returned"; readonly value: unknown; readonly ms: number }
  | { readonly phase: "refused"; readonly why: Refusal; readonly ms: number };

export function CallTool({ model }: { readonly model: Console }) {
  const { link } = model;
  const [procedure, setProcedure] = useState("presence.list");
  const [input, setInput] = useState("");
  const [outcome, setOutcome] = useState<Outcome>({ phase: "none" });
  const calling = useRef<AbortController | undefined>(undefined);
  const parsed = parseInput(input);
  const call = async () => {
    if (!parsed.ok || procedure.trim() === "") return;
    calling.current?.abort();
    const mine = new AbortController();
    calling.current = mine;
    setOutcome({ phase: "calling" });
    const ended = await outcomeOf(link, procedure.trim(), parsed.value, mine.signal);
    if (calling.current === mine) setOutcome(ended);
  };
  return (
    <Panel
      id="call"
      title="Call a procedure"
      meta={"ms" in outcome && <span class="muted number">{outcome.ms.toFixed(1)} ms</span>}
    >
      <form
        class="tool-form"
        onSubmit={(event) => {
          event.preventDefault();
          void call();
        }}
      >
        <label class="field field-wide">
          <span>Procedure</span>
          <input
            class="code"
            value={procedure}
            spellcheck={false}
            autocapitalize="none"
            onInput={(event) => setProcedure(event.currentTarget.value)}
          />
        </label>
        <InputField input={input} parsed={parsed} change={setInput} send={() => void call()} />
        <div class="actions">
          <button type="submit" class="button button-primary" disabled={!parsed.ok || procedure.trim() === ""}>
            Call
          </button>
          <button
            type="button"
            class="button"
            disabled={outcome.phase !== "calling"}
            onClick={() => calling.current?.abort()}
          >
            Cancel
          </button>
        </div>
      </form>
      <OutcomeBox outcome={outcome} />
    </Panel>
  );
}

async function outcomeOf(link: Link, procedure: string, input: unknown, signal: AbortSignal): Promise<Outcome> {
  const started = performance.now();
  try {
    const value = await link.invoke(procedure, input, signal);
    return { phase: "returned", value, ms: performance.now() - started };
  } catch (error) {
    return { phase: "refused", why: asRefusal(error), ms: performance.now() - started };
  }
}

interface InputFieldProps {
  readonly input: string;
  readonly parsed: Parsed;
  readonly change: (text: string) => void;
  readonly send: () => void;
}

function InputField({ input, parsed, change, send }: InputFieldProps) {
  const line = parsed.ok || parsed.line === undefined ? "" : ` (line ${parsed.line})`;
  return (
    <label class="field field-full">
      <span>Input, as JSON</span>
      <textarea
        class="code"
        rows={5}
        spellcheck={false}
        placeholder='{"host": "…"}'
        value={input}
        aria-invalid={!parsed.ok}
        onInput={(event) => change(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send();
        }}
      />
      <small class={parsed.ok ? "" : "problem"}>
        {parsed.ok ? "Empty: no input. Ctrl+Enter calls." : `${parsed.message}${line}`}
      </small>
    </label>
  );
}

function OutcomeBox({ outcome }: { readonly outcome: Outcome }) {
  return (
    <div class="outcome-box" aria-live="polite" data-testid="outcome" data-phase={outcome.phase}>
      {outcome.phase === "none" && <p class="quiet">The answer appears here.</p>}
      {outcome.phase === "calling" && <p class="quiet">Waiting for the answer…</p>}
      {outcome.phase === "refused" && <RefusalNote why={outcome.why} />}
      {outcome.phase === "returned" && <pre class="json">{JSON.stringify(outcome.value, null, 2) ?? "null"}</pre>}
    </div>
  );
}
