import { expect, test } from "vitest";
import { Ring } from "../src/state/ring";

test("keeps the newest values in order", () => {
  const ring = new Ring<number>(3);

  for (const value of [1, 2, 3, 4, 5]) ring.push(value);

  expect([...ring]).toEqual([3, 4, 5]);
  expect(ring.last).toBe(5);
  expect(ring.at(0)).toBe(3);
  expect(ring.at(3)).toBeUndefined();
  expect(ring.at(-1)).toBeUndefined();
});

test("is as good as new after it was cleared", () => {
  const ring = new Ring<number>(2);
  for (const value of [1, 2, 3]) ring.push(value);

  ring.clear();
  ring.push(9);

  expect([...ring]).toEqual([9]);
});

test("refuses a capacity that holds nothing", () => {
  expect(() => new Ring(0)).toThrow(RangeError);
});
