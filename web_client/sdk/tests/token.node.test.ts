/**
 * Tokens that expire and are revoked, against a real node over both doors. Run by tests/node/test_typescript_sdk.py, which
 * sets HOPSACK_TEST_TOKENS_URL (http://host:port, with the repository's contracts) and HOPSACK_TEST_SECRET (the node's).
 */
import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { type HopsackError, Revoked } from "../src/index";
import { page, reaches } from "./pages";

const NODE = process.env.HOPSACK_TEST_TOKENS_URL ?? "";
const SECRET = process.env.HOPSACK_TEST_SECRET ?? "";

/** A JSON Web Token (RFC 7519) with HS256. @param life seconds. */
function token(sub: string, role: string, life: number, claims: object = {}): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const iat = Date.now() / 1000;
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ iss: "hopsack", sub, role, iat, exp: iat + life, ...claims })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

describe.skipIf(!NODE).each(["/raw", "/ws"])("over %s", (path) => {
  const name = `ann-of-${path.slice(1)}`;

  test("a newer token is handed over on the connection that stands, and ends what it does not allow", async () => {
    const tokens = [token(name, "service", 6), token(name, "user", 600, { groups: ["press"], tenant: "acme" })];
    const troubles: HopsackError[] = [];
    const fabric = page(NODE + path, {
      token: () => tokens.shift(),
      onTokenError: (error) => troubles.push(error),
    });
    const { id } = await fabric.ready();
    const heard = fabric.events("chat.room.tokens")[Symbol.asyncIterator]();
    let end: (error: HopsackError) => void;
    const ended = new Promise<HopsackError>((resolve) => {
      end = resolve;
    });
    await fabric.register("host.describe", () => {}, { onError: (error) => end(error) }).ready;

    const error = await ended;
    const state = await reaches(fabric, ({ session }) => session?.role === "user");
    await page(NODE + path, { token: token("bob", "user", 60) }).publish("chat.room.tokens", { by: "bob", text: "hi" });

    expect(error).toMatchObject({ code: "hopsack.denied", where: "host.describe" });
    expect(state.session).toMatchObject({ id, authid: name, groups: ["press"], tenant: "acme" });
    expect((state.session?.expires ?? 0) - Date.now()).toBeGreaterThan(300_000);
    expect((await heard.next()).value.data).toEqual({ by: "bob", text: "hi" });
    expect(troubles).toEqual([]);
  });

  test("who is revoked comes back with a newer token, and without one is told", async () => {
    const operator = page(NODE + path, { token: token("ops", "operator", 60) });
    const steady = page(NODE + path, { token: token(name, "user", 60) });
    const renewing = page(NODE + path, { token: () => token(name, "user", 60) });
    await Promise.all([steady.ready(), renewing.ready()]);
    const before = renewing.state.value.session?.id;
    // Tokens of this very second are refused, too.
    const again = reaches(renewing, ({ session }) => session !== undefined && session.id !== before);

    await operator.call("hopsack.access.revoke", { subject: name });
    const { error } = await reaches(steady, (state) => state.name === "closed");
    await again;

    expect(error).toBeInstanceOf(Revoked);
    expect(renewing.state.value.session?.authid).toBe(name);
  });
});
