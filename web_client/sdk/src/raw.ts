/**
 * The page's side of the raw door: JSON-RPC 2.0, one message per text frame (docs/protocol.md).
 *
 *     -> hopsack.hello {token?}                  <- {session, authid, role, realm, server, groups?, tenant?, expires?,
 *                                                   expires_in?} | error, then close 4401
 *     -> hopsack.subscribe {topic, match?,       <- {subscription, recovered, position?, reason?, snapshot?} | error,
 *            after?, max_rate?}                     then notifications "event" {topic, data, position?, deleted?,
 *                                                   retained?} and "gap" {topic, dropped}
 *     -> hopsack.unsubscribe {subscription}      <- {} | error
 *     -> hopsack.rate {subscription, max_rate}   <- {} | error
 *     -> hopsack.publish {topic, data, key?,     <- {position?} | error; nothing if it was a notification
 *            delete?}
 *     -> any other method                        <- result | error
 *     -> notification hopsack.cancel {id}        <- the call's error hopsack.canceled, which nobody waits for
 *        with "hopsack": {progress, window}      <- notifications hopsack.progress {id, data}
 *     -> notification hopsack.more {id, n}       (so many more of them are taken)
 *        with "hopsack": {inputs}                <- notification hopsack.more_input {id, n}
 *     -> notification hopsack.input {id, data} | {id, end}
 *     -> hopsack.register {procedure}            <- {registration}, then requests whose method is the procedure
 *     <- request <procedure>                     -> result | error
 *        with "hopsack": {progress, window}      -> notifications hopsack.progress {id, data}
 *     <- notification hopsack.more {id, n}       (so many more of them are taken)
 *        with "hopsack": {inputs}                -> notification hopsack.more_input {id, n}
 *     <- notification hopsack.input {id, data?, end?}
 *     <- notification hopsack.cancel {id}        (the answer is not wanted any more)
 *     <- notification hopsack.report {id, error} (the answer broke its contract)
 *     <- notification hopsack.revoked            (a subscription or registration is taken away)
 *            {subscription | registration,
 *            uri, reason}
 *     -> hopsack.ping {}                         <- anything: it only proves that somebody is there
 *
 * An event comes once per connection, however many subscriptions it matches: they are told apart here. The newest values
 * that the answer to a subscription announces ("snapshot") say that they are ("retained"), and are its own alone.
 * Our requests are numbered with their tickets; the node numbers its own requests, and the two never meet.
 *
 * Bound: as many requests are remembered as the connection lets be in flight.
 */
import { codeOfNumber, fromDetails, type HopsackError, isObject, numberOf, RemoteError, toDetails } from "./errors.js";
import { Invocations } from "./invocations.js";
import { advance, type Protocol, type Rules } from "./rules.js";
import {
  type Arrival,
  type Effect,
  type Flow,
  type Gap,
  type Input,
  joining,
  type Match,
  type NewSession,
  type Request,
  revocation,
  subjectOf,
  type Terms,
} from "./session.js";

/** What happens to a session: requests and messages, each by its own name. */
type Step = Exclude<Input, { kind: "received" }> | Message;

type State = "fresh" | "joining" | "joined" | "ended";

type Id = string | number;

/** What the node tells without being asked, and by which name it is known here. */
const NOTIFICATIONS = {
  event: "event",
  gap: "skipped",
  "hopsack.cancel": "withdrawn",
  "hopsack.report": "reported",
  "hopsack.revoked": "revoked",
  "hopsack.progress": "progressed",
  "hopsack.more_input": "granted",
  "hopsack.more": "taken",
  "hopsack.input": "fed",
} as const;

type Params = Readonly<Record<string, unknown>>;

type Notification = {
  [Method in keyof typeof NOTIFICATIONS]: { readonly kind: (typeof NOTIFICATIONS)[Method]; readonly params: Params };
}[keyof typeof NOTIFICATIONS];

