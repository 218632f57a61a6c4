import { expect, test } from "vitest";
import type { LagInfo, SessionInfo } from "../src/contracts";
import { followed, sessionsOf, since } from "../src/state/sessions";
import { member } from "./samples";

const LAG: LagInfo = { unsent: 0, policy: "holding", since: 990, stalled_since: null, dropped: 0, following: [] };

function session(id: number, lag?: Partial<LagInfo>): SessionInfo {
  return { ...member(id), since: id, peer: null, agent: null, ...(lag && { lag: { ...LAG, ...lag } }) };
}

test("who takes nothing is first, then who has most unsent; who keeps up is by age", () => {
  const { behind, level, total } = sessionsOf([
    session(1),
    session(2, { unsent: 5 }),
    session(3, { unsent: 9 }),
    session(4, { stalled_since: 1 }),
    session(5),
  ]);

  expect(behind.map((one) => one.session)).toEqual([4, 3, 2]);
  expect(level.map((one) => one.session)).toEqual([5, 1]);
  expect(total).toBe(5);
});

test("a crowd is cut, but not its slow ones", () => {
  const crowd = [...Array.from({ length: 600 }, (_, id) => session(id)), session(700, {})];

  const { behind, level, total } = sessionsOf(crowd);

  expect([behind.length, level.length, total]).toEqual([1, 499, 601]);
});

test("words", () => {
  expect(since(990, 1_000)).toBe("10 s");
  expect(since(null, 1_000)).toBe("–");
  expect(followed({ ...LAG, following: [{ topic: "a.b", behind: 1 }] })).toEqual(["1 event behind on a.b"]);
});
