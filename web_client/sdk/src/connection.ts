/**
 * What a page wants from a node, kept alive across connections. A machine without I/O: `fabric.ts` feeds and obeys it.
 *
 *     connecting -> joining -> open -> (lost) waiting -> connecting …      refused for good, or closed by us -> closed
 *
 * Where the token is the program's function, connecting begins with asking for one. The function is asked again before the
 * token expires, or when the node refused it (`token.ts`).
 *
 * Subscriptions and registrations are *interests*: they outlive connections and are asked for again after every join,
 * with a new ticket each time, so an acknowledgement with an old ticket is dropped in one comparison. Several listeners
 * of one topic share an interest. Calls and acknowledged publications are sent once: without a connection they wait for
 * one within their deadlines, and those that were sent when the connection broke end as `hopsack.outcome_unknown`. What
 * has a key is sent again instead, for the node does what has the same key once. Of a call that flows, the deadline is the
 * longest silence: whatever passes, either way, begins it anew.
 *
 * What the listeners of a subscription have read is kept by `reading.ts`: it says what to resume from, and when to ask
 * again on a connection that stands. In a hidden page the subscriptions that may lose events are slowed down.
 *
 * Bounds: 1,000 operations wait for a connection, 10,000 are in flight, 16 MiB wait in the socket, 1,000 invocations run
 * here at a time. What exceeds a bound fails at once with `hopsack.overloaded` and the numbers; nothing is dropped.
 *
 * What was lost with nothing after it shows when the node is asked, in one question for all streams that are silent, where
 * they stand. A page without streams asks nothing.
 *
 * Liveness: a page cannot send WebSocket pings. Every tick in which nothing came is counted; the first one sends a
 * probe, the third gives the connection up: a dead peer is known in less than 10 s.
 */
import { backoff, hintIn } from "./backoff.js";
import { type Details as Facts, fromDetails, type HopsackError, LocalError, passes, RemoteError } from "./errors.js";
import { positionsIn } from "./position.js";
import { Reading, type Told } from "./reading.js";
import { apply, type Rules } from "./rules.js";
import {
  type After,
  type Flow,
  type Further,
  type Gap,
  type Identity,
  type Match,
  type NewSession,
  personal,
  type Request,
  type Session,
  type Effect as SessionEffect,
  subjectOf,
  type Terms,
} from "./session.js";
import { early, type Login, later, login, REFRESH, unfit, WHOAMI, wantsAnother } from "./token.js";

export const WAITING = 1_000;
export const IN_FLIGHT = 10_000;
export const BACKLOG = 16 * 1024 * 1024;
export const RUNNING = 1_000;

/** Milliseconds. */
export const TICK = 2_400;
export const JOIN = 10_000;
export const STABLE = 10_000;

/** Milliseconds after which an event that was lost with none behind it is asked for. */
export const CHECK = 4_000;

/** The node's procedure that is asked, and how many positions it takes at once. */
const BEHIND = "hopsack.stream.behind";
const POSITIONS = 1_000;
const PATTERNS = 100;

/** How long a node knows the key of a publication: 120 s, less what the way there may take. */
export const REPEATABLE = 110_000;

/** Close codes of the node (docs/protocol.md) after which coming back is no use: as the same, or at all. */
const FINAL: Readonly<Record<number, string>> = { 4401: "hopsack.login_required", 4403: "hopsack.denied" };

/** How the node writes a reason: the code of an error may begin it, and end it the time to stay away. */
const REASON = /^(?:(hopsack\.\w+): )?(.*?)(?: \(retry_after=[0-9.]+\))?$/s;

/**
 * The connection, as a page shows it. `attempt`: losses in a row. `reason`: of the last loss, for a person, or "".
 * `retryAt`: when the next try is due, epoch milliseconds by the page's clock. `error`: why it closed for good.
 */
export type FabricState = { readonly attempt: number; readonly reason: string } & (
  | {
      readonly name: "connecting";
      readonly session?: undefined;
      readonly retryAt?: undefined;
      readonly error?: undefined;
    }
  | { readonly name: "open"; readonly session: Identity; readonly retryAt?: undefined; readonly error?: undefined }
  | { readonly name: "waiting"; readonly session?: undefined; readonly retryAt: number; readonly error?: undefined }
  | {
      readonly name: "closed";
      readonly session?: undefined;
      readonly retryAt?: undefined;
      readonly error: HopsackError;
    }
);

/** A number is the deadline of that operation, or the next try of the interest with that ticket. */
export type Timer = number | "join" | "retry" | "tick" | "stable" | "check" | "refresh";

/** `id`s are tickets of the program's own operations; `backlog` is what the socket has not sent yet, in bytes. */
export type Input =
  | { readonly kind: "started" }
  | { readonly kind: "opened"; readonly socket: number }
  | { readonly kind: "received"; readonly socket: number; readonly text: string }
  | { readonly kind: "lost"; readonly socket: number; readonly code: number; readonly reason: string }
  | { readonly kind: "fired"; readonly timer: Timer }
  /** What the program's function says to the question with that number. */
  | { readonly kind: "token"; readonly question: number; readonly token: string | null }
  | { readonly kind: "tokenless"; readonly question: number; readonly error: HopsackError }
  /** The network is back, or somebody looks at the page again. */
  | { readonly kind: "woken" }
  | {
      readonly kind: "call";
      readonly id: number;
      readonly procedure: string;
      readonly input: unknown;
      readonly terms?: Terms;
      readonly timeout: number;
      readonly backlog: number;
    }
  | {
      readonly kind: "publish";
      readonly id: number;
      readonly topic: string;
      readonly data: unknown;
      readonly acknowledge: boolean;
      readonly key: string | undefined;
      readonly remove: boolean | undefined;
      readonly timeout: number;
      readonly backlog: number;
    }
  | { readonly kind: "cancel"; readonly id: number; readonly error: HopsackError }
  /** So many more progressive results are taken. */
  | { readonly kind: "more"; readonly id: number; readonly n: number }
  | { readonly kind: "input"; readonly id: number; readonly further: Further; readonly backlog: number }
  | {
      readonly kind: "subscribe";
      readonly id: number;
      readonly topic: string;
      readonly match: Match;
      readonly after: After | undefined;
      /** Events a second; `undefined`: all of them. */
      readonly rate: number | undefined;
      /** It holds the newest values of the topic. */
      readonly keen: boolean;
    }
  | { readonly kind: "limit"; readonly of: number; readonly rate: number | undefined }
  /** The page is hidden, or seen again. */
  | { readonly kind: "seen"; readonly hidden: boolean }
  | { readonly kind: "register"; readonly id: number; readonly procedure: string }
  | { readonly kind: "leave"; readonly id: number; readonly of: number }
  | { readonly kind: "answer"; readonly invocation: number; readonly result: unknown }
  | { readonly kind: "decline"; readonly invocation: number; readonly error: HopsackError }
  | { readonly kind: "progress"; readonly invocation: number; readonly data: unknown }
  /** So many more inputs are taken. */
  | { readonly kind: "moreInput"; readonly invocation: number; readonly n: number }
  | { readonly kind: "close" };

