/** Any topic, as it arrives. */
import { useState } from "preact/hooks";
import type { Console } from "../console";
import type { ViewerFeed } from "../feeds/viewer";
import type { Match } from "../link";
import { clockTime, count } from "../state/format";
import { type EventRow, oneLine } from "../state/viewer";
import { PulseIcon } from "./icons";
import { Notice, Panel, RefusalNote } from "./Panel";

const MATCHES: readonly (readonly [Match, string])[] = [
  ["exact", "exact"],
  ["prefix", "prefix"],
  ["wildcard", "wildcard"],
];

export function SubscriptionTool({ model }: { readonly model: Console }) {
  const feed = model.viewer;
  const { rows, total } = feed.viewer.value;
  const watched = feed.watched.value;
  const refusal = feed.refusal.value;
  return (
    <Panel
      id="subscription"
      title="Read a topic"
      stale={model.stale.value}
      meta={watched !== undefined && <span class="muted number">{count(total, "event")}</span>}
    >
      <TopicForm feed={feed} />
      {refusal !== undefined && <RefusalNote why={refusal} />}
      <section class="events" aria-label="Events, newest first">
        {rows.length > 0 ? (
          <ol data-testid="events">
            {rows.map((row) => (
              <Event key={row.serial} row={row} />
            ))}
          </ol>
        ) : (
          <Notice icon={<PulseIcon />} title={watched === undefined ? "No subscription" : "Waiting for an event"}>
            {watched === undefined ? "Events appear here, newest first." : <code>{watched.topic}</code>}
          </Notice>
        )}
      </section>
    </Panel>
  );
}

function TopicForm({ feed }: { readonly feed: ViewerFeed }) {
  const [topic, setTopic] = useState("host.metrics");
  const [match, setMatch] = useState<Match>("exact");
  const { paused, held } = feed.viewer.value;
  const watched = feed.watched.value;
  return (
    <form
      class="tool-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (topic.trim() !== "") feed.start({ topic: topic.trim(), match });
      }}
    >
      <label class="field field-wide">
        <span>Topic</span>
        <input
          class="code"
          value={topic}
          spellcheck={false}
          autocapitalize="none"
          onInput={(event) => setTopic(event.currentTarget.value)}
        />
      </label>
      <label class="field">
        <span>Match</span>
        <select value={match} onChange={(event) => setMatch(event.currentTarget.value as Match)}>
          {MATCHES.map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <div class="actions">
        <button type="submit" class="button button-primary">
          Subscribe
        </button>
        <button
          type="button"
          class="button"
          disabled={watched === undefined}
          onClick={paused ? feed.resume : feed.pause}
        >
          {paused ? `Resume (${held.length} new)` : "Pause"}
        </button>
        <button type="button" class="button" disabled={watched === undefined} onClick={feed.stop}>
          Stop
        </button>
        <button type="button" class="button button-quiet" onClick={feed.clear}>
          Clear
        </button>
      </div>
    </form>
  );
}

function Event({ row }: { readonly row: EventRow }) {
  const [open, setOpen] = useState(false);
  return (
    <li class="event">
      <button type="button" class="event-line" aria-expanded={open} onClick={() => setOpen(!open)}>
        <time class="number muted">{clockTime(row.at)}</time>
        <span class="event-topic">{row.topic}</span>
        <code class="event-data">{oneLine(row.data)}</code>
      </button>
      {open && <pre class="json">{JSON.stringify(row.data, null, 2)}</pre>}
    </li>
  );
}