/** What a received message turns out to be. */
type Message =
  | { readonly kind: "resolved"; readonly id: unknown; readonly result: unknown }
  | { readonly kind: "rejected"; readonly id: unknown; readonly error: unknown }
  | Notification
  | {
      readonly kind: "invoked";
      readonly id: Id;
      readonly method: string;
      readonly params: unknown;
      readonly flow: unknown;
    }
  | { readonly kind: "noticed" };

interface Subscribed {
  readonly ticket: number;
  readonly topic: string;
  readonly match: Match;
  readonly id: unknown;
}

interface Raw {
  state: State;
  readonly token: string | null;
  readonly tickets: () => number;
  hello: number;
  /** In flight, by ticket. */
  readonly pending: Map<unknown, Request>;
  readonly subscriptions: Map<number, Subscribed>;
  /** Topic to ticket, for the exact ones: the common case costs one look-up. */
  readonly exact: Map<string, number>;
  /** Subscriptions whose newest values are on their way: how many. */
  readonly snapshots: Map<number, number>;
  readonly registrations: Map<number, { readonly procedure: string; readonly id: unknown }>;
  readonly procedures: Map<string, number>;
  readonly invocations: Invocations<Id>;
}

export const raw: NewSession = (tickets, token) => {
  const machine: Raw = {
    state: "fresh",
    token,
    tickets,
    hello: 0,
    pending: new Map(),
    subscriptions: new Map(),
    exact: new Map(),
    snapshots: new Map(),
    registrations: new Map(),
    procedures: new Map(),
    invocations: new Invocations(),
  };
  return { rates: true, heads: true, take: (input) => advance(PROTOCOL, machine, input) };
};

function classify(text: string): Message | undefined {
  let frame: unknown;
  try {
    frame = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(frame)) return undefined;
  const { id, method, params } = frame;
  if (typeof method === "string") {
    if (typeof id === "string" || typeof id === "number")
      return { kind: "invoked", id, method, params, flow: frame.hopsack };
    const kind = Object.hasOwn(NOTIFICATIONS, method) && NOTIFICATIONS[method as keyof typeof NOTIFICATIONS];
    return kind ? { kind, params: isObject(params) ? params : {} } : { kind: "noticed" };
  }
  if ("error" in frame) return { kind: "rejected", id, error: frame.error };
  return "result" in frame ? { kind: "resolved", id, result: frame.result } : undefined;
}

function send(message: Readonly<Record<string, unknown>>): Effect {
  return { kind: "send", text: JSON.stringify({ jsonrpc: "2.0", ...message }) };
}

function end(machine: Raw, reason: string): Effect[] {
  machine.state = "ended";
  return [{ kind: "part", reason, retryAfter: 0 }];
}

// ---- joining ----------------------------------------------------------------------------------------------------

function hello(machine: Raw): Effect[] {
  machine.state = "joining";
  machine.hello = machine.tickets();
  const params = machine.token === null ? {} : { token: machine.token };
  return [send({ id: machine.hello, method: "hopsack.hello", params })];
}

function welcomed(machine: Raw, { id, result }: Extract<Message, { kind: "resolved" }>): Effect[] {
  if (id !== machine.hello || !isObject(result)) return end(machine, "hello was not answered with a session");
  machine.state = "joined";
  return [joining(result, result, result.session, "role", "server")];
}

function refused(machine: Raw, { error }: Extract<Message, { kind: "rejected" }>): Effect[] {
  machine.state = "ended";
  const read = readError(error);
  return [{ kind: "refuse", error: read, final: read.retry !== "later" }];
}

// ---- requests ---------------------------------------------------------------------------------------------------

/** @param terms what stands beside JSON-RPC, in the member `hopsack`. */
function ask(
  machine: Raw,
  request: Request & { readonly ticket: number },
  method: string,
  params?: unknown,
  terms: Terms = {},
): Effect[] {
  const hopsack = Object.values(terms).some((term) => term !== undefined) ? terms : undefined;
  const message = send({ id: request.ticket, method, params, hopsack });
  machine.pending.set(request.ticket, request);
  return [message];
}