export type Effect =
  | { readonly kind: "open"; readonly socket: number }
  /** The program's function is to give a token. */
  | { readonly kind: "ask"; readonly question: number }
  /** A newer token did not reach the node. It is tried again. */
  | { readonly kind: "overdue"; readonly error: HopsackError }
  | { readonly kind: "send"; readonly text: string }
  | { readonly kind: "shut"; readonly code: number; readonly reason: string }
  | { readonly kind: "wake"; readonly timer: Timer; readonly after: number }
  | { readonly kind: "sleep"; readonly timer: Timer }
  | { readonly kind: "tell"; readonly state: FabricState }
  | { readonly kind: "settle"; readonly id: number; readonly value: unknown }
  | { readonly kind: "fail"; readonly id: number; readonly error: HopsackError }
  | Told
  | { readonly kind: "skip"; readonly ids: readonly number[]; readonly gap: Gap }
  | {
      readonly kind: "invoke";
      readonly id: number;
      readonly invocation: number;
      readonly procedure: string;
      readonly input: unknown;
      readonly flow: Flow;
    }
  /** A progressive result, and further inputs that the callee takes; `id` is the call's. */
  | { readonly kind: "progressed"; readonly id: number; readonly data: unknown }
  | { readonly kind: "granted"; readonly id: number; readonly n: number }
  | Extract<SessionEffect, { kind: "fed" | "taken" }>
  | { readonly kind: "interrupt"; readonly invocation: number }
  | { readonly kind: "report"; readonly error: HopsackError };

type Outcome = Extract<SessionEffect, { kind: "settle" | "reject" }>;

type Phase = "idle" | "connecting" | "joining" | "open" | "waiting" | "closed";

interface Interest {
  readonly key: string;
  readonly request: Aim;
  readonly listeners: Set<number>;
  /** Of the last time it was asked for; 0 while there is no connection. */
  ticket: number;
  phase: "absent" | "asked" | "granted" | "pausing";
  /** It was granted once, so a refusal later may be a leftover of our own old session: worth another try. */
  held: boolean;
  tries: number;
  readonly reading: Reading | undefined;
  /** What each listener wants. */
  readonly rates: Map<number, Pace>;
  /** What the node was told: events a second, `undefined` for all of them. */
  rate: number | undefined;
}

interface Pace {
  /** Events a second; `undefined`: all of them. */
  readonly rate: number | undefined;
  /** It may lose events, so that a hidden page may slow it down. */
  readonly lossy: boolean;
}

type Aim =
  | { readonly kind: "subscribe"; readonly topic: string; readonly match: Match }
  | { readonly kind: "register"; readonly procedure: string };

type Sent = Extract<Request, { kind: "call" | "publish" | "unsubscribe" | "unregister" }> & {
  readonly ticket: number;
  /** When it was sent first, if it has a key; epoch milliseconds. */
  readonly since?: number;
  /** When a call's time is over, epoch milliseconds. */
  readonly due?: number;
  /** Of a call that flows: milliseconds that it may be silent. */
  readonly silence?: number | undefined;
};

export interface Surroundings {
  /** In [0, 1). */
  readonly random: () => number;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Events a second of what may lose some, while the page is hidden; `undefined`: as many as ever. */
  readonly hiddenRate?: number | undefined;
  /** Milliseconds of silence after which the node is asked whether a stream has gone on; 0: it never is. */
  readonly checkEvery?: number;
  /** null: a guest. `undefined`: the program's function is asked. */
  readonly token: string | null | undefined;
}

/** A question on its way: what was asked for whom. `age`: for how many rounds. */
interface Check {
  readonly ticket: number;
  readonly asked: Map<Interest, ReturnType<Reading["quiet"]>>;
  age: number;
}

interface Core extends Omit<Surroundings, "token"> {
  phase: Phase;
  readonly login: Login;
  /** While a session stands; `expires` by the node's clock. */
  identity: Identity | undefined;
  readonly newSession: NewSession;
  readonly tickets: () => number;
  session: Session | undefined;
  /** Number of the current socket; what an older one still says is dropped. */
  socket: number;
  sockets: number;
  attempt: number;
  reason: string;
  /** Why it closed for good. */
  error: HopsackError;
  heard: boolean;
  quiet: number;
  /** In the order they were asked for. */
  readonly waiting: Map<number, Sent>;
  readonly flying: Map<number, Sent>;
  readonly interests: Map<string, Interest>;
  readonly asked: Map<number, Interest>;
  readonly running: Set<number>;
  hidden: boolean;
  /** Whether this node takes rate limits, as far as is known. */
  limits: boolean;
  /** Rate limits on their way. */
  readonly limiting: Map<number, Interest>;
  check: Check | undefined;
  /** This node does not answer such questions. */
  mute: boolean;
}

