/**
 * The page's side of a WAMP session over WebSocket, in JSON (WAMP basic profile; ticket authentication; from the
 * advanced profile: pattern-based subscriptions, call cancelling, progressive calls, event retention).
 *
 *     -> HELLO                      <- WELCOME | ABORT | CHALLENGE (then -> AUTHENTICATE)
 *     -> CALL, CANCEL               <- RESULT | ERROR; before them RESULT progress
 *     -> MORE, CALL again           <- MORE
 *     -> PUBLISH                    <- PUBLISHED | ERROR, if acknowledged
 *     -> SUBSCRIBE, UNSUBSCRIBE     <- SUBSCRIBED, UNSUBSCRIBED | ERROR, then EVENT
 *     -> REGISTER, UNREGISTER       <- REGISTERED, UNREGISTERED | ERROR
 *     <- INVOCATION, INTERRUPT      -> YIELD | ERROR; before them YIELD progress
 *     <- MORE, INVOCATION again     -> MORE
 *     <- GOODBYE                    -> GOODBYE
 *
 * Resuming: after SUBSCRIBED, what was missed is read with `hopsack.stream.read`, page by page, while events that come
 * live are held; then they follow. Newest values: `get_retained` brings them right after SUBSCRIBED, and a probe's answer
 * says that they were all. Both end as on the raw door: one answer, with what it says about recovery, then the events.
 *
 * Two things beyond the specification: a node of Hopsack may answer a YIELD with ERROR, to say that the result broke
 * its contract and that the caller did not get it; and a probe is an UNSUBSCRIBE of nothing, which every router has to
 * answer and which changes nothing.
 *
 * MORE is a message of ours, `[513, CALL or INVOCATION, request, n]`: whoever takes progressive results, or inputs, takes n
 * more. It goes to routers that announce `x_hopsack_flow`; to others, what flows goes uncounted.
 *
 * Bounds: {@link LATE} invocations are remembered that were answered before their inputs had ended;
 * as many requests are remembered as the connection lets be in flight; {@link HELD} events of a subscription are
 * held, and those beyond are left to the journal, which is read again from there. What no journal has is told as dropped.
 */
import {
  codeOfUri,
  fromDetails,
  type HopsackError,
  isObject,
  LocalError,
  passes,
  RemoteError,
  toDetails,
  uriOf,
} from "./errors.js";
import { Invocations } from "./invocations.js";
import { advance, type Protocol, type Rules } from "./rules.js";
import {
  type Arrival,
  type Effect,
  type Flow,
  type Further,
  type Input,
  joining,
  type Match,
  type NewSession,
  type Request,
  revocation,
  subjectOf,
} from "./session.js";

type State = "fresh" | "joining" | "joined" | "ended";

export const SUBPROTOCOL = "wamp.2.json";

/** Message types (WAMP basic profile, "Message Codes and Direction"). */
const NAMES = {
  2: "welcome",
  3: "abort",
  4: "challenge",
  6: "goodbye",
  8: "error",
  17: "published",
  33: "subscribed",
  35: "unsubscribed",
  36: "event",
  50: "result",
  65: "registered",
  67: "unregistered",
  68: "invocation",
  69: "interrupt",
  513: "counted",
} as const;

type Message = { readonly kind: (typeof NAMES)[keyof typeof NAMES]; readonly parts: readonly unknown[] };

/** What happens to a session: requests and messages, each by its own name. */
type Step = Exclude<Input, { kind: "received" }> | Message;

export const HELD = 1_000;
const LATE = 1_000;
const PAGE = 500;

/** A name among the positions of a pattern: there are topics that are not named. The raw door alone makes use of it. */
const FORGETFUL = "*";

/** How a request ended. */
type Told = { readonly value: unknown; readonly error?: undefined } | { readonly error: HopsackError };

/** A request in flight; `then`: one of our own, whose outcome concerns nobody else. */
interface Pending {
  readonly request: Request & { readonly ticket: number };
  readonly then?: ((told: Told) => Effect[]) | undefined;
}

interface Subscribed {
  readonly ticket: number;
  readonly topic: string;
  /** While what comes first is on its way. */
  holding?: Holding | undefined;
  /** The newest values that came. */
  readonly kept: Arrival[];
}

