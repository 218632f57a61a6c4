/** The frame of every panel: title, facts at the right, and the three ways a panel can have nothing to show. */
import type { ComponentChildren } from "preact";
import type { Refusal } from "../link";

export interface PanelProps {
  readonly title: string;
  readonly id: string;
  readonly meta?: ComponentChildren;
  /** What is shown is not live: the connection is down. */
  readonly stale?: boolean;
  readonly children: ComponentChildren;
}

export function Panel({ title, id, meta, stale = false, children }: PanelProps) {
  return (
    <section class={stale ? "panel panel-stale" : "panel"} id={id} aria-labelledby={`${id}-title`}>
      <header class="panel-head">
        <h2 id={`${id}-title`}>{title}</h2>
        <div class="panel-meta">
          {meta}
          {stale && <span class="badge">last known</span>}
        </div>
      </header>
      <div class="panel-body">{children}</div>
    </section>
  );
}

export interface NoticeProps {
  readonly icon: ComponentChildren;
  readonly title: string;
  readonly children?: ComponentChildren;
}

/** Why there is nothing here, and what would change that. */
export function Notice({ icon, title, children }: NoticeProps) {
  return (
    <div class="notice">
      <span class="notice-icon">{icon}</span>
      <div>
        <p class="notice-title">{title}</p>
        {children !== undefined && <p class="notice-text">{children}</p>}
      </div>
    </div>
  );
}

/** Grey bars where rows will be. */
export function Skeleton({ rows, label }: { readonly rows: number; readonly label: string }) {
  return (
    <div class="skeleton" role="status">
      <span class="sr-only">{label}</span>
      {Array.from({ length: rows }, (_, index) => (
        <span key={index} class="skeleton-bar" aria-hidden="true" />
      ))}
    </div>
  );
}

/** A "no" from the other side with all it said. */
export function RefusalNote({ why }: { readonly why: Refusal }) {
  const { where, path, advice, data } = why.facts;
  return (
    <div class="refusal" role="alert">
      <p class="refusal-message">{why.message}</p>
      <dl class="facts-inline">
        <Fact name="Code" value={why.code} />
        <Fact name="Where" value={where} />
        {typeof data?.rule === "string" && <Fact name="Rule" value={data.rule} />}
        {path !== undefined && <Fact name="Field" value={path === "" ? "(the whole payload)" : path} />}
      </dl>
      {advice !== undefined && <p class="refusal-advice">{advice}</p>}
    </div>
  );
}

interface FactProps {
  readonly name: string;
  readonly value: string | null | undefined;
}

/** A line of a list of facts; none where there is no value. */
export function Fact({ name, value }: FactProps) {
  if (value === null || value === undefined) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>
        <code>{value}</code>
      </dd>
    </>
  );
}