export interface Connection {
  take(input: Input): Effect[];
  /** A number nobody has had: for an operation of the program. */
  ticket(): number;
}

export function connection(newSession: NewSession, { token, ...surroundings }: Surroundings): Connection {
  let last = 0;
  const tickets = (): number => ++last;
  const core: Core = {
    ...surroundings,
    phase: "idle",
    login: login(token),
    identity: undefined,
    newSession,
    tickets,
    session: undefined,
    socket: 0,
    sockets: 0,
    attempt: 0,
    reason: "",
    error: new LocalError("hopsack.disconnected"),
    heard: false,
    quiet: 0,
    waiting: new Map(),
    flying: new Map(),
    interests: new Map(),
    asked: new Map(),
    running: new Set(),
    hidden: false,
    limits: false,
    limiting: new Map(),
    check: undefined,
    mute: false,
  };
  return { take: (input) => take(core, input), ticket: tickets };
}

function take(core: Core, input: Input): Effect[] {
  if ("socket" in input && input.socket !== core.socket) return [];
  const effects = apply<Phase, Core, Input, Effect>(RULES, core.phase, core, input);
  if (!effects) throw new LocalError("hopsack.usage", `a connection that is ${core.phase} takes no ${input.kind}`);
  return effects;
}

// ---- connections come and go -------------------------------------------------------------------------------------

function connect(core: Core): Effect[] {
  core.phase = "connecting";
  return [tell(core, { name: "connecting" }), ...(core.login.isAsked ? ask(core, "join") : dial(core))];
}

function dial(core: Core): Effect[] {
  core.socket = ++core.sockets;
  core.session = core.newSession(core.tickets, core.login.token);
  return [
    { kind: "open", socket: core.socket },
    { kind: "wake", timer: "join", after: JOIN },
  ];
}

function opened(core: Core): Effect[] {
  core.phase = "joining";
  return forward(core, { kind: "opened" });
}

function received(core: Core, { text }: Extract<Input, { kind: "received" }>): Effect[] {
  core.heard = true;
  core.quiet = 0;
  return forward(core, { kind: "received", text });
}

function joined(core: Core, { identity, left }: Extract<SessionEffect, { kind: "join" }>): Effect[] {
  core.phase = "open";
  core.heard = true;
  core.quiet = 0;
  Object.assign(core.login, { refusal: undefined, refusals: 0, failures: 0 });
  if (left !== undefined) core.login.ahead = core.now() + left - (identity.expires ?? 0);
  core.limits = core.session?.rates ?? false;
  core.mute = !core.checkEvery;
  return [
    { kind: "sleep", timer: "join" },
    { kind: "wake", timer: "tick", after: TICK },
    { kind: "wake", timer: "stable", after: STABLE },
    ...(core.mute ? [] : [lookLater(core)]),
    ...known(core, identity),
    ...[...core.interests.values()].flatMap((interest) => pursue(core, interest)),
    ...[...core.waiting.values()].flatMap((request) => {
      core.waiting.delete(request.ticket);
      return fly(core, request);
    }),
  ];
}

function lost(core: Core, { code, reason }: Extract<Input, { kind: "lost" }>): Effect[] {
  const [, name, text] = REASON.exec(reason) ?? [];
  const message = text || words(core.phase, code);
  const final = FINAL[code];
  const away = stayAway.bind(null, core, message, hintIn(reason));
  return final ? unwanted(core, fromDetails({ code: name ?? final, message }), away) : away();
}

/** Another token may be let in, where the program has a function for them. */
function unwanted(core: Core, error: HopsackError, away: () => Effect[]): Effect[] {
  if (!wantsAnother(core.login, error)) return end(core, error);
  core.login.refusals += 1;
  core.login.refusal = error;
  return away();
}

function words(phase: Phase, code: number): string {
  if (phase === "connecting") return "The node cannot be reached.";
  return code === 1006 ? "The connection was lost." : `The connection was closed with code ${code}.`;
}

function shut(core: Core, reason: string, retryAfter: number): Effect[] {
  return [{ kind: "shut", code: 1000, reason: "" }, ...stayAway(core, reason, retryAfter)];
}

function stayAway(core: Core, reason: string, retryAfter: number): Effect[] {
  const after = backoff(core.attempt, core.random(), retryAfter * 1000);
  core.attempt += 1;
  core.reason = reason;
  core.phase = "waiting";
  return [
    ...letGo(core),
    { kind: "wake", timer: "retry", after },
    tell(core, { name: "waiting", retryAt: core.now() + after }),
  ];
}

/** Whatever belonged to the connection ends with it. */
function letGo(core: Core): Effect[] {
  core.socket = 0;
  core.session = undefined;
  core.identity = undefined;
  Object.assign(core.login, { open: 0, refreshing: 0, looking: 0 });
  const timers = ["join", "tick", "stable", "check", "refresh"] as const;
  const effects: Effect[] = timers.map((timer) => ({ kind: "sleep", timer }));
  for (const request of core.flying.values()) effects.push(...unanswered(core, request));
  for (const invocation of core.running) effects.push({ kind: "interrupt", invocation });
  for (const interest of core.interests.values()) effects.push(...ground(core, interest));
  core.flying.clear();
  core.running.clear();
  core.asked.clear();
  core.limiting.clear();
  core.check = undefined;
  return effects;
}

function unanswered(core: Core, request: Sent): Effect[] {
  const id = request.ticket;
  if (!outlives(request)) return [{ kind: "settle", id, value: null }];
  if (core.phase === "waiting" && repeatable(core, request)) {
    core.waiting.set(id, request);
    return [];
  }
  return [
    { kind: "sleep", timer: id },
    { kind: "fail", id, error: outcomeUnknown(request) },
  ];
}

function outcomeUnknown(request: Request): HopsackError {
  return new LocalError("hopsack.outcome_unknown", "", { where: subjectOf(request) });
}

/** The node knows its key still: sent twice, it is done once. */
function repeatable(core: Core, { since }: Sent): boolean {
  return since !== undefined && core.now() - since < REPEATABLE;
}