/** Live events that wait until what comes before them is there. */
interface Holding {
  events: Arrival[];
  /** Topics whose pages are on their way. */
  readonly paging: Set<string>;
  /** Only the topics that are paged still wait. */
  isGranted: boolean;
  /** Topics of which more came than is held. */
  readonly spilled: Set<string>;
}

interface Wamp {
  state: State;
  readonly realm: string;
  readonly agent: string;
  readonly token: string | null;
  readonly tickets: () => number;
  /** WAMP numbers the requests of a session from 1, without gaps. */
  last: number;
  readonly pending: Map<unknown, Pending>;
  /** Calls in flight: ticket to request, to cancel them. */
  readonly calls: Map<number, number>;
  /** By the router's number, and back. */
  readonly subscriptions: Map<unknown, Subscribed>;
  readonly registrations: Map<unknown, { readonly ticket: number; readonly procedure: string }>;
  readonly granted: Map<number, unknown>;
  readonly invocations: Invocations<unknown>;
  /** Invocations that get further inputs, or did when they ended. */
  readonly fed: Set<unknown>;
  /** What the router announces for its dealer. */
  dealer: Readonly<Record<string, unknown>>;
}

export function wamp(realm: string, agent: string): NewSession {
  return (tickets, token) => {
    const machine: Wamp = {
      state: "fresh",
      realm,
      agent,
      token,
      tickets,
      last: 0,
      pending: new Map(),
      calls: new Map(),
      subscriptions: new Map(),
      registrations: new Map(),
      granted: new Map(),
      invocations: new Invocations(),
      fed: new Set(),
      dealer: {},
    };
    return { rates: false, heads: false, take: (input) => advance(PROTOCOL, machine, input) };
  };
}

function classify(text: string): Message | undefined {
  try {
    const [type, ...parts] = JSON.parse(text) as unknown[];
    const kind = NAMES[type as keyof typeof NAMES];
    return kind && { kind, parts };
  } catch {
    return undefined;
  }
}

function send(...message: readonly unknown[]): Effect {
  return { kind: "send", text: JSON.stringify(message) };
}

function violated(machine: Wamp, message: string): Effect[] {
  return [send(3, { message }, "wamp.error.protocol_violation"), ...part(machine, message)];
}

function part(machine: Wamp, reason: string, details?: unknown): Effect[] {
  machine.state = "ended";
  const wait = isObject(details) ? details.retry_after : 0;
  return [{ kind: "part", reason, retryAfter: typeof wait === "number" ? wait : 0 }];
}

// ---- joining ----------------------------------------------------------------------------------------------------

/** A node of Hopsack ends a session with the code of an error. */
const OURS = /^hopsack\.\w+$/;

/** Reasons of ABORT that trying again with the same token cannot change. */
const FINAL = /^wamp\.error\.(.*auth.*|protocol_violation|no_such_(realm|role|principal))$/;

const FLOWING = { progressive_call_results: true, progressive_call_invocations: true, x_hopsack_flow: true };

const ROLES = {
  publisher: {},
  subscriber: { features: { pattern_based_subscription: true, subscription_revocation: true } },
  caller: { features: { call_canceling: true, ...FLOWING } },
  callee: { features: { call_canceling: true, registration_revocation: true, ...FLOWING } },
};

function hello(machine: Wamp): Effect[] {
  machine.state = "joining";
  const { realm, agent } = machine;
  const authmethods = [machine.token === null ? "anonymous" : "ticket"];
  return [send(1, realm, { roles: ROLES, agent, authmethods, authextra: { agent } })];
}

function challenge(machine: Wamp, { parts: [method] }: Message): Effect[] {
  if (method !== "ticket" || machine.token === null) return violated(machine, "a challenge that was not offered");
  return [send(5, machine.token, {})];
}

function welcome(machine: Wamp, { parts: [session, details] }: Message): Effect[] {
  machine.state = "joined";
  const facts = isObject(details) ? details : {};
  machine.dealer = featuresIn(facts);
  const more = isObject(facts.authextra) ? facts.authextra : {};
  return [joining(facts, more, session, "authrole", "agent")];
}

function featuresIn(facts: Readonly<Record<string, unknown>>): Wamp["dealer"] {
  const roles = facts.roles as { readonly dealer?: { readonly features?: unknown } } | undefined;
  const features = roles?.dealer?.features;
  return isObject(features) ? features : {};
}

function abort(machine: Wamp, { parts: [details, reason] }: Message): Effect[] {
  machine.state = "ended";
  return [refusal(codeOfAbort(String(reason)), details, String(reason))];
}

