/** The raw subscription viewer: one subscription of the reader's making at a time. */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { Arrival, Closable, Link, Match, Refusal } from "../link";
import type { Page } from "../page";
import { batch } from "../state/batches";
import { cleared, type EventRow, heard, NOTHING_SEEN, paused, resumed, type Viewer } from "../state/viewer";

export interface Watched {
  readonly topic: string;
  readonly match: Match;
}

export interface ViewerFeed {
  readonly watched: ReadonlySignal<Watched | undefined>;
  readonly refusal: ReadonlySignal<Refusal | undefined>;
  readonly viewer: ReadonlySignal<Viewer>;
  start(watched: Watched): void;
  stop(): void;
  pause(): void;
  resume(): void;
  clear(): void;
}

export function viewerFeed(link: Link, page: Page): ViewerFeed {
  const watched = signal<Watched | undefined>(undefined);
  const refusal = signal<Refusal | undefined>(undefined);
  const viewer = signal<Viewer>(NOTHING_SEEN);
  let subscription: Closable | undefined;

  const arrivals = batch<Omit<EventRow, "serial">>(page.frame, (events) => {
    viewer.value = heard(viewer.peek(), events);
  });
  const stop = () => {
    subscription?.close();
    subscription = undefined;
    watched.value = undefined;
  };

  return {
    watched,
    refusal,
    viewer,
    stop,
    start(wanted) {
      stop();
      refusal.value = undefined;
      viewer.value = NOTHING_SEEN;
      watched.value = wanted;
      const add = ({ topic, data }: Arrival) => arrivals.add({ topic, data, at: page.now() });
      const refused = (why: Refusal) => {
        refusal.value = why;
        stop();
      };
      subscription = link.listen(wanted.topic, wanted.match, add, { refused });
    },
    pause: () => {
      arrivals.flush();
      viewer.value = paused(viewer.peek());
    },
    resume: () => {
      viewer.value = resumed(viewer.peek());
    },
    clear: () => {
      viewer.value = cleared(viewer.peek());
    },
  };
}
