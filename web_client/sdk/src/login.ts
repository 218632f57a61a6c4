/**
 * Signing in with a cookie that scripts cannot read: the node takes the token once, and the browser shows it from then on,
 * on every door. Connections that stand are not changed by it: make a new one, or load the page again.
 */
import { fromDetails, isObject, LocalError } from "./errors.js";

export interface LoginOptions {
  /** The node, where it is not the page's own server; the cookie counts for pages of the node alone. */
  readonly url?: string;
  /** In place of the browser's. */
  readonly fetch?: typeof fetch;
}

/** Rejects with what the node says where it refuses the token. */
export async function login(token: string, options: LoginOptions = {}): Promise<void> {
  await post("/login", JSON.stringify({ token }), options);
}

/** The browser is nobody again. Sessions that stand go on until they are closed. */
export async function logout(options: LoginOptions = {}): Promise<void> {
  await post("/logout", "{}", options);
}

async function post(path: string, body: string, { url, fetch = globalThis.fetch }: LoginOptions): Promise<void> {
  const address = new URL(path, url ?? globalThis.location?.href);
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(address, { method: "POST", headers, body, credentials: "same-origin" }).catch(() => {
    throw new LocalError("hopsack.disconnected", "The node cannot be reached.", { where: path });
  });
  if (response.ok) return;
  const problem: unknown = await response.json().catch(() => undefined);
  const facts = isObject(problem) ? problem : {};
  throw fromDetails({ where: path, ...facts, message: facts.detail ?? `The node answered ${response.status}.` });
}
