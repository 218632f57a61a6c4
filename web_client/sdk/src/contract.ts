/**
 * The types of a fabric whose topics and procedures are declared: `connect<Topics, Procedures>()` with the two maps that
 * `hopsack generate` writes. Without them everything is `any`.
 *
 *     interface Topics { "host.metrics": HostSample; [topic: `watch.${string}.changed`]: WatchChange }
 *     interface Procedures { "host.describe": { input: HostName; output: HostDescription } }
 */
import type { FabricState } from "./connection.js";
import type { HopsackError } from "./errors.js";
import type { Observable } from "./observable.js";
import type { Gap, Identity } from "./session.js";

// biome-ignore lint/suspicious/noExplicitAny: what nobody declared may be used as its reader knows it.
type Undeclared = any;

export interface AnyTopics {
  readonly [topic: string]: Undeclared;
}

export interface AnyProcedures {
  readonly [procedure: string]: {
    readonly input: Undeclared;
    readonly output: Undeclared;
    readonly progress: Undeclared;
    readonly inputs: Undeclared;
  };
}

export type Name<Map> = keyof Map & string;
export type InputOf<P, K extends Name<P>> = P[K] extends { readonly input: infer Input } ? Input : never;
export type OutputOf<P, K extends Name<P>> = P[K] extends { readonly output: infer Output } ? Output : never;
/** A progressive result: where the contract says nothing of them, they are like the last one. */
export type ProgressOf<P, K extends Name<P>> = P[K] extends { readonly progress: infer Progress }
  ? Progress
  : OutputOf<P, K>;
/** An input that follows the first; none does where the contract does not say so. */
export type InputsOf<P, K extends Name<P>> = P[K] extends { readonly inputs: infer Inputs } ? Inputs : never;

/** An event. `position` is there for topics that are streams: hand it back to resume. */
export interface FabricEvent<Data = Undeclared, Topic extends string = string> {
  readonly topic: Topic;
  readonly data: Data;
  readonly position?: string | undefined;
}

/** What a wildcard's empty components stand for: "watch..changed" is `watch.${string}.changed`. */
type Template<Pattern extends string> = Pattern extends `${infer Head}..${infer Tail}`
  ? Template<`${Head}.${string}.${Tail}`>
  : Pattern extends `.${infer Tail}`
    ? Template<`${string}.${Tail}`>
    : Pattern extends `${infer Head}.`
      ? `${Head}.${string}`
      : Pattern;

type Below<T, Shape extends string> = {
  [K in Name<T>]: K extends Shape ? T[K] : Shape extends K ? T[K] : never;
}[Name<T>];

type OrUnknown<Data> = [Data] extends [never] ? unknown : Data;

/** The payloads of the declared topics that a pattern covers; `unknown` where it covers none. */
export type PrefixData<T, Prefix extends string> = OrUnknown<Below<T, `${Prefix}${string}`>>;
export type WildcardData<T, Pattern extends string> = OrUnknown<Below<T, Template<Pattern>>>;

/**
 * How a subscription went on: after a reconnection, on a new page that resumes with `after`, or where events were missing
 * on a connection that stands. It is told before the events that follow.
 */
export interface Recovery {
  /** As subscribed. */
  readonly topic: string;
  /** Everything missed follows, in order, once. */
  readonly recovered: boolean;
  /**
   * Why not. "trimmed": the stream no longer keeps what was missed. "epoch": it began anew. "gap": events stayed missing,
   * though they were asked for. "live": the topic is not a stream. "snapshot": not a stream either, and the newest values
   * follow. Else the code of an error.
   */
  readonly reason: string | undefined;
  /** Events that are gone: 0 when recovered, `undefined` where nobody can know. */
  readonly missed: number | undefined;
  /** How often they had to be asked for on a connection that stood; 0 after a reconnection. */
  readonly attempts: number;
}

/** A key of a `latest` topic is gone; `data` holds the key's fields only. */
export interface Deletion<Data = Undeclared, Topic extends string = string> {
  readonly topic: Topic;
  readonly data: Partial<Data>;
  readonly position?: string | undefined;
}

