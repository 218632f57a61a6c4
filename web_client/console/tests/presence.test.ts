import { expect, test } from "vitest";
import { byRole, heard, listed, NOBODY, reopened } from "../src/state/presence";
import { member } from "./samples";

const LIST = { count: 2, roles: { guest: 1, service: 1 }, members: [member(1), member(2, "service", "host")] };

test("joins and leaves move members, counts come from the node", () => {
  const after = heard(listed(NOBODY, LIST), [
    { kind: "joined", member: member(3, "user", "amira"), at: 50 },
    { kind: "left", member: member(1), at: 51 },
    { kind: "counted", count: { count: 2, roles: { user: 1, service: 1 } } },
  ]);

  expect(after.count).toBe(2);
  expect([...after.members.keys()]).toEqual([2, 3]);
  expect(after.moves.map(({ kind, member: { session } }) => [kind, session])).toEqual([
    ["left", 1],
    ["joined", 3],
  ]);
});

test("what was heard before the snapshot came is not undone by it", () => {
  const early = heard(reopened(NOBODY), [
    { kind: "left", member: member(1), at: 50 },
    { kind: "joined", member: member(9), at: 50 },
  ]);

  const after = listed(early, LIST);

  expect([...after.members.keys()]).toEqual([2, 9]);
  expect(after.since).toEqual([]);
});

test("a session that joined twice is there once", () => {
  const after = heard(listed(NOBODY, LIST), [{ kind: "joined", member: member(1), at: 50 }]);

  expect(after.members.size).toBe(2);
});

test("members are grouped by role in a fixed order, each group by name", () => {
  const after = listed(NOBODY, {
    count: 5,
    roles: { guest: 2, service: 2, auditor: 1 },
    members: [
      member(5, "auditor", "z"),
      member(4, "guest", "b"),
      member(1, "guest", "a"),
      member(3, "service", "watch"),
      member(2, "service", "host"),
    ],
  });

  expect(byRole(after).map(({ role, count, members }) => [role, count, members.map(({ authid }) => authid)])).toEqual([
    ["service", 2, ["host", "watch"]],
    ["guest", 2, ["a", "b"]],
    ["auditor", 1, ["z"]],
  ]);
});
