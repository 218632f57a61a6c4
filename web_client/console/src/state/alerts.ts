/**
 * The alerts that stand, as the node keeps them, those that ended, and the thresholds.
 *
 * Bounds: 200 active, 50 ended; the oldest makes room.
 */
import type { Alert, AlertMetric, AlertThreshold } from "../contracts";

const ACTIVE_KEPT = 200;
export const ENDED_KEPT = 50;

export interface Alerts {
  readonly phase: "loading" | "ready";
  /** Newest first. */
  readonly active: readonly Alert[];
  /** Newest first. */
  readonly ended: readonly Alert[];
  readonly thresholds: readonly AlertThreshold[];
}

export const NO_ALERTS: Alerts = { phase: "loading", active: [], ended: [], thresholds: [] };

/** `values`: the newest of each alert that stands. Until all are there, `complete` is false. */
export function standing(alerts: Alerts, complete: boolean, values: Iterable<Alert>): Alerts {
  const active = newestFirst([...values]).slice(0, ACTIVE_KEPT);
  return { ...alerts, active, phase: complete ? "ready" : alerts.phase };
}

/** `fresh` are in the order in which they ended. */
export function ended(alerts: Alerts, fresh: readonly Alert[]): Alerts {
  const ids = new Set(fresh.map(({ id }) => id));
  const others = alerts.ended.filter(({ id }) => !ids.has(id));
  return { ...alerts, ended: [...[...fresh].reverse(), ...others].slice(0, ENDED_KEPT) };
}

export function thresholdSet(alerts: Alerts, threshold: AlertThreshold): Alerts {
  const known = alerts.thresholds.some(({ metric }) => metric === threshold.metric);
  const thresholds = known
    ? alerts.thresholds.map((old) => (old.metric === threshold.metric ? threshold : old))
    : [...alerts.thresholds, threshold];
  return { ...alerts, thresholds };
}

function newestFirst(alerts: readonly Alert[]): readonly Alert[] {
  return [...alerts].sort((a, b) => b.at - a.at);
}

export type Severity = "warning" | "critical";

/** Critical: more than half of the way from the threshold to 100 %. */
export function severity({ value, threshold }: Alert): Severity {
  return value >= (threshold.raise_at + 100) / 2 ? "critical" : "warning";
}

export const METRIC_NAMES: Readonly<Record<AlertMetric, string>> = {
  cpu: "CPU",
  memory: "Memory",
  disk: "Disk",
};

/** A threshold as typed into a form, or what is wrong with it, by field. */
export type DraftProblem = { readonly field: "raise_at" | "clear_at" | "for_s"; readonly message: string };

export function draftProblem(draft: AlertThreshold): DraftProblem | undefined {
  if (!within(draft.raise_at, 0, 100)) return { field: "raise_at", message: "A percentage from 0 to 100." };
  if (!within(draft.clear_at, 0, 100)) return { field: "clear_at", message: "A percentage from 0 to 100." };
  if (draft.clear_at >= draft.raise_at) return { field: "clear_at", message: "Must be below the value that raises." };
  if (!within(draft.for_s, 0, 86_400)) return { field: "for_s", message: "Seconds, from 0 to 86400." };
  return undefined;
}

function within(value: number, low: number, high: number): boolean {
  return Number.isFinite(value) && value >= low && value <= high;
}
