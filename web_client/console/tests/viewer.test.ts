import { expect, test } from "vitest";
import { cleared, heard, NOTHING_SEEN, oneLine, paused, resumed, type Viewer } from "../src/state/viewer";

function events(from: number, amount: number) {
  return Array.from({ length: amount }, (_, at) => ({ topic: "demo.text", data: from + at, at: 0 }));
}

function data({ rows }: Viewer): readonly unknown[] {
  return rows.map((row) => row.data);
}

test("rows are the newest events, newest first, and no more than the bound", () => {
  const seen = heard(heard(NOTHING_SEEN, events(1, 2)), events(3, 1));

  expect(data(seen)).toEqual([3, 2, 1]);
  expect(seen.rows.map(({ serial }) => serial)).toEqual([3, 2, 1]);

  const full = heard(seen, events(4, 500));

  expect(full.rows.length).toBe(200);
  expect(full.total).toBe(503);
  expect(data(full)[0]).toBe(503);
});

test("a pause holds events back, and resuming shows them", () => {
  const held = heard(paused(heard(NOTHING_SEEN, events(1, 1))), events(2, 2));

  expect(data(held)).toEqual([1]);
  expect(held.held.length).toBe(2);

  const after = resumed(held);

  expect(data(after)).toEqual([3, 2, 1]);
  expect(after.held).toEqual([]);
});

test("clearing forgets the rows, not the count", () => {
  const after = cleared(heard(NOTHING_SEEN, events(1, 3)));

  expect(after.rows).toEqual([]);
  expect(after.total).toBe(3);
});

test("a line of JSON is cut where it gets long", () => {
  expect(oneLine({ a: [1, "x"] })).toBe('{"a":[1,"x"]}');
  expect(oneLine("x".repeat(300))).toHaveLength(241);
  expect(oneLine(undefined)).toBe("null");
});
