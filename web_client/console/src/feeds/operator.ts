/**
 * The person at this page as a procedure: while on duty, the page serves `operator.{name}.ask`.
 *
 * The name and the duty are remembered by the tab's browser, so that a reload does not leave services without an
 * answer. The default is off duty.
 */
import { effect, type ReadonlySignal, signal, untracked } from "@preact/signals";
import type { Answer, Question } from "../contracts";
import { type Closable, type Link, Refusal } from "../link";
import type { Page } from "../page";
import { asked, type Desk, EMPTY_DESK, ended, nameProblem, type OpenQuestion, type Outcome } from "../state/operator";
import type { Remembered } from "../storage";

export type Duty =
  | { readonly phase: "off" }
  | { readonly phase: "starting"; readonly name: string }
  | { readonly phase: "on"; readonly name: string }
  | { readonly phase: "refused"; readonly name: string; readonly why: Refusal };

export interface OperatorFeed {
  readonly name: ReadonlySignal<string>;
  readonly duty: ReadonlySignal<Duty>;
  readonly desk: ReadonlySignal<Desk>;
  goOn(name: string): void;
  goOff(): void;
  answer(choice: string): void;
  decline(): void;
}

export interface OperatorMemory {
  readonly name: Remembered;
  /** "on" or "off". */
  readonly duty: Remembered;
}

export function operatorFeed(link: Link, page: Page, memory: OperatorMemory): OperatorFeed {
  const name = signal(memory.name.get());
  const duty = signal<Duty>({ phase: "off" });
  const person = personAt(page, name);
  let serving: Closable | undefined;

  const goOff = () => {
    person.end({ kind: "declined" });
    serving?.close();
    serving = undefined;
    duty.value = { phase: "off" };
    memory.duty.set("off");
  };
  const goOn = (wanted: string) => {
    if (nameProblem(wanted) !== undefined) return;
    goOff();
    name.value = wanted;
    memory.name.set(wanted);
    memory.duty.set("on");
    duty.value = { phase: "starting", name: wanted };
    serving = link.register(`operator.${wanted}.ask`, person.ask, (why) => {
      duty.value = why === undefined ? { phase: "on", name: wanted } : { phase: "refused", name: wanted, why };
    });
  };
  // A lost connection takes the asker with it: nobody would hear the answer.
  effect(() => {
    if (link.connection.value.phase !== "open") untracked(() => person.end({ kind: "withdrawn" }));
  });
  if (memory.duty.get() === "on") goOn(name.peek());

  return {
    name,
    duty,
    desk: person.desk,
    goOn,
    goOff,
    answer: (choice) => person.end({ kind: "answered", choice }),
    decline: () => person.end({ kind: "declined" }),
  };
}

interface Person {
  readonly desk: ReadonlySignal<Desk>;
  /** Puts a question on the desk; settles when it ends. */
  ask(question: Question, withdrawn: AbortSignal): Promise<Answer>;
  /** Ends the open question, if there is one. */
  end(outcome: Outcome): void;
}

function personAt(page: Page, name: ReadonlySignal<string>): Person {
  const desk = signal<Desk>(EMPTY_DESK);
  let end: ((outcome: Outcome) => void) | undefined;

  const ask = (question: Question, withdrawn: AbortSignal): Promise<Answer> =>
    new Promise((answer, refuse) => {
      const next = asked(desk.peek(), question, page.now());
      const open = next?.open;
      if (next === undefined || open === undefined) {
        refuse(new Refusal("The person is answering another question.", "operator.busy"));
        return;
      }
      desk.value = next;
      const withdraw = () => end?.({ kind: "withdrawn" });
      const forget = page.after(question.timeout_s, () => end?.({ kind: "expired" }));
      withdrawn.addEventListener("abort", withdraw, { once: true });
      end = (outcome) => {
        end = undefined;
        forget();
        withdrawn.removeEventListener("abort", withdraw);
        desk.value = ended(desk.peek(), open, outcome, page.now());
        if (outcome.kind === "answered") answer({ choice: outcome.choice, by: name.peek() });
        else refuse(new Refusal(refusalText(outcome, open), "operator.declined"));
      };
    });

  return { desk, ask, end: (outcome) => end?.(outcome) };
}

function refusalText(outcome: Outcome, { question }: OpenQuestion): string {
  switch (outcome.kind) {
    case "expired":
      return `Nobody answered within ${question.timeout_s} s.`;
    case "withdrawn":
      return "The question was withdrawn.";
    default:
      return "The person closed the question without answering it.";
  }
}