/** @param otherwise what to say where the router says nothing, and the code is not one of the table of errors. */
function refusal(code: string, details: unknown, otherwise: string): Effect {
  const { message, retry_after } = isObject(details) ? details : {};
  const data = typeof retry_after === "number" ? { retry_after } : {};
  const text = message || (code === otherwise ? "" : otherwise);
  const error = fromDetails({ code, message: text, data });
  return { kind: "refuse", error, final: error.retry !== "later" };
}

function codeOfAbort(reason: string): string {
  if (OURS.test(reason)) return reason;
  if (!FINAL.test(reason)) return "hopsack.overloaded";
  return /realm|protocol/.test(reason) ? "hopsack.bad_request" : "hopsack.login_required";
}

/** The router ends a session that had begun: it may be gone for a moment only. */
function ended(machine: Wamp, { parts: [details, reason] }: Message): Effect[] {
  return part(machine, String(reason), details);
}

function goodbye(machine: Wamp, message: Message): Effect[] {
  const [details, reason] = message.parts;
  const ending = PASSING.test(String(reason)) ? ended(machine, message) : killed(machine, details, String(reason));
  return [send(6, {}, "wamp.close.goodbye_and_out"), ...ending];
}

/** Reasons of GOODBYE that concern the router; by the others somebody ended this very session. */
const PASSING = /^wamp\.(?!close\.(killed|normal)$)/;

const KICKED = "The node ended this session.";

function killed(machine: Wamp, details: unknown, reason: string): Effect[] {
  machine.state = "ended";
  return [OURS.test(reason) ? refusal(reason, details, reason) : refusal("hopsack.denied", details, KICKED)];
}

// ---- requests ---------------------------------------------------------------------------------------------------

function ask(
  machine: Wamp,
  request: Request & { readonly ticket: number },
  type: number,
  ...rest: readonly unknown[]
): Effect[] {
  return askFor(machine, { request }, type, ...rest);
}

function askFor(machine: Wamp, pending: Pending, type: number, ...rest: readonly unknown[]): Effect[] {
  const id = machine.last + 1;
  const message = send(type, id, ...rest);
  machine.last = id;
  machine.pending.set(id, pending);
  return [message];
}

const CALL = 48;
const MORE = 513;
const MORE_COMES = { progress: true };

const one = (value: unknown): unknown[] => (value === undefined || value === null ? [] : [[value]]);

const matching = (match: Match): object => (match === "exact" ? {} : { match });

function subscribe(machine: Wamp, request: Extract<Request, { kind: "subscribe" }>): Effect[] {
  const retained = request.snapshot ? { get_retained: true } : {};
  return ask(machine, request, 32, { ...matching(request.match), ...retained }, request.topic);
}

/** Not a thing of WAMP's. */
function limit(_machine: Wamp, { ticket }: Extract<Request, { kind: "rate" }>): Effect[] {
  return [{ kind: "reject", ticket, error: new RemoteError("hopsack.bad_request") }];
}

function unsubscribe(machine: Wamp, request: Extract<Request, { kind: "unsubscribe" }>): Effect[] {
  const id = machine.granted.get(request.of);
  machine.granted.delete(request.of);
  if (!machine.subscriptions.delete(id)) return [{ kind: "settle", ticket: request.ticket, value: null }];
  return ask(machine, request, 34, id);
}

function publish(machine: Wamp, request: Extract<Request, { kind: "publish" }>): Effect[] {
  const { ticket, topic, data, key, remove } = request;
  const options = { x_hopsack_key: key, x_hopsack_delete: remove };
  if (ticket !== null)
    return ask(machine, { ...request, ticket }, 16, { acknowledge: true, ...options }, topic, ...one(data));
  const message = send(16, machine.last + 1, options, topic, ...one(data));
  machine.last += 1;
  return [message];
}

function call(machine: Wamp, request: Extract<Request, { kind: "call" }>): Effect[] {
  const { timeout, key, wait, retry, progress: receive_progress, inputs, window } = request.terms ?? {};
  const { progressive_call_invocations: feeds, x_hopsack_flow: counts } = machine.dealer;
  if (inputs && !feeds) return [{ kind: "reject", ticket: request.ticket, error: oneInput(request.procedure) }];
  const options = {
    timeout,
    x_hopsack_key: key,
    x_hopsack_wait: wait,
    x_hopsack_retry: retry,
    receive_progress,
    progress: inputs,
    x_hopsack_window: counts ? window : undefined,
  };
  const sent = ask(machine, request, CALL, options, request.procedure, ...one(request.input));
  machine.calls.set(request.ticket, machine.last);
  if (!inputs || counts) return sent;
  return [...sent, { kind: "granted", ticket: request.ticket, n: Number.POSITIVE_INFINITY }];
}

