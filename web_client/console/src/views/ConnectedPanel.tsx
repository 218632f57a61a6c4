/** Who has the console open, and all who are connected, by role, with the door each came through. */
import type { Console } from "../console";
import type { PresenceMember } from "../contracts";
import type { Page } from "../page";
import { ago, clockTime } from "../state/format";
import type { Person } from "../state/here";
import { byRole, type Move } from "../state/presence";
import { DOORS } from "./doors";
import { Panel, RefusalNote, Skeleton } from "./Panel";

const MOVES_SHOWN = 4;
const PEOPLE_SHOWN = 12;

export function ConnectedPanel({ model }: { readonly model: Console }) {
  const { presence: feed, page, link } = model;
  const presence = feed.presence.value;
  const connection = link.connection.value;
  const own = connection.phase === "open" ? connection.identity.session : undefined;
  const refusal = feed.refusal.value;
  const empty = presence.members.size === 0;
  return (
    <Panel
      id="connected"
      title="Connected"
      stale={model.stale.value}
      meta={!empty && <span class="muted number">{presence.count}</span>}
    >
      <Here people={model.here.people.value} />
      {refusal !== undefined && empty && <RefusalNote why={refusal} />}
      {refusal === undefined && empty && <Skeleton rows={4} label="Asking who is connected" />}
      <div class="members" data-testid="members">
        {byRole(presence).map(({ role, count, members }) => (
          <section key={role} class="member-group">
            <h3>
              <span class={`role role-${role}`}>{role}</span>
              <span class="number muted">{count}</span>
            </h3>
            <ul>
              {members.map((member) => (
                <Member key={member.session} member={member} own={member.session === own} page={page} />
              ))}
            </ul>
          </section>
        ))}
      </div>
      {presence.moves.length > 0 && <Moves moves={presence.moves} page={page} />}
    </Panel>
  );
}

/** Several pages of one person are one. */
function Here({ people }: { readonly people: readonly Person[] }) {
  return (
    <section class="here">
      <h3>
        At the console <span class="number">{people.length === 0 ? "–" : people.length}</span>
      </h3>
      <ul data-testid="here">
        {people.slice(0, PEOPLE_SHOWN).map(({ authid, role, own }) => (
          <li key={authid} class="arriving" title={role}>
            <bdi class="member-name">{authid}</bdi>
            {own && <span class="tag">you</span>}
          </li>
        ))}
        {people.length > PEOPLE_SHOWN && <li class="muted">{people.length - PEOPLE_SHOWN} more</li>}
      </ul>
    </section>
  );
}

interface MemberProps {
  readonly member: PresenceMember;
  readonly own: boolean;
  readonly page: Page;
}

function Member({ member, own, page }: MemberProps) {
  return (
    <li class="member arriving">
      <bdi class="member-name" title={`Session ${member.session}, since ${clockTime(member.since)}`}>
        {member.authid}
      </bdi>
      {own && <span class="tag">this page</span>}
      <span class="member-door">{DOORS[member.door] ?? member.door}</span>
      <Age at={member.since} page={page} />
    </li>
  );
}

function Age({ at, page }: { readonly at: number; readonly page: Page }) {
  return <time class="number muted member-age">{ago(at, page.clock.value).replace(" ago", "")}</time>;
}

function Moves({ moves, page }: { readonly moves: readonly Move[]; readonly page: Page }) {
  return (
    <>
      <h3>Lately</h3>
      <ol class="moves" data-testid="moves">
        {moves.slice(0, MOVES_SHOWN).map(({ serial, kind, member, at }) => (
          <li key={serial} class="arriving">
            <span class={kind === "joined" ? "sign sign-created" : "sign sign-deleted"} aria-hidden="true">
              {kind === "joined" ? "+" : "−"}
            </span>
            <bdi class="member-name">{member.authid}</bdi>
            <span class="muted">{kind}</span>
            <Age at={at} page={page} />
          </li>
        ))}
      </ol>
    </>
  );
}
