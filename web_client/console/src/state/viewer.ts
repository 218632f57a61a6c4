/**
 * The raw subscription viewer: the newest events of one subscription.
 *
 * Bounds: 200 rows and, while paused, 200 held back; the oldest makes room and is counted.
 */
const ROWS_KEPT = 200;

export interface EventRow {
  readonly serial: number;
  readonly topic: string;
  readonly data: unknown;
  /** The page's clock, epoch seconds. */
  readonly at: number;
}

export interface Viewer {
  readonly paused: boolean;
  /** Newest first. */
  readonly rows: readonly EventRow[];
  /** Newest first; shown on resuming. */
  readonly held: readonly EventRow[];
  readonly total: number;
}

export const NOTHING_SEEN: Viewer = { paused: false, rows: [], held: [], total: 0 };

export function heard(viewer: Viewer, events: readonly Omit<EventRow, "serial">[]): Viewer {
  const fresh = events.map((event, index) => ({ ...event, serial: viewer.total + index + 1 })).reverse();
  const total = viewer.total + events.length;
  if (viewer.paused) return { ...viewer, total, held: [...fresh, ...viewer.held].slice(0, ROWS_KEPT) };
  return { ...viewer, total, rows: [...fresh, ...viewer.rows].slice(0, ROWS_KEPT) };
}

export function paused(viewer: Viewer): Viewer {
  return { ...viewer, paused: true };
}

export function resumed(viewer: Viewer): Viewer {
  return { ...viewer, paused: false, rows: [...viewer.held, ...viewer.rows].slice(0, ROWS_KEPT), held: [] };
}

export function cleared(viewer: Viewer): Viewer {
  return { ...viewer, rows: [], held: [] };
}

/** JSON on one line, cut to `limit` characters. */
export function oneLine(data: unknown, limit = 240): string {
  const text = JSON.stringify(data) ?? "null";
  return text.length > limit ? `${text.slice(0, limit)}…` : text;
}
