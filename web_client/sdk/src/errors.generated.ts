// The table of errors. Written by `hopsack generate` from src/hopsack/errors.py: run it again, do not edit.

/** One row of the table: what an error is called on each door, and what a caller should do. */
export interface ErrorKind {
  readonly code: string;
  /** HTTP status (RFC 9110). */
  readonly status: number;
  /** JSON-RPC 2.0 error number. */
  readonly jsonrpc: number;
  /** The error URI of the WAMP specification, or null: then the code is the URI. */
  readonly wamp: string | null;
  readonly retry: "never" | "later" | "after_login";
  readonly meaning: string;
}

export const ERRORS = {
  "hopsack.malformed": { code: "hopsack.malformed", status: 400, jsonrpc: -32700, wamp: null, retry: "never", meaning: "The message could not be parsed." },
  "hopsack.bad_request": { code: "hopsack.bad_request", status: 400, jsonrpc: -32600, wamp: "wamp.error.invalid_argument", retry: "never", meaning: "The message is well-formed but is not one this door understands." },
  "hopsack.invalid": { code: "hopsack.invalid", status: 422, jsonrpc: -32602, wamp: "wamp.error.invalid_argument", retry: "never", meaning: "The payload breaks its contract." },
  "hopsack.undeclared": { code: "hopsack.undeclared", status: 404, jsonrpc: -32601, wamp: "wamp.error.no_such_procedure", retry: "never", meaning: "No contract declares this topic or procedure." },
  "hopsack.invalid_uri": { code: "hopsack.invalid_uri", status: 400, jsonrpc: 1001, wamp: "wamp.error.invalid_uri", retry: "never", meaning: "This is not a valid URI for a topic or procedure." },
  "hopsack.login_required": { code: "hopsack.login_required", status: 401, jsonrpc: 1002, wamp: "wamp.error.authentication_failed", retry: "after_login", meaning: "The token is missing, expired or not one this node accepts." },
  "hopsack.denied": { code: "hopsack.denied", status: 403, jsonrpc: 1003, wamp: "wamp.error.not_authorized", retry: "after_login", meaning: "This session's role may not do that." },
  "hopsack.no_callee": { code: "hopsack.no_callee", status: 503, jsonrpc: 1004, wamp: "wamp.error.no_such_procedure", retry: "later", meaning: "The procedure is declared, and nobody serves it right now." },
  "hopsack.already_registered": { code: "hopsack.already_registered", status: 409, jsonrpc: 1005, wamp: "wamp.error.procedure_already_exists", retry: "never", meaning: "Another session serves this procedure and does not share it." },
  "hopsack.no_such_subscription": { code: "hopsack.no_such_subscription", status: 404, jsonrpc: 1006, wamp: "wamp.error.no_such_subscription", retry: "never", meaning: "The session has no such subscription." },
  "hopsack.no_such_registration": { code: "hopsack.no_such_registration", status: 404, jsonrpc: 1007, wamp: "wamp.error.no_such_registration", retry: "never", meaning: "The session has no such registration." },
  "hopsack.deadline": { code: "hopsack.deadline", status: 504, jsonrpc: 1008, wamp: "wamp.error.timeout", retry: "later", meaning: "The call did not end before its deadline." },
  "hopsack.canceled": { code: "hopsack.canceled", status: 503, jsonrpc: 1009, wamp: "wamp.error.canceled", retry: "later", meaning: "The call was cancelled, or its callee vanished before it answered." },
  "hopsack.broken_result": { code: "hopsack.broken_result", status: 502, jsonrpc: 1010, wamp: "wamp.error.invalid_argument", retry: "never", meaning: "The callee's answer breaks the contract and was withheld." },
  "hopsack.internal": { code: "hopsack.internal", status: 500, jsonrpc: 1011, wamp: "wamp.error.runtime_error", retry: "later", meaning: "The callee failed in a way its contract does not declare; its log has the incident." },
  "hopsack.too_large": { code: "hopsack.too_large", status: 413, jsonrpc: 1012, wamp: "wamp.error.payload_size_exceeded", retry: "never", meaning: "The message is larger than this connection may carry." },
  "hopsack.overloaded": { code: "hopsack.overloaded", status: 503, jsonrpc: 1013, wamp: null, retry: "later", meaning: "Too much is queued; try again after the time given." },
  "hopsack.method_not_allowed": { code: "hopsack.method_not_allowed", status: 405, jsonrpc: 1014, wamp: null, retry: "never", meaning: "This path does not take that HTTP method." },
  "hopsack.not_found": { code: "hopsack.not_found", status: 404, jsonrpc: 1015, wamp: null, retry: "never", meaning: "There is nothing at this path." },
  "hopsack.declared": { code: "hopsack.declared", status: 422, jsonrpc: 1016, wamp: null, retry: "never", meaning: "The callee answered with an error that its contract declares; the code is the contract's." },
} as const satisfies Readonly<Record<string, ErrorKind>>;

export type ErrorCode = keyof typeof ERRORS;
