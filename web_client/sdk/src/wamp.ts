/**
 * The page's side of a WAMP session over WebSocket, in JSON (WAMP basic profile; ticket authentication; from the
 * advanced profile: pattern-based subscriptions, call cancelling).
 *
 *     -> HELLO                      <- WELCOME | ABORT | CHALLENGE (then -> AUTHENTICATE)
 *     -> CALL, CANCEL               <- RESULT | ERROR
 *     -> PUBLISH                    <- PUBLISHED | ERROR, if acknowledged
 *     -> SUBSCRIBE, UNSUBSCRIBE     <- SUBSCRIBED, UNSUBSCRIBED | ERROR, then EVENT
 *     -> REGISTER, UNREGISTER       <- REGISTERED, UNREGISTERED | ERROR
 *     <- INVOCATION, INTERRUPT      -> YIELD | ERROR
 *     <- GOODBYE                    -> GOODBYE
 *
 * Two things beyond the specification: a node of Hopsack may answer a YIELD with ERROR, to say that the result broke
 * its contract and that the caller did not get it; and a probe is an UNSUBSCRIBE of nothing, which every router has to
 * answer and which changes nothing.
 *
 * Bound: as many requests are remembered as the connection lets be in flight.
 */
import {
  codeOfUri,
  fromDetails,
  type HopsackError,
  isObject,
  LocalError,
  RemoteError,
  toDetails,
  uriOf,
} from "./errors.js";
import { Invocations } from "./invocations.js";
import { apply, type Rules } from "./rules.js";
import { type Effect, type Input, type Match, type NewSession, type Request, subjectOf } from "./session.js";

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
} as const;

type Message = { readonly kind: (typeof NAMES)[keyof typeof NAMES]; readonly parts: readonly unknown[] };

/** What happens to a session: requests and messages, each by its own name. */
type Step = Exclude<Input, { kind: "received" }> | Message;

/** A request in flight. */
interface Pending {
  readonly request: Request & { readonly ticket: number };
  readonly type: number;
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
  readonly subscriptions: Map<unknown, { readonly ticket: number; readonly topic: string }>;
  readonly registrations: Map<unknown, { readonly ticket: number; readonly procedure: string }>;
  readonly granted: Map<number, unknown>;
  readonly invocations: Invocations<unknown>;
}

export function wamp(token: string | null, realm: string, agent: string): NewSession {
  return (tickets) => {
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
    };
    return { take: (input) => take(machine, input) };
  };
}

