/**
 * What one session over one connection takes and gives, whatever it speaks: the vocabulary of two machines without I/O.
 *
 *     connection.ts  -- inputs -->   raw.ts   (JSON-RPC)   -- effects -->  connection.ts
 *                                    wamp.ts  (WAMP)
 *
 * A *ticket* is a number that the connection wants to be told the outcome with. It is never used twice, not even on the
 * next connection, so whatever carries an old one is dropped in one comparison. A granted subscription or registration
 * is known by the ticket that asked for it; numbers that the node chose stay inside the machines.
 */
import { fromDetails, type HopsackError, isObject } from "./errors.js";

export type Match = "exact" | "prefix" | "wildcard";

/** Who this session is. `id` is new after every reconnect. */
export interface Identity {
  readonly id: number;
  readonly authid: string;
  readonly role: string;
  readonly realm: string;
  readonly server: string;
  readonly groups: readonly string[];
  readonly tenant: string | undefined;
  /** When what it logged in with is worth nothing any more: epoch milliseconds by the page's clock. */
  readonly expires: number | undefined;
}

/** An event as it came. `position` is there for topics that are streams; a `deleted` key's `data` is its key fields. */
export interface Arrival {
  readonly topic: string;
  readonly data: unknown;
  readonly position?: string | undefined;
  readonly deleted?: boolean | undefined;
}

/** Positions of the last events read: of the topic, or of each topic of a pattern. */
export type After = string | Readonly<Record<string, string>>;

/** Events of a topic that were dropped on their way to this page. */
export interface Gap {
  readonly topic: string;
  /** How many; null where the node does not know. */
  readonly dropped: number | null;
}

/** What a call asks for beyond its procedure's contract. Times are milliseconds. */
export interface Terms {
  /** What is left of its time. */
  readonly timeout?: number | undefined;
  /** The node executes it once, however often it comes. */
  readonly key?: string | undefined;
  /** To wait for a callee, where there is none. */
  readonly wait?: number | undefined;
  /** Further tries, of a procedure that is idempotent. */
  readonly retry?: number | undefined;
  /** Progressive results are wanted, `window` of them at first. */
  readonly progress?: true | undefined;
  readonly window?: number | undefined;
  /** Others follow the first input. */
  readonly inputs?: true | undefined;
}

/** What a caller says beside its input. `window`: progressive results that it takes at first; left out: nobody counts. */
export interface Flow {
  /** Milliseconds that are left; of a call that flows, the longest silence. */
  readonly timeout?: number | undefined;
  readonly progress?: boolean | undefined;
  readonly window?: number | undefined;
  readonly inputs?: boolean | undefined;
}

/** A further input; `end`: none follows. */
export type Further = { readonly data: unknown; readonly end?: undefined } | { readonly end: true };

export type Request =
  | {
      readonly kind: "subscribe";
      readonly ticket: number;
      readonly topic: string;
      readonly match: Match;
      readonly after?: After | undefined;
      /** Events a second. */
      readonly rate?: number | undefined;
      /** The newest values are wanted; the raw door gives them unasked. */
      readonly snapshot?: boolean;
    }
  | { readonly kind: "unsubscribe"; readonly ticket: number; readonly of: number }
  /** Events a second from now on; null: all of them. */
  | { readonly kind: "rate"; readonly ticket: number; readonly of: number; readonly rate: number | null }
  | {
      readonly kind: "publish";
      readonly ticket: number | null;
      readonly topic: string;
      readonly data: unknown;
      readonly key?: string | undefined;
      readonly remove?: boolean | undefined;
    }
  | {
      readonly kind: "call";
      readonly ticket: number;
      readonly procedure: string;
      readonly input: unknown;
      readonly terms?: Terms | undefined;
    }
  | { readonly kind: "abandon"; readonly of: number }
  /** So many more progressive results of a call are taken. */
  | { readonly kind: "more"; readonly of: number; readonly n: number }
  | { readonly kind: "input"; readonly of: number; readonly further: Further }
  | { readonly kind: "register"; readonly ticket: number; readonly procedure: string }
  | { readonly kind: "unregister"; readonly ticket: number; readonly of: number }
  | { readonly kind: "answer"; readonly invocation: number; readonly result: unknown }
  | { readonly kind: "decline"; readonly invocation: number; readonly error: HopsackError }
  | { readonly kind: "progress"; readonly invocation: number; readonly data: unknown }
  /** So many more inputs of an invocation are taken. */
  | { readonly kind: "moreInput"; readonly invocation: number; readonly n: number }
  /** Nothing came for a while, and a page cannot send WebSocket pings: send what must be answered. */
  | { readonly kind: "probe"; readonly ticket: number };

