/**
 * Events for a loop. Bound: `buffer` events wait. The one too many, if it is one of a stream, is left to the journal, and
 * so is what follows: the topic *lags*, until the loop has made room and it was read back from there. Of others the oldest
 * gives way, and the loop is told how many did. `overflow` says otherwise.
 *
 * While a page of a lagging topic is on its way, so many live events of it are held, for what comes behind the page's end;
 * if more come, the journal is read again. So a slow loop costs its buffer and nothing else, and loses nothing that the
 * journal still has.
 *
 * Where the node refuses for good to read a topic back, it is not asked again on that connection: what has no room is gone,
 * and one gap with its number waits in its place, as soon as there is room.
 */
import { backoff } from "./backoff.js";
import type { Deletion, Events, EventsOptions, FabricEvent, History, Recovery, Subscription } from "./contract.js";
import { HopsackError, LocalError, passes } from "./errors.js";
import { isBefore, parse } from "./position.js";
import type { Arrival, Gap } from "./session.js";

/** Events that are read back at once. */
export const PAGE = 500;

interface Reader {
  readonly resolve: (result: IteratorResult<FabricEvent>) => void;
  readonly reject: (error: HopsackError) => void;
}

type Ending = { readonly error?: HopsackError };

/** What a stream is given by whoever makes it. */
export interface Journal {
  read(topic: string, after: string, limit: number): Promise<History>;
  /** Milliseconds. */
  later(delay: number, then: () => void): void;
  random(): number;
  /** Another one with each connection. */
  link(): unknown;
  recovered(recovery: Recovery): void;
  skipped(gap: Gap): void;
  deleted(deletion: Deletion): void;
}

/** A topic that is read back. */
interface Lag {
  /** The last event that waits, or was read. */
  after: string;
  isReading: boolean;
  tries: number;
  held: Arrival[];
  /** The last event that came and is not held. */
  spilled: string | undefined;
}

export class Stream implements Events<FabricEvent> {
  dropped = 0;
  readonly #waiting: (FabricEvent | Gap)[] = [];
  readonly #readers: Reader[] = [];
  readonly #buffer: number;
  readonly #overflow: EventsOptions["overflow"];
  /** Offsets of its streams have no holes, so that it may read back. */
  readonly #readsBack: boolean;
  readonly #lags = new Map<string, Lag>();
  /** Topics that may not be read back, and on which connection that was said. */
  readonly #refused = new Map<string, unknown>();
  /** Dropped since the loop was told. */
  readonly #gaps = new Map<string, number>();
  #subscription: Subscription | undefined;
  #ending: Ending | undefined;

  constructor(
    { buffer = 1_000, overflow, maxRate }: EventsOptions,
    private readonly journal: Journal,
  ) {
    this.#buffer = Math.max(1, buffer);
    this.#overflow = overflow;
    this.#readsBack = overflow === undefined && maxRate === undefined;
  }

  /** Tells it what it reads from: the subscription needs the stream first. */
  of(subscription: Subscription): this {
    this.#subscription = subscription;
    return this;
  }

  get ready(): Promise<void> {
    return this.#subscription?.ready ?? Promise.resolve();
  }

  /** A deletion is told at once, except where what comes before it is still to be read. */
  add(event: Arrival): void {
    const lag = this.#lags.get(event.topic);
    if (!lag) event.deleted ? this.journal.deleted(event as Deletion) : this.#put(event);
    else if (lag.isReading && lag.held.length < this.#buffer) lag.held.push(event);
    else lag.spilled = event.position;
  }

  /** What a topic that is read back has lost shows when it is read. */
  recovered(recovery: Recovery): void {
    if (recovery.recovered || !this.#lags.has(recovery.topic)) this.journal.recovered(recovery);
  }

  #put(event: FabricEvent): void {
    const reader = this.#readers.shift();
    if (reader) {
      this.#take();
      reader.resolve({ done: false, value: event });
    } else if (this.#room > 0) this.#waiting.push(event);
    else this.#overfull(event);
  }

  /** The next event; a gap in front of it is told. Where somebody waits for one, there are only gaps. */
  #take(): FabricEvent | undefined {
    for (;;) {
      const one = this.#waiting.shift();
      if (!one || !("dropped" in one)) return one;
      this.journal.skipped(one);
    }
  }

  get #room(): number {
    return this.#buffer - this.#waiting.length;
  }

  #overfull(event: FabricEvent): void {
    const place = this.#readsBack ? parse(event.position) : undefined;
    if (place) {
      this.#lag(event.topic, `${place.epoch}:${place.offset - 1}`, event.position);
      return;
    }
    if (this.#overflow === "fail") {
      const message = `${this.#buffer} events wait for a loop that does not read them.`;
      const advice = "Read faster, or choose a larger buffer, or leave overflow out.";
      this.end(new LocalError("hopsack.overloaded", message, { where: event.topic, advice }));
      void this.#subscription?.close();
      return;
    }
    const oldest = this.#overflow === "newest" ? -1 : this.#waiting.findIndex((one) => this.#mayGo(one));
    const gone = oldest < 0 ? event : (this.#waiting.splice(oldest, 1)[0] as FabricEvent);
    if (gone !== event) this.#waiting.push(event);
    this.dropped += 1;
    this.#gaps.set(gone.topic, (this.#gaps.get(gone.topic) ?? 0) + 1);
  }