/** What the connection ends anyway, an unsubscription, is done when the connection is. */
function outlives(request: Sent): request is Extract<Sent, { kind: "call" | "publish" }> {
  return request.kind === "call" || request.kind === "publish";
}

function ground(core: Core, interest: Interest): Effect[] {
  const timer = interest.ticket;
  interest.ticket = 0;
  interest.phase = "absent";
  interest.tries = 0;
  interest.rate = undefined;
  interest.reading?.lost();
  if (interest.listeners.size === 0) core.interests.delete(interest.key);
  return timer === 0 ? [] : [{ kind: "sleep", timer }];
}

/** For good: nothing is tried again, and everything that waits is told why. */
function end(core: Core, error: HopsackError): Effect[] {
  core.phase = "closed";
  core.error = error;
  core.reason = error.message;
  const effects: Effect[] = [{ kind: "sleep", timer: "retry" }, ...letGo(core), tell(core, { name: "closed", error })];
  for (const [id, request] of core.waiting) {
    const why = request.since === undefined ? error : outcomeUnknown(request);
    effects.push({ kind: "sleep", timer: id }, { kind: "fail", id, error: why });
  }
  for (const interest of core.interests.values()) {
    for (const id of interest.listeners) effects.push({ kind: "fail", id, error });
  }
  core.waiting.clear();
  core.interests.clear();
  return effects;
}

function close(core: Core): Effect[] {
  const effects: Effect[] = core.socket === 0 ? [] : [{ kind: "shut", code: 1000, reason: "" }];
  return [...effects, ...end(core, new LocalError("hopsack.disconnected", "The program closed the connection."))];
}

type Named = FabricState extends infer S ? (S extends unknown ? Omit<S, "attempt" | "reason"> : never) : never;

function tell(core: Core, state: Named): Effect {
  return { kind: "tell", state: { ...state, attempt: core.attempt, reason: core.reason } as FabricState };
}

// ---- time passes -------------------------------------------------------------------------------------------------

function fired(core: Core, { timer }: Extract<Input, { kind: "fired" }>): Effect[] {
  switch (timer) {
    case "join":
      return core.socket
        ? shut(core, "The node did not answer in time.", 0)
        : stayAway(core, "The page's `token` function did not answer in time.", 0);
    case "retry":
      return connect(core);
    case "tick":
      return tick(core);
    case "check":
      return core.mute ? [] : [...check(core), lookLater(core)];
    case "refresh":
      return refresh(core);
    case "stable":
      core.attempt = 0;
      core.reason = "";
      return [];
    default:
      return expired(core, timer);
  }
}

function tick(core: Core): Effect[] {
  const again: Effect = { kind: "wake", timer: "tick", after: TICK };
  if (core.heard) {
    core.heard = false;
    return [again];
  }
  core.quiet += 1;
  if (core.quiet > 2) return shut(core, "The node stopped answering.", 0);
  return core.quiet === 1 ? [...forward(core, { kind: "probe", ticket: core.tickets() }), again] : [again];
}

function probe(core: Core): Effect[] {
  core.heard = false;
  return core.quiet === 0 ? tick(core) : [];
}

function retryNow(core: Core): Effect[] {
  return [{ kind: "sleep", timer: "retry" }, ...connect(core)];
}

function expired(core: Core, id: number): Effect[] {
  const interest = core.asked.get(id);
  if (interest) return pursue(core, interest);
  const request = core.waiting.get(id) ?? core.flying.get(id);
  if (!request || !outlives(request)) return [];
  if (core.waiting.has(id) && request.since !== undefined) return giveUp(core, id, outcomeUnknown(request));
  const where = subjectOf(request);
  const advice = core.waiting.has(id) ? "There was no connection in all that time." : undefined;
  return giveUp(core, id, new RemoteError("hopsack.deadline", "", { where, advice }));
}

// ---- tokens ------------------------------------------------------------------------------------------------------

/** @param timer what fires if the program's function does not answer. */
function ask({ login }: Core, timer: Timer): Effect[] {
  login.open = ++login.asked;
  return [
    { kind: "ask", question: login.open },
    { kind: "wake", timer, after: JOIN },
  ];
}

function token(core: Core, { question, token }: Extract<Input, { kind: "token" }>): Effect[] {
  const { login } = core;
  if (question !== login.open) return [];
  login.open = 0;
  if (core.phase === "open") return handOver(core, token);
  if (login.refusal && token === login.token) return end(core, login.refusal);
  login.token = token;
  login.refusal = undefined;
  return dial(core);
}

function tokenless(core: Core, { question, error }: Extract<Input, { kind: "tokenless" }>): Effect[] {
  const { login } = core;
  if (question !== login.open) return [];
  login.open = 0;
  if (core.phase === "open") return overdue(core, error);
  return error.retry === "later"
    ? stayAway(core, error.message, Number(error.data.retry_after) || 0)
    : end(core, error);
}

function known(core: Core, identity: Identity): Effect[] {
  core.identity = identity;
  const expires = identity.expires === undefined ? undefined : identity.expires + core.login.ahead;
  return [tell(core, { name: "open", session: { ...identity, expires } }), ...due(core)];
}

/** When the program's function is asked again. */
function due({ login, identity, now, random }: Core): Effect[] {
  if (!login.isAsked || identity?.expires === undefined) return [{ kind: "sleep", timer: "refresh" }];
  return [{ kind: "wake", timer: "refresh", after: early(identity.expires + login.ahead - now(), random()) }];
}

/** It is time for a newer token; or it was, and nothing came of it. */
function refresh(core: Core): Effect[] {
  const { login } = core;
  if (!login.open && !login.refreshing) return ask(core, "refresh");
  const who = login.open ? "The page's `token` function" : "The node";
  return overdue(core, new LocalError("hopsack.deadline", `${who} did not answer in time.`));
}

