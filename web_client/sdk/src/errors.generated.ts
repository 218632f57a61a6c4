// The table of errors. Written by `hopsack generate` from src/hopsack/errors.py: run it again, do not edit.

/** One row of the table: what an error is called on the doors of a page, and what a caller should do. */
export interface ErrorKind {
  /** JSON-RPC 2.0 error number. */
  readonly jsonrpc: number;
  /** The error URI of the WAMP specification, or null: then the code is the URI. */
  readonly wamp: string | null;
  readonly retry: "never" | "later" | "after_login";
  readonly meaning: string;
}

export const ERRORS = {
  "hopsack.malformed": { jsonrpc: -32700, wamp: null, retry: "never", meaning: "The message could not be parsed." },
  "hopsack.bad_request": { jsonrpc: -32600, wamp: "wamp.error.invalid_argument", retry: "never", meaning: "The message is well-formed but is not one this door understands." },
  "hopsack.invalid": { jsonrpc: -32602, wamp: "wamp.error.invalid_argument", retry: "never", meaning: "The payload breaks its contract." },
  "hopsack.undeclared": { jsonrpc: -32601, wamp: "wamp.error.no_such_procedure", retry: "never", meaning: "No contract declares this topic or procedure." },
  "hopsack.invalid_uri": { jsonrpc: 1001, wamp: "wamp.error.invalid_uri", retry: "never", meaning: "This is not a valid URI for a topic or procedure." },
  "hopsack.login_required": { jsonrpc: 1002, wamp: "wamp.error.authentication_failed", retry: "after_login", meaning: "The token is missing, expired or not one this node accepts." },
  "hopsack.denied": { jsonrpc: 1003, wamp: "wamp.error.not_authorized", retry: "after_login", meaning: "This session's role may not do that." },
  "hopsack.no_callee": { jsonrpc: 1004, wamp: "wamp.error.no_such_procedure", retry: "later", meaning: "The procedure is declared, and nobody serves it right now." },
  "hopsack.already_registered": { jsonrpc: 1005, wamp: "wamp.error.procedure_already_exists", retry: "never", meaning: "Another session serves this procedure and does not share it." },
  "hopsack.no_such_subscription": { jsonrpc: 1006, wamp: "wamp.error.no_such_subscription", retry: "never", meaning: "The session has no such subscription." },
  "hopsack.no_such_registration": { jsonrpc: 1007, wamp: "wamp.error.no_such_registration", retry: "never", meaning: "The session has no such registration." },
  "hopsack.deadline": { jsonrpc: 1008, wamp: "wamp.error.timeout", retry: "later", meaning: "The call did not end before its deadline." },
  "hopsack.canceled": { jsonrpc: 1009, wamp: "wamp.error.canceled", retry: "later", meaning: "The call was cancelled before it was answered." },
  "hopsack.broken_result": { jsonrpc: 1010, wamp: "wamp.error.invalid_argument", retry: "never", meaning: "The callee's answer breaks the contract and was withheld." },
  "hopsack.internal": { jsonrpc: 1011, wamp: "wamp.error.runtime_error", retry: "later", meaning: "The callee failed in a way its contract does not declare; its log has the incident." },
  "hopsack.too_large": { jsonrpc: 1012, wamp: "wamp.error.payload_size_exceeded", retry: "never", meaning: "The message is larger than this connection may carry." },
  "hopsack.overloaded": { jsonrpc: 1013, wamp: null, retry: "later", meaning: "Too much is queued; try again after the time given." },
  "hopsack.unavailable": { jsonrpc: 1018, wamp: null, retry: "later", meaning: "The node is stopping. This was not carried out; connect again after the time given." },
  "hopsack.outcome_unknown": { jsonrpc: 1020, wamp: "wamp.error.canceled", retry: "never", meaning: "The callee, or the way to it, was lost before the answer: the call may have run, or not." },
  "hopsack.breaker_open": { jsonrpc: 1021, wamp: null, retry: "later", meaning: "Every callee failed too often and is left in peace for a while; this call was not tried." },
  "hopsack.not_held": { jsonrpc: 1022, wamp: null, retry: "never", meaning: "This session does not hold that lock with that token." },
  "hopsack.method_not_allowed": { jsonrpc: 1014, wamp: null, retry: "never", meaning: "This path does not take that HTTP method." },
  "hopsack.not_found": { jsonrpc: 1015, wamp: null, retry: "never", meaning: "There is nothing at this path." },
  "hopsack.declared": { jsonrpc: 1016, wamp: null, retry: "never", meaning: "The callee answered with an error that its contract declares; the code is the contract's." },
  "hopsack.store_failed": { jsonrpc: 1017, wamp: null, retry: "later", meaning: "The node's journal cannot be written or read, a full disk perhaps. An event refused so was not kept." },
  "hopsack.too_many": { jsonrpc: 1019, wamp: null, retry: "never", meaning: "The session has as many of these as one may have; let go of some first." },
  "hopsack.rate_limited": { jsonrpc: 1023, wamp: null, retry: "later", meaning: "This client asks too often: try again when `retry_after` seconds have passed." },
  "hopsack.revoked": { jsonrpc: 1024, wamp: null, retry: "after_login", meaning: "What this client logged in with has been revoked." },
  "hopsack.expired": { jsonrpc: 1025, wamp: null, retry: "after_login", meaning: "The token has expired, and no newer one has come." },
} as const satisfies Readonly<Record<string, ErrorKind>>;

export type ErrorCode = keyof typeof ERRORS;
