/**
 * Many events, one reduction per animation frame.
 *
 * A hidden tab gets no animation frames. Bound: `limit` values. Policy: the value that fills the batch flushes it at
 * once, so nothing is lost and nothing grows.
 */
export interface Batch<T> {
  add(value: T): void;
  flush(): void;
}

/** Runs `callback` soon; in the page this is `requestAnimationFrame`, in a test whatever the test turns by hand. */
export type Schedule = (callback: () => void) => void;

export function batch<T>(schedule: Schedule, reduce: (values: readonly T[]) => void, limit = 512): Batch<T> {
  let values: T[] = [];
  let scheduled = false;

  const flush = (): void => {
    if (values.length === 0) return;
    const full = values;
    values = [];
    reduce(full);
  };

  return {
    add(value) {
      values.push(value);
      if (values.length >= limit) {
        flush();
      } else if (!scheduled) {
        scheduled = true;
        schedule(() => {
          scheduled = false;
          flush();
        });
      }
    },
    flush,
  };
}

export interface Pacing {
  /** Seconds; only differences matter. */
  now(): number;
  after(seconds: number, callback: () => void): unknown;
  readonly frame: Schedule;
}

/** The next frame, but never two within `seconds`: for reductions that cost more than a frame has. */
export function paced({ now, after, frame }: Pacing, seconds: number): Schedule {
  let last = Number.NEGATIVE_INFINITY;
  return (callback) => {
    const run = () => {
      last = now();
      callback();
    };
    const wait = last + seconds - now();
    if (wait <= 0) frame(run);
    else after(wait, () => frame(run));
  };
}