function handOver(core: Core, token: string | null): Effect[] {
  const { login } = core;
  const unfitting = unfit(login, token);
  if (unfitting || token === null) return overdue(core, unfitting as HopsackError);
  const ticket = core.tickets();
  login.refreshing = ticket;
  login.newer = token;
  const sent = forward(core, { kind: "call", ticket, procedure: REFRESH, input: { token } });
  return [...sent, { kind: "wake", timer: "refresh", after: JOIN }];
}

function overdue(core: Core, error: HopsackError): Effect[] {
  const { login } = core;
  login.open = 0;
  login.refreshing = 0;
  const after = later(login.failures, core.random(), error);
  login.failures += 1;
  return [
    { kind: "overdue", error },
    { kind: "wake", timer: "refresh", after },
  ];
}

/** The node has the newer token. What that says of us, it is asked for. */
function refreshed(core: Core, identity: Identity, effect: Outcome): Effect[] {
  const { login } = core;
  login.refreshing = 0;
  if (effect.kind === "reject") return overdue(core, effect.error);
  login.token = login.newer;
  login.failures = 0;
  login.looking = core.tickets();
  core.identity = { ...identity, expires: personal(effect.value as Facts).expires };
  return [...due(core), ...forward(core, { kind: "call", ticket: login.looking, procedure: WHOAMI, input: null })];
}

function looked(core: Core, identity: Identity, effect: Outcome): Effect[] {
  core.login.looking = 0;
  if (effect.kind === "reject") return known(core, identity);
  const facts = effect.value as Facts & { readonly role: string };
  return known(core, { ...identity, ...personal(facts), role: facts.role });
}

// ---- calls and publications --------------------------------------------------------------------------------------

function call(core: Core, input: Extract<Input, { kind: "call" }>): Effect[] {
  const { id, procedure, timeout, backlog } = input;
  const full = overfull(core, backlog, procedure);
  if (full) return [{ kind: "fail", id, error: full }];
  const { input: value, terms } = input;
  const silence = terms?.progress || terms?.inputs ? timeout : undefined;
  const due = core.now() + timeout;
  return begin(core, { kind: "call", ticket: id, procedure, input: value, terms, due, silence }, timeout);
}

function publish(core: Core, input: Extract<Input, { kind: "publish" }>): Effect[] {
  const { id, topic, data, acknowledge, key, remove, timeout, backlog } = input;
  const full = overfull(core, backlog, topic);
  if (full) return [{ kind: "fail", id, error: full }];
  const what = { kind: "publish", topic, data, key, remove } as const;
  if (acknowledge) return begin(core, { ...what, ticket: id }, timeout);
  if (core.phase !== "open") {
    const advice = "Ask for an acknowledgement to have it wait for the connection.";
    return [{ kind: "fail", id, error: new LocalError("hopsack.disconnected", "", { where: topic, advice }) }];
  }
  return attempt(core, { ...what, ticket: null }, id, () => [{ kind: "settle", id, value: null }]);
}

function begin(core: Core, request: Sent, timeout: number): Effect[] {
  const wake: Effect[] = Number.isFinite(timeout) ? [{ kind: "wake", timer: request.ticket, after: timeout }] : [];
  if (core.phase === "open") return [...wake, ...fly(core, request)];
  core.waiting.set(request.ticket, request);
  return wake;
}

function fly(core: Core, request: Sent): Effect[] {
  const id = request.ticket;
  const keyed = keyOf(request) !== undefined;
  if (request.since !== undefined && !repeatable(core, request)) return giveUp(core, id, outcomeUnknown(request));
  core.flying.set(id, keyed ? { since: core.now(), ...request } : request);
  return [...renewed(request), ...attempt(core, timed(core, request), id, () => [])];
}

/** Something of a call passes: its time begins anew. */
function renewed({ ticket, silence }: Sent): Effect[] {
  return silence === undefined || silence === Infinity ? [] : [{ kind: "wake", timer: ticket, after: silence }];
}

/** A call tells the node what is left of its time. */
function timed(core: Core, request: Sent): Request {
  if (request.kind !== "call") return request;
  const { due = Number.POSITIVE_INFINITY, since: _, silence, ...call } = request;
  const left = silence ?? due - core.now();
  const timeout = Number.isFinite(left) ? Math.max(1, Math.round(left)) : undefined;
  return { ...call, terms: { ...call.terms, timeout } };
}

function keyOf(request: Sent): string | undefined {
  if (request.kind === "call") return request.terms?.key;
  return request.kind === "publish" ? request.key : undefined;
}

/** A value that cannot be written as JSON is the program's mistake, and concerns this operation alone. */
function attempt(core: Core, request: Request, id: number, then: () => Effect[]): Effect[] {
  try {
    return [...forward(core, request), ...then()];
  } catch (error) {
    core.flying.delete(id);
    return [
      { kind: "sleep", timer: id },
      { kind: "fail", id, error: unsendable(error) },
    ];
  }
}

function unsendable(error: unknown): HopsackError {
  return new LocalError("hopsack.usage", `This cannot be sent as JSON: ${String(error)}`);
}

function overfull(core: Core, backlog: number, where: string | undefined): HopsackError | undefined {
  const counts: readonly [string, number, number][] = [
    ["operations wait for the connection", core.phase === "open" ? 0 : core.waiting.size, WAITING],
    ["operations are in flight", core.flying.size, IN_FLIGHT],
    ["bytes wait in the socket", backlog, BACKLOG],
  ];
  const over = counts.find(([, count, most]) => count >= most);
  if (!over) return undefined;
  const [what, count, most] = over;
  return new LocalError("hopsack.overloaded", `${count} ${what}; at most ${most} may.`, { where, retry: "later" });
}

function cancel(core: Core, { id, error }: Extract<Input, { kind: "cancel" }>): Effect[] {
  return core.waiting.has(id) || core.flying.has(id) ? giveUp(core, id, error) : [];
}

function more(core: Core, { id, n }: Extract<Input, { kind: "more" }>): Effect[] {
  const call = core.flying.get(id);
  return call ? [...renewed(call), ...forward(core, { kind: "more", of: id, n })] : [];
}

