/** Who reads too slowly, what the node does about it, everybody else, and who may do what. For operators. */
import { useEffect, useState } from "preact/hooks";
import type { Console } from "../console";
import type { SessionInfo } from "../contracts";
import type { Refusal } from "../link";
import { ago, asText, bytes, clockTime, count } from "../state/format";
import { type Behind, followed, NO_SESSIONS, POLICIES, type Sessions, since } from "../state/sessions";
import { DOORS } from "./doors";
import { CheckIcon, LockIcon } from "./icons";
import { Notice, Panel, RefusalNote, Skeleton } from "./Panel";
import { WhyPanel } from "./WhyPanel";

export function ConnectionsView({ model }: { readonly model: Console }) {
  const { sessions: feed } = model;
  useEffect(() => {
    const watching = feed.watch();
    return () => watching.close();
  }, [feed]);
  const asked = feed.sessions.value;
  const known = asked.phase === "ready" ? asked.value : NO_SESSIONS;
  const { behind, level, total } = known;
  return (
    <main class="connections">
      <h1 class="sr-only">Connections</h1>
      <Panel
        id="behind"
        title="Behind"
        stale={model.stale.value}
        meta={behind.length > 0 && <span class="badge badge-warn">{behind.length} behind</span>}
      >
        {asked.phase === "loading" && <Skeleton rows={3} label="Asking for the connections" />}
        {asked.phase === "failed" && <Refused model={model} why={asked.why} />}
        {asked.phase === "ready" && <BehindList sessions={known} model={model} />}
      </Panel>
      {asked.phase === "ready" && (
        <Panel
          id="level"
          title="Up to date"
          stale={model.stale.value}
          meta={<span class="muted number">{total - behind.length}</span>}
        >
          {feed.trouble.value !== undefined && <RefusalNote why={feed.trouble.value} />}
          <LevelTable sessions={level} model={model} />
          {level.length < total - behind.length && (
            <p class="quiet">
              {total - behind.length - level.length} more: <code>hopsack sessions ls</code> lists all.
            </p>
          )}
        </Panel>
      )}
      {asked.phase === "ready" && <WhyPanel link={model.link} />}
    </main>
  );
}

function Refused({ model, why }: { readonly model: Console; readonly why: Refusal }) {
  if (why.code !== "hopsack.denied") return <RefusalNote why={why} />;
  const connection = model.link.connection.value;
  const role = connection.phase === "open" ? connection.identity.role : "guest";
  return (
    <div class="needs-operator" data-testid="needs-operator">
      <Notice icon={<LockIcon />} title="Only an operator may see connections">
        This page is a {role}. Make a token where the node runs, and sign in with it:
      </Notice>
      <pre class="command">
        <code>
          ./hopsack token <span class="whole">--role operator</span> <span class="whole">--sub me</span>{" "}
          <span class="whole">--for 8h</span>
        </code>
      </pre>
      <div class="actions">
        <button type="button" class="button button-primary" popovertarget="identity">
          Sign in
        </button>
      </div>
      <p class="quiet">
        At the terminal of a node in development, <code>./hopsack sessions ls</code> tells the same without a token.
      </p>
    </div>
  );
}

interface ListProps {
  readonly sessions: Sessions;
  readonly model: Console;
}

function BehindList({ sessions: { behind, total }, model }: ListProps) {
  if (behind.length === 0) {
    return (
      <Notice icon={<CheckIcon />} title="Everybody keeps up">
        {total === 1 ? "The only connection takes" : `All ${total} connections take`} what is sent as fast as it comes.
      </Notice>
    );
  }
  return (
    <ul class="behind" data-testid="behind-list">
      {behind.map((one) => (
        <BehindCard key={one.session} session={one} model={model} />
      ))}
    </ul>
  );
}

