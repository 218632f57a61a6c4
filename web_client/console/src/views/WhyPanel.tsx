/** Whether somebody may do something, and the rule that says so: the node's own answer. For operators. */
import { useState } from "preact/hooks";
import type { AccessAnswer, AccessQuestion } from "../contracts";
import { asRefusal, type Link } from "../link";
import type { Remote } from "../state/remote";
import { CheckIcon, LockIcon } from "./icons";
import { Fact, Panel, RefusalNote } from "./Panel";
import { sentence } from "./SignIn";

const ACTIONS: readonly AccessQuestion["action"][] = ["subscribe", "publish", "call", "register"];
const MATCHES = ["exact", "prefix", "wildcard"] as const;
const ROLES = ["guest", "user", "service", "operator"] as const;

interface Form {
  readonly subject: string;
  readonly role: "" | (typeof ROLES)[number];
  readonly action: AccessQuestion["action"];
  readonly uri: string;
  readonly match: (typeof MATCHES)[number];
}

const EMPTY: Form = { subject: "", role: "", action: "subscribe", uri: "", match: "exact" };

/** What is not said is as the subject's session has it. */
export function questionOf({ subject, role, action, uri, match }: Form): AccessQuestion {
  return {
    ...{ subject: subject.trim(), action, uri: uri.trim() },
    ...(match !== "exact" && { match }),
    ...(role !== "" && { role }),
  };
}

export function WhyPanel({ link }: { readonly link: Link }) {
  const [form, setForm] = useState(EMPTY);
  const [answer, setAnswer] = useState<Remote<AccessAnswer>>();
  const question = questionOf(form);
  const complete = question.subject !== "" && question.uri !== "";
  const change = (to: Partial<Form>) => {
    setForm({ ...form, ...to });
    setAnswer(undefined);
  };
  const ask = async () => {
    try {
      setAnswer({ phase: "ready", value: await link.call("hopsack.access.why", question) });
    } catch (error) {
      setAnswer({ phase: "failed", why: asRefusal(error) });
    }
  };
  return (
    <Panel id="why" title="Who may do what">
      <form
        class="why-form"
        onSubmit={(event) => {
          event.preventDefault();
          if (complete) void ask();
        }}
      >
        <Text label="Who" value={form.subject} change={(subject) => change({ subject })} />
        <Choice
          label="Role"
          value={form.role}
          of={["", ...ROLES]}
          words={{ "": "as connected" }}
          change={(role) => change({ role })}
        />
        <Choice label="Wants to" value={form.action} of={ACTIONS} change={(action) => change({ action })} />
        <Text label="Topic or procedure" value={form.uri} change={(uri) => change({ uri })} />
        <Choice label="Match" value={form.match} of={MATCHES} change={(match) => change({ match })} />
        <button type="submit" class="button button-primary" disabled={!complete}>
          Ask
        </button>
      </form>
      <div aria-live="polite" data-testid="why-answer">
        {answer === undefined && (
          <p class="quiet">
            The node answers as it would to them. <code>hopsack why</code> tells the same on the command line.
          </p>
        )}
        {answer?.phase === "failed" && <RefusalNote why={answer.why} />}
        {answer?.phase === "ready" && <Verdict answer={answer.value} />}
      </div>
    </Panel>
  );
}

function Verdict({ answer }: { readonly answer: AccessAnswer }) {
  const { allowed, who, why, rule, contract, place, code } = answer;
  const person = [
    `${who.subject}, ${who.role}`,
    ...who.groups.map((group) => `group ${group}`),
    ...(who.tenant === null ? [] : [`tenant ${who.tenant}`]),
  ];
  return (
    <div class={allowed ? "verdict verdict-yes" : "verdict verdict-no"}>
      <p class="verdict-word">
        {allowed ? <CheckIcon /> : <LockIcon />}
        {allowed ? "Allowed" : "Not allowed"}
      </p>
      <p>{sentence(why)}</p>
      <dl class="facts-inline">
        <Fact name="Who" value={person.join(" · ")} />
        <Fact name="Rule" value={rule} />
        <Fact name="Contract" value={contract} />
        <Fact name="Written in" value={place} />
        <Fact name="Error" value={code} />
      </dl>
    </div>
  );
}

interface TextProps {
  readonly label: string;
  readonly value: string;
  readonly change: (value: string) => void;
}

function Text({ label, value, change }: TextProps) {
  return (
    <label class="field">
      <span>{label}</span>
      <input
        class="code"
        value={value}
        spellcheck={false}
        autocapitalize="none"
        onInput={(event) => change(event.currentTarget.value)}
      />
    </label>
  );
}

interface ChoiceProps<Value extends string> {
  readonly label: string;
  readonly value: Value;
  readonly of: readonly Value[];
  readonly words?: Partial<Record<Value, string>>;
  readonly change: (value: Value) => void;
}

function Choice<Value extends string>({ label, value, of, words, change }: ChoiceProps<Value>) {
  return (
    <label class="field">
      <span>{label}</span>
      <select value={value} onChange={(event) => change(event.currentTarget.value as Value)}>
        {of.map((one) => (
          <option key={one} value={one}>
            {words?.[one] ?? one}
          </option>
        ))}
      </select>
    </label>
  );
}
