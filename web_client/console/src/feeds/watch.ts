/**
 * The watched folders. One wildcard subscription stands before any snapshot is asked for, so that no change falls
 * between the two (see state/watch.ts).
 *
 * Bound: 16 folders; a service that reports more is told about in the panel by the names that are missing.
 */
import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { WatchChange, WatchListing } from "../contracts";
import type { Link } from "../link";
import type { Page } from "../page";
import { batch, paced } from "../state/batches";
import { LOADING, type Remote } from "../state/remote";
import { changed, type Folder, listed, newFolder, reopened, type Step } from "../state/watch";
import { type Snapshot, snapshot } from "./snapshot";

const FOLDERS_KEPT = 16;

/** A large folder's map and tree are made anew at every reduction: a burst of changes must not do that every frame. */
const REDUCTION_PAUSE = 0.2;
const CHANGES_BATCHED = 4_096;

/** Seconds between the wish for a new snapshot and the request: a busy folder wishes often. */
const LIST_PAUSE = 0.5;

export interface WatchFeed {
  readonly roots: ReadonlySignal<Remote<readonly string[]>>;
  readonly folders: ReadonlySignal<ReadonlyMap<string, Folder>>;
  /** The reader's choice; `undefined`: the first root. */
  readonly chosen: Signal<string | undefined>;
  readonly shown: ReadonlySignal<Folder | undefined>;
  again(): void;
}

export function watchFeed(link: Link, page: Page): WatchFeed {
  const roots = signal<Remote<readonly string[]>>(LOADING);
  const folders = signal<ReadonlyMap<string, Folder>>(new Map());
  const chosen = signal<string | undefined>(undefined);
  const listings = new Map<string, Snapshot>();

  const listSoon = once(page, LIST_PAUSE, (root) => listings.get(root)?.again());
  const take = ({ folder, effects }: Step): void => {
    folders.value = new Map(folders.peek()).set(folder.root, folder);
    if (effects.includes("list")) listSoon(folder.root);
  };
  const folderOf = (root: string): Folder => folders.peek().get(root) ?? newFolder(root);
  const listingOf = (root: string): Snapshot =>
    snapshot<WatchListing>(link, page, {
      opening: () => take({ folder: reopened(folderOf(root)), effects: [] }),
      ask: () => link.call("watch.list", { root }),
      answered: (listing) => {
        arrivals.flush();
        take(listed(folderOf(root), listing));
      },
      refused: () => {},
    });

  const reduce = (changes: readonly WatchChange[]): void => {
    for (const [root, ofRoot] of grouped(changes)) {
      if (folders.peek().has(root) || folders.peek().size < FOLDERS_KEPT) take(changed(folderOf(root), ofRoot));
    }
  };
  const arrivals = batch(paced(page, REDUCTION_PAUSE), reduce, CHANGES_BATCHED);
  link.listen("watch..changed", "wildcard", ({ data }) => arrivals.add(data as WatchChange));

  const asking = snapshot<readonly string[]>(link, page, {
    opening: () => {},
    ask: () => link.call("watch.roots", null),
    answered: (names) => {
      roots.value = { phase: "ready", value: names };
      for (const root of names.slice(0, FOLDERS_KEPT)) {
        if (!listings.has(root)) listings.set(root, listingOf(root));
      }
    },
    refused: (why) => {
      if (roots.peek().phase !== "ready") roots.value = { phase: "failed", why };
    },
  });

  return {
    roots,
    folders,
    chosen,
    shown: computed(() => folders.value.get(chosen.value ?? firstOf(roots.value) ?? "")),
    again() {
      asking.again();
      for (const listing of listings.values()) listing.again();
    },
  };
}

/** Per key: the first wish starts the pause, further ones during it are the same wish. */
function once(page: Page, seconds: number, act: (key: string) => void): (key: string) => void {
  const waiting = new Set<string>();
  return (key) => {
    if (waiting.has(key)) return;
    waiting.add(key);
    page.after(seconds, () => {
      waiting.delete(key);
      act(key);
    });
  };
}

function firstOf(roots: Remote<readonly string[]>): string | undefined {
  return roots.phase === "ready" ? roots.value[0] : undefined;
}

function grouped(changes: readonly WatchChange[]): ReadonlyMap<string, readonly WatchChange[]> {
  const groups = new Map<string, WatchChange[]>();
  for (const change of changes) {
    const group = groups.get(change.root);
    if (group === undefined) groups.set(change.root, [change]);
    else group.push(change);
  }
  return groups;
}
