/** The alerts that stand and their thresholds. Both topics are subscribed to before the snapshot is asked for. */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { AlertList, AlertThreshold } from "../contracts";
import type { Link, Refusal } from "../link";
import type { Page } from "../page";
import { type AlertEvent, type Alerts, heard, listed, NO_ALERTS, reopened, thresholdSet } from "../state/alerts";
import { batch } from "../state/batches";
import { snapshot } from "./snapshot";

export interface AlertsFeed {
  readonly alerts: ReadonlySignal<Alerts>;
  /** Why there is no snapshot; `undefined` once there is one. */
  readonly refusal: ReadonlySignal<Refusal | undefined>;
  /** Settles once the service accepted the threshold; rejects with its Refusal. */
  set(threshold: AlertThreshold): Promise<void>;
  again(): void;
}

export function alertsFeed(link: Link, page: Page): AlertsFeed {
  const alerts = signal<Alerts>(NO_ALERTS);
  const refusal = signal<Refusal | undefined>(undefined);

  const arrivals = batch<AlertEvent>(page.frame, (events) => {
    alerts.value = heard(alerts.peek(), events);
  });
  link.subscribe("alerts.raised", ({ data }) => arrivals.add({ kind: "raised", alert: data }));
  link.subscribe("alerts.cleared", ({ data }) => arrivals.add({ kind: "cleared", alert: data }));

  const asking = snapshot<AlertList>(link, page, {
    opening: () => {
      alerts.value = reopened(alerts.peek());
    },
    ask: () => link.call("alerts.list", null),
    answered: (list) => {
      arrivals.flush();
      refusal.value = undefined;
      alerts.value = listed(alerts.peek(), list);
    },
    refused: (why) => {
      refusal.value = why;
    },
  });

  return {
    alerts,
    refusal,
    async set(threshold) {
      const now = await link.call("alerts.set", threshold);
      alerts.value = thresholdSet(alerts.peek(), now);
    },
    again: asking.again,
  };
}
