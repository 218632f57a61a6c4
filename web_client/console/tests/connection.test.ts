import { expect, test } from "vitest";
import { type Connection, endingOf, endsSoon, wordsFor } from "../src/state/connection";
import { IDENTITY } from "./fakeLink";

test.each<[Connection, string, boolean]>([
  [{ phase: "connecting" }, "Connecting", false],
  [{ phase: "open", identity: IDENTITY }, "Connected", false],
  [{ phase: "waiting", retryAt: 104.2, reason: "The node went away." }, "Retry in 5 s", true],
  [{ phase: "waiting", retryAt: 90, reason: "" }, "Retry in 0 s", true],
  [{ phase: "closed", reason: "The token was refused.", code: "hopsack.login_required" }, "Offline", true],
])("%o is said as %s", (connection, label, canReconnect) => {
  expect(wordsFor(connection, 100)).toMatchObject({ label, canReconnect });
});

test.each([
  ["hopsack.expired", "Your sign-in has expired"],
  ["hopsack.revoked", "Your sign-in was revoked"],
  ["hopsack.login_required", "The node asks you to sign in"],
  ["hopsack.denied", "An operator ended this session"],
  ["hopsack.bad_request", "The node refused this session"],
])("%s is said as: %s", (code, title) => {
  expect(endingOf(code).title).toBe(title);
});

test("the end of a sign-in is pointed at in its last five minutes", () => {
  expect(endsSoon({ ...IDENTITY, expires: undefined }, 1_000)).toBeUndefined();
  expect(endsSoon({ ...IDENTITY, expires: 1_301 }, 1_000)).toBeUndefined();
  expect(endsSoon({ ...IDENTITY, expires: 1_200 }, 1_000)).toBe(200);
  expect(endsSoon({ ...IDENTITY, expires: 900 }, 1_000)).toBe(0);
});
