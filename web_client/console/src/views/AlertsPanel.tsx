/** Alerts that stand, alerts that ended, and the thresholds behind both. */
import type { Console } from "../console";
import type { Alert } from "../contracts";
import type { Page } from "../page";
import { METRIC_NAMES, severity } from "../state/alerts";
import { ago, clockTime, duration } from "../state/format";
import { CheckIcon, CriticalIcon, PlugIcon, WarningIcon } from "./icons";
import { Notice, Panel, RefusalNote, Skeleton } from "./Panel";
import { Thresholds } from "./Thresholds";

const ENDED_SHOWN = 5;

/** The code of "nobody serves this". */
const NOBODY = "hopsack.no_callee";

export function AlertsPanel({ model }: { readonly model: Console }) {
  const { alerts: feed, link } = model;
  const { active, ended, thresholds } = feed.alerts.value;
  const connection = link.connection.value;
  const role = connection.phase === "open" ? connection.identity.role : undefined;
  return (
    <Panel
      id="alerts"
      title="Alerts"
      stale={model.stale.value}
      meta={active.length > 0 && <span class="badge badge-bad">{active.length} active</span>}
    >
      <Standing model={model} />
      {ended.length > 0 && (
        <>
          <h3>Ended</h3>
          <ul class="ended" data-testid="alerts-ended">
            {ended.slice(0, ENDED_SHOWN).map((alert) => (
              <Ended key={alert.id} alert={alert} />
            ))}
          </ul>
        </>
      )}
      {thresholds.length > 0 && <Thresholds thresholds={thresholds} role={role} set={feed.set} />}
      <span class="sr-only" role="status">
        {active[0] === undefined ? "" : `Alert: ${active[0].message}`}
      </span>
    </Panel>
  );
}

function Standing({ model }: { readonly model: Console }) {
  const { active, phase, thresholds } = model.alerts.alerts.value;
  const refusal = model.alerts.refusal.value;
  if (active.length > 0) {
    return (
      <>
        <ul class="alerts" data-testid="alerts-active">
          {active.map((alert) => (
            <ActiveAlert key={alert.id} alert={alert} page={model.page} />
          ))}
        </ul>
        {refusal?.code === NOBODY && (
          <p class="quiet">The alerts service is not running: these are the last that it told.</p>
        )}
      </>
    );
  }
  if (refusal !== undefined) {
    if (refusal.code !== NOBODY) return <RefusalNote why={refusal} />;
    return (
      <Notice icon={<PlugIcon />} title="The alerts service is not running">
        Start it with <code>./hopsack run services/alerts</code>.
      </Notice>
    );
  }
  if (phase === "loading" || thresholds.length === 0) return <Skeleton rows={2} label="Asking for alerts" />;
  return (
    <Notice icon={<CheckIcon />} title="All quiet">
      No value is above its threshold.
    </Notice>
  );
}

function ActiveAlert({ alert, page }: { readonly alert: Alert; readonly page: Page }) {
  const level = severity(alert);
  const { threshold } = alert;
  return (
    <li class={`alert alert-${level} arriving`}>
      <span class="alert-icon">{level === "critical" ? <CriticalIcon /> : <WarningIcon />}</span>
      <div class="alert-text">
        <p class="alert-message">{alert.message}</p>
        <p class="alert-facts">
          <strong>{level === "critical" ? "Critical" : "Warning"}</strong>
          <span>
            {METRIC_NAMES[alert.metric]} <span class="number">{alert.value.toFixed(0)} %</span>, threshold{" "}
            <span class="number">{threshold.raise_at} %</span>
          </span>
        </p>
        <p class="alert-facts muted">
          <span>{alert.host}</span>
          <Since at={alert.at} page={page} />
        </p>
        {alert.acknowledged_by !== null && (
          <p class="alert-owner">
            <CheckIcon /> {alert.acknowledged_by} took it on
          </p>
        )}
      </div>
    </li>
  );
}

function Since({ at, page }: { readonly at: number; readonly page: Page }) {
  return (
    <time class="number" title={clockTime(at)}>
      {ago(at, page.clock.value)}
    </time>
  );
}

function Ended({ alert }: { readonly alert: Alert }) {
  const lasted = alert.cleared_at === null ? undefined : duration(alert.cleared_at - alert.at);
  return (
    <li class="arriving">
      <CheckIcon />
      <span>
        {METRIC_NAMES[alert.metric]} on {alert.host}
      </span>
      <span class="muted number">
        {clockTime(alert.cleared_at ?? alert.at)}
        {lasted !== undefined && `, after ${lasted}`}
      </span>
    </li>
  );
}
