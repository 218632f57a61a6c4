/**
 * The shell: sockets, timers, promises and the program's functions. It decides nothing; it feeds `connection.ts` with
 * what happened and does what comes back, one effect after the other, also where a function of the program causes the
 * next one.
 *
 * An event passes: the socket's message -> connection.ts -> raw.ts or wamp.ts, reading.ts -> `#each` here -> the listener.
 */
import {
  type Address,
  type Clock,
  clock,
  type DocumentLike,
  onPage,
  openSocket,
  resolve,
  type SocketFactory,
  type WebSocketLike,
} from "./browser.js";
import {
  BACKLOG,
  CHECK,
  type Connection,
  connection,
  type Effect,
  type FabricState,
  type Input,
  type Timer,
} from "./connection.js";
import type {
  AnyProcedures,
  AnyTopics,
  CallOptions,
  Deletion,
  EventsOptions,
  Fabric,
  FabricEvent,
  History,
  HistoryOptions,
  HoldOptions,
  IterateOptions,
  MapOptions,
  PublishOptions,
  Recovery,
  SubscribeOptions,
} from "./contract.js";
import { DeclaredError, type HopsackError, isObject, LocalError, RemoteError } from "./errors.js";
import { WINDOW } from "./flow.js";
import { type Ends, Hold } from "./hold.js";
import { Iterating } from "./iterate.js";
import { Latest } from "./latest.js";
import { Variable } from "./observable.js";
import { matches, raw } from "./raw.js";
import { type Serve, Served } from "./serve.js";
import type { Arrival, Gap, Identity, Match } from "./session.js";
import { Stream } from "./stream.js";
import { unavailable } from "./token.js";
import { SUBPROTOCOL, wamp } from "./wamp.js";

export const VERSION = "0.1.0";

const REALM = "hopsack";

/** Milliseconds. */
const TIMEOUT = 10_000;

/** Characters. */
const LONGEST_KEY = 64;

/** The longest delay that timers take; beyond it they fire at once. */
const LONGEST_DELAY = 2 ** 31 - 1;

/** Gives a token; nothing, where there is none. */
export type TokenSource = () => string | null | undefined | Promise<string | null | undefined>;

export interface ConnectOptions {
  /** Of a door: ".../raw" (JSON-RPC, the default at the page's own address) or ".../ws" (WAMP). */
  readonly url?: string;
  /**
   * Who we are. Without one: whoever the browser is signed in as (`login`), or a guest. A function is asked before every
   * connection, and again before its token expires; the newer one is then handed to the node on the connection that stands.
   * What it throws is tried again later, unless it is a HopsackError whose `retry` is not "later".
   */
  readonly token?: string | TokenSource;
  /**
   * Told when a newer token could not be had, or the node did not take it. It is tried again until the token has expired.
   * Without it: the browser's console.
   */
  readonly onTokenError?: (error: HopsackError) => void;
  /** Opens a WebSocket, where there is none built in: `(url, protocols) => new WebSocket(url, protocols)` with "ws". */
  readonly socket?: SocketFactory;
  /** The key fields of the `latest` topics, as `hopsack generate` writes them: `map` needs no `key` then. */
  readonly latest?: Readonly<Record<string, readonly string[]>>;
  /**
   * Events a second that subscriptions with a `maxRate`, and maps, get while the page is hidden; 1 by default. 0 leaves
   * them as they are.
   */
  readonly hiddenRate?: number;
  /**
   * Milliseconds after which the node is asked about a stream of which nothing was heard, in case its last event was lost
   * on the way; 4,000 by default, 0 for never.
   */
  readonly checkEvery?: number;
  /** For tests. */
  readonly document?: DocumentLike;
  /** A number in [0, 1); for tests. */
  readonly random?: () => number;
  /** For tests. */
  readonly clock?: Clock;
}

/**
 * Connects to a node, and connects again whenever the connection is lost, until `close()` or until the node refuses us
 * for good. Returns at once: subscribe, register, call right away, it all happens when the connection is there.
 *
 * @throws LocalError hopsack.usage: the address is not one of a door.
 */
export function connect<T = AnyTopics, P = AnyProcedures>(options: ConnectOptions = {}): Fabric<T, P> {
  return new Shell(options) as unknown as Fabric<T, P>;
}

