/**
 * A person on duty, one question at a time.
 *
 * Bounds: one open question (a further one is answered "busy" at once), 20 past ones (the oldest makes room).
 *
 *     state    | asked        answered/declined   ran out   withdrawn   went off duty
 *     free     | open         -                   -         -           -
 *     open     | refuse: busy answer, free        free      free        decline, free
 */
import type { Question } from "../contracts";

const PAST_KEPT = 20;

/** A question and when its asker stops waiting: the page's clock, epoch seconds. */
export interface OpenQuestion {
  readonly question: Question;
  readonly askedAt: number;
  readonly deadline: number;
}

export type Outcome =
  | { readonly kind: "answered"; readonly choice: string }
  | { readonly kind: "declined" }
  | { readonly kind: "expired" }
  | { readonly kind: "withdrawn" };

export interface PastQuestion {
  readonly question: Question;
  readonly outcome: Outcome;
  readonly at: number;
}

export interface Desk {
  readonly open: OpenQuestion | undefined;
  /** Newest first. */
  readonly past: readonly PastQuestion[];
}

export const EMPTY_DESK: Desk = { open: undefined, past: [] };

/** The desk with the question on it, or `undefined` where another one lies there. */
export function asked(desk: Desk, question: Question, now: number): Desk | undefined {
  if (desk.open !== undefined) return undefined;
  return { ...desk, open: { question, askedAt: now, deadline: now + question.timeout_s } };
}

/** The desk after `open` ended; the same desk where that is no longer the open question: its end came already. */
export function ended(desk: Desk, open: OpenQuestion, outcome: Outcome, now: number): Desk {
  if (desk.open !== open) return desk;
  const past = [{ question: open.question, outcome, at: now }, ...desk.past].slice(0, PAST_KEPT);
  return { open: undefined, past };
}

/** Share of the time that is left, 1 to 0. */
export function shareLeft({ askedAt, deadline }: OpenQuestion, now: number): number {
  if (deadline <= askedAt) return 0;
  return Math.min(1, Math.max(0, (deadline - now) / (deadline - askedAt)));
}

const NAME = /^[a-z0-9_]{1,64}$/;

/** What is wrong with a name for `operator.{name}.ask`; `undefined` where nothing is. */
export function nameProblem(name: string): string | undefined {
  if (NAME.test(name)) return undefined;
  if (name === "") return "Choose a name: services ask for you by it.";
  if (name.length > 64) return "At most 64 characters.";
  return "Small letters, digits and _ only: the name is a part of the procedure's URI.";
}