function oneInput(where: string): HopsackError {
  return new LocalError("hopsack.usage", "This router takes one input for each call.", { where });
}

function more(machine: Wamp, { of, n }: Extract<Request, { kind: "more" }>): Effect[] {
  const id = machine.calls.get(of);
  return id === undefined ? [] : take(machine, CALL, id, n);
}

function take(machine: Wamp, type: number, id: unknown, n: number): Effect[] {
  return machine.dealer.x_hopsack_flow ? [send(MORE, type, id, n)] : [];
}

function input(machine: Wamp, { of, further }: Extract<Request, { kind: "input" }>): Effect[] {
  const id = machine.calls.get(of);
  const procedure = subjectOf(machine.pending.get(id)?.request);
  if (id === undefined) return [];
  return [further.end ? send(CALL, id, {}, procedure) : send(CALL, id, MORE_COMES, procedure, ...one(further.data))];
}

function abandon(machine: Wamp, { of }: Extract<Request, { kind: "abandon" }>): Effect[] {
  const id = machine.calls.get(of);
  if (id === undefined) return [];
  machine.calls.delete(of);
  machine.pending.delete(id);
  // "killnowait": with "kill" the router would keep the call until the callee feels like answering.
  return [send(49, id, { mode: "killnowait" })];
}

function register(machine: Wamp, request: Extract<Request, { kind: "register" }>): Effect[] {
  return ask(machine, request, 64, {}, request.procedure);
}

function unregister(machine: Wamp, request: Extract<Request, { kind: "unregister" }>): Effect[] {
  const id = machine.granted.get(request.of);
  machine.granted.delete(request.of);
  if (!machine.registrations.delete(id)) return [{ kind: "settle", ticket: request.ticket, value: null }];
  return ask(machine, request, 66, id);
}

function probe(machine: Wamp, request: Extract<Request, { kind: "probe" }>, then?: Pending["then"]): Effect[] {
  let absent = 1;
  while (machine.subscriptions.has(absent)) absent += 1;
  return askFor(machine, { request, then }, 34, absent);
}

// ---- answers ----------------------------------------------------------------------------------------------------

/** The request that an answer belongs to; `undefined` for one that crossed our cancel, which nobody waits for. */
function settled(machine: Wamp, id: unknown): Pending | undefined {
  const pending = machine.pending.get(id);
  machine.pending.delete(id);
  if (pending) machine.calls.delete(pending.request.ticket);
  return pending;
}

function tell(pending: Pending, told: Told): Effect[] {
  if (pending.then) return pending.then(told);
  const { ticket } = pending.request;
  return [told.error ? { kind: "reject", ticket, error: told.error } : { kind: "settle", ticket, value: told.value }];
}

function done(machine: Wamp, { parts: [id, ...rest] }: Message): Effect[] {
  const pending = settled(machine, id);
  return pending ? tell(pending, { value: null }) : notAsked(machine, id, rest);
}

function notAsked(machine: Wamp, id: unknown, [details]: readonly unknown[]): Effect[] {
  return id === 0 ? revoked(machine, details) : [];
}

function result(machine: Wamp, { parts: [id, details, args, kwargs] }: Message): Effect[] {
  if (goesOn(details)) {
    const ticket = machine.pending.get(id)?.request.ticket;
    return ticket === undefined ? [] : [{ kind: "progressed", ticket, data: payloadOf(args, kwargs) }];
  }
  const pending = settled(machine, id);
  return pending ? tell(pending, { value: payloadOf(args, kwargs) }) : [];
}

function goesOn(details: unknown): boolean {
  return isObject(details) && details.progress === true;
}

/** A payload is one value: the first argument, or the keyword arguments of a peer that prefers those. */
function payloadOf(args: unknown, kwargs: unknown): unknown {
  if (Array.isArray(args) && args.length > 0) return args.length === 1 ? args[0] : args;
  return isObject(kwargs) && Object.keys(kwargs).length > 0 ? kwargs : null;
}

