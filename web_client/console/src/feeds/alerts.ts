/**
 * The alerts that stand: the newest value of each key of `alerts.raised`, whose key the service deletes when an alert
 * clears. Beside it the ends, which are a stream, and the thresholds, which the service is asked for.
 */
import { effect, type ReadonlySignal, signal, untracked } from "@preact/signals";
import type { Alert, AlertThreshold } from "../contracts";
import type { Link, Refusal } from "../link";
import type { Page } from "../page";
import { type Alerts, ENDED_KEPT, ended, NO_ALERTS, standing, thresholdSet } from "../state/alerts";
import { batch } from "../state/batches";
import { snapshot } from "./snapshot";
import { streamed } from "./stream";

export interface AlertsFeed {
  readonly alerts: ReadonlySignal<Alerts>;
  /** Why the service does not tell its thresholds; `undefined` once it has. */
  readonly refusal: ReadonlySignal<Refusal | undefined>;
  /** Settles once the service accepted the threshold; rejects with its Refusal. */
  set(threshold: AlertThreshold): Promise<void>;
  again(): void;
}

export function alertsFeed(link: Link, page: Page): AlertsFeed {
  const alerts = signal<Alerts>(NO_ALERTS);
  const refusal = signal<Refusal | undefined>(undefined);

  const raised = link.latest("alerts.raised");
  effect(() => {
    const { complete, values } = raised.value;
    untracked(() => {
      alerts.value = standing(alerts.peek(), complete, values.values());
    });
  });

  const ends = batch<Alert>(page.frame, (fresh) => {
    alerts.value = ended(alerts.peek(), fresh);
  });
  streamed(link, page, "alerts.cleared", {
    read: () => link.past("alerts.cleared", { last: ENDED_KEPT }),
    was(events) {
      alerts.value = ended(
        alerts.peek(),
        events.map(({ data }) => data),
      );
    },
    heard: ends.add,
  });

  const asking = snapshot<readonly AlertThreshold[]>(link, page, {
    opening: () => {},
    ask: async () => (await link.call("alerts.list", null)).thresholds,
    answered: (thresholds) => {
      refusal.value = undefined;
      alerts.value = { ...alerts.peek(), thresholds };
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
