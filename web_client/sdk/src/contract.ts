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
import type { Identity } from "./session.js";

// biome-ignore lint/suspicious/noExplicitAny: what nobody declared may be used as its reader knows it.
type Undeclared = any;

export interface AnyTopics {
  readonly [topic: string]: Undeclared;
}

export interface AnyProcedures {
  readonly [procedure: string]: { readonly input: Undeclared; readonly output: Undeclared };
}

export type Name<Map> = keyof Map & string;
export type InputOf<P, K extends Name<P>> = P[K] extends { readonly input: infer Input } ? Input : never;
export type OutputOf<P, K extends Name<P>> = P[K] extends { readonly output: infer Output } ? Output : never;

/** An event. `position` is there for topics that are streams: hand it back to resume. */
export interface FabricEvent<Data = Undeclared, Topic extends string = string> {
  readonly topic: Topic;
  readonly data: Data;
  readonly position?: string;
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

export interface SubscribeOptions {
  /**
   * Told when the subscription ends by itself: refused, or taken away for good. Without it, and with nobody waiting for
   * `ready`, such an end is written to the browser's console.
   */
  readonly onError?: (error: HopsackError) => void;
}

export interface EventsOptions {
  /** Events that may wait for the loop; 1,000 by default. */
  readonly buffer?: number;
  /**
   * What happens to the event that finds the buffer full. "fail" (the default): the loop ends with `hopsack.overloaded`,
   * nothing is missed silently. "oldest": it takes the place of the oldest. "newest": it is dropped itself.
   */
  readonly overflow?: "fail" | "oldest" | "newest";
}

export interface CallOptions {
  /** Milliseconds until the call ends with `hopsack.deadline`, waiting for the connection included; 10,000 by default. */
  readonly timeout?: number;
  /** Ends the call with `hopsack.canceled`. */
  readonly signal?: AbortSignal;
}

export interface PublishOptions extends CallOptions {
  /** `true` (the default): resolves when the node has taken the event. `false`: when it was handed to the socket. */
  readonly acknowledge?: boolean;
}

/** Lives until it is closed, through every reconnection. */
export interface Subscription {
  /** As subscribed: a topic or a pattern. */
  readonly topic: string;
  /** Resolves when the node has granted it; rejects when it refused. */
  readonly ready: Promise<void>;
  close(): Promise<void>;
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
  /** Events lost to the bound so far; always 0 with "fail". */
  readonly dropped: number;
  return(): Promise<IteratorResult<Event>>;
}

/** What a procedure's handler is told beside its input. */
export interface Invocation {
  readonly procedure: string;
  /** Aborted when the caller gave up or the connection was lost: nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** No input may be left out where the contract asks for one. */
export type CallArguments<Input> = null extends Input
  ? [input?: Input, options?: CallOptions]
  : [input: Input, options?: CallOptions];

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
    options?: SubscribeOptions & { readonly match?: "exact" },
  ): Subscription;
  subscribe<Prefix extends string>(
    prefix: Prefix,
    listener: (event: FabricEvent<PrefixData<T, Prefix>>) => unknown,
    options: SubscribeOptions & { readonly match: "prefix" },
  ): Subscription;
  subscribe<Pattern extends string>(
    pattern: Pattern,
    listener: (event: FabricEvent<WildcardData<T, Pattern>>) => unknown,
    options: SubscribeOptions & { readonly match: "wildcard" },
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

  /**
   * Calls a procedure. Always ends: with its output, an error, or `hopsack.deadline`.
   *
   * Rejects with a `DeclaredError` for what the procedure's contract declares, and with `hopsack.outcome_unknown` when
   * the connection was lost after the call was sent: it may or may not have run.
   */
  call<K extends Name<P>>(procedure: K, ...rest: CallArguments<InputOf<P, K>>): Promise<OutputOf<P, K>>;

  /** Publishes an event. It does not come back to this page's own subscriptions. */
  publish<K extends Name<T>>(topic: K, data: T[K], options?: PublishOptions): Promise<void>;

  /**
   * Serves a procedure from this page. A `DeclaredError` that the handler throws reaches the caller as it is; anything
   * else reaches it as `hopsack.internal` with an incident number, and the browser's console with all it has.
   */
  register<K extends Name<P>>(
    procedure: K,
    handler: (input: InputOf<P, K>, invocation: Invocation) => OutputOf<P, K> | Promise<OutputOf<P, K>>,
    options?: SubscribeOptions,
  ): Registration;

  /** Tries now instead of when the pause is over; with a connection, asks the node whether it is still there. */
  reconnect(): void;

  /** For good. What waits ends with `hopsack.disconnected`, what was sent with `hopsack.outcome_unknown`. */
  close(): void;
}
