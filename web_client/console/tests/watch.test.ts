import { describe, expect, test } from "vitest";
import type { WatchEntry, WatchListing } from "../src/contracts";
import { changed, ENTRIES_KEPT, type Folder, listed, newFolder, reopened } from "../src/state/watch";
import { change, entry } from "./samples";

function listing(...entries: readonly WatchEntry[]): WatchListing {
  return { root: "data", at: 940, truncated: false, entries };
}

function ready(...entries: readonly WatchEntry[]): Folder {
  return listed(newFolder("data"), listing(...entries)).folder;
}

function paths(folder: Folder): readonly string[] {
  return [...folder.entries.keys()].sort();
}

describe("between the subscription and the snapshot", () => {
  test("no change is lost", () => {
    const early = changed(newFolder("data"), [change("created", "late.txt", 7), change("deleted", "gone.txt")]);

    const { folder, effects } = listed(early.folder, listing(entry("gone.txt"), entry("old.txt")));

    expect(early.effects).toEqual([]);
    expect(effects).toEqual([]);
    expect(paths(folder)).toEqual(["late.txt", "old.txt"]);
    expect(folder.phase).toBe("ready");
    expect(folder.held).toEqual([]);
  });

  test("a change that the snapshot holds already does no harm", () => {
    const early = changed(newFolder("data"), [change("created", "a.txt", 3), change("modified", "a.txt", 5)]);

    const { folder } = listed(early.folder, listing(entry("a.txt", 5)));

    expect(folder.entries.get("a.txt")?.size).toBe(5);
  });

  test("too many changes make the snapshot too old: another is asked for", () => {
    const flood = Array.from({ length: 1_001 }, (_, at) => change("created", `f${at}`));

    const { folder, effects } = changed(newFolder("data"), flood);

    expect(effects).toEqual(["list"]);
    expect(folder.held.length).toBe(1_000);
  });
});

test("a change from before the snapshot is remembered, not applied", () => {
  const early = changed(newFolder("data"), [{ ...change("deleted", "d", null), at: 900 }]);

  const { folder } = listed(early.folder, listing(entry("d", null), entry("d/made-again")));

  expect(paths(folder)).toEqual(["d", "d/made-again"]);
  expect(folder.recent.length).toBe(1);
});

test("a snapshot that was asked for because events were lost ends the matter", () => {
  const lost = changed(ready(), [change("rescanned", "", null)]);
  const again = changed(lost.folder, [change("rescanned", "", null)]);

  const { folder, effects } = listed(again.folder, listing(entry("a")));

  expect(effects).toEqual([]);
  expect(folder.phase).toBe("ready");
});

describe("a change", () => {
  test("creates, modifies and deletes, and is remembered newest first", () => {
    const { folder } = changed(ready(entry("a"), entry("b")), [
      change("created", "c", 9),
      change("modified", "a", 4),
      change("deleted", "b"),
    ]);

    expect(paths(folder)).toEqual(["a", "c"]);
    expect(folder.entries.get("a")?.size).toBe(4);
    expect(folder.recent.map(({ serial, change: { path } }) => [serial, path])).toEqual([
      [3, "b"],
      [2, "a"],
      [1, "c"],
    ]);
    expect(folder.touched.get("a")).toBe(2);
  });

  test("of a folder takes what is below it along", () => {
    const { folder } = changed(ready(entry("d", null), entry("d/x"), entry("dx")), [change("moved", "d", null)]);

    expect(paths(folder)).toEqual(["dx"]);
  });

  test("of the root itself empties the folder", () => {
    const { folder } = changed(ready(entry("a"), entry("b", null)), [change("deleted", "", null)]);

    expect(paths(folder)).toEqual([]);
  });

  test("that says 'rescanned' asks for a snapshot and keeps what is shown until it is here", () => {
    const { folder, effects } = changed(ready(entry("a")), [change("rescanned", "", null)]);

    expect(effects).toEqual(["list"]);
    expect(folder.phase).toBe("loading");
    expect(paths(folder)).toEqual(["a"]);
  });

  test("beyond the bound is counted as missing, not kept", () => {
    const full = ready(...Array.from({ length: ENTRIES_KEPT }, (_, at) => entry(`f${at}`)));

    const { folder } = changed(full, [change("created", "one-more")]);

    expect(folder.entries.size).toBe(ENTRIES_KEPT);
    expect(folder.truncated).toBe(true);
  });
});

test("after a reconnection the old snapshot stays until the new one is here", () => {
  const again = reopened(ready(entry("a")));

  expect(again.phase).toBe("loading");
  expect(paths(again)).toEqual(["a"]);

  const { folder } = listed(again, listing(entry("b")));

  expect(paths(folder)).toEqual(["b"]);
});