export type Input = { readonly kind: "opened" } | { readonly kind: "received"; readonly text: string } | Request;

export type Effect =
  | { readonly kind: "send"; readonly text: string }
  /** `identity.expires` is by the node's clock; `left`: how long that is, milliseconds. */
  | { readonly kind: "join"; readonly identity: Identity; readonly left: number | undefined }
  /** `final`: trying again with the same token cannot help. */
  | { readonly kind: "refuse"; readonly error: HopsackError; readonly final: boolean }
  | { readonly kind: "settle"; readonly ticket: number; readonly value: unknown }
  | { readonly kind: "reject"; readonly ticket: number; readonly error: HopsackError }
  /** `newest`: it belongs to the snapshot that the grant announced. */
  | { readonly kind: "deliver"; readonly ticket: number; readonly event: Arrival; readonly newest?: boolean }
  /** The node dropped events, because this page read too slowly. */
  | { readonly kind: "skip"; readonly ticket: number; readonly gap: Gap }
  | {
      readonly kind: "serve";
      readonly ticket: number;
      readonly invocation: number;
      readonly procedure: string;
      readonly input: unknown;
      readonly flow: Flow;
    }
  /** A progressive result; and how many further inputs the callee takes. */
  | { readonly kind: "progressed"; readonly ticket: number; readonly data: unknown }
  | { readonly kind: "granted"; readonly ticket: number; readonly n: number }
  /** A further input; and how many more progressive results the caller takes. */
  | { readonly kind: "fed"; readonly invocation: number; readonly further: Further }
  | { readonly kind: "taken"; readonly invocation: number; readonly n: number }
  | { readonly kind: "interrupt"; readonly invocation: number }
  /** The node took a subscription or registration away. */
  | { readonly kind: "revoke"; readonly ticket: number; readonly error: HopsackError }
  /** What a subscription resumes from cannot be read now: give it back, and ask again a little later. */
  | { readonly kind: "stall"; readonly ticket: number }
  /** An answer of ours broke its contract, and its caller did not get it. */
  | { readonly kind: "report"; readonly error: HopsackError }
  /** The session is over, or the peer does not speak the protocol: give the connection up. */
  | { readonly kind: "part"; readonly reason: string; readonly retryAfter: number };

export interface Session {
  /** Whether this door takes rate limits. */
  readonly rates: boolean;
  /** Whether a grant says where the streams stand. */
  readonly heads: boolean;
  take(input: Input): Effect[];
}

/** Makes the session of a new connection. `tickets` numbers the invocations; without a `token` it is a guest's. */
export type NewSession = (tickets: () => number, token: string | null) => Session;

type Facts = Readonly<Record<string, unknown>>;

/** Who we are, as a door tells it: `facts`, and those of them that the two doors name differently. */
export function joining(facts: Facts, more: Facts, id: unknown, role: string, server: string): Effect {
  const text = (name: string): string => String(facts[name] ?? "");
  const identity: Identity = {
    id: Number(id),
    authid: text("authid"),
    role: text(role),
    realm: text("realm"),
    server: text(server),
    ...personal(more),
  };
  return { kind: "join", identity, left: milliseconds(more.expires_in) };
}

/** What the node tells of a login, on every door and in `hopsack.session.whoami`. */
export function personal({ groups, tenant, expires }: Facts): Pick<Identity, "groups" | "tenant" | "expires"> {
  return {
    groups: Array.isArray(groups) ? groups.map(String) : [],
    tenant: typeof tenant === "string" ? tenant : undefined,
    expires: milliseconds(expires),
  };
}

function milliseconds(seconds: unknown): number | undefined {
  return typeof seconds === "number" ? seconds * 1000 : undefined;
}

/** @param facts `reason`, and beside it the error as every door tells it, where the node is one of Hopsack. */
export function revocation(ticket: number, where: string, { reason, error, x_hopsack_error = error }: Facts): Effect {
  const message = String(reason ?? "The node took it away.");
  const details = { where, code: "hopsack.denied", message, ...(isObject(x_hopsack_error) && x_hopsack_error) };
  return { kind: "revoke", ticket, error: fromDetails(details) };
}

/** What a request is about, for the error it may end with. */
export function subjectOf(request: Request | undefined): string | undefined {
  if (!request) return undefined;
  if ("topic" in request) return request.topic;
  return "procedure" in request ? request.procedure : undefined;
}
