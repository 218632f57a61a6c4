/**
 * The two ends of what flows, of a call's progressive results as of its inputs. Without I/O.
 *
 *     Pieces   whoever takes: what came waits for a loop, and `more` says how many more are taken
 *     Credit   whoever gives: how many the other side takes still
 *
 * Whoever takes says so in halves of the window, so that the others are on their way meanwhile; and sooner where a quarter
 * of the time has passed in which something has to move.
 *
 * Bound: a window of pieces waits. Of a side that does not count, {@link LENIENCE} more; one more ends the call.
 */
import { type HopsackError, LocalError } from "./errors.js";

/** Pieces that are taken at once, unless the program says otherwise. */
export const WINDOW = 16;

/** Pieces that may come beyond those that were taken, from a side that does not know of windows. */
export const LENIENCE = 1_000;

type Ending = { readonly value?: unknown; readonly error?: undefined } | { readonly error: HopsackError };

interface Reader {
  readonly resolve: (result: IteratorResult<unknown>) => void;
  readonly reject: (error: HopsackError) => void;
}

/** What {@link Pieces} needs of whoever makes them. */
export interface Taking {
  readonly where: string;
  readonly window: number;
  /** Pieces that are taken from the start, without a word. */
  readonly taken: number;
  /** Milliseconds in which something has to move. */
  readonly silence: number;
  now(): number;
  more(n: number): void;
  /** The program leaves the loop. */
  left(): void;
}

export class Pieces implements AsyncIterableIterator<unknown, unknown> {
  readonly #waiting: unknown[] = [];
  readonly #readers: Reader[] = [];
  readonly #taking: Taking;
  /** Taken, and not said yet. */
  #due: number;
  #said: number;
  #ending: Ending | undefined;

  constructor(taking: Taking) {
    this.#taking = taking;
    this.#due = taking.window - taking.taken;
    this.#said = taking.now();
  }

  /** @returns why no more can be borne. */
  add(piece: unknown): HopsackError | undefined {
    if (this.#ending) return undefined;
    const reader = this.#readers.shift();
    if (reader) {
      reader.resolve({ done: false, value: piece });
      this.#took();
      return undefined;
    }
    this.#waiting.push(piece);
    const { window, where } = this.#taking;
    if (this.#waiting.length <= window + LENIENCE) return undefined;
    return new LocalError("hopsack.overloaded", `${this.#waiting.length} pieces wait for a loop that does not read.`, {
      where,
      retry: "later",
    });
  }

  /** What waits is still read, unless it is dropped; then the loop ends. */
  end(ending: Ending, drop = false): undefined {
    if (this.#ending) return;
    this.#ending = ending;
    if (drop) this.#waiting.length = 0;
    for (const reader of this.#readers.splice(0)) this.#tell(reader, ending);
  }

  next(): Promise<IteratorResult<unknown>> {
    this.#say();
    if (this.#waiting.length > 0) {
      const value = this.#waiting.shift();
      this.#took();
      return Promise.resolve({ done: false, value });
    }
    return new Promise((resolve, reject) => {
      if (this.#ending) this.#tell({ resolve, reject }, this.#ending);
      else this.#readers.push({ resolve, reject });
    });
  }

  return(value?: unknown): Promise<IteratorResult<unknown>> {
    this.end({ value }, true);
    this.#taking.left();
    return Promise.resolve({ done: true, value });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** An error is told once. */
  #tell({ resolve, reject }: Reader, { error, ...ending }: Ending & { readonly value?: unknown }): void {
    if (error) reject(error);
    else resolve({ done: true, value: ending.value });
    this.#ending = {};
  }

  #took(): void {
    this.#due += 1;
    this.#say();
  }

  #say(): void {
    const { window, silence, now, more } = this.#taking;
    const isLate = this.#due > 0 && now() - this.#said >= silence / 4;
    if (this.#ending || (!isLate && this.#due < Math.ceil(window / 2))) return;
    more(this.#due);
    this.#due = 0;
    this.#said = now();
  }
}

/** Closes what a program iterates; what it fails with then is nobody's but its author's. */
export async function leave(source: Iterator<unknown> | AsyncIterator<unknown> | undefined): Promise<void> {
  try {
    await source?.return?.();
  } catch (error) {
    console.error(error);
  }
}

export class Credit {
  #left: number;
  #ended = false;
  #waiter: (() => void) | undefined;

  constructor(left = 0) {
    this.#left = left;
  }

  grant(n: number): void {
    this.#left += n;
    this.#waiter?.();
  }

  end(): void {
    this.#ended = true;
    this.#waiter?.();
  }

  /** Waits until the other side takes one. One at a time may wait. @returns whether it does: else the call has ended. */
  async granted(): Promise<boolean> {
    while (this.#left <= 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#waiter = resolve;
      });
    }
    return !this.#ended;
  }

  spend(): void {
    this.#left -= 1;
  }
}
