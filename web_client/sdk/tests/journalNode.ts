/**
 * A node with a journal, as a page sees it: streams, newest values, keys of publications. It answers the sockets of a
 * stage. What it sends waits until the test lets it arrive, so that a test can cut the connection anywhere, send a frame
 * twice, or lose an event on the way.
 */
import { CAP } from "../src/backoff";
import type { Frame, Stage, Wire } from "./stage";

interface Kept {
  readonly offset: number;
  readonly data: Frame;
  readonly deleted?: true;
}

export class Topic {
  epoch = "e1";
  head = 0;
  kept: Kept[] = [];
  readonly keys = new Map<string, string>();

  /** @param key the field that tells newest values apart; none: it keeps none. */
  constructor(
    readonly uri: string,
    readonly key?: string,
  ) {}

  position(offset = this.head): string {
    return `${this.epoch}:${offset}`;
  }

  append(data: Frame, deleted?: true): Kept {
    this.head += 1;
    const kept: Kept = { offset: this.head, data, ...(deleted && { deleted }) };
    this.kept.push(kept);
    return kept;
  }

  /** Keeps only the newest so many. */
  trim(count: number): void {
    this.kept = this.kept.slice(Math.max(0, this.kept.length - count));
  }

  /** The journal is lost. */
  begin(epoch: string): void {
    this.epoch = epoch;
    this.head = 0;
    this.kept = [];
  }

  newest(): Kept[] {
    const byKey = new Map<unknown, Kept>();
    for (const one of this.kept) {
      byKey.delete(one.data[this.key ?? ""]);
      if (!one.deleted) byKey.set(one.data[this.key ?? ""], one);
    }
    return [...byKey.values()];
  }

  frame({ offset, data, deleted }: Kept, retained?: true): Frame {
    const params = {
      topic: this.uri,
      position: this.position(offset),
      data,
      ...(deleted && { deleted }),
      ...(retained && { retained }),
    };
    return { jsonrpc: "2.0", method: "event", params };
  }
}

interface Link {
  readonly wire: Wire;
  /** Subscription to the topics it covers. */
  readonly subscriptions: Map<number, readonly Topic[]>;
  /** On their way to the page. */
  readonly out: Frame[];
}

export class JournalNode {
  readonly topics: readonly Topic[];
  /** Every request but hello, in order. */
  readonly asked: Frame[] = [];
  /** Refuses these methods or members, as an older node does. */
  lacks: readonly string[] = [];
  #link: Link | undefined;
  #last = 100;

  constructor(
    private readonly on: Stage,
    ...topics: Topic[]
  ) {
    this.topics = topics;
  }

  /** The page's newest socket opens. */
  accept(): void {
    const { wire } = this.on;
    this.#link = { wire, subscriptions: new Map(), out: [] };
    wire.opens();
  }

  hangsUp(code = 1006, reason = ""): void {
    this.#link = undefined;
    this.on.wire.hangsUp(code, reason);
  }

  /** Whether the page's connection stands, as both sides see it. */
  get connected(): boolean {
    return this.#link?.wire === this.on.wire && !this.on.wire.closed;
  }

  /** The page comes back, if it is away. */
  returns(): void {
    if (this.connected) return;
    if (!this.on.wire.fresh) this.on.clock.turn(CAP);
    this.accept();
  }

  /** Frames on their way to the page. */
  get out(): Frame[] {
    return this.#link?.out ?? [];
  }

