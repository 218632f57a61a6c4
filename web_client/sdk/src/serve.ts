/**
 * An invocation that runs in this page: its handler's results, one or many, and the inputs that follow the first one.
 * `fabric.ts` makes it and tells it what came.
 */
import type { Invocation } from "./contract.js";
import { type HopsackError, isObject, RemoteError } from "./errors.js";
import { Credit, leave, Pieces, WINDOW } from "./flow.js";
import type { Flow, Further } from "./session.js";

/** A function of the program that serves a procedure. */
export type Serve = (input: unknown, invocation: Invocation) => unknown;

const GIVEN_UP = new RemoteError("hopsack.canceled");

/** What it needs of the connection. */
export interface Serving {
  readonly procedure: string;
  readonly flow: Flow;
  now(): number;
  more(n: number): void;
  /** Sends a progressive result. Throws what cannot be sent. */
  progress(data: unknown): void;
}

type Steps = Iterator<unknown, unknown> | AsyncIterator<unknown, unknown>;

export class Served {
  readonly #serving: Serving;
  readonly #controller = new AbortController();
  readonly #credit: Credit;
  readonly #inputs: Pieces;
  #givenUp: HopsackError | undefined;
  #unwanted = 0;

  constructor(serving: Serving) {
    this.#serving = serving;
    const { flow, procedure: where } = serving;
    this.#credit = new Credit(flow.window ?? Number.POSITIVE_INFINITY);
    this.#inputs = new Pieces({
      ...{ where, window: WINDOW, taken: 0, silence: flow.timeout ?? Number.POSITIVE_INFINITY },
      now: () => serving.now(),
      more: (n) => serving.more(n),
      left: () => {},
    });
    if (!flow.inputs) this.#inputs.end({});
  }

  /** Why nobody waits for its answer any more. */
  get givenUp(): HopsackError | undefined {
    return this.#givenUp;
  }

  /** @returns the last result. */
  async run(serve: Serve, input: unknown): Promise<unknown> {
    const { procedure, flow } = this.#serving;
    const { signal } = this.#controller;
    const made = serve(input, { procedure, signal, timeout: flow.timeout, inputs: this.#inputs });
    return isSteps(made) ? this.#each(made) : made;
  }

  async #each(steps: Steps): Promise<unknown> {
    try {
      for (;;) {
        const { done, value } = await steps.next();
        if (done) return value;
        await this.#send(value);
      }
    } finally {
      // Not waited for: a handler may take its time.
      void leave(steps);
    }
  }

  async #send(value: unknown): Promise<void> {
    const { flow, progress } = this.#serving;
    if (flow.progress) await this.#credit.granted();
    if (this.#givenUp) throw this.#givenUp;
    // Nobody wants the pieces: what only makes them, and waits for nothing, must not keep the page from all else.
    if (!flow.progress) return ++this.#unwanted % 100 === 0 ? new Promise((resolve) => setTimeout(resolve)) : undefined;
    this.#credit.spend();
    progress(value);
  }

  // ---- what the connection tells -----------------------------------------------------------------------------------

  taken(n: number): void {
    this.#credit.grant(n);
  }

  fed(further: Further): void {
    const error = further.end ? this.#inputs.end({}) : this.#inputs.add(further.data);
    if (error) this.interrupt(error);
  }

  interrupt(why: HopsackError = GIVEN_UP): void {
    this.#givenUp ??= why;
    this.#controller.abort();
    this.#inputs.end({ error: why }, true);
    this.#credit.end();
  }
}

function isSteps(made: unknown): made is Steps {
  return isObject(made) && typeof made.next === "function";
}
