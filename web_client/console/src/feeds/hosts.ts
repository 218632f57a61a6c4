/**
 * `host.metrics` as histories, from the minutes before this page was opened on, and `host.describe` of the host that is
 * looked at. A host whose newest sample the node has dropped is dropped here.
 */
import { computed, effect, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { HostDescription, HostSample } from "../contracts";
import type { Continuity, Link, Refusal } from "../link";
import type { Page } from "../page";
import { batch } from "../state/batches";
import { type Course, caughtUp, turned } from "../state/course";
import {
  type Arrived,
  type Freshness,
  freshness,
  type HostHistory,
  type Hosts,
  NO_HOSTS,
  WINDOW_SECONDS,
  withOnly,
  withSamples,
} from "../state/hosts";
import { LOADING, type Remote } from "../state/remote";
import { snapshot } from "./snapshot";
import { readBack, streamed } from "./stream";

export interface HostsFeed {
  readonly hosts: ReadonlySignal<Hosts>;
  readonly names: ReadonlySignal<readonly string[]>;
  /** The reader's choice; `undefined`: the first host heard of. */
  readonly chosen: Signal<string | undefined>;
  readonly shown: ReadonlySignal<HostHistory | undefined>;
  readonly freshness: ReadonlySignal<Freshness>;
  readonly description: ReadonlySignal<Remote<HostDescription>>;
  readonly refusal: ReadonlySignal<Refusal | undefined>;
  /** How the stream went on when it last had to. */
  readonly course: ReadonlySignal<Course | undefined>;
}

export function hostsFeed(link: Link, page: Page): HostsFeed {
  const hosts = signal<Hosts>(NO_HOSTS);
  const chosen = signal<string | undefined>(undefined);
  const refusal = signal<Refusal | undefined>(undefined);
  const names = computed(() => [...hosts.value.keys()].sort());
  const shown = computed(() => hosts.value.get(chosen.value ?? "") ?? hosts.value.values().next().value);

  const newest = link.latest("host.metrics");
  const present = (all: Hosts): Hosts => {
    const { complete, values } = newest.peek();
    return complete ? withOnly(all, values) : all;
  };
  effect(() => {
    if (newest.value.complete) hosts.value = present(hosts.peek());
  });

  const arrivals = batch<Arrived<HostSample>>(page.frame, (samples) => {
    hosts.value = present(withSamples(hosts.peek(), samples));
  });
  const { course, went, notice } = courseOf(page, hosts);
  streamed(link, page, "host.metrics", {
    read: () => readBack(link, "host.metrics", WINDOW_SECONDS),
    was(events) {
      // Its own time, for it is no sign of life now.
      const samples = events.map(({ data, time }) => ({ value: data, receivedAt: Math.min(time, page.now()) }));
      hosts.value = present(withSamples(hosts.peek(), samples));
    },
    heard(sample) {
      notice(sample);
      arrivals.add({ value: sample, receivedAt: page.now() });
    },
    refused(why) {
      refusal.value = why;
    },
    went,
  });

  const description = descriptionOf(
    link,
    page,
    computed(() => shown.value?.host),
  );
  const fresh = computed(() => freshness(shown.value, page.clock.value, link.connection.value.phase === "open"));
  return { hosts, names, chosen, shown, freshness: fresh, description, refusal, course };
}

/** Samples from before the page was back are what it has caught up on; hosts' clocks are as they were when it left. */
function courseOf(page: Page, hosts: ReadonlySignal<Hosts>) {
  const course = signal<Course | undefined>(undefined);
  let before = NO_HOSTS;
  let began = false;
  return {
    course: course as ReadonlySignal<Course | undefined>,
    went(how: Continuity) {
      // That reading back and going live meet is no news.
      if (began || how.kind === "gap") course.value = turned(how, page.now());
      before = hosts.peek();
      began = true;
    },
    notice({ host, at }: HostSample) {
      const known = course.peek();
      const skew = before.get(host)?.skew;
      if (known !== undefined && skew !== undefined && at + skew < known.at) course.value = caughtUp(known, 1);
    },
  };
}

function descriptionOf(link: Link, page: Page, host: ReadonlySignal<string | undefined>) {
  const description = signal<Remote<HostDescription>>(LOADING);
  effect(() => {
    const name = host.value;
    if (name === undefined) return undefined;
    description.value = LOADING;
    const asking = snapshot<HostDescription>(link, page, {
      opening: () => {},
      ask: () => link.call("host.describe", { host: name }),
      answered: (value) => {
        description.value = { phase: "ready", value };
      },
      refused: (why) => {
        if (description.peek().phase !== "ready") description.value = { phase: "failed", why };
      },
    });
    return asking.close;
  });
  return description as ReadonlySignal<Remote<HostDescription>>;
}