function subscribe(machine: Raw, request: Extract<Request, { kind: "subscribe" }>): Effect[] {
  const { topic, match, after, rate } = request;
  const params = { topic, match: match === "exact" ? undefined : match, after, max_rate: rate };
  return ask(machine, request, "hopsack.subscribe", params);
}

function unsubscribe(machine: Raw, request: Extract<Request, { kind: "unsubscribe" }>): Effect[] {
  const subscription = machine.subscriptions.get(request.of);
  if (!subscription) return [{ kind: "settle", ticket: request.ticket, value: null }];
  forget(machine, subscription);
  return ask(machine, request, "hopsack.unsubscribe", { subscription: subscription.id });
}

function forget(machine: Raw, { ticket, topic, match }: Subscribed): void {
  machine.subscriptions.delete(ticket);
  machine.snapshots.delete(ticket);
  if (match === "exact") machine.exact.delete(topic);
}

function limit(machine: Raw, request: Extract<Request, { kind: "rate" }>): Effect[] {
  const subscription = machine.subscriptions.get(request.of)?.id;
  return ask(machine, request, "hopsack.rate", { subscription, max_rate: request.rate });
}

function publish(machine: Raw, request: Extract<Request, { kind: "publish" }>): Effect[] {
  const { ticket, topic, data, key, remove } = request;
  const params = { topic, data: data ?? null, key, delete: remove };
  if (ticket === null) return [send({ method: "hopsack.publish", params })];
  return ask(machine, { ...request, ticket }, "hopsack.publish", params);
}

function call(machine: Raw, request: Extract<Request, { kind: "call" }>): Effect[] {
  return ask(machine, request, request.procedure, request.input ?? undefined, request.terms);
}

function abandon(machine: Raw, { of }: Extract<Request, { kind: "abandon" }>): Effect[] {
  return machine.pending.delete(of) ? [notify("hopsack.cancel", { id: of })] : [];
}

function more(machine: Raw, { of, n }: Extract<Request, { kind: "more" }>): Effect[] {
  return machine.pending.has(of) ? [notify("hopsack.more", { id: of, n })] : [];
}

function input(machine: Raw, { of, further }: Extract<Request, { kind: "input" }>): Effect[] {
  return machine.pending.has(of) ? [notify("hopsack.input", { id: of, ...further })] : [];
}

function notify(method: string, params: Params): Effect {
  return send({ method, params });
}

function register(machine: Raw, request: Extract<Request, { kind: "register" }>): Effect[] {
  return ask(machine, request, "hopsack.register", { procedure: request.procedure });
}

function unregister(machine: Raw, request: Extract<Request, { kind: "unregister" }>): Effect[] {
  const registration = machine.registrations.get(request.of);
  if (!registration) return [{ kind: "settle", ticket: request.ticket, value: null }];
  machine.registrations.delete(request.of);
  machine.procedures.delete(registration.procedure);
  return ask(machine, request, "hopsack.unregister", { registration: registration.id });
}

function probe(machine: Raw, request: Extract<Request, { kind: "probe" }>): Effect[] {
  return ask(machine, request, "hopsack.ping", {});
}

// ---- answers ----------------------------------------------------------------------------------------------------

function resolved(machine: Raw, { id, result }: Extract<Message, { kind: "resolved" }>): Effect[] {
  const request = machine.pending.get(id);
  // A result that crossed our cancel: nobody waits for it.
  if (!request || !("ticket" in request) || request.ticket === null) return [];
  machine.pending.delete(id);
  const { ticket } = request;
  const facts = isObject(result) ? result : {};
  if (request.kind === "subscribe") {
    const { topic, match } = request;
    machine.subscriptions.set(ticket, { ticket, topic, match, id: facts.subscription });
    if (match === "exact") machine.exact.set(topic, ticket);
    if (Number(facts.snapshot) > 0) machine.snapshots.set(ticket, Number(facts.snapshot));
  } else if (request.kind === "register") {
    machine.registrations.set(ticket, { procedure: request.procedure, id: facts.registration });
    machine.procedures.set(request.procedure, ticket);
  }
  return [{ kind: "settle", ticket, value: result }];
}