function subscribed(machine: Wamp, { parts: [id, number] }: Message): Effect[] {
  const request = settled(machine, id)?.request;
  if (request?.kind !== "subscribe") return [];
  const { ticket, topic, after, snapshot } = request;
  const subscription: Subscribed = { ticket, topic, kept: [] };
  machine.subscriptions.set(number, subscription);
  machine.granted.set(ticket, number);
  const places = Object.entries(typeof after === "string" ? { [topic]: after } : (after ?? {}));
  const known = places.filter(([topic]) => topic !== FORGETFUL);
  if (known.length > 0) return resume(machine, subscription, known);
  if (!snapshot) return [{ kind: "settle", ticket, value: null }];
  subscription.holding = hold();
  return probe(machine, { kind: "probe", ticket: machine.tickets() }, () => {
    const value = { recovered: false, snapshot: subscription.kept.length };
    const newest = subscription.kept
      .splice(0)
      .map((event) => ({ kind: "deliver", ticket, event, newest: true }) as const);
    return [{ kind: "settle", ticket, value }, ...newest, ...release(subscription, () => true)];
  });
}

function hold(...paging: string[]): Holding {
  return { events: [], paging: new Set(paging), isGranted: false, spilled: new Set() };
}

// ---- resuming ---------------------------------------------------------------------------------------------------

/** What `hopsack.stream.read` answers. */
interface Page {
  readonly events: readonly Omit<Arrival, "topic">[];
  readonly position?: string;
  readonly recovered: boolean;
  readonly reason?: string;
  readonly end: boolean;
}

/**
 * Every topic's first page decides whether all was recovered; then the events follow, and the further pages. A node that
 * cannot read now is asked again later, and so is one that stops in between: whatever was read by then counts.
 */
function resume(machine: Wamp, subscription: Subscribed, places: readonly (readonly [string, string])[]): Effect[] {
  const { ticket } = subscription;
  const positions: Record<string, string> = {};
  let reason: string | undefined;
  const first: (() => Effect[])[] = [];
  const holding = hold(...places.map(([topic]) => topic));
  subscription.holding = holding;

  const read = (topic: string, from: string): Effect[] => {
    const request = { kind: "call", ticket: machine.tickets(), procedure: "hopsack.stream.read", input: null } as const;
    const then = (told: Told): Effect[] => (machine.granted.has(ticket) ? paged(topic, from, told) : []);
    return askFor(machine, { request, then }, CALL, {}, request.procedure, [{ topic, after: from, limit: PAGE }]);
  };
  const paged = (topic: string, from: string, told: Told): Effect[] => {
    if (told.error && (holding.isGranted || passes(told.error))) return [{ kind: "stall", ticket }];
    const page = pageOf(told);
    if (holding.isGranted) return follow(topic, from, page);
    const start = page.recovered ? from : before(page);
    if (start) positions[topic] = start;
    if (!page.recovered) reason ??= page.reason ?? "unknown";
    first.push(() => follow(topic, from, page));
    if (first.length < places.length) return [];
    const value = { positions, recovered: reason === undefined, reason, partial: true };
    holding.isGranted = true;
    const follows = first.flatMap((next) => next());
    return [{ kind: "settle", ticket, value }, ...follows, ...release(subscription, (one) => !holding.paging.has(one))];
  };
  const follow = (topic: string, from: string, { events, position, end }: Page): Effect[] => {
    const missed = events.map((event) => delivery(ticket, topic, event));
    const last = events.at(-1)?.position ?? position ?? from;
    if (!end && events.length > 0) return [...missed, ...read(topic, last)];
    if (holding.spilled.delete(topic)) {
      holding.events = holding.events.filter((event) => event.topic !== topic);
      return [...missed, ...read(topic, last)];
    }
    holding.paging.delete(topic);
    return [...missed, ...release(subscription, (one) => one === topic)];
  };
  return places.flatMap(([topic, from]) => read(topic, from));
}

function delivery(ticket: number, topic: string, { data, position, deleted }: Omit<Arrival, "topic">): Effect {
  return { kind: "deliver", ticket, event: { topic, data, position, deleted } };
}

function pageOf({ error, ...told }: Told & { readonly value?: unknown }): Page {
  const page = isObject(told.value) && Array.isArray(told.value.events) ? (told.value as unknown as Page) : undefined;
  return page && !error ? page : { events: [], recovered: false, reason: error?.code ?? "unknown", end: true };
}

