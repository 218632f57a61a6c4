/** Who has the console open. The node merges the pages of one person, and waits a little before it tells that one left. */
import type { TopicMember } from "../contracts";

export interface Person {
  readonly authid: string;
  readonly role: string;
  /** Epoch seconds. */
  readonly since: number;
  /** This page's own. */
  readonly own: boolean;
}

/** Oneself first, then by name: who comes or goes moves nobody else about. */
export function people(members: Iterable<TopicMember>, own: string | undefined): readonly Person[] {
  return [...members]
    .map(({ authid, since, role = "" }) => ({ authid, role, since, own: authid === own }))
    .sort((a, b) => Number(b.own) - Number(a.own) || a.authid.localeCompare(b.authid));
}