function input(core: Core, { id, further, backlog }: Extract<Input, { kind: "input" }>): Effect[] {
  const call = core.flying.get(id);
  if (!call) return [];
  const full = overfull(core, backlog, subjectOf(call));
  if (full) return giveUp(core, id, full);
  try {
    return [...forward(core, { kind: "input", of: id, further }), ...renewed(call)];
  } catch (error) {
    return giveUp(core, id, unsendable(error));
  }
}

function flowed(core: Core, effect: Extract<SessionEffect, { kind: "progressed" | "granted" }>): Effect[] {
  const { ticket: id, ...what } = effect;
  const call = core.flying.get(id);
  return call ? [...renewed(call), { ...what, id } as Effect] : [];
}

function giveUp(core: Core, id: number, error: HopsackError): Effect[] {
  const request = core.flying.get(id);
  core.waiting.delete(id);
  core.flying.delete(id);
  const told = request?.kind === "call" ? forward(core, { kind: "abandon", of: id }) : [];
  return [...told, { kind: "sleep", timer: id }, { kind: "fail", id, error }];
}

function refuse(core: Core, { id }: { readonly id: number }): Effect[] {
  return [{ kind: "fail", id, error: core.error }];
}

// ---- interests ---------------------------------------------------------------------------------------------------

function subscribe(core: Core, input: Extract<Input, { kind: "subscribe" }>): Effect[] {
  const { id, topic, match, after, rate, keen } = input;
  const key = `${match} ${topic}`;
  const reading = core.interests.get(key)?.reading ?? new Reading(topic, match);
  reading.join(id, after, keen);
  const pace = { rate, lossy: keen || rate !== undefined };
  return want(core, id, key, { kind: "subscribe", topic, match }, reading, pace);
}

function register(core: Core, { id, procedure }: Extract<Input, { kind: "register" }>): Effect[] {
  const key = `register ${procedure}`;
  if (core.interests.get(key)?.listeners.size) {
    const error = new LocalError("hopsack.already_registered", "This page serves it already.", { where: procedure });
    return [{ kind: "fail", id, error }];
  }
  return want(core, id, key, { kind: "register", procedure });
}

function want(core: Core, id: number, key: string, request: Aim, reading?: Reading, pace?: Pace): Effect[] {
  const known = core.interests.get(key);
  const interest = known ?? newInterest(key, request, reading);
  interest.listeners.add(id);
  if (pace) interest.rates.set(id, pace);
  if (known?.phase === "granted") {
    if (reading?.behind) return askAgain(core, known);
    return [{ kind: "settle", id, value: null }, ...relimit(core, known)];
  }
  core.interests.set(key, interest);
  return known || core.phase !== "open" ? [] : pursue(core, interest);
}

function newInterest(key: string, request: Aim, reading: Reading | undefined): Interest {
  const fresh = { ticket: 0, phase: "absent", held: false, tries: 0, rate: undefined } as const;
  return { ...fresh, key, request, reading, listeners: new Set(), rates: new Map() };
}

function pursue(core: Core, interest: Interest): Effect[] {
  renew(core, interest, "asked");
  const { request, reading, ticket } = interest;
  if (!reading || request.kind === "register") return forward(core, { ...request, ticket });
  interest.rate = core.limits ? paceOf(core, interest) : undefined;
  reading.thinned = interest.rate !== undefined;
  return forward(core, { ...request, ...reading.ask(), ticket, rate: interest.rate });
}

/** Under a new ticket: whatever still comes for the old one is dropped. */
function renew(core: Core, interest: Interest, phase: "asked" | "pausing"): void {
  core.asked.delete(interest.ticket);
  interest.ticket = core.tickets();
  interest.phase = phase;
  core.asked.set(interest.ticket, interest);
}

/** @param hint seconds that the node asks to wait. */
function pause(core: Core, interest: Interest, tries: number, hint = 0): Effect[] {
  renew(core, interest, "pausing");
  return [{ kind: "wake", timer: interest.ticket, after: backoff(tries, core.random(), hint * 1000) }];
}

/** On a connection that stands: given back first, for a second subscription need not bring what is missing. */
function askAgain(core: Core, interest: Interest): Effect[] {
  const { ticket: of, reading } = interest;
  const given = forward(core, { kind: "unsubscribe", ticket: core.tickets(), of });
  const attempts = reading?.attempts ?? 0;
  return [...given, ...(attempts > 1 ? pause(core, interest, attempts - 2) : pursue(core, interest))];
}

/** The node cannot read now what it resumes from. */
function stalled(core: Core, interest: Interest): Effect[] {
  const given = forward(core, { kind: "unsubscribe", ticket: core.tickets(), of: interest.ticket });
  interest.tries += 1;
  return [...given, ...pause(core, interest, interest.tries - 1)];
}

/** Told to its listeners; and asked for again where that left somebody behind. */
function told(core: Core, interest: Interest, effects: readonly Effect[]): Effect[] {
  return interest.reading?.behind ? [...effects, ...askAgain(core, interest)] : [...effects];
}

// ---- rates -------------------------------------------------------------------------------------------------------

/** The fastest listener counts. @returns `undefined`: all events. */
function paceOf({ hidden, hiddenRate }: Core, { rates }: Interest): number | undefined {
  const slow = (hidden && hiddenRate) || Number.POSITIVE_INFINITY;
  const paces = [...rates.values()].map(({ rate = Number.POSITIVE_INFINITY, lossy }) =>
    lossy ? Math.min(rate, slow) : rate,
  );
  const most = Math.max(...paces);
  return Number.isFinite(most) ? most : undefined;
}

/** Tells the node, where it was told something else. */
function relimit(core: Core, interest: Interest): Effect[] {
  const { reading, phase, ticket: of } = interest;
  const rate = paceOf(core, interest);
  if (!reading || phase !== "granted" || !core.limits || rate === interest.rate) return [];
  interest.rate = rate;
  reading.thinned = true;
  const ticket = core.tickets();
  core.limiting.set(ticket, interest);
  return forward(core, { kind: "rate", ticket, of, rate: rate ?? null });
}

