/**
 * A call that gives its results piece by piece, as the loop of a program: what waits for it, and the inputs that follow
 * its first one. `fabric.ts` makes it and tells it what came.
 *
 * Inputs are pulled from the program one ahead of those that the callee takes, and none before it takes the first.
 */

import type { Iteration } from "./contract.js";
import { type HopsackError, LocalError } from "./errors.js";
import { Credit, leave, Pieces } from "./flow.js";
import type { Further } from "./session.js";

type Inputs = AsyncIterable<unknown> | Iterable<unknown>;
type Source = AsyncIterator<unknown> | Iterator<unknown>;

/** What it needs of the connection. */
export interface Flowing {
  readonly where: string;
  readonly window: number;
  /** Milliseconds in which something has to move. */
  readonly silence: number;
  readonly signal: AbortSignal | undefined;
  now(): number;
  more(n: number): void;
  input(further: Further): void;
  cancel(error: HopsackError): void;
}

export class Iterating implements Iteration {
  result: Promise<unknown> = Promise.resolve();
  readonly #flowing: Flowing;
  readonly #pieces: Pieces;
  readonly #credit = new Credit();

  constructor(flowing: Flowing) {
    this.#flowing = flowing;
    const { where, window, silence } = flowing;
    this.#pieces = new Pieces({
      ...{ where, window, silence, taken: window },
      now: () => flowing.now(),
      more: (n) => flowing.more(n),
      left: () =>
        flowing.cancel(new LocalError("hopsack.canceled", "The program left the loop.", { where, retry: "never" })),
    });
  }

  /** @param result of the call, once it is asked. */
  of(result: Promise<unknown>, inputs: Inputs | undefined): this {
    const source = inputs && iteratorOf(inputs);
    this.result = result.finally(() => {
      this.#credit.end();
      // Not waited for: it may be in the middle of something.
      void leave(source);
    });
    this.result.then(
      (value) => this.#pieces.end({ value }),
      (error) => this.#pieces.end({ error }, this.#flowing.signal?.aborted),
    );
    if (source) void this.#feed(source);
    return this;
  }

  // ---- for the program ---------------------------------------------------------------------------------------------

  next(): Promise<IteratorResult<unknown>> {
    return this.#pieces.next();
  }

  return(): Promise<IteratorResult<unknown>> {
    return this.#pieces.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  // ---- what the connection tells -----------------------------------------------------------------------------------

  progressed(data: unknown): void {
    const error = this.#pieces.add(data);
    if (error) this.#flowing.cancel(error);
  }

  granted(n: number): void {
    this.#credit.grant(n);
  }

  async #feed(source: Source): Promise<void> {
    const { input, cancel } = this.#flowing;
    try {
      if (!(await this.#credit.granted())) return;
      for (;;) {
        const { done, value } = await source.next();
        if (done) return input({ end: true });
        if (!(await this.#credit.granted())) return;
        this.#credit.spend();
        input({ data: value });
      }
    } catch (error) {
      cancel(error as HopsackError);
    }
  }
}

function iteratorOf(inputs: Inputs): Source {
  return Symbol.asyncIterator in inputs ? inputs[Symbol.asyncIterator]() : inputs[Symbol.iterator]();
}