function rejected(machine: Raw, { id, error }: Extract<Message, { kind: "rejected" }>): Effect[] {
  const request = machine.pending.get(id);
  if (!request || !("ticket" in request) || request.ticket === null) return [];
  machine.pending.delete(id);
  return [{ kind: "reject", ticket: request.ticket, error: readError(error, subjectOf(request)) }];
}

function readError(error: unknown, where?: string): HopsackError {
  const { code, message, data } = isObject(error) ? error : {};
  return fromDetails({ where, message, code: codeOfNumber(code), ...(isObject(data) ? data : {}) });
}

// ---- events and invocations --------------------------------------------------------------------------------------

function event(machine: Raw, { params }: Extract<Message, { kind: "event" }>): Effect[] {
  if (typeof params.topic !== "string") return end(machine, "an event came without a topic");
  const { retained, ...event } = params as unknown as Arrival & { readonly retained?: boolean };
  const tickets = retained ? awaiting(machine, event.topic) : readersOf(machine, event.topic);
  return tickets.map((ticket) => ({ kind: "deliver", ticket, event, ...(retained && { newest: true }) }));
}

/** The subscription whose snapshot an event belongs to; none: it was given back meanwhile. */
function awaiting({ snapshots, subscriptions }: Raw, topic: string): number[] {
  for (const [ticket, left] of snapshots) {
    const subscribed = subscriptions.get(ticket);
    if (!subscribed || !matches(subscribed.topic, subscribed.match, topic)) continue;
    if (left === 1) snapshots.delete(ticket);
    else snapshots.set(ticket, left - 1);
    return [ticket];
  }
  return [];
}

function readersOf({ exact, subscriptions }: Raw, topic: string): number[] {
  const own = exact.get(topic);
  const tickets = own === undefined ? [] : [own];
  if (subscriptions.size === exact.size) return tickets;
  for (const { ticket, topic: pattern, match } of subscriptions.values()) {
    if (match !== "exact" && matches(pattern, match, topic)) tickets.push(ticket);
  }
  return tickets;
}

function skipped(machine: Raw, { params }: Extract<Message, { kind: "skipped" }>): Effect[] {
  if (typeof params.topic !== "string") return end(machine, "a gap came without a topic");
  const gap = params as unknown as Gap;
  return readersOf(machine, gap.topic).map((ticket) => ({ kind: "skip", ticket, gap }));
}

/** What this session may no longer do, by a newer token. */
function revoked(machine: Raw, { params }: Extract<Message, { kind: "revoked" }>): Effect[] {
  const { subscription, registration } = params;
  const lost = [...machine.subscriptions.values()].find(({ id }) => id === subscription);
  if (lost) {
    forget(machine, lost);
    return [revocation(lost.ticket, lost.topic, params)];
  }
  const [ticket, served] = [...machine.registrations].find(([, { id }]) => id === registration) ?? [];
  if (ticket === undefined || !served) return [];
  machine.registrations.delete(ticket);
  machine.procedures.delete(served.procedure);
  return [revocation(ticket, served.procedure, params)];
}

/** WAMP's rules (advanced profile, pattern-based subscriptions): an empty component of a wildcard matches any one. */
export function matches(pattern: string, match: Match, topic: string): boolean {
  if (match === "exact") return pattern === topic;
  if (match === "prefix") return topic.startsWith(pattern);
  const parts = topic.split(".");
  const wanted = pattern.split(".");
  return parts.length === wanted.length && wanted.every((part, index) => part === "" || part === parts[index]);
}

