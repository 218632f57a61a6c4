/**
 * The alerts that stand, those that ended while this page was open, and the thresholds.
 *
 * Bounds: 200 active, 50 ended; the oldest makes room.
 */
import type { Alert, AlertList, AlertMetric, AlertThreshold } from "../contracts";

const ACTIVE_KEPT = 200;
const ENDED_KEPT = 50;

export interface Alerts {
  readonly phase: "loading" | "ready";
  /** Newest first. */
  readonly active: readonly Alert[];
  /** Newest first. */
  readonly ended: readonly Alert[];
  readonly thresholds: readonly AlertThreshold[];
  /** What was heard since the snapshot was asked for: it is newer than the snapshot. */
  readonly since: readonly AlertEvent[];
}

export type AlertEvent = { readonly kind: "raised" | "cleared"; readonly alert: Alert };

export const NO_ALERTS: Alerts = { phase: "loading", active: [], ended: [], thresholds: [], since: [] };

/** After a (re)connection, before the snapshot: what is shown stays. */
export function reopened(alerts: Alerts): Alerts {
  return { ...alerts, phase: "loading", since: [] };
}

export function listed(alerts: Alerts, list: AlertList): Alerts {
  const fresh: Alerts = {
    ...alerts,
    phase: "ready",
    active: newestFirst(list.active).slice(0, ACTIVE_KEPT),
    thresholds: list.thresholds,
    since: [],
  };
  return heard(fresh, alerts.since);
}

export function heard(alerts: Alerts, events: readonly AlertEvent[]): Alerts {
  const next = events.reduce(one, alerts);
  return next.phase === "loading" ? { ...next, since: [...next.since, ...events].slice(-ACTIVE_KEPT) } : next;
}

function one(alerts: Alerts, { kind, alert }: AlertEvent): Alerts {
  const others = alerts.active.filter(({ id }) => id !== alert.id);
  switch (kind) {
    case "raised":
      if (alerts.ended.some(({ id }) => id === alert.id)) return alerts;
      return { ...alerts, active: newestFirst([alert, ...others]).slice(0, ACTIVE_KEPT) };
    case "cleared": {
      const ended = [alert, ...alerts.ended.filter(({ id }) => id !== alert.id)].slice(0, ENDED_KEPT);
      return { ...alerts, active: others, ended };
    }
  }
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
