import { describe, expect, test } from "vitest";
import { backoff, CAP, FIRST, hintIn } from "../src/backoff";

const ATTEMPTS = [...Array(40).keys(), 1_000, Number.MAX_SAFE_INTEGER];

describe("backoff", () => {
  test.each(ATTEMPTS)("attempt %i is drawn from the whole range from zero", (attempt) => {
    const spread = Math.min(CAP, FIRST * 2 ** attempt);

    expect(backoff(attempt, 0)).toBe(0);
    expect(backoff(attempt, 0.5)).toBe(spread / 2);
    expect(backoff(attempt, 0.999999)).toBeLessThan(spread);
  });

  test("the range never shrinks and ends at the cap", () => {
    const spreads = ATTEMPTS.map((attempt) => backoff(attempt, 0.999));

    expect(spreads).toEqual([...spreads].sort((a, b) => a - b));
    expect(spreads.at(-1)).toBeCloseTo(CAP * 0.999);
  });

  test("a hint of the node is the least there is, and the jitter comes on top", () => {
    expect(backoff(0, 0, 3_000)).toBe(3_000);
    expect(backoff(0, 0.5, 3_000)).toBe(3_000 + FIRST / 2);
    expect(backoff(0, 0.5, -1)).toBe(FIRST / 2);
  });

  test("2,000 pages do not come back in step: no tenth of a second takes more than a tenth of them", () => {
    const delays = Array.from({ length: 2_000 }, (_, page) => backoff(0, page / 2_000));

    const bins = new Map<number, number>();
    for (const delay of delays) bins.set(Math.floor(delay / 100), (bins.get(Math.floor(delay / 100)) ?? 0) + 1);

    expect(Math.max(...bins.values())).toBeLessThanOrEqual(200);
  });
});

test.each([
  ["The node is going away. (retry_after=2.3)", 2.3],
  ["Come back. (retry_after=10)", 10],
  ["Come back. (retry_after=99999999)", 300],
  ["The node is going away.", 0],
  ["(retry_after=1) was what it said", 0],
  ["Come back. (retry_after=-1)", 0],
  ["Come back. (retry_after=1) ", 0],
  ["", 0],
])("the end of %j asks for %d seconds", (reason, seconds) => {
  expect(hintIn(reason)).toBe(seconds);
});