/** Until the node has lifted a limit, events may be left out. */
function relimited(core: Core, ticket: number, interest: Interest, refused: boolean): Effect[] {
  core.limiting.delete(ticket);
  if (refused) {
    core.limits = false;
    interest.rate = undefined;
  }
  if (interest.rate === undefined) interest.reading?.loosen();
  return [];
}

function limit(core: Core, { of, rate }: Extract<Input, { kind: "limit" }>): Effect[] {
  const interest = [...core.interests.values()].find(({ rates }) => rates.has(of));
  if (!interest) return [];
  interest.rates.set(of, { rate, lossy: rate !== undefined || interest.rates.get(of)?.lossy === true });
  return relimit(core, interest);
}

function seen(core: Core, { hidden }: Extract<Input, { kind: "seen" }>): Effect[] {
  core.hidden = hidden;
  return [...core.interests.values()].flatMap((interest) => relimit(core, interest));
}

// ---- events that were lost, and none came after them ---------------------------------------------------------------

/** A topic is asked about in every other round, so that two of them are the time that it may be silent. */
function lookLater({ checkEvery = 0, random }: Core): Effect {
  return { kind: "wake", timer: "check", after: (checkEvery / 2) * (0.8 + 0.2 * random()) };
}

/** Asks the node where the streams stand of which nothing was heard for a while, in one question at a time. */
function check(core: Core): Effect[] {
  const { check: open, mute } = core;
  if (mute) return [];
  if (open && ++open.age < 3) return [];
  const positions: Record<string, string> = {};
  const patterns: object[] = [];
  const asked: Check["asked"] = new Map();
  const stuck: Interest[] = [];
  // Who has waited for longest comes first: what many patterns know has no room in one question.
  const turns = [...core.interests.values()].sort((a, b) => (b.reading?.rounds ?? 0) - (a.reading?.rounds ?? 0));
  for (const interest of turns) {
    const { phase, reading, request } = interest;
    if (phase !== "granted" || !reading || request.kind !== "subscribe" || asked.size >= POSITIONS) continue;
    const most = POSITIONS - Object.keys(positions).length;
    const { places, others } = reading.quiet(positions, most, patterns.length < PATTERNS);
    if (reading.behind) stuck.push(interest);
    if (others) patterns.push({ topic: request.topic, match: request.match });
    if (places.size > 0 || others) asked.set(interest, { places, others });
    for (const [topic, { epoch, offset }] of places) positions[topic] = `${epoch}:${offset}`;
  }
  core.check = undefined;
  const again = stuck.flatMap((interest) => askAgain(core, interest));
  if (asked.size === 0) return again;
  const ticket = core.tickets();
  core.check = { ticket, asked, age: 0 };
  const input = patterns.length > 0 ? { positions, patterns } : { positions };
  return [...again, ...forward(core, { kind: "call", ticket, procedure: BEHIND, input })];
}

function checked(core: Core, { asked }: Check, effect: Outcome): Effect[] {
  core.check = undefined;
  if (effect.kind === "reject") {
    core.mute = !passes(effect.error);
    return [];
  }
  const heads = positionsIn("", { positions: effect.value });
  return [...asked].flatMap(([interest, { places, others }]) => {
    if (interest.phase !== "granted") return [];
    interest.reading?.checked(places, others, heads);
    return told(core, interest, []);
  });
}

// ---- interests are granted, refused, given back ------------------------------------------------------------------

function leave(core: Core, { id, of }: Extract<Input, { kind: "leave" }>): Effect[] {
  const interest = [...core.interests.values()].find(({ listeners }) => listeners.has(of));
  interest?.listeners.delete(of);
  interest?.rates.delete(of);
  interest?.reading?.leave(of);
  if (!interest) return [{ kind: "settle", id, value: null }];
  if (interest.listeners.size > 0) return [{ kind: "settle", id, value: null }, ...relimit(core, interest)];
  // Asked for, not granted yet: it is given back when the grant comes.
  return interest.phase === "asked" ? [{ kind: "settle", id, value: null }] : giveBack(core, interest, id);
}

function giveBack(core: Core, interest: Interest, id: number): Effect[] {
  const { ticket: of, phase, key } = interest;
  core.interests.delete(key);
  core.asked.delete(of);
  if (phase !== "granted") {
    return [
      { kind: "sleep", timer: of },
      { kind: "settle", id, value: null },
    ];
  }
  const kind = interest.request.kind === "subscribe" ? "unsubscribe" : "unregister";
  return fly(core, { kind, ticket: id, of });
}

function granted(core: Core, interest: Interest, answer: unknown): Effect[] {
  interest.phase = "granted";
  interest.held = true;
  interest.tries = 0;
  if (interest.listeners.size === 0) return giveBack(core, interest, core.tickets());
  const settled = [...interest.listeners].map((id): Effect => ({ kind: "settle", id, value: null }));
  const after = told(core, interest, interest.reading?.granted(answer, core.session?.heads) ?? []);
  const asks = core.session?.heads ? [] : check(core);
  return [...settled, ...after, ...relimit(core, interest), ...asks];
}

/**
 * A first refusal is the program's to deal with. After a loss the node may still see our old session: an interest that
 * was held is asked for again, with growing pauses, unless the refusal is one that no waiting changes.
 */
function denied(core: Core, interest: Interest, error: HopsackError): Effect[] {
  // An older node takes no limits: without one it may still grant it.
  if (interest.rate !== undefined && /^hopsack\.(invalid|bad_request)$/.test(error.code)) {
    core.limits = false;
    return pursue(core, interest);
  }
  core.asked.delete(interest.ticket);
  const passing = error.retry === "later" || error.code === "hopsack.already_registered";
  if (interest.listeners.size > 0 && interest.held && passing) {
    interest.tries += 1;
    return pause(core, interest, interest.tries - 1, Number(error.data.retry_after) || 0);
  }
  core.interests.delete(interest.key);
  return [...interest.listeners].map((id) => ({ kind: "fail", id, error }));
}

