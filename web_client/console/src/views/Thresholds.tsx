/** When a metric raises and clears an alert, as a small form for each. The service has the last word. */
import { useState } from "preact/hooks";
import type { AlertThreshold } from "../contracts";
import { asRefusal, type Refusal } from "../link";
import { type DraftProblem, draftProblem, METRIC_NAMES } from "../state/alerts";
import { RefusalNote } from "./Panel";

interface ThresholdsProps {
  readonly thresholds: readonly AlertThreshold[];
  readonly role: string | undefined;
  readonly set: (threshold: AlertThreshold) => Promise<void>;
}

export function Thresholds({ thresholds, role, set }: ThresholdsProps) {
  // The contract of alerts.set: guests may read thresholds, not set them.
  const mayset = role !== undefined && role !== "guest";
  return (
    <details class="disclosure thresholds">
      <summary>
        <span>Thresholds</span>
        {thresholds.map(({ metric, raise_at }) => (
          <span key={metric} class="threshold-now number">
            {METRIC_NAMES[metric]} {raise_at} %
          </span>
        ))}
      </summary>
      {!mayset && (
        <p class="hint">
          {role === undefined ? "Not connected." : "A guest may read these. Sign in with a token to set them."}
        </p>
      )}
      {thresholds.map((threshold) => (
        <ThresholdForm key={JSON.stringify(threshold)} threshold={threshold} enabled={mayset} set={set} />
      ))}
    </details>
  );
}

interface FormProps {
  readonly threshold: AlertThreshold;
  readonly enabled: boolean;
  readonly set: (threshold: AlertThreshold) => Promise<void>;
}

type Field = DraftProblem["field"];

const FIELDS: readonly (readonly [Field, string, string])[] = [
  ["raise_at", "Raise at", "%"],
  ["clear_at", "Clear at", "%"],
  ["for_s", "Held for", "s"],
];

function ThresholdForm({ threshold, enabled, set }: FormProps) {
  const [draft, setDraft] = useState(threshold);
  const [refusal, setRefusal] = useState<Refusal | undefined>(undefined);
  const [sending, setSending] = useState(false);
  const problem = draftProblem(draft);
  const changed = FIELDS.some(([field]) => draft[field] !== threshold[field]);
  const send = async (event: Event) => {
    event.preventDefault();
    if (problem !== undefined || !changed || sending) return;
    setSending(true);
    setRefusal(undefined);
    await set(draft)
      .catch((error: unknown) => setRefusal(asRefusal(error)))
      .finally(() => setSending(false));
  };
  return (
    <form class="threshold" onSubmit={send} data-metric={threshold.metric}>
      <fieldset disabled={!enabled}>
        <legend>{METRIC_NAMES[threshold.metric]}</legend>
        {FIELDS.map(([field, label, unit]) => (
          <NumberField
            key={field}
            label={label}
            unit={unit}
            value={draft[field]}
            problem={problem?.field === field ? problem.message : undefined}
            change={(value) => setDraft((before) => ({ ...before, [field]: value }))}
          />
        ))}
        <button type="submit" class="button" disabled={!changed || problem !== undefined || sending}>
          {sending ? "Saving" : "Save"}
        </button>
      </fieldset>
      {refusal !== undefined && <RefusalNote why={refusal} />}
    </form>
  );
}

interface NumberFieldProps {
  readonly label: string;
  readonly unit: string;
  readonly value: number;
  readonly problem: string | undefined;
  readonly change: (value: number) => void;
}

function NumberField({ label, unit, value, problem, change }: NumberFieldProps) {
  return (
    <label class="field field-number">
      <span>
        {label} <span class="muted">({unit})</span>
      </span>
      <input
        type="number"
        inputMode="decimal"
        step="any"
        value={Number.isFinite(value) ? value : ""}
        aria-invalid={problem !== undefined}
        title={problem}
        onInput={(event) => change(event.currentTarget.valueAsNumber)}
      />
      {problem !== undefined && <small class="problem">{problem}</small>}
    </label>
  );
}