function take(machine: Wamp, input: Input): Effect[] {
  if (input.kind !== "received") {
    const effects = apply<State, Wamp, Step, Effect>(RULES, machine.state, machine, input);
    if (!effects) throw new LocalError("hopsack.usage", `a session that is ${machine.state} takes no ${input.kind}`);
    return effects;
  }
  const message = classify(input.text);
  if (machine.state === "ended") return [];
  const effects = message && apply<State, Wamp, Step, Effect>(RULES, machine.state, machine, message);
  return effects ?? violated(machine, `${message?.kind ?? "no message"} for a session that is ${machine.state}`);
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

/** Reasons of ABORT that trying again with the same token cannot change. */
const FINAL = /^wamp\.error\.(.*auth.*|protocol_violation|no_such_(realm|role|principal))$/;

const ROLES = {
  publisher: {},
  subscriber: { features: { pattern_based_subscription: true } },
  caller: { features: { call_canceling: true } },
  callee: { features: { call_canceling: true } },
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
  const text = (name: string): string => String(facts[name] ?? "");
  const identity = {
    id: Number(session),
    authid: text("authid"),
    role: text("authrole"),
    realm: text("realm"),
    server: text("agent"),
  };
  return [{ kind: "join", identity }];
}

function abort(machine: Wamp, { parts: [details, reason] }: Message): Effect[] {
  machine.state = "ended";
  const { message, retry_after } = isObject(details) ? details : {};
  const code = codeOfAbort(String(reason));
  const data = typeof retry_after === "number" ? { retry_after } : {};
  const error = new RemoteError(code, String(message || reason), { data });
  return [{ kind: "refuse", error, final: code !== "hopsack.overloaded" }];
}

function codeOfAbort(reason: string): string {
  if (!FINAL.test(reason)) return "hopsack.overloaded";
  return /realm|protocol/.test(reason) ? "hopsack.bad_request" : "hopsack.login_required";
}

/** The router ends a session that had begun: it may be gone for a moment only. */
function ended(machine: Wamp, { parts: [details, reason] }: Message): Effect[] {
  return part(machine, String(reason), details);
}

function goodbye(machine: Wamp, message: Message): Effect[] {
  return [send(6, {}, "wamp.close.goodbye_and_out"), ...ended(machine, message)];
}

// ---- requests ---------------------------------------------------------------------------------------------------

function ask(
  machine: Wamp,
  request: Request & { readonly ticket: number },
  type: number,
  ...rest: readonly unknown[]
): Effect[] {
  const id = machine.last + 1;
  const message = send(type, id, ...rest);
  machine.last = id;
  machine.pending.set(id, { request, type });
  return [message];
}

const one = (value: unknown): unknown[] => (value === undefined || value === null ? [] : [[value]]);

const matching = (match: Match): object => (match === "exact" ? {} : { match });

function subscribe(machine: Wamp, request: Extract<Request, { kind: "subscribe" }>): Effect[] {
  return ask(machine, request, 32, matching(request.match), request.topic);
}

function unsubscribe(machine: Wamp, request: Extract<Request, { kind: "unsubscribe" }>): Effect[] {
  const id = machine.granted.get(request.of);
  machine.granted.delete(request.of);
  if (!machine.subscriptions.delete(id)) return [{ kind: "settle", ticket: request.ticket, value: null }];
  return ask(machine, request, 34, id);
}

function publish(machine: Wamp, request: Extract<Request, { kind: "publish" }>): Effect[] {
  const { ticket, topic, data } = request;
  if (ticket !== null) return ask(machine, { ...request, ticket }, 16, { acknowledge: true }, topic, ...one(data));
  const message = send(16, machine.last + 1, {}, topic, ...one(data));
  machine.last += 1;
  return [message];
}

function call(machine: Wamp, request: Extract<Request, { kind: "call" }>): Effect[] {
  const sent = ask(machine, request, 48, {}, request.procedure, ...one(request.input));
  machine.calls.set(request.ticket, machine.last);
  return sent;
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

function probe(machine: Wamp, request: Extract<Request, { kind: "probe" }>): Effect[] {
  let absent = 1;
  while (machine.subscriptions.has(absent)) absent += 1;
  return ask(machine, request, 34, absent);
}

// ---- answers ----------------------------------------------------------------------------------------------------

/** The request that an answer belongs to; `undefined` for one that crossed our cancel, which nobody waits for. */
function settled(machine: Wamp, id: unknown): (Request & { readonly ticket: number }) | undefined {
  const pending = machine.pending.get(id);
  machine.pending.delete(id);
  if (pending) machine.calls.delete(pending.request.ticket);
  return pending?.request;
}

function done(machine: Wamp, { parts: [id, ...rest] }: Message): Effect[] {
  const request = settled(machine, id);
  return request ? [{ kind: "settle", ticket: request.ticket, value: null }] : notAsked(machine, id, rest);
}

function notAsked(machine: Wamp, id: unknown, [details]: readonly unknown[]): Effect[] {
  return id === 0 ? revoked(machine, details) : [];
}

function result(machine: Wamp, { parts: [id, , args, kwargs] }: Message): Effect[] {
  const request = settled(machine, id);
  return request ? [{ kind: "settle", ticket: request.ticket, value: payloadOf(args, kwargs) }] : [];
}

/** A payload is one value: the first argument, or the keyword arguments of a peer that prefers those. */
function payloadOf(args: unknown, kwargs: unknown): unknown {
  if (Array.isArray(args) && args.length > 0) return args.length === 1 ? args[0] : args;
  return isObject(kwargs) && Object.keys(kwargs).length > 0 ? kwargs : null;
}

function subscribed(machine: Wamp, { parts: [id, number] }: Message): Effect[] {
  const request = settled(machine, id);
  if (request?.kind !== "subscribe") return [];
  const { ticket, topic } = request;
  machine.subscriptions.set(number, { ticket, topic });
  machine.granted.set(ticket, number);
  return [{ kind: "settle", ticket, value: null }];
}

function registered(machine: Wamp, { parts: [id, number] }: Message): Effect[] {
  const request = settled(machine, id);
  if (request?.kind !== "register") return [];
  const { ticket, procedure } = request;
  machine.registrations.set(number, { ticket, procedure });
  machine.granted.set(ticket, number);
  return [{ kind: "settle", ticket, value: null }];
}

/** UNSUBSCRIBED and UNREGISTERED of request 0 (advanced profile): the router took it away. */
function revoked(machine: Wamp, details: unknown): Effect[] {
  const { subscription, registration, reason } = isObject(details) ? details : {};
  const lost = machine.subscriptions.get(subscription) ?? machine.registrations.get(registration);
  if (!lost) return [];
  machine.subscriptions.delete(subscription);
  machine.registrations.delete(registration);
  machine.granted.delete(lost.ticket);
  const error = new RemoteError("hopsack.canceled", String(reason ?? "The node took it away."));
  return [{ kind: "revoke", ticket: lost.ticket, error }];
}

const YIELD = 70;

function failed(machine: Wamp, { parts: [type, id, , uri, args, kwargs] }: Message): Effect[] {
  const request = type === YIELD ? undefined : settled(machine, id);
  const error = readError(String(uri), args, kwargs, request && subjectOf(request));
  if (type === YIELD) return [{ kind: "report", error }];
  return request ? [{ kind: "reject", ticket: request.ticket, error }] : [];
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
  const topic = isObject(details) && typeof details.topic === "string" ? details.topic : subscription.topic;
  return [{ kind: "deliver", ticket: subscription.ticket, event: { topic, data: payloadOf(args, kwargs) } }];
}

function invocation(machine: Wamp, { parts: [id, number, , args, kwargs] }: Message): Effect[] {
  const registration = machine.registrations.get(number);
  if (!registration)
    return [sendError(id, new RemoteError("hopsack.no_callee", "This page does not serve that any more."))];
  const { ticket, procedure } = registration;
  const own = machine.tickets();
  machine.invocations.begin(id, own);
  return [{ kind: "serve", ticket, invocation: own, procedure, input: payloadOf(args, kwargs) }];
}

function interrupt(machine: Wamp, { parts: [id] }: Message): Effect[] {
  const own = machine.invocations.withdraw(id);
  if (own === undefined) return [];
  return [sendError(id, new RemoteError("hopsack.canceled")), { kind: "interrupt", invocation: own }];
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
    publish,
    call,
    abandon,
    register,
    unregister,
    answer,
    decline,
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
    interrupt,
    goodbye,
    abort: ended,
  },
  ended: {},
};
