/**
 * `host.metrics` as histories, and `host.describe` of the host that is looked at. A host whose newest sample the node has
 * dropped is dropped here.
 */
import { computed, effect, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { HostDescription, HostSample } from "../contracts";
import type { Link, Refusal } from "../link";
import type { Page } from "../page";
import { batch } from "../state/batches";
import {
  type Arrived,
  type Freshness,
  freshness,
  type HostHistory,
  type Hosts,
  NO_HOSTS,
  withOnly,
  withSamples,
} from "../state/hosts";
import { LOADING, type Remote } from "../state/remote";
import { snapshot } from "./snapshot";

export interface HostsFeed {
  readonly hosts: ReadonlySignal<Hosts>;
  readonly names: ReadonlySignal<readonly string[]>;
  /** The reader's choice; `undefined`: the first host heard of. */
  readonly chosen: Signal<string | undefined>;
  readonly shown: ReadonlySignal<HostHistory | undefined>;
  readonly freshness: ReadonlySignal<Freshness>;
  readonly description: ReadonlySignal<Remote<HostDescription>>;
  readonly refusal: ReadonlySignal<Refusal | undefined>;
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
  link.subscribe(
    "host.metrics",
    ({ data }) => arrivals.add({ value: data, receivedAt: page.now() }),
    (why) => {
      refusal.value = why;
    },
  );

  const description = descriptionOf(
    link,
    page,
    computed(() => shown.value?.host),
  );
  const fresh = computed(() => freshness(shown.value, page.clock.value, link.connection.value.phase === "open"));
  return { hosts, names, chosen, shown, freshness: fresh, description, refusal };
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
