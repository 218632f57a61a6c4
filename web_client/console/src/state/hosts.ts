/**
 * What the page remembers of hosts' load: the last five minutes of each.
 *
 * Bounds: 32 hosts (the one silent for longest makes room), 900 samples each (the oldest makes room).
 * Times are the hosts' own clocks; `skew` maps the page's clock onto them, so that a chart's right edge is "now" also
 * where the two clocks differ.
 */
import type { HostSample } from "../contracts";
import { Ring } from "./ring";

export const WINDOW_SECONDS = 300;

/** What a chart spans while little is known: a page just opened shows its first samples large. */
const WINDOW_STEPS = [60, 120, WINDOW_SECONDS] as const;

const HOSTS_KEPT = 32;
const SAMPLES_KEPT = 900;

/** A gap is a pause longer than this many usual intervals. */
const GAP_INTERVALS = 2.5;
const INTERVALS_LOOKED_AT = 15;

export interface Arrived<T> {
  readonly value: T;
  /** The page's clock, epoch seconds. */
  readonly receivedAt: number;
}

export interface HostHistory {
  readonly host: string;
  /** Shared by all revisions of this history and appended to in place: see ring.ts. */
  readonly samples: Ring<HostSample>;
  readonly revision: number;
  /** Page clock minus host clock, seconds. */
  readonly skew: number;
  readonly receivedAt: number;
}

export type Hosts = ReadonlyMap<string, HostHistory>;

export const NO_HOSTS: Hosts = new Map();

/** The hosts after some samples. A sample that is not newer than the last is a repetition and is dropped. */
export function withSamples(hosts: Hosts, arrived: readonly Arrived<HostSample>[]): Hosts {
  const next = new Map(hosts);
  for (const { value, receivedAt } of arrived) {
    const before = next.get(value.host) ?? newHistory(value.host);
    if (!append(before.samples, value)) continue;
    next.set(value.host, {
      ...before,
      revision: before.revision + 1,
      skew: receivedAt - value.at,
      receivedAt,
    });
  }
  return bounded(next);
}

/** The hosts that are among some names. */
export function withOnly(hosts: Hosts, names: { has(name: string): boolean }): Hosts {
  const kept = [...hosts].filter(([name]) => names.has(name));
  return kept.length === hosts.size ? hosts : new Map(kept);
}

function newHistory(host: string): HostHistory {
  return { host, samples: new Ring(SAMPLES_KEPT), revision: 0, skew: 0, receivedAt: 0 };
}

/** False for a repetition. A clock that was set back by more than the window starts the history afresh. */
function append(samples: Ring<HostSample>, sample: HostSample): boolean {
  const last = samples.last;
  if (last !== undefined && sample.at <= last.at) {
    if (last.at - sample.at < WINDOW_SECONDS) return false;
    samples.clear();
  }
  samples.push(sample);
  return true;
}

function bounded(hosts: Map<string, HostHistory>): Hosts {
  while (hosts.size > HOSTS_KEPT) {
    const longestSilent = [...hosts.values()].reduce((a, b) => (a.receivedAt <= b.receivedAt ? a : b));
    hosts.delete(longestSilent.host);
  }
  return hosts;
}

/** The usual pause between samples, seconds: the median of the last few. */
export function usualInterval(samples: Ring<HostSample>): number {
  const pauses: number[] = [];
  for (let index = Math.max(1, samples.length - INTERVALS_LOOKED_AT); index < samples.length; index += 1) {
    pauses.push((samples.at(index)?.at ?? 0) - (samples.at(index - 1)?.at ?? 0));
  }
  pauses.sort((a, b) => a - b);
  return pauses[Math.floor(pauses.length / 2)] ?? 1;
}

/** One column of times, then one of each picked value; `null` where nothing was heard, so that no line bridges it. */
export type Columns = readonly [readonly number[], ...(readonly (number | null)[])[]];

export interface Picked {
  readonly width: number;
  readonly of: (sample: HostSample) => readonly number[];
}

/** Seconds that a chart spans whose right edge is at `edge`: the shortest step that shows all samples, or the longest. */
export function windowOf(samples: Ring<HostSample>, edge: number): number {
  const span = edge - (samples.at(0)?.at ?? edge);
  return WINDOW_STEPS.find((step) => step >= span) ?? WINDOW_SECONDS;
}

/** The columns of the window that ends at `edge` (the host's clock). One sample before it is kept: lines enter from it. */
export function columns(samples: Ring<HostSample>, picked: Picked, edge: number): Columns {
  const times: number[] = [];
  const values: (number | null)[][] = Array.from({ length: picked.width }, () => []);
  const longest = usualInterval(samples) * GAP_INTERVALS;
  let previous: number | undefined;
  for (let index = firstInside(samples, edge - WINDOW_SECONDS); index < samples.length; index += 1) {
    const sample = samples.at(index);
    if (sample === undefined) break;
    if (previous !== undefined && sample.at - previous > longest) {
      times.push((previous + sample.at) / 2);
      for (const column of values) column.push(null);
    }
    times.push(sample.at);
    const row = picked.of(sample);
    for (const [at, column] of values.entries()) column.push(row[at] ?? null);
    previous = sample.at;
  }
  return [times, ...values];
}

function firstInside(samples: Ring<HostSample>, from: number): number {
  let index = samples.length - 1;
  while (index > 0 && (samples.at(index)?.at ?? 0) >= from) index -= 1;
  return Math.max(0, index);
}

export type Freshness = "waiting" | "live" | "silent";

/** Whether a host still reports. `now` is the page's clock; without a connection nobody does. */
export function freshness(history: HostHistory | undefined, now: number, connected: boolean): Freshness {
  if (history === undefined) return "waiting";
  if (!connected) return "silent";
  return now - history.receivedAt <= Math.max(4, usualInterval(history.samples) * 4) ? "live" : "silent";
}

/** The ceiling of an axis that starts at 0: 1, 2 or 5 times a power of `base` steps, at least `floor`. Stays put under noise. */
export function ceiling(highest: number, floor: number, base: 10 | 1024): number {
  const target = Math.max(highest, floor);
  let power = 1;
  while (power * base <= target) power *= base;
  const steps = base === 10 ? [1, 2, 5, 10] : [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
  return power * (steps.find((step) => power * step >= target) ?? base);
}

export interface CoreBar {
  readonly label: string;
  readonly busy: number;
}

/** One bar for each core; where there are more cores than bars fit, the mean of each group of neighbours. */
export function coreBars(perCore: readonly number[], most = 64): readonly CoreBar[] {
  const size = Math.max(1, Math.ceil(perCore.length / most));
  const bars: CoreBar[] = [];
  for (let first = 0; first < perCore.length; first += size) {
    const group = perCore.slice(first, first + size);
    const busy = group.reduce((sum, value) => sum + value, 0) / group.length;
    const last = first + group.length - 1;
    bars.push({ label: group.length === 1 ? `Core ${first}` : `Cores ${first}–${last}`, busy });
  }
  return bars;
}