/** A promise of the program, or a hold: whoever is told how an operation went. */
interface Asker {
  settle(value: unknown): void;
  fail(error: HopsackError): void;
  /** Of a call that flows. */
  readonly flow?: Iterating | undefined;
}

/** What is known of an operation when it begins. */
type Asked = { readonly id: number; readonly timeout: number; readonly backlog: number };

/** A subscription's functions of the program. */
interface Listener {
  readonly heard: (event: FabricEvent) => unknown;
  readonly deleted?: ((event: Deletion) => unknown) | undefined;
  readonly recovered?: ((recovery: Recovery) => unknown) | undefined;
  readonly skipped?: ((gap: Gap) => unknown) | undefined;
  readonly latest?: Latest;
}

class Shell {
  readonly state = new Variable<FabricState>({ name: "connecting", attempt: 0, reason: "" });
  readonly #address: Address;
  readonly #openSocket: SocketFactory;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #connection: Connection;
  readonly #source: TokenSource;
  readonly #overdue: (error: HopsackError) => void;
  readonly #askers = new Map<number, Asker>();
  readonly #latest: Readonly<Record<string, readonly string[]>>;
  readonly #listeners = new Map<number, Listener>();
  readonly #servers = new Map<number, Serve>();
  readonly #running = new Map<number, Served>();
  readonly #timers = new Map<Timer, () => void>();
  #leavePage = (): void => {};
  readonly #todo: Effect[] = [];
  #busy = false;
  #closed = false;
  #socket: WebSocketLike | undefined;

