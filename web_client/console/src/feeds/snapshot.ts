/**
 * A snapshot, asked for at every (re)connection and again while the answer is a passing "no": after a node's restart
 * the page is often back before the services are.
 *
 * Pauses grow from 1 s to 15 s with full jitter (a random share of the longest), so that many pages do not ask at once.
 */
import { effect, untracked } from "@preact/signals";
import { asRefusal, type Link, type Refusal } from "../link";
import type { Page } from "../page";

const FIRST_PAUSE = 1;
const LONGEST_PAUSE = 15;

export interface Snapshot {
  /** Ask again now; an answer still on its way no longer counts. */
  again(): void;
  close(): void;
}

export interface SnapshotPlan<T> {
  /** Called before each first attempt: what is shown from now on is old. */
  readonly opening: () => void;
  readonly ask: () => Promise<T>;
  readonly answered: (value: T) => void;
  readonly refused: (why: Refusal) => void;
}

export function snapshot<T>(link: Link, page: Page, plan: SnapshotPlan<T>): Snapshot {
  // A (re)start has a generation; what carries an old one is dropped.
  let generation = 0;
  let forget = () => {};

  const attempt = async (mine: number, failures: number): Promise<void> => {
    try {
      const value = await plan.ask();
      if (mine === generation) plan.answered(value);
    } catch (error) {
      if (mine !== generation || link.connection.peek().phase !== "open") return;
      const why = asRefusal(error);
      plan.refused(why);
      if (why.passing) forget = page.after(pause(failures, page.random()), () => void attempt(mine, failures + 1));
    }
  };
  const start = () => {
    generation += 1;
    forget();
    plan.opening();
    void attempt(generation, 0);
  };
  const stop = effect(() => {
    if (link.connection.value.phase === "open") untracked(start);
  });

  return {
    again() {
      if (link.connection.peek().phase === "open") start();
    },
    close() {
      generation += 1;
      forget();
      stop();
    },
  };
}

/** Seconds before the next attempt. `random` from 0 to below 1. */
export function pause(failures: number, random: number): number {
  const longest = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures);
  return longest * Math.max(0.1, random);
}