/** The position before the first event of a page: where reading begins anew. */
function before({ events, position }: Page): string | undefined {
  return events[0]?.position?.replace(/\d+$/, (offset) => String(Number(offset) - 1)) ?? position;
}

/** What was held of some topics comes now. */
function release(subscription: Subscribed, isDue: (topic: string) => boolean): Effect[] {
  const { ticket, holding } = subscription;
  if (!holding) return [];
  const due = holding.events.filter(({ topic }) => isDue(topic));
  holding.events = holding.events.filter(({ topic }) => !isDue(topic));
  // Where some of a stream were held, the others will be missed and asked for.
  const lost = [...holding.spilled].filter((one) => isDue(one) && !due.some((it) => it.position && it.topic === one));
  if (holding.paging.size === 0) subscription.holding = undefined;
  return [
    ...due.map((event) => ({ kind: "deliver", ticket, event }) as const),
    ...lost.map((topic) => ({ kind: "skip", ticket, gap: { topic, dropped: null } }) as const),
  ];
}

function registered(machine: Wamp, { parts: [id, number] }: Message): Effect[] {
  const request = settled(machine, id)?.request;
  if (request?.kind !== "register") return [];
  const { ticket, procedure } = request;
  machine.registrations.set(number, { ticket, procedure });
  machine.granted.set(ticket, number);
  return [{ kind: "settle", ticket, value: null }];
}

/** UNSUBSCRIBED and UNREGISTERED of request 0 (advanced profile): the router took it away. */
function revoked(machine: Wamp, details: unknown): Effect[] {
  const facts = isObject(details) ? details : {};
  const { subscription, registration } = facts;
  const lost = machine.subscriptions.get(subscription) ?? machine.registrations.get(registration);
  if (!lost) return [];
  machine.subscriptions.delete(subscription);
  machine.registrations.delete(registration);
  machine.granted.delete(lost.ticket);
  return [revocation(lost.ticket, "topic" in lost ? lost.topic : lost.procedure, facts)];
}

const YIELD = 70;

function failed(machine: Wamp, { parts: [type, id, , uri, args, kwargs] }: Message): Effect[] {
  const pending = type === YIELD ? undefined : settled(machine, id);
  const error = readError(String(uri), args, kwargs, pending && subjectOf(pending.request));
  if (type === YIELD) return [{ kind: "report", error }];
  return pending ? tell(pending, { error }) : [];
}

function readError(uri: string, args: unknown, kwargs: unknown, where?: string): HopsackError {
  const message = Array.isArray(args) && args.length > 0 ? String(args[0]) : undefined;
  if (isObject(kwargs) && typeof kwargs.code === "string") return fromDetails({ where, message, ...kwargs });
  return fromDetails({ where, code: codeOfUri(uri), message, data: kwargs });
}

// ---- events and invocations --------------------------------------------------------------------------------------

function event(machine: Wamp, { parts: [number, , details, args, kwargs] }: Message): Effect[] {
  const subscription = machine.subscriptions.get(number);
  // Sent before the router saw our UNSUBSCRIBE.
  if (!subscription) return [];
  const facts = isObject(details) ? details : {};
  const topic = typeof facts.topic === "string" ? facts.topic : subscription.topic;
  const { ticket, holding, kept } = subscription;
  if (facts.x_hopsack_dropped) return [{ kind: "skip", ticket, gap: { topic, dropped: droppedIn(facts) } }];
  const { x_hopsack_position: position, x_hopsack_deleted: deleted } = facts as Record<string, never>;
  const event: Arrival = { topic, data: payloadOf(args, kwargs), position, deleted };
  if (!holding || (holding.isGranted && !holding.paging.has(topic))) return [{ kind: "deliver", ticket, event }];
  if (facts.retained) kept.push(event);
  else if (holding.events.length < HELD) holding.events.push(event);
  else holding.spilled.add(topic);
  return [];
}

/** Without a payload: so many events that were dropped, or one that cannot be sent. */
function droppedIn({
  x_hopsack_dropped: why,
  x_hopsack_count: count,
}: Readonly<Record<string, unknown>>): number | null {
  if (typeof count === "number") return count;
  return why === "slow" ? null : 1;
}