export interface HoldOptions {
  /**
   * Told when it ends by itself: refused, or taken away for good. Without it, and with nobody waiting for `ready`, such
   * an end is written to the browser's console.
   */
  readonly onError?: ((error: HopsackError) => void) | undefined;
}

export interface SubscribeOptions<Data = Undeclared, After = string | Readonly<Record<string, string>>>
  extends HoldOptions {
  /** Resumes after an event that an earlier page had: its `position`; for a pattern, the last one of each topic. */
  readonly after?: After | undefined;
  /**
   * Events a second, at most: of those that come faster, the newest of each key. Not every event comes then, and fewer
   * while the page is hidden. Where several listeners share a topic, the fastest counts.
   */
  readonly maxRate?: number | undefined;
  /** Told how it went on. Without it, events that are gone are told in the browser's console. */
  readonly onRecovery?: ((recovery: Recovery) => void) | undefined;
  /** Told of events that the node dropped because this page read too slowly. Without it: the browser's console. */
  readonly onGap?: ((gap: Gap) => void) | undefined;
  /** Told when a key of a `latest` topic is deleted. */
  readonly onDelete?: ((deletion: Deletion<Data>) => void) | undefined;
}

export interface EventsOptions
  extends Pick<SubscribeOptions, "after" | "maxRate" | "onRecovery" | "onGap" | "onDelete"> {
  /** Events that may wait for the loop; 1,000 by default. */
  readonly buffer?: number;
  /**
   * What happens to the event that finds the buffer full. Left out: an event of a stream is read back from there when the
   * loop has made room, so that nothing is missed; of others the oldest gives way, and of a stream that may not be read
   * back what has no room. `onGap` tells how many did. "fail": the loop ends with `hopsack.overloaded`. "oldest",
   * "newest": the oldest, or it itself, gives way, also of a stream.
   */
  readonly overflow?: "fail" | "oldest" | "newest";
}

export interface CallOptions {
  /** Milliseconds until the call ends with `hopsack.deadline`, waiting for the connection included; 10,000 by default. */
  readonly timeout?: number | undefined;
  /** Ends the call with `hopsack.canceled`. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Names this call, in at most 64 characters: the node executes it once, and a repeat gets the first one's outcome. With
   * a key, a call whose outcome the lost connection left open is sent again.
   */
  readonly key?: string | undefined;
  /** Milliseconds to wait for a callee, where there is none. */
  readonly wait?: number | undefined;
  /** Further tries of an idempotent procedure; its contract says how many otherwise. */
  readonly retry?: number | undefined;
}

/** `timeout` is the longest silence: each result, input, and each time that more are taken begins it anew. */
export interface IterateOptions<Inputs = Undeclared>
  extends Pick<CallOptions, "timeout" | "signal" | "wait" | "retry"> {
  /** The inputs that follow the first. They are pulled as the callee takes them; the end of the call closes them. */
  readonly inputs?: AsyncIterable<Inputs> | Iterable<Inputs> | undefined;
  /** Results that may wait for the loop; the callee waits while there are so many. 16 by default. */
  readonly window?: number | undefined;
}

export interface PublishOptions extends Pick<CallOptions, "timeout" | "signal"> {
  /**
   * Names this event, in at most 64 characters: of several with one name the stream takes the first, for 120 s. With a
   * key, a publication whose outcome the lost connection left open is sent again.
   */
  readonly key?: string;
  /** `true` (the default): resolves when the node has taken the event. `false`: when it was handed to the socket. */
  readonly acknowledge?: boolean;
}

/** Lives until it is closed, through every reconnection. */
export interface Subscription {
  /** As subscribed: a topic or a pattern. */
  readonly topic: string;
  /** Resolves when the node has granted it; rejects when it refused. */
  readonly ready: Promise<void>;
  /** From now on at most so many events a second; without a number, all of them. */
  setMaxRate(rate?: number): void;
  close(): Promise<void>;
}

type Label = string | number | boolean;

/** What tells a map's entries apart: a field's value; of several fields, their values as a JSON array. */
export type KeyOf<Data, Field> = Field extends keyof Data ? Extract<Data[Field], Label> : Label;

