import { expect, test } from "vitest";
import type { WatchEntry } from "../src/contracts";
import { type TreeQuery, treeOf } from "../src/state/tree";
import { entry } from "./samples";

const ALL: TreeQuery = { toggled: new Map(), openByDefault: true, filter: "", limit: 100 };

const ENTRIES = byPath(entry("z.txt"), entry("b", null), entry("b/y", null), entry("b/y/deep.txt"), entry("b/a.txt"));

function byPath(...entries: readonly WatchEntry[]): ReadonlyMap<string, WatchEntry> {
  return new Map(entries.map((one) => [one.path, one]));
}

function outline(query: Partial<TreeQuery>, entries = ENTRIES): readonly string[] {
  return treeOf(entries, { ...ALL, ...query }).rows.map(({ depth, name }) => `${" ".repeat(depth)}${name}`);
}

test("folders come first, children below them", () => {
  expect(outline({})).toEqual(["b", " y", "  deep.txt", " a.txt", "z.txt"]);
});

test("a closed folder hides what is in it", () => {
  expect(outline({ toggled: new Map([["b", false]]) })).toEqual(["b", "z.txt"]);
  expect(outline({ openByDefault: false, toggled: new Map([["b", true]]) })).toEqual(["b", " y", " a.txt", "z.txt"]);
});

test("a filter shows what matches and the way to it, open", () => {
  expect(outline({ filter: "DEEP", openByDefault: false })).toEqual(["b", " y", "  deep.txt"]);
  expect(outline({ filter: "nothing" })).toEqual([]);
});

test("the limit counts what it leaves out", () => {
  const view = treeOf(ENTRIES, { ...ALL, limit: 2 });

  expect(view.rows.length).toBe(2);
  expect(view.hidden).toBe(3);
});

test("an entry whose folder is not listed stands at the top under its whole path", () => {
  expect(outline({}, byPath(entry("lost/child.txt")))).toEqual(["lost/child.txt"]);
});
