/** A flat listing as the rows of a tree: folders first, then by name, and only what is open. Pure. */
import type { WatchEntry } from "../contracts";

export interface TreeRow {
  readonly path: string;
  readonly name: string;
  readonly depth: number;
  readonly entry: WatchEntry;
  /** `undefined` for a file. */
  readonly open: boolean | undefined;
}

export interface TreeView {
  readonly rows: readonly TreeRow[];
  /** Rows that `limit` left out. */
  readonly hidden: number;
}

export interface TreeQuery {
  /** Folders that the reader opened or closed; the others follow `openByDefault`. */
  readonly toggled: ReadonlyMap<string, boolean>;
  readonly openByDefault: boolean;
  /** Part of a path; matching entries are shown with the folders above them, all open. Empty: no filter. */
  readonly filter: string;
  readonly limit: number;
}

interface Node {
  readonly entry: WatchEntry;
  readonly name: string;
  readonly children: Node[];
}

export function treeOf(entries: ReadonlyMap<string, WatchEntry>, query: TreeQuery): TreeView {
  const kept = query.filter === "" ? entries : matching(entries, query.filter);
  const rows: TreeRow[] = [];
  let hidden = 0;
  const walk = (nodes: Node[], depth: number): void => {
    for (const { entry, name, children } of nodes.sort(foldersFirst)) {
      const open = entry.is_dir ? isOpen(entry.path, query) : undefined;
      if (rows.length < query.limit) rows.push({ path: entry.path, name, depth, entry, open });
      else hidden += 1;
      if (open === true) walk(children, depth + 1);
    }
  };
  walk(forest(kept), 0);
  return { rows, hidden };
}

function isOpen(path: string, query: TreeQuery): boolean {
  return query.filter !== "" || (query.toggled.get(path) ?? query.openByDefault);
}

function matching(entries: ReadonlyMap<string, WatchEntry>, filter: string): ReadonlyMap<string, WatchEntry> {
  const wanted = filter.toLowerCase();
  const kept = new Map<string, WatchEntry>();
  for (const entry of entries.values()) {
    if (!entry.path.toLowerCase().includes(wanted)) continue;
    for (const folder of foldersAbove(entry.path)) {
      const known = entries.get(folder);
      if (known !== undefined) kept.set(folder, known);
    }
    kept.set(entry.path, entry);
  }
  return kept;
}

function* foldersAbove(path: string): Generator<string> {
  for (let slash = path.indexOf("/"); slash !== -1; slash = path.indexOf("/", slash + 1)) yield path.slice(0, slash);
}

/** An entry whose folder is not listed (the listing was cut short) stands at the top, under its whole path. */
function forest(entries: ReadonlyMap<string, WatchEntry>): Node[] {
  const nodes = new Map<string, Node>();
  const nodeOf = (entry: WatchEntry): Node => {
    const known = nodes.get(entry.path);
    if (known !== undefined) return known;
    const slash = entry.path.lastIndexOf("/");
    const parent = slash === -1 ? undefined : entries.get(entry.path.slice(0, slash));
    const node: Node = { entry, name: parent === undefined ? entry.path : entry.path.slice(slash + 1), children: [] };
    nodes.set(entry.path, node);
    (parent === undefined ? tops : nodeOf(parent).children).push(node);
    return node;
  };
  const tops: Node[] = [];
  for (const entry of entries.values()) nodeOf(entry);
  return tops;
}

function foldersFirst(a: Node, b: Node): number {
  if (a.entry.is_dir !== b.entry.is_dir) return a.entry.is_dir ? -1 : 1;
  if (a.name === b.name) return 0;
  return a.name < b.name ? -1 : 1;
}