  #lag(topic: string, after: string, spilled: string | undefined): void {
    this.#lags.set(topic, { after, isReading: false, tries: 0, held: [], spilled });
  }

  /** Of streams that are read back nothing may be left out. */
  #mayGo(one: FabricEvent | Gap): boolean {
    return !this.#readsBack || !("dropped" in one || one.position);
  }

  // ---- reading back ------------------------------------------------------------------------------------------------

  /** Reads a page of a topic that lags, as soon as there is room for one. */
  #catchUp(): void {
    if (this.#lags.size === 0 || this.#ending || this.#room < Math.min(PAGE, Math.ceil(this.#buffer / 2))) return;
    for (const [topic, lag] of this.#lags)
      if (this.#refused.get(topic) === this.journal.link()) this.#giveUp(topic, lag);
    for (const [topic, lag] of this.#lags) {
      if (lag.isReading) return;
      Object.assign(lag, { isReading: true, held: [], spilled: undefined });
      this.journal.read(topic, lag.after, Math.min(PAGE, this.#room)).then(
        (page) => this.#paged(topic, lag, page),
        (error) => this.#unread(topic, lag, error),
      );
      return;
    }
  }

  #paged(topic: string, lag: Lag, { events, position, recovered, reason, end }: History): void {
    if (this.#ending) return;
    lag.tries = 0;
    if (!recovered) this.#restart(topic, lag, events[0]?.position, position, reason);
    // Others may want to be read, too.
    this.#lags.delete(topic);
    const isWhole = end && !lag.spilled;
    for (const event of [...events, ...(isWhole ? lag.held : [])]) {
      if (!this.#follows(topic, lag, event)) break;
    }
    if (!isWhole || this.#lags.has(topic)) this.#lags.set(topic, { ...lag, isReading: false, held: [] });
    this.#catchUp();
  }

  /** @returns whether the next one may follow. */
  #follows(topic: string, lag: Lag, { data, position, deleted }: Omit<Arrival, "topic">): boolean {
    const [place, last] = [parse(position), parse(lag.after)];
    if (!place || (last?.epoch === place.epoch && !isBefore(last, place))) return true;
    const isNext = last?.epoch !== place.epoch || place.offset === last.offset + 1;
    if (!isNext || this.#room <= 0) {
      this.#lags.set(topic, lag);
      return false;
    }
    lag.after = position as string;
    if (deleted) this.journal.deleted({ topic, data: data as object, position });
    else this.#put({ topic, data, position });
    return true;
  }

  #restart(topic: string, lag: Lag, first: string | undefined, at: string | undefined, reason?: string): void {
    const [last, place] = [parse(lag.after), parse(first ?? at)];
    const from = place && { ...place, offset: place.offset - (first ? 1 : 0) };
    const missed = from && last?.epoch === from.epoch ? Math.max(0, from.offset - last.offset) : undefined;
    if (from) lag.after = `${from.epoch}:${from.offset}`;
    this.journal.recovered({ topic, recovered: false, reason: reason ?? "trimmed", missed, attempts: 0 });
  }

  #unread(topic: string, lag: Lag, error: unknown): void {
    if (this.#ending) return;
    const isOver = error instanceof HopsackError && !(error instanceof LocalError) && !passes(error);
    if (!isOver) {
      this.journal.later(backoff(lag.tries++, this.journal.random()), () => {
        lag.isReading = false;
        this.#catchUp();
      });
      return;
    }
    this.#lags.delete(topic);
    this.#refused.set(topic, this.journal.link());
    const reason = (error as HopsackError).code;
    this.journal.recovered({ topic, recovered: false, reason, missed: undefined, attempts: lag.tries });
    for (const event of lag.held) this.add(event);
    const { spilled, held } = lag;
    const late = this.#lags.get(topic);
    if (spilled && late) late.spilled = spilled;
    else if (spilled) this.#lag(topic, held.at(-1)?.position as string, spilled);
    this.#catchUp();
  }

  #giveUp(topic: string, { after, spilled }: Lag): void {
    this.#lags.delete(topic);
    const [from, to] = [parse(after), parse(spilled)];
    const dropped = to ? to.offset - (from?.epoch === to.epoch ? from.offset : 0) : 0;
    if (dropped <= 0) return;
    this.dropped += dropped;
    this.#waiting.push({ topic, dropped });
  }

  // ---- the loop ----------------------------------------------------------------------------------------------------

  /** What waits is still read; then the loop ends, with the error if there is one. */
  end(error?: HopsackError): void {
    if (this.#ending) return;
    this.#ending = error ? { error } : {};
    for (const { resolve, reject } of this.#readers.splice(0)) error ? reject(error) : resolve(DONE);
  }

  next(): Promise<IteratorResult<FabricEvent>> {
    for (const [topic, dropped] of this.#gaps) this.journal.skipped({ topic, dropped });
    this.#gaps.clear();
    const event = this.#take();
    this.#catchUp();
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
