/**
 * Connections, as an operator sees them: those that read more slowly than is sent to them first.
 *
 * Bound: 500 are kept for the view, those behind before all others.
 */
import type { LagInfo, SessionInfo } from "../contracts";
import { count, duration } from "./format";

const KEPT = 500;

export interface Sessions {
  /** The worst first. */
  readonly behind: readonly Behind[];
  /** Those that keep up, newest first. */
  readonly level: readonly SessionInfo[];
  readonly total: number;
}

export type Behind = SessionInfo & { readonly lag: LagInfo };

export const NO_SESSIONS: Sessions = { behind: [], level: [], total: 0 };

export function sessionsOf(list: readonly SessionInfo[]): Sessions {
  const behind = list.filter(isBehind).sort(worstFirst).slice(0, KEPT);
  const level = list.filter((one) => !isBehind(one)).sort((a, b) => b.since - a.since || b.session - a.session);
  return { behind, level: level.slice(0, KEPT - behind.length), total: list.length };
}

function isBehind(session: SessionInfo): session is Behind {
  return session.lag !== undefined;
}

function worstFirst(a: Behind, b: Behind): number {
  const stalled = Number(b.lag.stalled_since !== null) - Number(a.lag.stalled_since !== null);
  return stalled || b.lag.unsent - a.lag.unsent || a.session - b.session;
}

/** What the node does for who is behind: a name, and what it means for that reader. */
export const POLICIES: Readonly<Record<LagInfo["policy"], readonly [name: string, meaning: string]>> = {
  holding: ["events wait", "Events wait within its budget; nothing is lost."],
  following: ["follows the journal", "It reads streams from the journal at its own pace; nothing is lost."],
  newest: ["newest values only", "Values that were replaced meanwhile are left out."],
  dropping: ["loses events", "The oldest live events give way, and it is told how many."],
};

/** `12 s`, or a dash where the node does not know. */
export function since(moment: number | null, now: number): string {
  return moment === null ? "–" : duration(now - moment);
}

/** `1200 events behind on host.metrics`. */
export function followed(lag: LagInfo): readonly string[] {
  return lag.following.map(({ topic, behind }) => `${count(behind, "event")} behind on ${topic}`);
}
