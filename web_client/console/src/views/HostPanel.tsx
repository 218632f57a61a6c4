/** A host's load, live: one large chart for the processor, four smaller ones, and what the machine is made of. */
import { computed, type ReadonlySignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { chartSource } from "../charts/source";
import type { Console } from "../console";
import type { HostsFeed } from "../feeds/hosts";
import type { Page } from "../page";
import { wordsOf } from "../state/course";
import { ago, asText, bytes, duration } from "../state/format";
import { CpuCard } from "./CpuCard";
import { PulseIcon } from "./icons";
import { MetricCard } from "./MetricCard";
import { METRICS } from "./metrics";
import { Notice, Panel, RefusalNote } from "./Panel";

export function HostPanel({ model }: { readonly model: Console }) {
  const { hosts, page } = model;
  const source = useMemo(() => chartSource(hosts.shown, page.clock), [hosts, page]);
  return (
    <Panel id="host" title="Host" stale={model.stale.value} meta={<Freshness feed={hosts} page={page} />}>
      <HostFacts feed={hosts} page={page} />
      <Silence feed={hosts} />
      <div class="metrics">
        <CpuCard source={source} />
        {METRICS.map((metric) => (
          <MetricCard key={metric.id} metric={metric} source={source} />
        ))}
      </div>
    </Panel>
  );
}

interface FeedProps {
  readonly feed: HostsFeed;
  readonly page: Page;
}

function Freshness({ feed, page }: FeedProps) {
  const shown = feed.shown.value;
  const state = feed.freshness.value;
  const words = useMemo(() => freshnessWords(feed, page), [feed, page]);
  return (
    <>
      <CourseBadge feed={feed} page={page} />
      {feed.names.value.length > 1 && <HostSelect feed={feed} />}
      <span class={`live live-${state}`} data-testid="freshness">
        <span key={shown?.revision} class="live-dot" aria-hidden="true" />
        {words}
      </span>
    </>
  );
}

/** How the stream went on after it was interrupted. */
function CourseBadge({ feed, page }: FeedProps) {
  const words = wordsOf(feed.course.value, page.clock.value);
  if (words === undefined) return null;
  return (
    <span
      class={words.kind === "gap" ? "badge badge-warn course" : "badge badge-good course"}
      title={words.detail}
      role="status"
      data-testid="course"
    >
      {words.label}
    </span>
  );
}

function freshnessWords(feed: HostsFeed, page: Page): ReadonlySignal<string> {
  return computed(() => {
    switch (feed.freshness.value) {
      case "waiting":
        return "waiting";
      case "live":
        return "live";
      case "silent":
        return lastSample(ago(feed.shown.value?.receivedAt ?? 0, page.clock.value));
    }
  });
}

function lastSample(when: string): string {
  return when === "now" ? "last sample just now" : `last sample ${when}`;
}

function HostSelect({ feed }: { readonly feed: HostsFeed }) {
  return (
    <label class="select">
      <span class="sr-only">Host</span>
      <select
        value={feed.shown.value?.host}
        onChange={(event) => {
          feed.chosen.value = event.currentTarget.value;
        }}
      >
        {feed.names.value.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

/** One line whose height is there before its words are. */
function HostFacts({ feed, page }: FeedProps) {
  const host = feed.shown.value?.host;
  const description = feed.description.value;
  if (host === undefined) return <p class="host-facts" />;
  if (description.phase !== "ready") {
    return (
      <p class="host-facts">
        <strong>{host}</strong>
        <span class="muted">{description.phase === "loading" ? "…" : description.why.message}</span>
      </p>
    );
  }
  const { system, release, machine, cpus, cpu_model, memory_total, boot_time, python } = description.value;
  const facts = [
    `${system} ${release}`,
    cpu_model === undefined ? machine : `${cpu_model} (${machine})`,
    `${cpus} ${cpus === 1 ? "core" : "cores"}`,
    `${asText(bytes(memory_total))} memory`,
    `up ${duration(page.now() - boot_time)}`,
    `Python ${python}`,
  ];
  return (
    <p class="host-facts">
      <strong>{host}</strong>
      {facts.map((fact) => (
        <span key={fact}>{fact}</span>
      ))}
    </p>
  );
}

function Silence({ feed }: { readonly feed: HostsFeed }) {
  const refusal = feed.refusal.value;
  if (refusal !== undefined) return <RefusalNote why={refusal} />;
  if (feed.shown.value !== undefined) return null;
  return (
    <div class="metrics-veil">
      <Notice icon={<PulseIcon />} title="Waiting for the first sample">
        The charts start by themselves as soon as a host service publishes <code>host.metrics</code>.
      </Notice>
    </div>
  );
}