  constructor(options: ConnectOptions) {
    const {
      url,
      token = "",
      socket = openSocket,
      random = Math.random,
      clock: given = clock,
      hiddenRate = 1,
      checkEvery = CHECK,
      onTokenError = (error) => console.warn(`No newer token: ${error}`),
    } = options;
    this.#address = resolve(url);
    this.#latest = options.latest ?? {};
    this.#openSocket = socket;
    this.#clock = given;
    this.#random = random;
    this.#source = typeof token === "string" ? () => token : token;
    this.#overdue = onTokenError;
    const newSession = this.#address.door === "raw" ? raw : wamp(REALM, `hopsack-web/${VERSION}`);
    this.#connection = connection(newSession, {
      ...{ random, now: () => given.now(), hiddenRate, checkEvery },
      token: typeof token === "string" ? token || null : undefined,
    });
    this.#feed({ kind: "started" });
    const online = (): void => this.reconnect();
    this.#leavePage = onPage(options.document, online, (hidden) => this.#seen(hidden));
  }

  // ---- for the program -------------------------------------------------------------------------------------------

  ready(): Promise<Identity> {
    return new Promise((resolve, reject) => {
      const end = this.state.subscribe((state) => {
        if (state.name === "open") resolve(state.session);
        else if (state.name === "closed") reject(state.error);
        else return;
        // Later, for the first look comes before there is an `end`.
        queueMicrotask(() => end());
      });
    });
  }

  subscribe(
    topic: string,
    listener: (event: FabricEvent) => unknown,
    options: SubscribeOptions & Ends & { match?: Match } = {},
  ): Hold {
    const { onDelete: deleted, onRecovery: recovered, onGap: skipped } = options;
    return this.#subscribe(topic, { heard: listener, deleted, recovered, skipped }, options);
  }

  events(topic: string, { match = "exact", ...options }: EventsOptions & { match?: Match } = {}): Stream {
    const { onDelete = () => {}, onRecovery = warn, onGap = warn } = options;
    const stream = new Stream(options, {
      read: (topic, after, limit) => this.history(topic, { after, limit }),
      later: (delay, then) => this.#clock.after(delay, then),
      random: this.#random,
      link: () => this.#socket,
      recovered: onRecovery,
      skipped: onGap,
      deleted: onDelete,
    });
    const ends = { onError: (error: HopsackError) => stream.end(error), onClose: () => stream.end() };
    const add = (event: Arrival): void => stream.add(event);
    const tells = { onDelete: add, onRecovery: (recovery: Recovery) => stream.recovered(recovery) };
    return stream.of(this.subscribe(topic, add, { match, ...options, ...ends, ...tells }));
  }

  map(topic: string, { key, ...options }: MapOptions = {}): Latest {
    const fields = key === undefined ? this.#keyOf(topic) : [key].flat();
    if (!fields) {
      const advice =
        "Pass connect({ latest: LATEST }) with the LATEST that `hopsack generate` writes, or map(…, { key }).";
      throw new LocalError("hopsack.usage", "Nothing says which fields are the key.", { where: topic, advice });
    }
    const latest = new Latest(topic, fields as string[]);
    const heard = (event: Arrival): void => latest.heard(event);
    const listener = { heard, deleted: heard, recovered: () => {}, latest };
    return latest.of(this.#subscribe(topic, listener, options));
  }

  #keyOf(topic: string): readonly string[] | undefined {
    const declared = Object.entries(this.#latest);
    return declared.find(([uri]) => matches(uri.replace(/\{[^}]*\}/g, ""), "wildcard", topic))?.[1];
  }

  async history(topic: string, { last, since, after, limit, ...options }: HistoryOptions = {}): Promise<History> {
    const input = { topic, last, since: since === undefined ? undefined : Number(since) / 1000, after, limit };
    const page = (await this.call("hopsack.stream.read", input, options)) as History;
    const events = page.events.map((event) => ({ ...event, topic, time: event.time * 1000 }));
    return { ...page, events };
  }

  async call(procedure: string, input?: unknown, options: CallOptions = {}): Promise<unknown> {
    const { timeout, signal, key, wait, retry } = options;
    checkKey(key, "call", procedure);
    const what = { kind: "call", procedure, input, terms: { key, wait, retry } } as const;
    return this.#ask(procedure, timeout, signal, (asked) => ({ ...what, ...asked }));
  }

  iterate(procedure: string, input?: unknown, options: IterateOptions = {}): Iterating {
    const { inputs, window = WINDOW, timeout = TIMEOUT, signal, wait, retry } = options;
    if (!(window >= 1)) throw new LocalError("hopsack.usage", `A window of ${window} lets nothing through.`);
    const terms = { wait, retry, progress: true, window, inputs: inputs ? true : undefined } as const;
    let id = 0;
    const iterating = new Iterating({
      ...{ where: procedure, window, silence: timeout, signal },
      now: () => this.#clock.now(),
      more: (n) => this.#feed({ kind: "more", id, n }),
      input: (further) => this.#feed({ kind: "input", id, further, backlog: this.#backlog }),
      cancel: (error) => this.#feed({ kind: "cancel", id, error }),
    });
    const call = (asked: Asked): Input => {
      id = asked.id;
      return { kind: "call", procedure, input, terms, ...asked };
    };
    return iterating.of(this.#ask(procedure, timeout, signal, call, iterating), inputs);
  }

  publish(topic: string, data: unknown, options: PublishOptions = {}): Promise<string | undefined> {
    return this.#publish(topic, data, options, undefined);
  }

  delete(topic: string, key: unknown, options: PublishOptions = {}): Promise<string | undefined> {
    return this.#publish(topic, key, options, true);
  }

  async #publish(
    topic: string,
    data: unknown,
    { acknowledge = true, key, timeout, signal }: PublishOptions,
    remove: true | undefined,
  ): Promise<string | undefined> {
    checkKey(key, "publication", topic);
    const what = { kind: "publish", topic, data, acknowledge, key, remove } as const;
    const told = await this.#ask(topic, timeout, signal, (asked) => ({ ...what, ...asked }));
    return isObject(told) ? (told.position as string | undefined) : undefined;
  }

  register(procedure: string, handler: Serve, options: HoldOptions = {}): Hold {
    const id = this.#connection.ticket();
    this.#servers.set(id, handler);
    const hold = this.#hold(id, procedure, options);
    this.#feed({ kind: "register", id, procedure });
    return hold;
  }

  reconnect(): void {
    this.#feed({ kind: "woken" });
  }

  close(): void {
    this.#closed = true;
    this.#leavePage();
    this.#feed({ kind: "close" });
  }

  // ---- what it takes ---------------------------------------------------------------------------------------------

  #seen(hidden: boolean): void {
    this.#feed({ kind: "seen", hidden });
    if (!hidden) this.reconnect();
  }

  #subscribe(topic: string, listener: Listener, options: SubscribeOptions & Ends & { match?: Match }): Hold {
    const id = this.#connection.ticket();
    const { match = "exact", after, maxRate: rate } = options;
    const keen = listener.latest !== undefined;
    this.#listeners.set(id, listener);
    const hold = this.#hold(id, topic, options, keen);
    try {
      this.#feed({ kind: "subscribe", id, topic, match, after, rate, keen });
    } catch (error) {
      this.#forget(id);
      throw error;
    }
    return hold;
  }

  #ask(
    where: string,
    timeout = TIMEOUT,
    signal: AbortSignal | undefined,
    input: (asked: Asked) => Input,
    flow?: Iterating,
  ): Promise<unknown> {
    const id = this.#connection.ticket();
    const error = (): HopsackError =>
      new LocalError("hopsack.canceled", "The program gave it up.", { where, retry: "never" });
    if (signal?.aborted) return Promise.reject(error());
    return new Promise((resolve, reject) => {
      const abort = (): void => this.#feed({ kind: "cancel", id, error: error() });
      const done = (): void => {
        this.#askers.delete(id);
        signal?.removeEventListener("abort", abort);
      };
      this.#askers.set(id, {
        flow,
        settle: (value) => {
          done();
          resolve(value);
        },
        fail: (error) => {
          done();
          reject(error);
        },
      });
      signal?.addEventListener("abort", abort);
      const backlog = this.#backlog;
      this.#feed(input({ id, timeout: timeout > LONGEST_DELAY ? Number.POSITIVE_INFINITY : timeout, backlog }));
    });
  }

  /** Bytes that the socket has not sent yet. */
  get #backlog(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** @param later it is ready when all keys are in, not when it is granted. */
  #hold(id: number, subject: string, options: Ends, later = false): Hold {
    const limit = (rate: number | undefined): void => this.#feed({ kind: "limit", of: id, rate });
    const hold = new Hold(subject, options, () => this.#leave(id), limit);
    this.#askers.set(id, {
      settle: () => later || hold.granted(),
      fail: (error) => {
        this.#forget(id);
        hold.failed(error, this.#closed);
      },
    });
    return hold;
  }

  #leave(of: number): Promise<void> {
    if (!this.#askers.has(of)) return Promise.resolve();
    this.#forget(of);
    const id = this.#connection.ticket();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#askers.delete(id);
        resolve();
      };
      this.#askers.set(id, { settle: done, fail: done });
      this.#feed({ kind: "leave", id, of });
    });
  }

  #forget(id: number): void {
    this.#askers.delete(id);
    this.#listeners.delete(id);
    this.#servers.delete(id);
  }

  #feed(input: Input): void {
    this.#todo.push(...this.#connection.take(input));
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let effect = this.#todo.shift(); effect; effect = this.#todo.shift())
        (this.#does[effect.kind] as (effect: Effect) => void)(effect);
    } finally {
      this.#busy = false;
    }
  }

  // ---- what it does ----------------------------------------------------------------------------------------------

  readonly #does: { readonly [K in Effect["kind"]]: (effect: Extract<Effect, { kind: K }>) => void } = {
    open: ({ socket }) => this.#open(socket),
    ask: ({ question }) => void this.#askToken(question),
    overdue: ({ error }) => this.#overdue(error),
    send: ({ text }) => this.#socket?.send(text),
    shut: ({ code, reason }) => this.#socket?.close(code, reason),
    wake: ({ timer, after }) => this.#wake(timer, after),
    sleep: ({ timer }) => this.#sleep(timer),
    tell: ({ state }) => this.state.set(state),
    settle: ({ id, value }) => this.#askers.get(id)?.settle(value),
    fail: ({ id, error }) => this.#askers.get(id)?.fail(error),
    deliver: ({ ids, event }) =>
      this.#each(ids, (one) => (event.deleted ? one.deleted?.(event as Deletion) : one.heard(event))),
    recover: ({ id, recovery }) => this.#each([id], ({ recovered = warn }) => recovered(recovery)),
    skip: ({ ids, gap }) => this.#each(ids, ({ skipped = warn }) => skipped(gap)),
    snapshot: ({ id, step }) => this.#listeners.get(id)?.latest?.snapshot(step),
    invoke: (effect) => void this.#invoke(effect),
    interrupt: ({ invocation }) => this.#running.get(invocation)?.interrupt(),
    progressed: ({ id, data }) => this.#askers.get(id)?.flow?.progressed(data),
    granted: ({ id, n }) => this.#askers.get(id)?.flow?.granted(n),
    taken: ({ invocation, n }) => this.#running.get(invocation)?.taken(n),
    fed: ({ invocation, further }) => this.#running.get(invocation)?.fed(further),
    report: ({ error }) => console.error(String(error)),
  };

  #open(number: number): void {
    const { url, door } = this.#address;
    const socket = this.#openSocket(url, door === "wamp" ? [SUBPROTOCOL] : []);
    this.#socket = socket;
    socket.onopen = () => this.#feed({ kind: "opened", socket: number });
    socket.onmessage = ({ data }: { data: unknown }) =>
      this.#feed({ kind: "received", socket: number, text: typeof data === "string" ? data : "" });
    socket.onclose = ({ code, reason }: { code: number; reason: string }) =>
      this.#feed({ kind: "lost", socket: number, code, reason });
    // A close follows every error and says as much as a page may know.
    socket.onerror = () => {};
  }

  async #askToken(question: number): Promise<void> {
    let input: Input;
    try {
      input = { kind: "token", question, token: (await this.#source()) || null };
    } catch (error) {
      input = { kind: "tokenless", question, error: unavailable(error) };
    }
    this.#feed(input);
  }

  #wake(timer: Timer, after: number): void {
    this.#sleep(timer);
    const fire = (): void => {
      this.#timers.delete(timer);
      this.#feed({ kind: "fired", timer });
    };
    this.#timers.set(timer, this.#clock.after(after, fire));
  }

  #sleep(timer: Timer): void {
    this.#timers.get(timer)?.();
    this.#timers.delete(timer);
  }

  /** A listener that throws must not take the event from the others. */
  #each(ids: readonly number[], tell: (listener: Listener) => unknown): void {
    for (const id of ids) {
      try {
        const listener = this.#listeners.get(id);
        const result = listener && tell(listener);
        if (result instanceof Promise) result.catch(console.error);
      } catch (error) {
        console.error(error);
      }
    }
  }

  async #invoke({ id, invocation, procedure, input, flow }: Extract<Effect, { kind: "invoke" }>): Promise<void> {
    const served = new Served({
      ...{ procedure, flow },
      now: () => this.#clock.now(),
      more: (n) => this.#feed({ kind: "moreInput", invocation, n }),
      progress: (data) => this.#progress(invocation, data, procedure),
    });
    this.#running.set(invocation, served);
    let outcome: Input;
    try {
      const serve = this.#servers.get(id);
      if (!serve) throw new DeclaredError("hopsack.no_callee", "This page does not serve that any more.");
      outcome = { kind: "answer", invocation, result: await served.run(serve, input) };
    } catch (error) {
      outcome = { kind: "decline", invocation, error: served.givenUp ?? this.#declared(error, procedure) };
    }
    this.#running.delete(invocation);
    this.#feed(outcome);
  }

  #progress(invocation: number, data: unknown, where: string): void {
    const backlog = this.#backlog;
    if (backlog >= BACKLOG)
      throw new RemoteError("hopsack.overloaded", `${backlog} bytes wait in the socket.`, { where });
    this.#feed({ kind: "progress", invocation, data });
  }

  #declared(error: unknown, procedure: string): HopsackError {
    if (error instanceof DeclaredError || (error instanceof RemoteError && error.code === "hopsack.overloaded"))
      return error;
    const incident = Math.floor(this.#random() * 2 ** 32)
      .toString(16)
      .padStart(8, "0");
    console.error(`Incident ${incident} in ${procedure}:`, error);
    const message = `The callee failed; its console has the details of incident ${incident}.`;
    return new RemoteError("hopsack.internal", message, { where: procedure, data: { incident } });
  }
}

function checkKey(key: string | undefined, what: string, where: string): void {
  if (key === undefined || (key !== "" && key.length <= LONGEST_KEY)) return;
  const message = `A ${what}'s key has 1 to ${LONGEST_KEY} characters, this one ${key.length}.`;
  throw new LocalError("hopsack.usage", message, { where });
}

/** What nobody listens for is not passed over in silence: events of a stream, or of a slow reader, are gone. */
function warn(news: Recovery | Gap): void {
  if ("dropped" in news)
    console.warn(`${news.topic}: ${news.dropped ?? "some"} events dropped, this page reads too slowly.`);
  else if (!news.recovered && news.reason !== "live" && news.reason !== "snapshot")
    console.warn(`${news.topic}: ${news.missed ?? "some"} events are gone (${news.reason}).`);
}
