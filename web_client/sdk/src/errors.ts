/**
 * Errors as values with a code from one table, which the Python side owns (`errors.generated.ts`).
 *
 *     HopsackError
 *       RemoteError       the node or a callee said no; `retry` tells whether trying again can help
 *         DeclaredError   an error that a contract declares: handlers throw it, callers catch it
 *       LocalError        this page made a mistake or lost its connection; nobody refused anything
 */
import { ERRORS } from "./errors.generated.js";

export type Retry = "never" | "later" | "after_login";

export type ErrorCode = keyof typeof ERRORS | keyof typeof LOCAL;

/**
 * Codes that never cross the wire. A {@link LocalError} may have one of the table, too: what happened to the page's own
 * connection is called what it is called at the node.
 */
export const LOCAL = {
  "hopsack.usage": { retry: "never", meaning: "The library was used in a way that cannot work." },
  "hopsack.disconnected": { retry: "later", meaning: "There is no connection, and the operation was not sent." },
} as const;

/** Beside code and message. `path`: JSON Pointer (RFC 6901) to the field at fault, "" for the whole payload. */
export interface ErrorFacts {
  readonly where?: string | undefined;
  readonly path?: string | undefined;
  readonly advice?: string | undefined;
  readonly retry?: Retry | undefined;
  readonly data?: Readonly<Record<string, unknown>> | undefined;
}

/** Everything this library throws or rejects with. */
export class HopsackError extends Error {
  /** A row of the table, or a code that a contract declares. */
  readonly code: string;
  /** The topic or procedure. */
  readonly where: string | undefined;
  /** JSON Pointer to the field at fault. */
  readonly path: string | undefined;
  /** What to do, for a person. */
  readonly advice: string | undefined;
  /** What a program should do. */
  readonly retry: Retry;
  /** Further facts: `incident`, `nearest`, `retry_after` in seconds, a declared error's own fields. */
  readonly data: Readonly<Record<string, unknown>>;

  constructor(code: string, message = "", facts: ErrorFacts = {}) {
    super(message || row(code).meaning);
    this.name = new.target.name;
    this.code = code;
    this.where = facts.where;
    this.path = facts.path;
    this.advice = facts.advice;
    this.retry = facts.retry ?? row(code).retry;
    this.data = facts.data ?? {};
  }

  override toString(): string {
    const place = this.where ? ` [${this.where}${this.path ? ` at ${this.path}` : ""}]` : "";
    return `${this.code}: ${this.message}${place}${this.advice ? ` (${this.advice})` : ""}`;
  }
}

export class LocalError extends HopsackError {}

export class RemoteError extends HopsackError {}

/**
 * An error that a contract declares. A handler throws it to have its caller receive it as it is.
 *
 * @param code as the contract spells it: "operator.declined".
 * @param data facts for the caller's program; a JSON object.
 */
export class DeclaredError extends RemoteError {
  constructor(code: string, message = "", data: Readonly<Record<string, unknown>> = {}, facts: ErrorFacts = {}) {
    super(code, message, { ...facts, data });
  }
}

/** Too much was asked of the node in too short a time. */
export class RateLimited extends RemoteError {
  /** Milliseconds after which it may be asked again. */
  get retryAfter(): number {
    return Number(this.data.retry_after) * 1000 || 0;
  }
}

/** The token has expired, and the node has no newer one. */
export class Expired extends RemoteError {}

/** What this page logged in with was revoked. */
export class Revoked extends RemoteError {}

interface Row {
  readonly retry: Retry;
  readonly meaning: string;
  readonly jsonrpc?: number;
  readonly wamp?: string | null;
}

const TABLE: Readonly<Record<string, Row>> = { ...ERRORS, ...LOCAL };

function row(code: string): Row {
  return (Object.hasOwn(TABLE, code) && TABLE[code]) || ERRORS["hopsack.declared"];
}

/** What a door sends as an error's details: the same object in JSON-RPC's `error.data` and WAMP's keyword arguments. */
export type Details = Readonly<Record<string, unknown>>;

export function toDetails(error: HopsackError): Details {
  const { code, message, retry, where, path, advice, data } = error;
  return { code, message, retry, where, path, advice, ...(Object.keys(data).length > 0 && { data }) };
}

/** The error that {@link toDetails}, or the node, wrote. */
export function fromDetails(details: Details): RemoteError {
  const text = (name: string): string | undefined => {
    const value = details[name];
    return typeof value === "string" ? value : undefined;
  };
  const code = text("code") ?? "hopsack.internal";
  const message = text("message") ?? "";
  const data = isObject(details.data) ? details.data : {};
  const facts = { where: text("where"), path: text("path"), advice: text("advice"), retry: retryOf(details.retry) };
  if (!Object.hasOwn(ERRORS, code)) return new DeclaredError(code, message, data, facts);
  const Kind = KINDS[code] ?? RemoteError;
  return new Kind(code, message, { ...facts, data });
}

const KINDS: Readonly<Record<string, typeof RemoteError>> = {
  "hopsack.rate_limited": RateLimited,
  "hopsack.expired": Expired,
  "hopsack.revoked": Revoked,
};

function retryOf(value: unknown): Retry | undefined {
  return value === "never" || value === "later" || value === "after_login" ? value : undefined;
}

/** JSON-RPC's number for a code (its section 5.1 keeps -32768..-32000 for itself; ours are positive). */
export function numberOf(code: string): number {
  return row(code).jsonrpc ?? ERRORS["hopsack.internal"].jsonrpc;
}

/** The code for JSON-RPC's number, for peers that send no details. */
export function codeOfNumber(number: unknown): string {
  return Object.entries(ERRORS).find(([, { jsonrpc }]) => jsonrpc === number)?.[0] ?? "hopsack.internal";
}

/** The error URI that the WAMP specification has for a code, else the code. */
export function uriOf(code: string): string {
  return (Object.hasOwn(ERRORS, code) && row(code).wamp) || code;
}

/** The code for a WAMP error URI of a peer that sends no details. Where several rows share a URI, the likeliest. */
export function codeOfUri(uri: string): string {
  const likely: Readonly<Record<string, string>> = {
    "wamp.error.no_such_procedure": "hopsack.no_callee",
    "wamp.error.invalid_argument": "hopsack.invalid",
  };
  return likely[uri] ?? Object.entries(ERRORS).find(([, { wamp }]) => wamp === uri)?.[0] ?? uri;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A refusal to read a stream back that waiting may change: not where nobody does it. */
export function passes({ retry, code }: HopsackError): boolean {
  return retry === "later" && code !== "hopsack.no_callee";
}
