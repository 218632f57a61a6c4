/** Everything the page knows and can do, wired once: the views get this and nothing else. */

import { computed, type ReadonlySignal } from "@preact/signals";
import { type AlertsFeed, alertsFeed } from "./feeds/alerts";
import { type HereFeed, hereFeed } from "./feeds/here";
import { type HostsFeed, hostsFeed } from "./feeds/hosts";
import { type OperatorFeed, type OperatorMemory, operatorFeed } from "./feeds/operator";
import { type PresenceFeed, presenceFeed } from "./feeds/presence";
import { type SessionsFeed, sessionsFeed } from "./feeds/sessions";
import { type ViewerFeed, viewerFeed } from "./feeds/viewer";
import { type WatchFeed, watchFeed } from "./feeds/watch";
import type { Link } from "./link";
import type { Page } from "./page";

export interface Console {
  readonly link: Link;
  readonly page: Page;
  /** What is shown was true before the connection was lost. */
  readonly stale: ReadonlySignal<boolean>;
  readonly hosts: HostsFeed;
  readonly watch: WatchFeed;
  readonly alerts: AlertsFeed;
  readonly presence: PresenceFeed;
  readonly here: HereFeed;
  readonly sessions: SessionsFeed;
  readonly operator: OperatorFeed;
  readonly viewer: ViewerFeed;
}

export function createConsole(link: Link, page: Page, memory: OperatorMemory): Console {
  const watch = watchFeed(link, page);
  const alerts = alertsFeed(link, page);
  const presence = presenceFeed(link, page, () => {
    watch.again();
    alerts.again();
  });
  return {
    link,
    page,
    stale: staleness(link),
    watch,
    alerts,
    presence,
    here: hereFeed(link),
    sessions: sessionsFeed(link, page),
    hosts: hostsFeed(link, page),
    operator: operatorFeed(link, page, memory),
    viewer: viewerFeed(link, page),
  };
}

function staleness(link: Link): ReadonlySignal<boolean> {
  let wasOpen = false;
  return computed(() => {
    const open = link.connection.value.phase === "open";
    wasOpen ||= open;
    return wasOpen && !open;
  });
}
