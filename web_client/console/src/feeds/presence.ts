/** Who is connected. All three topics are subscribed to before the snapshot is asked for. */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { PresenceList, PresenceMember } from "../contracts";
import type { Link, Refusal } from "../link";
import type { Page } from "../page";
import { batch } from "../state/batches";
import { heard, listed, NOBODY, type Presence, type PresenceEvent, reopened } from "../state/presence";
import { snapshot } from "./snapshot";

export interface PresenceFeed {
  readonly presence: ReadonlySignal<Presence>;
  readonly refusal: ReadonlySignal<Refusal | undefined>;
}

/** `serviceJoined` is told of every service that joins: its answers may differ from what is shown. */
export function presenceFeed(link: Link, page: Page, serviceJoined: () => void): PresenceFeed {
  const presence = signal<Presence>(NOBODY);
  const refusal = signal<Refusal | undefined>(undefined);

  const arrivals = batch<PresenceEvent>(page.frame, (events) => {
    presence.value = heard(presence.peek(), events);
    if (events.some((event) => event.kind === "joined" && event.member.role === "service")) serviceJoined();
  });
  const moved = (kind: "joined" | "left", member: PresenceMember) => arrivals.add({ kind, member, at: page.now() });
  link.subscribe("presence.joined", ({ data }) => moved("joined", data));
  link.subscribe("presence.left", ({ data }) => moved("left", data));
  link.subscribe("presence.count", ({ data }) => arrivals.add({ kind: "counted", count: data }));

  snapshot<PresenceList>(link, page, {
    opening: () => {
      presence.value = reopened(presence.peek());
    },
    ask: () => link.call("presence.list", null),
    answered: (list) => {
      arrivals.flush();
      refusal.value = undefined;
      presence.value = listed(presence.peek(), list);
    },
    refused: (why) => {
      refusal.value = why;
    },
  });
  return { presence, refusal };
}
