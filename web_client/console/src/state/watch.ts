/**
 * One watched folder: a snapshot and the changes after it, none lost between the two.
 *
 *   -> watch.{root}.changed   subscribed first; while there is no snapshot, changes are kept
 *   <- watch.list             the snapshot; the kept changes that are not older are applied on top, in order
 *
 * The service tells changes from the same tree that it lists, so their times decide which of them the snapshot holds.
 * One at the very same time is applied again, which is harmless: for every path the last change wins.
 *
 * Bounds: 20,000 entries (further ones are counted, not kept), 1,000 kept changes (beyond them the snapshot on its way
 * is too old: another is asked for), 60 recent changes (the oldest makes room).
 */
import type { WatchChange, WatchEntry, WatchListing } from "../contracts";

export const ENTRIES_KEPT = 20_000;
const CHANGES_HELD = 1_000;
const RECENT_KEPT = 60;

/** A change and its number, which is unique on this page: the key of its row and of its highlight. */
export interface SeenChange {
  readonly serial: number;
  readonly change: WatchChange;
}

export interface Folder {
  readonly root: string;
  readonly phase: "loading" | "ready";
  readonly entries: ReadonlyMap<string, WatchEntry>;
  /** More entries exist than are kept here, by the service's word or by our own bound. */
  readonly truncated: boolean;
  readonly held: readonly WatchChange[];
  readonly recent: readonly SeenChange[];
  /** Path → serial of its last change: what a view highlights. Only of the changes in `recent`. */
  readonly touched: ReadonlyMap<string, number>;
  readonly serial: number;
}

/** What to do next, besides showing the folder. */
export type FolderEffect = "list";

export interface Step {
  readonly folder: Folder;
  readonly effects: readonly FolderEffect[];
}

export function newFolder(root: string): Folder {
  return {
    root,
    phase: "loading",
    entries: new Map(),
    truncated: false,
    held: [],
    recent: [],
    touched: new Map(),
    serial: 0,
  };
}

/** When a snapshot is asked for: what is shown stays, what comes from now on is kept. */
export function reopened(folder: Folder): Folder {
  return { ...folder, phase: "loading", held: [] };
}

export function changed(folder: Folder, changes: readonly WatchChange[]): Step {
  if (folder.phase === "ready") return applied(folder, changes);
  const held = [...folder.held, ...changes];
  if (held.length > CHANGES_HELD)
    return { folder: { ...folder, held: changes.slice(-CHANGES_HELD) }, effects: ["list"] };
  return { folder: { ...folder, held }, effects: [] };
}

export function listed(folder: Folder, listing: WatchListing): Step {
  const entries = new Map(listing.entries.slice(0, ENTRIES_KEPT).map((entry) => [entry.path, entry]));
  const truncated = listing.truncated || listing.entries.length > ENTRIES_KEPT;
  const held = folder.held.filter(({ kind }) => kind !== "rescanned");
  const older = held.filter(({ at }) => at < listing.at);
  const ready: Folder = { ...remembered(folder, older), phase: "ready", entries, truncated, held: [] };
  return applied(
    ready,
    held.filter(({ at }) => at >= listing.at),
  );
}

function applied(folder: Folder, changes: readonly WatchChange[]): Step {
  if (changes.length === 0) return { folder, effects: [] };
  if (changes.some((change) => change.kind === "rescanned")) {
    const noted = remembered(folder, changes);
    return { folder: { ...noted, phase: "loading", held: [] }, effects: ["list"] };
  }
  const entries = new Map(folder.entries);
  let truncated = folder.truncated;
  for (const change of changes) truncated = applyTo(entries, change) || truncated;
  return { folder: { ...remembered(folder, changes), entries, truncated }, effects: [] };
}

/** True where the entry was not kept for lack of room. */
function applyTo(entries: Map<string, WatchEntry>, change: WatchChange): boolean {
  switch (change.kind) {
    case "deleted":
    case "moved":
      // The empty path is the root itself, which may go and come back.
      if (change.path === "") entries.clear();
      else if (change.is_dir) deleteBelow(entries, change.path);
      entries.delete(change.path);
      return false;
    case "created":
    case "modified": {
      if (change.path === "") return false;
      if (entries.size >= ENTRIES_KEPT && !entries.has(change.path)) return true;
      const { path, is_dir, size, modified, at } = change;
      entries.set(path, { path, is_dir, size, modified: modified ?? at });
      return false;
    }
    case "rescanned":
      return false;
  }
}

function deleteBelow(entries: Map<string, WatchEntry>, path: string): void {
  const prefix = `${path}/`;
  for (const known of entries.keys()) if (known.startsWith(prefix)) entries.delete(known);
}

function remembered(folder: Folder, changes: readonly WatchChange[]): Folder {
  let serial = folder.serial;
  const seen = changes.map((change) => {
    serial += 1;
    return { serial, change };
  });
  const recent = [...seen.reverse(), ...folder.recent].slice(0, RECENT_KEPT);
  const touched = new Map([...recent].reverse().map(({ serial: number, change }) => [change.path, number]));
  return { ...folder, recent, touched, serial };
}