export interface MapOptions<Data = Undeclared, Field = keyof Data & string> extends HoldOptions {
  /** The field, or fields, that tell entries apart. Left out where the contract says it: `connect({ latest: LATEST })`. */
  readonly key?: Field | readonly (keyof Data & string)[] | undefined;
  /** Events a second, at most; the newest of each key. */
  readonly maxRate?: number | undefined;
}

/** The newest value of each key of a `latest` topic. `value` is a Map that never changes; a change makes a new one. */
export interface LatestMap<Data = Undeclared, Key = Label> extends Observable<ReadonlyMap<Key, Data>> {
  readonly topic: string;
  /**
   * Resolves when all keys are in; rejects when the node refused, or gives no newest values of this topic, because the
   * contract does not say so or the node is too old: then the map holds what came since. Told to `onError`, too.
   */
  readonly ready: Promise<void>;
  /** All keys are in. After a reconnection what is shown stays, until the node has told what is there now. */
  readonly complete: boolean;
  close(): Promise<void>;
}

/** What to read back: the `last` so many, those `since` a time (epoch milliseconds), or those after a position. */
export interface HistoryOptions extends Pick<CallOptions, "timeout" | "signal"> {
  readonly last?: number;
  readonly since?: number | Date;
  readonly after?: string;
  /** Events, at most. */
  readonly limit?: number;
}

export interface PastEvent<Data = Undeclared> {
  readonly topic: string;
  readonly data: Data;
  readonly position: string;
  /** When it was accepted, epoch milliseconds. */
  readonly time: number;
  /** A key was deleted: `data` holds its fields only. */
  readonly deleted?: boolean | undefined;
}

export interface History<Data = Undeclared> {
  readonly events: readonly PastEvent<Data>[];
  /** Hand it back as `after` to read on. */
  readonly position: string | undefined;
  /** `false` with the reason: events after the position asked for are gone. */
  readonly recovered: boolean;
  readonly reason?: string | undefined;
  /** There is nothing after these now. */
  readonly end: boolean;
}

/** Lives until it is closed, through every reconnection. */
export interface Registration {
  readonly procedure: string;
  /** Resolves when the node has granted it; rejects when it refused. */
  readonly ready: Promise<void>;
  close(): Promise<void>;
}

/** Events as a loop reads them. Subscribed from the moment it is made; leaving the loop closes it. */
export interface Events<Event> extends AsyncIterableIterator<Event> {
  readonly ready: Promise<void>;
  /** Events lost to the bound so far. */
  readonly dropped: number;
  return(): Promise<IteratorResult<Event>>;
}

/** A call whose results a loop reads, one after the other. Called from the moment it is made; leaving the loop cancels it. */
export interface Iteration<Progress = Undeclared, Output = Undeclared> extends AsyncIterableIterator<Progress, Output> {
  /** The last result. Rejects with what the loop ends with. The results before it are for the loop to read. */
  readonly result: Promise<Output>;
  return(): Promise<IteratorResult<Progress, Output>>;
}

/** What a procedure's handler is told beside its input. */
export interface Invocation<Inputs = Undeclared> {
  readonly procedure: string;
  /** Aborted when the caller gave up or the connection was lost: nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** Milliseconds that the call has left when it comes; of one that flows, the longest silence. */
  readonly timeout: number | undefined;
  /** The inputs that follow the first, asked for as they are read. Ends at once where none follow. */
  readonly inputs: AsyncIterableIterator<Inputs>;
}

/** What a handler returns. A generator yields the results before the last one, as its caller takes them. */
export type Answer<Output, Progress> =
  | Output
  | Promise<Output>
  | AsyncGenerator<Progress, Output, undefined>
  | Generator<Progress, Output, undefined>;

/** No input may be left out where the contract asks for one. */
export type CallArguments<Input> = null extends Input
  ? [input?: Input, options?: CallOptions]
  : [input: Input, options?: CallOptions];

export type IterateArguments<Input, Inputs> = null extends Input
  ? [input?: Input, options?: IterateOptions<Inputs>]
  : [input: Input, options?: IterateOptions<Inputs>];

/** A page's connection to the fabric. */
export interface Fabric<T = AnyTopics, P = AnyProcedures> {
  /** The state of the connection, as an observable value. */
  readonly state: Observable<FabricState>;

  /** Resolves with who we are once connected. Rejects when the node refused us for good, or after `close`. */
  ready(): Promise<Identity>;