function BehindCard({ session, model }: { readonly session: Behind; readonly model: Console }) {
  const { lag } = session;
  const now = model.page.clock.value;
  const [policy, meaning] = POLICIES[lag.policy] ?? [lag.policy, ""];
  const stalled = lag.stalled_since !== null;
  return (
    <li class={stalled ? "behind-card behind-stalled" : "behind-card"}>
      <p class="behind-who">
        <bdi class="member-name">{session.authid}</bdi>
        <span class={`role role-${session.role}`}>{session.role}</span>
        {stalled && <span class="badge badge-bad">takes nothing for {since(lag.stalled_since, now)}</span>}
      </p>
      <dl class="behind-facts">
        <Fact name="Unsent" value={asText(bytes(lag.unsent))} />
        <Fact name="Policy" value={policy} title={meaning} />
        <Fact name="Behind for" value={since(lag.since, now)} />
        <Fact name="Door" value={DOORS[session.door] ?? session.door} />
        <Fact name="Session" value={String(session.session)} />
        {lag.dropped > 0 && <Fact name="Lost" value={count(lag.dropped, "event")} />}
      </dl>
      {followed(lag).map((words) => (
        <p key={words} class="quiet">
          {words}
        </p>
      ))}
      <p class="quiet">{meaning}</p>
      <div class="actions">
        <EndButton model={model} session={session} />
      </div>
    </li>
  );
}

function Fact({ name, value, title }: { readonly name: string; readonly value: string; readonly title?: string }) {
  return (
    <div title={title}>
      <dt>{name}</dt>
      <dd class="number">{value}</dd>
    </div>
  );
}

/** Asks once more before it does it; who looks elsewhere meanwhile has not meant it. */
function EndButton({ model, session }: { readonly model: Console; readonly session: SessionInfo }) {
  const [asked, setAsked] = useState(false);
  const connection = model.link.connection.value;
  if (connection.phase === "open" && connection.identity.session === session.session)
    return <span class="tag">this page</span>;
  return (
    <button
      type="button"
      class={asked ? "button button-small button-danger" : "button button-small"}
      title={`End session ${session.session} of ${session.authid}`}
      onBlur={() => setAsked(false)}
      onClick={() => {
        if (asked) void model.sessions.end(session.session);
        setAsked(!asked);
      }}
    >
      {asked ? "Really?" : "End"}
      <span class="sr-only"> the session of {session.authid}</span>
    </button>
  );
}

interface TableProps {
  readonly sessions: readonly SessionInfo[];
  readonly model: Console;
}

function LevelTable({ sessions, model }: TableProps) {
  return (
    <table class="rows sessions" data-testid="sessions">
      <thead>
        <tr>
          {COLUMNS.map(([title, kind]) => (
            <th key={title} scope="col" class={`cell cell-head ${kind}`}>
              {title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {sessions.map((one) => (
          <tr key={one.session}>
            <th scope="row" class="cell">
              <bdi class="member-name">{one.authid}</bdi> <span class={`role role-${one.role}`}>{one.role}</span>
            </th>
            <td class="cell broad-only">{DOORS[one.door] ?? one.door}</td>
            <td class="cell wide-only">{peerOf(one.peer)}</td>
            <td class="cell wide-only" title={one.agent ?? undefined}>
              {one.agent ?? "–"}
            </td>
            <td class="cell wide-only number">{one.session}</td>
            <td class="cell cell-last number">
              <time title={clockTime(one.since)}>{ago(one.since, model.page.clock.value)}</time>
            </td>
            <td class="cell cell-end">
              <EndButton model={model} session={one} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const COLUMNS = [
  ["Who", ""],
  ["Door", "broad-only"],
  ["From", "wide-only"],
  ["Software", "wide-only"],
  ["Session", "wide-only"],
  ["Since", "cell-last"],
  ["", "cell-end"],
] as const;

/** `tcp4:127.0.0.1:5000` is how the node writes an address. */
function peerOf(peer: string | null): string {
  return peer?.replace(/^tcp[46]?:/, "") ?? "–";
}
