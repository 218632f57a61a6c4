/**
 * What a connection logs in with, and when it wants a newer one: the part of `connection.ts` that a token as a function
 * needs. No I/O.
 *
 * The function is asked before every connection, and again while one stands: at four fifths of the token's time, and
 * where that is short 30 s before its end. What it gives then goes to the node on the connection that stands. If that
 * fails it is told, and tried again with growing pauses, until the node ends the session.
 *
 * A token that the node refused is not shown twice, and after {@link REFUSALS} refused ones in a row nothing is tried any
 * more.
 */
import { HopsackError, LocalError } from "./errors.js";

/** Milliseconds. */
const MARGIN = 30_000;
const SOONEST = 1_000;
const LATEST = 12 * 3_600_000;
const PAUSE = 30_000;

export const REFUSALS = 3;

/** The node's procedures that take a newer token, and tell who the caller is by it. */
export const REFRESH = "hopsack.session.refresh";
export const WHOAMI = "hopsack.session.whoami";

export interface Login {
  /** The program's function is asked for tokens. */
  readonly isAsked: boolean;
  token: string | null;
  /** The question that the function has not answered, 0 for none; what it says to an older one is dropped. */
  open: number;
  asked: number;
  /** Why the node refused `token`. */
  refusal: HopsackError | undefined;
  /** Refused ones in a row. */
  refusals: number;
  /** Attempts in a row that brought the node no newer one. */
  failures: number;
  /** A newer one on its way to the node, and who we are by it on its way back: tickets, 0 for none. */
  refreshing: number;
  newer: string;
  looking: number;
  /** What the page's clock is ahead of the node's, milliseconds. */
  ahead: number;
}

/** @param token `undefined`: the program's function is asked. */
export function login(token: string | null | undefined): Login {
  const nothing = { open: 0, asked: 0, refusals: 0, failures: 0, refreshing: 0, looking: 0, ahead: 0 };
  return { ...nothing, isAsked: token === undefined, token: token ?? null, refusal: undefined, newer: "" };
}

/** Errors that another token may mend. */
export function wantsAnother({ isAsked, refusals }: Login, { code }: HopsackError): boolean {
  return isAsked && refusals < REFUSALS - 1 && /^hopsack\.(login_required|expired|revoked)$/.test(code);
}

/** @param left milliseconds that the token is worth something. @returns milliseconds until a newer one is asked for. */
export function early(left: number, chance: number): number {
  const latest = Math.max(left / 2, Math.min(left * 0.8, left - MARGIN));
  return Math.min(Math.max(latest * (0.9 + 0.1 * chance), SOONEST), LATEST);
}

/** @returns milliseconds until it is tried again. */
export function later(failures: number, chance: number, { data }: HopsackError): number {
  const hint = Number(data.retry_after) * 1000 || 0;
  return Math.max(hint, Math.min(SOONEST * 2 ** failures, PAUSE)) * (1 + 0.2 * chance);
}

/** Why what the function gave cannot be handed to the node on a connection that stands. */
export function unfit({ token }: Login, newer: string | null): HopsackError | undefined {
  if (newer === null) return new LocalError("hopsack.login_required", "The page's `token` function gave no newer one.");
  if (newer !== token) return undefined;
  return new LocalError("hopsack.login_required", "The page's `token` function gave the one that is about to expire.");
}

/** What the function failed with: trying again may help, unless it says that it does not. */
export function unavailable(error: unknown): HopsackError {
  if (error instanceof HopsackError) return error;
  return new LocalError("hopsack.login_required", `There is no token: ${String(error)}`, { retry: "later" });
}