  /** Calls `listener` for every event of a topic, or of every topic that a pattern covers. */
  subscribe<K extends Name<T>>(
    topic: K,
    listener: (event: FabricEvent<T[K], K>) => unknown,
    options?: SubscribeOptions<T[K], string> & { readonly match?: "exact" },
  ): Subscription;
  subscribe<Prefix extends string>(
    prefix: Prefix,
    listener: (event: FabricEvent<PrefixData<T, Prefix>>) => unknown,
    options: SubscribeOptions<PrefixData<T, Prefix>> & { readonly match: "prefix" },
  ): Subscription;
  subscribe<Pattern extends string>(
    pattern: Pattern,
    listener: (event: FabricEvent<WildcardData<T, Pattern>>) => unknown,
    options: SubscribeOptions<WildcardData<T, Pattern>> & { readonly match: "wildcard" },
  ): Subscription;

  /** The same for a loop: `for await (const event of fabric.events("host.metrics")) …` */
  events<K extends Name<T>>(
    topic: K,
    options?: EventsOptions & { readonly match?: "exact" },
  ): Events<FabricEvent<T[K], K>>;
  events<Prefix extends string>(
    prefix: Prefix,
    options: EventsOptions & { readonly match: "prefix" },
  ): Events<FabricEvent<PrefixData<T, Prefix>>>;
  events<Pattern extends string>(
    pattern: Pattern,
    options: EventsOptions & { readonly match: "wildcard" },
  ): Events<FabricEvent<WildcardData<T, Pattern>>>;

  /** The newest value of each key of a topic that is `latest`, kept up to date. */
  map<K extends Name<T>, Field extends keyof T[K] & string = keyof T[K] & string>(
    topic: K,
    options?: MapOptions<T[K], Field>,
  ): LatestMap<T[K], KeyOf<T[K], Field>>;

  /** Reads back what a stream keeps. */
  history<K extends Name<T>>(topic: K, options?: HistoryOptions): Promise<History<T[K]>>;

  /**
   * Calls a procedure. Always ends: with its output, an error, or `hopsack.deadline`.
   *
   * Rejects with a `DeclaredError` for what the procedure's contract declares, and with `hopsack.outcome_unknown` when
   * the connection was lost after the call was sent: it may or may not have run.
   */
  call<K extends Name<P>>(procedure: K, ...rest: CallArguments<InputOf<P, K>>): Promise<OutputOf<P, K>>;

  /**
   * Calls a procedure that gives its results one after the other, or takes its inputs so:
   * `for await (const hit of fabric.iterate("find", query)) …`. The loop ends with an error as `call` does.
   */
  iterate<K extends Name<P>>(
    procedure: K,
    ...rest: IterateArguments<InputOf<P, K>, InputsOf<P, K>>
  ): Iteration<ProgressOf<P, K>, OutputOf<P, K>>;

  /**
   * Publishes an event. @returns its position, where the topic is a stream. A stream's events come back to this page's
   * own subscriptions, the others do not.
   */
  publish<K extends Name<T>>(topic: K, data: T[K], options?: PublishOptions): Promise<string | undefined>;

  /** Deletes a key of a `latest` topic. @param key the key's fields. @returns the deletion's position in a stream. */
  delete<K extends Name<T>>(topic: K, key: Partial<T[K]>, options?: PublishOptions): Promise<string | undefined>;

  /**
   * Serves a procedure from this page. A `DeclaredError` that the handler throws reaches the caller as it is; anything
   * else reaches it as `hopsack.internal` with an incident number, and the browser's console with all it has. A handler
   * that is a generator yields progressive results, and is closed when the caller gives up.
   */
  register<K extends Name<P>>(
    procedure: K,
    handler: (input: InputOf<P, K>, invocation: Invocation<InputsOf<P, K>>) => Answer<OutputOf<P, K>, ProgressOf<P, K>>,
    options?: HoldOptions,
  ): Registration;

  /** Tries now instead of when the pause is over; with a connection, asks the node whether it is still there. */
  reconnect(): void;

  /** For good. What waits ends with `hopsack.disconnected`, what was sent with `hopsack.outcome_unknown`. */
  close(): void;
}