// ---- invocations -------------------------------------------------------------------------------------------------

function serve(core: Core, effect: Extract<SessionEffect, { kind: "serve" }>): Effect[] {
  const { ticket, invocation, procedure, input, flow } = effect;
  const [id] = core.asked.get(ticket)?.listeners ?? [];
  if (id === undefined) {
    const error = new RemoteError("hopsack.no_callee", "This page does not serve that any more.", { where: procedure });
    return forward(core, { kind: "decline", invocation, error });
  }
  if (core.running.size >= RUNNING) {
    const error = new RemoteError("hopsack.overloaded", `${RUNNING} invocations run here.`, { where: procedure });
    return forward(core, { kind: "decline", invocation, error });
  }
  core.running.add(invocation);
  return [{ kind: "invoke", id, invocation, procedure, input, flow }];
}

function flow(core: Core, input: Extract<Input, { kind: "progress" | "moreInput" }>): Effect[] {
  return core.running.has(input.invocation) ? forward(core, input) : [];
}

function answer(core: Core, input: Extract<Input, { kind: "answer" | "decline" }>): Effect[] {
  const { invocation } = input;
  if (!core.running.delete(invocation)) return [];
  try {
    return forward(core, input);
  } catch (error) {
    const message = `The callee's answer cannot be written as JSON: ${String(error)}`;
    const internal = new RemoteError("hopsack.internal", message);
    return [...forward(core, { kind: "decline", invocation, error: internal }), { kind: "report", error: internal }];
  }
}

// ---- what the session has to say ---------------------------------------------------------------------------------

function forward(core: Core, input: Parameters<Session["take"]>[0]): Effect[] {
  return (core.session?.take(input) ?? []).flatMap((effect) => obey(core, effect));
}

function obey(core: Core, effect: SessionEffect): Effect[] {
  switch (effect.kind) {
    case "send":
    case "report":
      return [effect];
    case "join":
      return joined(core, effect);
    case "refuse":
      return refused(core, effect);
    case "settle":
    case "reject":
      return outcome(core, effect);
    case "deliver": {
      const interest = core.asked.get(effect.ticket);
      const { event, newest = false } = effect;
      return interest?.reading ? told(core, interest, interest.reading.heard(event, newest)) : [];
    }
    case "skip": {
      const interest = core.asked.get(effect.ticket);
      if (!interest) return [];
      interest.reading?.skipped(effect.gap.topic);
      return told(core, interest, [{ kind: "skip", ids: [...interest.listeners], gap: effect.gap }]);
    }
    case "stall": {
      const interest = core.asked.get(effect.ticket);
      return interest ? stalled(core, interest) : [];
    }
    case "serve":
      return serve(core, effect);
    case "progressed":
    case "granted":
      return flowed(core, effect);
    case "fed":
    case "taken":
      return core.running.has(effect.invocation) ? [effect] : [];
    case "interrupt":
      return core.running.delete(effect.invocation) ? [effect] : [];
    case "revoke": {
      const interest = core.asked.get(effect.ticket);
      return interest ? denied(core, interest, effect.error) : [];
    }
    case "part":
      return shut(core, effect.reason, effect.retryAfter);
  }
}

function refused(core: Core, { error, final }: Extract<SessionEffect, { kind: "refuse" }>): Effect[] {
  const wait = error.data.retry_after;
  const away = stayAway.bind(null, core, error.message, typeof wait === "number" ? wait : 0);
  return [{ kind: "shut", code: 1000, reason: "" }, ...(final ? unwanted(core, error, away) : away())];
}

function outcome(core: Core, effect: Outcome): Effect[] {
  const { ticket: id } = effect;
  const interest = core.asked.get(id);
  if (interest) {
    return effect.kind === "settle" ? granted(core, interest, effect.value) : denied(core, interest, effect.error);
  }
  const { login, identity } = core;
  if (identity && login.refreshing === id) return refreshed(core, identity, effect);
  if (identity && login.looking === id) return looked(core, identity, effect);
  if (core.check?.ticket === id) return checked(core, core.check, effect);
  const limited = core.limiting.get(id);
  if (limited) return relimited(core, id, limited, effect.kind === "reject");
  const request = core.flying.get(id);
  if (!request) return [];
  core.flying.delete(id);
  if (!outlives(request)) return [{ kind: "settle", id, value: null }];
  const sleep: Effect = { kind: "sleep", timer: id };
  if (effect.kind === "reject") return [sleep, { kind: "fail", id, error: effect.error }];
  return [sleep, { kind: "settle", id, value: effect.value }];
}

// ---- the table ---------------------------------------------------------------------------------------------------

const dropped = (): Effect[] => [];

const ALIVE = {
  ...{ fired, call, publish, cancel, more, input, subscribe, register, limit, seen, leave },
  ...{ answer, decline: answer, progress: flow, moreInput: flow, close, token, tokenless },
};

const RULES: Rules<Phase, Core, Input, Effect> = {
  idle: { ...ALIVE, started: connect, woken: dropped },
  connecting: { ...ALIVE, opened, lost, woken: dropped },
  joining: { ...ALIVE, received, lost, woken: dropped },
  open: { ...ALIVE, received, lost, woken: probe },
  waiting: { ...ALIVE, woken: retryNow },
  closed: {
    fired: dropped,
    token: dropped,
    tokenless: dropped,
    call: refuse,
    publish: refuse,
    cancel: dropped,
    more: dropped,
    input: dropped,
    subscribe: refuse,
    register: refuse,
    limit: dropped,
    seen: dropped,
    leave: (_, { id }) => [{ kind: "settle", id, value: null }],
    answer: dropped,
    decline: dropped,
    progress: dropped,
    moreInput: dropped,
    woken: dropped,
    close: dropped,
  },
};