function invocation(machine: Wamp, message: Message): Effect[] {
  const [id, number, details, args, kwargs] = message.parts;
  if (machine.fed.has(id)) return fed(machine, message);
  const registration = machine.registrations.get(number);
  if (!registration)
    return [sendError(id, new RemoteError("hopsack.no_callee", "This page does not serve that any more."))];
  const { ticket, procedure } = registration;
  const own = machine.tickets();
  machine.invocations.begin(id, own);
  const inputs = goesOn(details);
  if (inputs) awaitInputs(machine, id);
  const { timeout, receive_progress: progress, x_hopsack_window: window } = details as Record<string, never>;
  const flow: Flow = { timeout, progress, window, inputs };
  return [{ kind: "serve", ticket, invocation: own, procedure, input: payloadOf(args, kwargs), flow }];
}

function awaitInputs(machine: Wamp, id: unknown): void {
  machine.fed.add(id);
  if (machine.fed.size <= LATE) return;
  const late = [...machine.fed].find((one) => machine.invocations.ours(one) === undefined);
  machine.fed.delete(late);
}

/** A further input. The last one may carry nothing; what comes for an invocation that has ended is nobody's. */
function fed(machine: Wamp, { parts: [id, , details, args, kwargs] }: Message): Effect[] {
  const goes = goesOn(details);
  if (!goes) machine.fed.delete(id);
  const own = machine.invocations.ours(id);
  if (own === undefined) return [];
  const tell = (further: Further): Effect => ({ kind: "fed", invocation: own, further });
  const carries = goes || isObject(kwargs) || (Array.isArray(args) && args.length > 0);
  const effects = carries ? [tell({ data: payloadOf(args, kwargs) })] : [];
  return goes ? effects : [...effects, tell({ end: true })];
}

/** The other side takes more, of our results or of our inputs. */
function counted(machine: Wamp, { parts: [type, id, n] }: Message): Effect[] {
  const ticket = type === CALL ? machine.pending.get(id)?.request.ticket : undefined;
  if (ticket !== undefined) return [{ kind: "granted", ticket, n: Number(n) }];
  const own = type === INVOCATION ? machine.invocations.ours(id) : undefined;
  return own === undefined ? [] : [{ kind: "taken", invocation: own, n: Number(n) }];
}

function interrupt(machine: Wamp, { parts: [id] }: Message): Effect[] {
  const own = machine.invocations.withdraw(id);
  if (own === undefined) return [];
  return [sendError(id, new RemoteError("hopsack.canceled")), { kind: "interrupt", invocation: own }];
}

function progress(machine: Wamp, { invocation: own, data }: Extract<Request, { kind: "progress" }>): Effect[] {
  const id = machine.invocations.theirs(own);
  return id === undefined ? [] : [send(YIELD, id, MORE_COMES, ...one(data))];
}

function moreInput(machine: Wamp, { invocation: own, n }: Extract<Request, { kind: "moreInput" }>): Effect[] {
  const id = machine.invocations.theirs(own);
  return id === undefined ? [] : take(machine, INVOCATION, id, n);
}

function answer(machine: Wamp, { invocation: own, result: value }: Extract<Request, { kind: "answer" }>): Effect[] {
  const id = machine.invocations.theirs(own);
  if (id === undefined) return [];
  const message = send(YIELD, id, {}, ...one(value));
  machine.invocations.end(own);
  return [message];
}

function decline(machine: Wamp, { invocation: own, error }: Extract<Request, { kind: "decline" }>): Effect[] {
  const id = machine.invocations.end(own);
  return id === undefined ? [] : [sendError(id, error)];
}

const INVOCATION = 68;

function sendError(id: unknown, error: HopsackError): Effect {
  return send(8, INVOCATION, id, {}, uriOf(error.code), [error.message], toDetails(error));
}

const RULES: Rules<State, Wamp, Step, Effect> = {
  fresh: { opened: hello },
  joining: { welcome, abort, challenge, goodbye },
  joined: {
    subscribe,
    unsubscribe,
    rate: limit,
    publish,
    call,
    abandon,
    more,
    input,
    register,
    unregister,
    answer,
    decline,
    progress,
    moreInput,
    probe,
    published: done,
    subscribed,
    unsubscribed: done,
    registered,
    unregistered: done,
    result,
    error: failed,
    event,
    invocation,
    counted,
    interrupt,
    goodbye,
    abort: ended,
  },
  ended: {},
};

const PROTOCOL: Protocol<State, Wamp, Step, Effect> = { rules: RULES, read: classify, violated };
