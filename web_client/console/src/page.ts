/** The page's clock, frames and chance, passed in so that tests turn them by hand. */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { Schedule } from "./state/batches";

export interface Page {
  /** Epoch seconds, now. */
  now(): number;
  /** Epoch seconds, moving once a second while the page is visible: what views show ages and countdowns by. */
  readonly clock: ReadonlySignal<number>;
  readonly frame: Schedule;
  /** Calls back after some seconds; the function returned forgets it. */
  after(seconds: number, callback: () => void): () => void;
  /** From 0 to below 1. */
  random(): number;
}

const TICK_MS = 1000;

/** The browser's own. A hidden page does not tick; it catches up when it is seen again. */
export function browserPage(): Page {
  const clock = signal(Date.now() / 1000);
  const tick = () => {
    if (!document.hidden) clock.value = Date.now() / 1000;
  };
  setInterval(tick, TICK_MS);
  document.addEventListener("visibilitychange", tick);
  return {
    now: () => Date.now() / 1000,
    clock,
    frame: (callback) => {
      requestAnimationFrame(callback);
    },
    after(seconds, callback) {
      const timer = setTimeout(callback, seconds * 1000);
      return () => clearTimeout(timer);
    },
    random: Math.random,
  };
}
