import { expect, test } from "vitest";
import { caughtUp, turned, wordsOf } from "../src/state/course";

const resumed = turned({ kind: "resumed" }, 1_000);
const gap = (missed: number | undefined, reason: string) => turned({ kind: "gap", missed, reason }, 1_000);

test("nothing has happened: nothing is told", () => {
  expect(wordsOf(undefined, 1_000)).toBeUndefined();
});

test.each([
  [resumed, "resumed, 0 events caught up"],
  [caughtUp(caughtUp(resumed, 1), 0), "resumed, 1 event caught up"],
  [caughtUp(resumed, 12), "resumed, 12 events caught up"],
  [gap(40, "trimmed"), "gap, 40 events lost"],
  [gap(undefined, "epoch"), "gap"],
])("%o is told as %s", (course, label) => {
  expect(wordsOf(course, 1_001)?.label).toBe(label);
});

test("a gap says why, where the reason is known", () => {
  expect(wordsOf(gap(1, "slow"), 1_000)?.detail).toContain("1 event could not be caught up on, as this page read too");
  expect(wordsOf(gap(undefined, "hopsack.denied"), 1_000)?.detail).toMatch(/some events could not be caught up on\.$/);
});

test("it is told for a while; a gap for as long as a chart shows it", () => {
  expect(wordsOf(resumed, 1_031)).toBeUndefined();
  expect(wordsOf(gap(1, "gap"), 1_299)).toBeDefined();
  expect(wordsOf(gap(1, "gap"), 1_301)).toBeUndefined();
});
