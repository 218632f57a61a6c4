/**
 * The watched folders. One wildcard subscription stands before any snapshot is asked for, so that no change falls
 * between the two (see state/watch.ts).
 *
 * Bound: 16 folders; a service that reports more is told about in the panel by the names that are missing.
 */
import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { WatchChange, WatchListing } from "../contracts";
import type { Link, Refusal } from "../link";
import type { Page } from "../page";
import { batch, paced } from "../state/batches";
import { LOADING, type Remote } from "../state/remote";
import { changed, type Folder, listed, newFolder, reopened, type Step } from "../state/watch";
import { type Snapshot, type SnapshotPlan, snapshot } from "./snapshot";

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
  /** Why a folder could not be listed; `undefined` once one could. */
  readonly refusal: ReadonlySignal<Refusal | undefined>;
  again(): void;
}

export function watchFeed(link: Link, page: Page): WatchFeed {
  const roots = signal<Remote<readonly string[]>>(LOADING);
  const chosen = signal<string | undefined>(undefined);
  const shelf = folderShelf(link, page);

  const asking = snapshot<readonly string[]>(link, page, {
    opening: () => {},
    ask: () => link.call("watch.roots", null),
    answered: (names) => {
      roots.value = { phase: "ready", value: names };
      for (const root of names) shelf.keep(root);
    },
    refused: (why) => {
      if (roots.peek().phase !== "ready") roots.value = { phase: "failed", why };
    },
  });

  return {
    roots,
    folders: shelf.folders,
    refusal: shelf.refusal,
    chosen,
    shown: computed(() => shelf.folders.value.get(chosen.value ?? firstOf(roots.value) ?? "")),
    again() {
      asking.again();
      shelf.listAgain();
    },
  };
}

interface Shelf {
  readonly folders: ReadonlySignal<ReadonlyMap<string, Folder>>;
  readonly refusal: ReadonlySignal<Refusal | undefined>;
  /** Lists a root now, and again whenever that is called for. */
  keep(root: string): void;
  listAgain(): void;
}

function folderShelf(link: Link, page: Page): Shelf {
  const folders = signal<ReadonlyMap<string, Folder>>(new Map());
  const refusal = signal<Refusal | undefined>(undefined);
  const listings = new Map<string, Snapshot>();
  const folderOf = (root: string): Folder => folders.peek().get(root) ?? newFolder(root);
  const hasRoomFor = (root: string): boolean => folders.peek().has(root) || folders.peek().size < FOLDERS_KEPT;
  const listSoon = once(page, LIST_PAUSE, (root) => listings.get(root)?.again());
  const put = (folder: Folder): void => {
    folders.value = new Map(folders.peek()).set(folder.root, folder);
  };
  const take = ({ folder, effects }: Step): void => {
    put(folder);
    if (effects.includes("list")) listSoon(folder.root);
  };

  const reduce = (changes: readonly WatchChange[]): void => {
    for (const [root, ofRoot] of grouped(changes)) if (hasRoomFor(root)) take(changed(folderOf(root), ofRoot));
  };
  const arrivals = batch(paced(page, REDUCTION_PAUSE), reduce, CHANGES_BATCHED);
  link.listen("watch..changed", "wildcard", ({ data }) => arrivals.add(data as WatchChange));

  const listingOf = (root: string): SnapshotPlan<WatchListing> => ({
    opening: () => put(reopened(folderOf(root))),
    ask: () => link.call("watch.list", { root }),
    answered: (listing) => {
      refusal.value = undefined;
      arrivals.flush();
      take(listed(folderOf(root), listing));
    },
    refused: (why) => {
      refusal.value = why;
    },
  });
  return {
    folders,
    refusal,
    keep(root) {
      if (!listings.has(root) && hasRoomFor(root)) listings.set(root, snapshot(link, page, listingOf(root)));
    },
    listAgain() {
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
