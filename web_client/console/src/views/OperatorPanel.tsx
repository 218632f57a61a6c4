/** Going on duty: from then on services may put questions to the person at this page. */
import { useState } from "preact/hooks";
import type { Console } from "../console";
import type { Duty, OperatorFeed } from "../feeds/operator";
import { clockTime } from "../state/format";
import { nameProblem, type PastQuestion } from "../state/operator";
import { Panel, RefusalNote } from "./Panel";

const PAST_SHOWN = 4;

export function OperatorPanel({ model }: { readonly model: Console }) {
  const { operator, link } = model;
  const duty = operator.duty.value;
  const { past } = operator.desk.value;
  return (
    <Panel
      id="operator"
      title="Operator"
      meta={<DutyBadge duty={duty} reachable={link.connection.value.phase === "open"} />}
    >
      {duty.phase === "off" || duty.phase === "refused" ? (
        <GoOn operator={operator} duty={duty} />
      ) : (
        <div class="on-duty">
          <p>
            Services reach you as <code>operator.{duty.name}.ask</code>
          </p>
          <button type="button" class="button" onClick={operator.goOff}>
            Go off duty
          </button>
        </div>
      )}
      {past.length > 0 && (
        <>
          <h3>Questions</h3>
          <ol class="past" data-testid="past-questions">
            {past.slice(0, PAST_SHOWN).map((question) => (
              <Past key={`${question.at} ${question.question.id}`} {...question} />
            ))}
          </ol>
        </>
      )}
    </Panel>
  );
}

interface BadgeProps {
  readonly duty: Duty;
  readonly reachable: boolean;
}

function DutyBadge({ duty, reachable }: BadgeProps) {
  switch (duty.phase) {
    case "off":
    case "refused":
      return <span class="badge">off duty</span>;
    case "starting":
      return <span class="badge">going on duty</span>;
    case "on":
      return reachable ? (
        <span class="badge badge-good" data-testid="on-duty">
          on duty
        </span>
      ) : (
        <span class="badge badge-warn">out of reach</span>
      );
  }
}

function GoOn({ operator, duty }: { readonly operator: OperatorFeed; readonly duty: Duty }) {
  const [name, setName] = useState(operator.name.value);
  const problem = name === "" ? undefined : nameProblem(name);
  return (
    <form
      class="form"
      onSubmit={(event) => {
        event.preventDefault();
        operator.goOn(name);
      }}
    >
      <div class="field-row">
        <label class="field">
          <span>Your name on duty</span>
          <input
            value={name}
            placeholder="for example: ops"
            autocomplete="off"
            autocapitalize="none"
            spellcheck={false}
            maxLength={64}
            aria-invalid={problem !== undefined}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="button button-primary" disabled={nameProblem(name) !== undefined}>
          I am on duty
        </button>
      </div>
      <p class={problem === undefined ? "hint" : "hint problem"}>
        {problem ?? "Services may then ask you questions here, until you go off duty."}
      </p>
      {duty.phase === "refused" && <RefusalNote why={duty.why} />}
    </form>
  );
}

function Past({ question, outcome, at }: PastQuestion) {
  return (
    <li class="arriving">
      <span class="past-text">{question.text}</span>
      <span class={`outcome outcome-${outcome.kind}`}>
        {outcome.kind === "answered" ? outcome.choice : OUTCOMES[outcome.kind]}
      </span>
      <time class="number muted">{clockTime(at)}</time>
    </li>
  );
}

const OUTCOMES = { declined: "declined", expired: "no answer", withdrawn: "withdrawn" } as const;
