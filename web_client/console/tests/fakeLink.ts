/** The fabric in memory, turned by hand: what a test publishes is heard, what it declares is answered. */
import { type Signal, signal } from "@preact/signals";
import type { Topics } from "../src/contracts";
import {
  type Arrival,
  type Closable,
  type Hearing,
  type Input,
  type Link,
  type Match,
  type Newest,
  type Output,
  type Past,
  type PastQuery,
  type Procedure,
  Refusal,
  type Serve,
  type Topic,
} from "../src/link";
import type { Connection, Identity } from "../src/state/connection";

type Answer = (input: unknown) => unknown;

interface Heard {
  readonly topic: string;
  readonly match: Match;
  readonly heard: (arrival: Arrival) => void;
  readonly hearing: Hearing;
}

type Served = (input: unknown, signal: AbortSignal) => Promise<unknown>;

export const IDENTITY: Identity = {
  ...{ authid: "guest-7f3a", role: "guest", session: 4711 },
  ...{ groups: [], tenant: undefined, expires: undefined },
};

export class FakeLink implements Link {
  readonly connection: Signal<Connection> = signal<Connection>({ phase: "connecting" });
  readonly answers = new Map<string, Answer>();
  readonly calls: (readonly [procedure: string, input: unknown])[] = [];
  readonly subscriptions = new Set<Heard>();
  readonly newest = new Map<string, Signal<Newest>>();
  readonly served = new Map<string, Served>();
  /** What streams keep: a topic's events, or how to answer a query. */
  readonly kept = new Map<string, (query: PastQuery) => Past | Promise<Past>>();
  reconnects = 0;
  token: string | undefined;
  /** Why nobody can sign in. */
  loginRefusal: Refusal | undefined;

  open(identity: Partial<Identity> = {}): void {
    this.connection.value = { phase: "open", identity: { ...IDENTITY, ...identity } };
  }

  lose(retryAt: number, reason = "The node went away."): void {
    this.connection.value = { phase: "waiting", retryAt, reason };
  }

  publish(topic: string, data: unknown): void {
    for (const { topic: wanted, match, heard } of [...this.subscriptions]) {
      if (matches(wanted, match, topic)) heard({ topic, data });
    }
  }

  /** Calls what the page serves. */
  async ask(procedure: string, input: unknown, signal = new AbortController().signal): Promise<unknown> {
    const serve = this.served.get(procedure);
    if (serve === undefined) throw noCallee(procedure);
    return await serve(input, signal);
  }

  reconnect(): void {
    this.reconnects += 1;
  }

  async signIn(token: string): Promise<void> {
    if (this.loginRefusal) throw this.loginRefusal;
    this.token = token;
  }

  async signOut(): Promise<void> {
    this.token = undefined;
  }

  subscribe<T extends Topic>(topic: T, heard: (arrival: Arrival<Topics[T]>) => void, hearing?: Hearing): Closable {
    return this.listen(topic, "exact", heard as (arrival: Arrival) => void, hearing);
  }

  async past<T extends Topic>(topic: T, query: PastQuery): Promise<Past<Topics[T]>> {
    const past = await this.kept.get(topic)?.(query);
    return (past ?? { events: [], position: "fake:0", end: true }) as Past<Topics[T]>;
  }

  latest<T extends Topic>(topic: T): Signal<Newest<Topics[T]>> {
    const newest = this.newest.get(topic) ?? signal<Newest>({ complete: false, values: new Map() });
    this.newest.set(topic, newest);
    return newest as Signal<Newest<Topics[T]>>;
  }

  listen(topic: string, match: Match, heard: (arrival: Arrival) => void, hearing: Hearing = {}): Closable {
    const subscription = { topic, match, heard, hearing };
    this.subscriptions.add(subscription);
    return { close: () => this.subscriptions.delete(subscription) };
  }

  async call<P extends Procedure>(procedure: P, input: Input<P>): Promise<Output<P>> {
    return (await this.invoke(procedure, input)) as Output<P>;
  }

  async invoke(procedure: string, input: unknown): Promise<unknown> {
    this.calls.push([procedure, input]);
    const answer = this.answers.get(procedure);
    if (answer === undefined) throw noCallee(procedure);
    return await answer(input);
  }

  register<P extends Procedure>(procedure: P, serve: Serve<P>, settled: (why: Refusal | undefined) => void): Closable {
    this.served.set(procedure, serve as Served);
    settled(undefined);
    return { close: () => this.served.delete(procedure) };
  }
}

function noCallee(where: string): Refusal {
  return new Refusal("Nobody serves this procedure right now.", "hopsack.no_callee", { where, retry: "later" });
}

function matches(wanted: string, match: Match, topic: string): boolean {
  switch (match) {
    case "exact":
      return wanted === topic;
    case "prefix":
      return topic.startsWith(wanted);
    case "wildcard": {
      const parts = topic.split(".");
      const pattern = wanted.split(".");
      return parts.length === pattern.length && pattern.every((part, at) => part === "" || part === parts[at]);
    }
  }
}
