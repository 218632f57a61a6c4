/** A page whose clock, frames and chance are turned by hand. */
import { signal } from "@preact/signals";
import type { Page } from "../src/page";

interface Timer {
  readonly due: number;
  readonly callback: () => void;
}

export class FakePage implements Page {
  readonly clock = signal(1_000);
  readonly #timers = new Set<Timer>();
  #frames: (() => void)[] = [];

  now = (): number => this.clock.peek();

  random = (): number => 0.5;

  frame = (callback: () => void): void => {
    this.#frames.push(callback);
  };

  after = (seconds: number, callback: () => void): (() => void) => {
    const timer = { due: this.now() + seconds, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  get timers(): number {
    return this.#timers.size;
  }

  get frames(): number {
    return this.#frames.length;
  }

  /** Draws: whatever asked for a frame gets it. */
  draw(): void {
    const frames = this.#frames;
    this.#frames = [];
    for (const callback of frames) callback();
  }

  /** Lets time pass, timer by timer, and answers that were waited for arrive. */
  async pass(seconds: number): Promise<void> {
    const end = this.now() + seconds;
    for (;;) {
      const next = [...this.#timers].sort((a, b) => a.due - b.due)[0];
      if (next === undefined || next.due > end) break;
      this.clock.value = next.due;
      this.#timers.delete(next);
      next.callback();
      await settled();
    }
    this.clock.value = end;
    await settled();
  }
}

/** Everything that only waits for promises has run: a task comes after all microtasks. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
