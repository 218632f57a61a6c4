/**
 * Events for a loop. Bound: `buffer` events wait; the one too many fails the loop with the numbers, or takes the place
 * of the oldest, or is dropped, as `overflow` says.
 */
import type { Events, EventsOptions, FabricEvent, Subscription } from "./contract.js";
import { type HopsackError, LocalError } from "./errors.js";

interface Reader {
  readonly resolve: (result: IteratorResult<FabricEvent>) => void;
  readonly reject: (error: HopsackError) => void;
}

type Ending = { readonly error?: HopsackError };

export class Stream implements Events<FabricEvent> {
  dropped = 0;
  readonly #waiting: FabricEvent[] = [];
  readonly #readers: Reader[] = [];
  readonly #buffer: number;
  readonly #overflow: NonNullable<EventsOptions["overflow"]>;
  #subscription: Subscription | undefined;
  #ending: Ending | undefined;

  constructor({ buffer = 1_000, overflow = "fail" }: EventsOptions) {
    this.#buffer = Math.max(1, buffer);
    this.#overflow = overflow;
  }

  /** Tells it what it reads from: the subscription needs the stream first. */
  of(subscription: Subscription): this {
    this.#subscription = subscription;
    return this;
  }

  get ready(): Promise<void> {
    return this.#subscription?.ready ?? Promise.resolve();
  }

  add(event: FabricEvent): void {
    const reader = this.#readers.shift();
    if (reader) reader.resolve({ done: false, value: event });
    else if (this.#waiting.length < this.#buffer) this.#waiting.push(event);
    else this.#overfull(event);
  }

  #overfull(event: FabricEvent): void {
    if (this.#overflow === "fail") {
      const message = `${this.#buffer} events wait for a loop that does not read them.`;
      const advice = 'Read faster, or choose a larger buffer or overflow: "oldest".';
      this.end(new LocalError("hopsack.overloaded", message, { where: event.topic, advice }));
      void this.#subscription?.close();
      return;
    }
    this.dropped += 1;
    if (this.#overflow === "oldest") {
      this.#waiting.shift();
      this.#waiting.push(event);
    }
  }

  /** What waits is still read; then the loop ends, with the error if there is one. */
  end(error?: HopsackError): void {
    if (this.#ending) return;
    this.#ending = error ? { error } : {};
    for (const { resolve, reject } of this.#readers.splice(0)) error ? reject(error) : resolve(DONE);
  }

  next(): Promise<IteratorResult<FabricEvent>> {
    const event = this.#waiting.shift();
    if (event) return Promise.resolve({ done: false, value: event });
    const ending = this.#ending;
    if (ending?.error) {
      this.#ending = {};
      return Promise.reject(ending.error);
    }
    if (ending) return Promise.resolve(DONE);
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  async return(): Promise<IteratorResult<FabricEvent>> {
    this.end();
    this.#waiting.length = 0;
    await this.#subscription?.close();
    return DONE;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };
