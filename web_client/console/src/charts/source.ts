/** From a host's history to what a chart shows. Recomputed when a sample arrives, or as time passes without one. */
import { computed, type ReadonlySignal } from "@preact/signals";
import type { HostSample } from "../contracts";
import { type Columns, columns, type HostHistory, usualInterval, WINDOW_SECONDS, windowOf } from "../state/hosts";
import type { ChartData } from "./TimeChart";

/** After this many usual intervals of silence the chart's right edge moves on without samples. */
const QUIET_INTERVALS = 2.5;

export interface ChartSource {
  readonly latest: ReadonlySignal<HostSample | undefined>;
  data(
    values: (sample: HostSample) => readonly number[],
    width: number,
    top: (highest: number) => number,
  ): ReadonlySignal<ChartData>;
}

export function chartSource(
  shown: ReadonlySignal<HostHistory | undefined>,
  clock: ReadonlySignal<number>,
): ChartSource {
  // A number of its own, so that a tick that does not move it redraws nothing.
  const edge = computed(() => edgeOf(shown.value, clock.value));
  return {
    latest: computed(() => shown.value?.samples.last),
    data: (values, width, top) =>
      computed(() => {
        const history = shown.value;
        const to = edge.value;
        if (history === undefined) return { columns: empty(width), from: to - WINDOW_SECONDS, to, top: top(0) };
        const filled = columns(history.samples, { width, of: values }, to);
        return { columns: filled, from: to - windowOf(history.samples, to), to, top: top(highest(filled.slice(1))) };
      }),
  };
}

function empty(width: number): Columns {
  return [[], ...Array.from({ length: width }, () => [])];
}

function edgeOf(history: HostHistory | undefined, now: number): number {
  const last = history?.samples.last;
  if (history === undefined || last === undefined) return Math.floor(now);
  const quiet = now - history.receivedAt;
  if (quiet < usualInterval(history.samples) * QUIET_INTERVALS) return last.at;
  return Math.max(last.at, now - history.skew);
}

function highest(series: readonly (readonly (number | null)[])[]): number {
  let most = 0;
  for (const column of series) for (const value of column) if (value !== null && value > most) most = value;
  return most;
}