  publish(topic: Topic, data: Frame, deleted?: true): void {
    const kept = topic.append(data, deleted);
    const reads = [...(this.#link?.subscriptions.values() ?? [])].some((topics) => topics.includes(topic));
    if (reads) this.out.push(topic.frame(kept));
  }

  /** Answers what the page has sent. */
  reads(): void {
    for (const request of this.#link?.wire.heard() ?? []) this.#answer(request);
  }

  /** The next frame arrives. @returns whether there was one. */
  delivers(): boolean {
    const link = this.#link;
    const frame = link?.out.shift();
    if (link && frame) link.wire.says(frame);
    return frame !== undefined;
  }

  /** Everything that both sides have to say arrives. */
  settles(): void {
    do this.reads();
    while (this.delivers());
  }

  #answer({ id, method, params }: Frame): void {
    if (method !== "hopsack.hello") this.asked.push({ method, params });
    const lacking = this.lacks.find((name) => name === method || name in (params ?? {}));
    if (lacking) {
      const data = { code: "hopsack.invalid", message: `${lacking} is unknown` };
      this.out.push({ id, error: { code: -32602, message: data.message, data } });
      return;
    }
    const { events = [], page, ...rest } = this.#result(method, params);
    const result = page ?? rest;
    if (id !== undefined) this.out.push({ id, result }, ...events);
  }

  #result(method: string, params: Frame): Frame {
    switch (method) {
      case "hopsack.hello":
        return { session: ++this.#last, authid: "guest-1", role: "guest", realm: "hopsack", server: "hopsack/0.1.0" };
      case "hopsack.subscribe":
        return this.#subscribe(params);
      case "hopsack.unsubscribe":
        this.#link?.subscriptions.delete(params.subscription);
        return {};
      case "hopsack.publish":
        return this.#published(params);
      case "hopsack.stream.behind":
        return this.#ahead(params);
      case "hopsack.stream.read":
        return this.#page(params);
      default:
        return {};
    }
  }

  #ahead({ positions, patterns = [] }: Frame): Frame {
    const covers = (uri: string): boolean =>
      patterns.some(({ topic, match }: Frame) => (match === "exact" ? uri === topic : uri.startsWith(topic)));
    const elsewhere = this.topics.filter((one) =>
      one.uri in positions ? positions[one.uri] !== one.position() : covers(one.uri),
    );
    return Object.fromEntries(elsewhere.map((one) => [one.uri, one.position()]));
  }

  #page({ topic: uri, after, limit }: Frame): Frame {
    const topic = this.topics.find((one) => one.uri === uri) as Topic;
    const { position, reason, events } = this.#found(topic, after, false);
    const page = events.slice(0, limit).map(({ params }: Frame) => ({ ...params, time: 1, publication: 1 }));
    const end = page.length === events.length;
    return { page: { events: page, position: page.at(-1)?.position ?? position, recovered: !reason, reason, end } };
  }

  #published({ topic: uri, data, key, delete: deleted }: Frame): Frame {
    const topic = this.topics.find((one) => one.uri === uri);
    if (!topic) return {};
    const known = key && topic.keys.get(key);
    if (known) return { position: known };
    this.publish(topic, data, deleted);
    if (key) topic.keys.set(key, topic.position());
    return { position: topic.position() };
  }

  #subscribe({ topic: uri, match = "exact", after }: Frame): Frame {
    const covered = this.topics.filter((one) => (match === "exact" ? one.uri === uri : one.uri.startsWith(uri)));
    const subscription = ++this.#last;
    this.#link?.subscriptions.set(subscription, covered);
    const from: Record<string, string> = typeof after === "string" ? { [uri]: after } : (after ?? {});
    const isWhole = match !== "exact" && after !== undefined && !("*" in after);
    const found = covered
      .filter((topic) => match === "exact" || topic.head > 0 || topic.uri in from)
      .map((topic) => this.#found(topic, from[topic.uri] ?? (isWhole ? topic.position(0) : undefined)));
    const positions = Object.fromEntries(found.map(({ topic, position }) => [topic.uri, position]));
    const reason = found.map((one) => one.reason).find((one) => one !== undefined);
    const snapshots = found.map((one) => one.snapshot).filter((one) => one !== undefined);
    return {
      subscription,
      ...(match === "exact" ? { position: found[0]?.position } : { positions }),
      recovered: after !== undefined && (match !== "exact" || covered.length > 0) && reason === undefined,
      ...(reason && { reason }),
      ...(snapshots.length > 0 && { snapshot: snapshots.reduce((sum, one) => sum + one, 0) }),
      events: found.flatMap(({ events }) => events),
    };
  }

  #found(topic: Topic, after: string | undefined, shows = true): Frame {
    const all = (kept: readonly Kept[], retained?: true): Frame[] => kept.map((one) => topic.frame(one, retained));
    const [epoch, offset] = after?.split(":") ?? [];
    const oldest = topic.kept[0]?.offset ?? topic.head + 1;
    if (epoch === topic.epoch && Number(offset) + 1 >= oldest && Number(offset) <= topic.head)
      return { topic, position: after, events: all(topic.kept.filter((one) => one.offset > Number(offset))) };
    const reason = after && (epoch === topic.epoch ? "trimmed" : "epoch");
    const newest = topic.newest();
    if (topic.key && shows)
      return { topic, position: topic.position(), reason, snapshot: newest.length, events: all(newest, true) };
    return after
      ? { topic, position: topic.position(oldest - 1), reason, events: all(topic.kept) }
      : { topic, position: topic.position(), events: [] };
  }
}

/** Known chance: mulberry32. @returns numbers in [0, 1). */
export function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
