/**
 * A stream as a page wants it: first what was, then what comes. The subscription goes on behind the last event read back,
 * so nothing between the two is missed, and nothing is heard twice.
 *
 *   -> hopsack.stream.read   until nothing is left; a lost connection begins it again
 *   -> subscribe             after the position where reading ended
 *
 * Where nothing can be read back (the third "no", or one that will not change), only what comes is heard.
 */
import type { Topics } from "../contracts";
import type { Hearing, Link, Past, PastEvent, Topic } from "../link";
import type { Page } from "../page";
import { snapshot } from "./snapshot";

const ATTEMPTS = 3;

/** Events that are read back at most; those behind them come as events. */
const READ_BACK = 4_000;

export interface StreamPlan<Data> extends Omit<Hearing, "after"> {
  readonly read: () => Promise<Past<Data>>;
  /** Told once, before anything is heard. */
  readonly was: (events: readonly PastEvent<Data>[]) => void;
  readonly heard: (data: Data) => void;
}

export function streamed<T extends Topic>(link: Link, page: Page, topic: T, plan: StreamPlan<Topics[T]>): void {
  let failures = 0;
  const goLive = (after?: string) => {
    asking.close();
    link.subscribe(topic, ({ data }) => plan.heard(data), { ...plan, after });
  };
  const asking = snapshot<Past<Topics[T]>>(link, page, {
    opening: () => {},
    ask: plan.read,
    answered: ({ events, position }) => {
      plan.was(events);
      goLive(position);
    },
    refused: (why) => {
      failures += 1;
      if (!why.passing || failures === ATTEMPTS) goLive();
    },
  });
}

/** What came in the last `seconds` before the newest event: by the node's clock, whatever this page's says. */
export async function readBack<T extends Topic>(link: Link, topic: T, seconds: number): Promise<Past<Topics[T]>> {
  const newest = await link.past(topic, { last: 1 });
  const last = newest.events.at(-1);
  if (last === undefined) return newest;
  let past = await link.past(topic, { since: last.time - seconds });
  const events = [...past.events];
  while (!past.end && past.position !== undefined && events.length < READ_BACK) {
    past = await link.past(topic, { after: past.position });
    events.push(...past.events);
  }
  return { ...past, events };
}
