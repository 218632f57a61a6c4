/**
 * What the console asks of the fabric: the port that `fabric.ts` implements over the SDK and that tests implement in
 * memory. Feeds depend on this file alone.
 */
import type { ReadonlySignal } from "@preact/signals";
import type { Procedures, Topics } from "./contracts";
import type { Connection } from "./state/connection";

export interface Closable {
  close(): void;
}

export interface Arrival<Data = unknown> {
  readonly topic: string;
  readonly data: Data;
}

/** The newest value of each key of a topic that keeps them. */
export interface Newest<Data = unknown> {
  /** They are all there. A node that keeps none never says so. */
  readonly complete: boolean;
  readonly values: ReadonlyMap<string | number | boolean, Data>;
}

/** Events of a stream, read back: oldest first. */
export interface Past<Data = unknown> {
  readonly events: readonly PastEvent<Data>[];
  /** Hand it back as `after`, to read on or to go on live. */
  readonly position: string | undefined;
  /** There is nothing after these now. */
  readonly end: boolean;
}

export interface PastEvent<Data = unknown> {
  readonly data: Data;
  /** When the node accepted it, epoch seconds. */
  readonly time: number;
}

/** So many of the newest, those since a time (epoch seconds), or those after a position. */
export type PastQuery = { readonly last: number } | { readonly since: number } | { readonly after: string };

/** How a subscription went on after a reconnection, or that events were lost on a connection that stands. */
export type Continuity =
  | { readonly kind: "resumed" }
  /** `missed`: how many are gone; `undefined` where nobody can know. */
  | { readonly kind: "gap"; readonly missed: number | undefined; readonly reason: string };

export interface Hearing {
  /** A refusal is told once. */
  readonly refused?: ((why: Refusal) => void) | undefined;
  /** Told before the events that follow. Of a stream only. */
  readonly went?: ((on: Continuity) => void) | undefined;
  /** Goes on behind this position. */
  readonly after?: string | undefined;
}

export type Match = "exact" | "prefix" | "wildcard";

export type Topic = keyof Topics & string;
export type Procedure = keyof Procedures & string;
export type Input<P extends Procedure> = Procedures[P]["input"];
export type Output<P extends Procedure> = Procedures[P]["output"];

/** What a page serves: it refuses by throwing a {@link Refusal}. `withdrawn`: nobody waits for the answer any more. */
export type Serve<P extends Procedure> = (input: Input<P>, withdrawn: AbortSignal) => Promise<Output<P>>;

export interface Link {
  readonly connection: ReadonlySignal<Connection>;
  /** Try now instead of when the pause is over. */
  reconnect(): void;
  /** Come back as the bearer of a token, here and in all of this browser's tabs. Rejects with a {@link Refusal}. */
  signIn(token: string): Promise<void>;
  /** Come back as a guest. Rejects with a {@link Refusal}. */
  signOut(): Promise<void>;
  /** Lives until closed, through every reconnection. */
  subscribe<T extends Topic>(topic: T, heard: (arrival: Arrival<Topics[T]>) => void, hearing?: Hearing): Closable;
  /** The same for a topic or pattern that is known at run time only. */
  listen(topic: string, match: Match, heard: (arrival: Arrival) => void, hearing?: Hearing): Closable;
  /** What each key of a topic holds now. A refusal is not told: a subscription to the same topic is. */
  latest<T extends Topic>(topic: T): ReadonlySignal<Newest<Topics[T]>>;
  /** What a stream keeps; a page of it. Rejects with a {@link Refusal}. */
  past<T extends Topic>(topic: T, query: PastQuery): Promise<Past<Topics[T]>>;
  /** Rejects with a {@link Refusal}. */
  call<P extends Procedure>(procedure: P, input: Input<P>): Promise<Output<P>>;
  /** The same for a procedure that is known at run time only; as patient as its contract. */
  invoke(procedure: string, input: unknown, signal: AbortSignal): Promise<unknown>;
  /** Serves a procedure until closed, through every reconnection. `settled` is told when it is served, or why not. */
  register<P extends Procedure>(procedure: P, serve: Serve<P>, settled: (why: Refusal | undefined) => void): Closable;
}

/** A "no" from the other side, in the fabric's words (see docs/reference/errors.md). */
export class Refusal extends Error {
  override readonly name = "Refusal";

  constructor(
    message: string,
    readonly code: string,
    readonly facts: RefusalFacts = {},
  ) {
    super(message);
  }

  /** Whether the same request may succeed without anybody changing it. */
  get passing(): boolean {
    return this.facts.retry === "later";
  }
}

export interface RefusalFacts {
  readonly where?: string | undefined;
  /** JSON Pointer (RFC 6901) to the field at fault. */
  readonly path?: string | undefined;
  readonly advice?: string | undefined;
  readonly retry?: "never" | "later" | "after_login" | undefined;
  readonly data?: Readonly<Record<string, unknown>> | undefined;
}

export function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  return new Refusal(error instanceof Error ? error.message : String(error), "console.failed");
}
