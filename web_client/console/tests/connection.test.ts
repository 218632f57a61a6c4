import { expect, test } from "vitest";
import { type Connection, wordsFor } from "../src/state/connection";

test.each<[Connection, string, boolean]>([
  [{ phase: "connecting" }, "Connecting", false],
  [{ phase: "open", identity: { authid: "a", role: "guest", session: 1 } }, "Connected", false],
  [{ phase: "waiting", retryAt: 104.2, reason: "The node went away." }, "Retry in 5 s", true],
  [{ phase: "waiting", retryAt: 90, reason: "" }, "Retry in 0 s", true],
  [{ phase: "closed", reason: "The token was refused." }, "Offline", true],
])("%o is said as %s", (connection, label, canReconnect) => {
  expect(wordsFor(connection, 100)).toMatchObject({ label, canReconnect });
});