function invoked(machine: Raw, { id, method, params, flow }: Extract<Message, { kind: "invoked" }>): Effect[] {
  const ticket = machine.procedures.get(method);
  if (ticket === undefined) {
    const error = new RemoteError("hopsack.no_callee", "This page does not serve that any more.", { where: method });
    return [sendError(id, error)];
  }
  const invocation = machine.tickets();
  machine.invocations.begin(id, invocation);
  return [
    {
      kind: "serve",
      ticket,
      invocation,
      procedure: method,
      input: params ?? null,
      flow: isObject(flow) ? (flow as Flow) : {},
    },
  ];
}

// ---- calls that flow: what is about one that has ended is nobody's ------------------------------------------------

function progressed(machine: Raw, { params }: Extract<Message, { kind: "progressed" }>): Effect[] {
  const { id, data = null } = params;
  return machine.pending.has(id) ? [{ kind: "progressed", ticket: id as number, data }] : [];
}

function granted(machine: Raw, { params }: Extract<Message, { kind: "granted" }>): Effect[] {
  const { id, n } = params;
  return machine.pending.has(id) ? [{ kind: "granted", ticket: id as number, n: Number(n) }] : [];
}

function taken(machine: Raw, { params }: Extract<Message, { kind: "taken" }>): Effect[] {
  const { id, n } = params;
  const invocation = machine.invocations.ours(id);
  return invocation === undefined ? [] : [{ kind: "taken", invocation, n: Number(n) }];
}

/** A further input. The last one may carry nothing. */
function fed(machine: Raw, { params }: Extract<Message, { kind: "fed" }>): Effect[] {
  const { id, data, end } = params;
  const invocation = machine.invocations.ours(id);
  if (invocation === undefined) return [];
  const effects: Effect[] = data === undefined ? [] : [{ kind: "fed", invocation, further: { data } }];
  return end ? [...effects, { kind: "fed", invocation, further: { end: true } }] : effects;
}

function withdrawn(machine: Raw, { params }: Extract<Message, { kind: "withdrawn" }>): Effect[] {
  const invocation = machine.invocations.withdraw(params.id);
  return invocation === undefined ? [] : [{ kind: "interrupt", invocation }];
}

/** An answer of this page's broke its contract: its author should see why. */
function reported(_machine: Raw, { params }: Extract<Message, { kind: "reported" }>): Effect[] {
  return [{ kind: "report", error: readError(params.error) }];
}

function answer(machine: Raw, { invocation, result }: Extract<Request, { kind: "answer" }>): Effect[] {
  const id = machine.invocations.theirs(invocation);
  if (id === undefined) return [];
  const message = send({ id, result: result ?? null });
  machine.invocations.end(invocation);
  return [message];
}

function decline(machine: Raw, { invocation, error }: Extract<Request, { kind: "decline" }>): Effect[] {
  const id = machine.invocations.end(invocation);
  return id === undefined ? [] : [sendError(id, error)];
}

function progress(machine: Raw, { invocation, data }: Extract<Request, { kind: "progress" }>): Effect[] {
  const id = machine.invocations.theirs(invocation);
  return id === undefined ? [] : [notify("hopsack.progress", { id, data: data ?? null })];
}

function moreInput(machine: Raw, { invocation, n }: Extract<Request, { kind: "moreInput" }>): Effect[] {
  const id = machine.invocations.theirs(invocation);
  return id === undefined ? [] : [notify("hopsack.more_input", { id, n })];
}

function sendError(id: Id, error: HopsackError): Effect {
  return send({ id, error: { code: numberOf(error.code), message: error.message, data: toDetails(error) } });
}

const dropped = (): Effect[] => [];

const RULES: Rules<State, Raw, Step, Effect> = {
  fresh: { opened: hello },
  joining: { resolved: welcomed, rejected: refused, noticed: dropped },
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
    resolved,
    rejected,
    event,
    skipped,
    withdrawn,
    invoked,
    reported,
    revoked,
    progressed,
    granted,
    taken,
    fed,
    noticed: dropped,
  },
  ended: {},
};

const PROTOCOL: Protocol<State, Raw, Step, Effect> = { rules: RULES, read: classify, violated: end };
