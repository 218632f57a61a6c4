/**
 * Who is connected: a snapshot, then joins and leaves.
 *
 * Bounds: 500 members kept (beyond them only the counts are right), 30 recent arrivals and departures.
 */
import type { PresenceCount, PresenceList, PresenceMember } from "../contracts";

const MEMBERS_KEPT = 500;
const MOVES_KEPT = 30;

export interface Move {
  readonly serial: number;
  readonly kind: "joined" | "left";
  readonly member: PresenceMember;
  /** The page's clock, epoch seconds. */
  readonly at: number;
}

export interface Presence {
  readonly phase: "loading" | "ready";
  readonly count: number;
  readonly roles: Readonly<Record<string, number>>;
  readonly members: ReadonlyMap<number, PresenceMember>;
  readonly moves: readonly Move[];
  readonly serial: number;
  /** Joins and leaves heard since the snapshot was asked for: it may be older than they are. */
  readonly since: readonly PresenceEvent[];
}

export type PresenceEvent =
  | { readonly kind: "joined" | "left"; readonly member: PresenceMember; readonly at: number }
  | { readonly kind: "counted"; readonly count: PresenceCount };

export const NOBODY: Presence = {
  phase: "loading",
  count: 0,
  roles: {},
  members: new Map(),
  moves: [],
  serial: 0,
  since: [],
};

/** After a (re)connection, before the snapshot: what is shown stays. */
export function reopened(presence: Presence): Presence {
  return { ...presence, phase: "loading", since: [] };
}

export function listed(presence: Presence, list: PresenceList): Presence {
  const members = list.members.reduce(withMember, new Map<number, PresenceMember>());
  return {
    ...presence,
    phase: "ready",
    count: list.count,
    roles: list.roles,
    members: presence.since.reduce<ReadonlyMap<number, PresenceMember>>(membersAfter, members),
    since: [],
  };
}

export function heard(presence: Presence, events: readonly PresenceEvent[]): Presence {
  const next = events.reduce(one, presence);
  return next.phase === "loading" ? { ...next, since: [...next.since, ...events].slice(-MEMBERS_KEPT) } : next;
}

function one(presence: Presence, event: PresenceEvent): Presence {
  if (event.kind === "counted") return { ...presence, count: event.count.count, roles: event.count.roles };
  const { kind, member, at } = event;
  const serial = presence.serial + 1;
  const moves = [{ serial, kind, member, at }, ...presence.moves].slice(0, MOVES_KEPT);
  return { ...presence, serial, moves, members: membersAfter(presence.members, event) };
}

function membersAfter(
  members: ReadonlyMap<number, PresenceMember>,
  event: PresenceEvent,
): ReadonlyMap<number, PresenceMember> {
  switch (event.kind) {
    case "counted":
      return members;
    case "joined":
      return withMember(new Map(members), event.member);
    case "left": {
      const rest = new Map(members);
      rest.delete(event.member.session);
      return rest;
    }
  }
}

function withMember(members: Map<number, PresenceMember>, member: PresenceMember): Map<number, PresenceMember> {
  if (members.size < MEMBERS_KEPT) members.set(member.session, member);
  return members;
}

export interface RoleGroup {
  readonly role: string;
  readonly count: number;
  readonly members: readonly PresenceMember[];
}

const ROLE_ORDER = ["operator", "user", "service", "guest"];

/** Members by role, known roles first; within a role by name, then by session. */
export function byRole(presence: Presence): readonly RoleGroup[] {
  const groups = new Map<string, PresenceMember[]>();
  for (const role of Object.keys(presence.roles)) groups.set(role, []);
  for (const member of presence.members.values()) groups.set(member.role, [...(groups.get(member.role) ?? []), member]);
  return [...groups]
    .map(([role, members]) => ({ role, count: presence.roles[role] ?? members.length, members: members.sort(byName) }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => rank(a.role) - rank(b.role) || a.role.localeCompare(b.role));
}

function rank(role: string): number {
  const index = ROLE_ORDER.indexOf(role);
  return index === -1 ? ROLE_ORDER.length : index;
}

function byName(a: PresenceMember, b: PresenceMember): number {
  return a.authid.localeCompare(b.authid) || a.session - b.session;
}
