/** What the SDK's tests put in place of the world: a clock turned by hand, chance that is known, sockets that a test answers. */
import type { Clock, WebSocketLike } from "../src/browser";
import type { Fabric } from "../src/contract";
import { type ConnectOptions, connect } from "../src/fabric";

export class HandClock implements Clock {
  #now = 1_000_000;
  #last = 0;
  readonly #due = new Map<number, { readonly at: number; readonly callback: () => void }>();

  now(): number {
    return this.#now;
  }

  after(delay: number, callback: () => void): () => void {
    const id = ++this.#last;
    this.#due.set(id, { at: this.#now + delay, callback });
    return () => this.#due.delete(id);
  }

  /** Lets so many milliseconds pass; what is due on the way happens in order. */
  turn(delay: number): void {
    const until = this.#now + delay;
    for (;;) {
      const next = [...this.#due].filter(([, { at }]) => at <= until).sort(([a, x], [b, y]) => x.at - y.at || a - b)[0];
      if (!next) break;
      const [id, { at, callback }] = next;
      this.#due.delete(id);
      this.#now = at;
      callback();
    }
    this.#now = until;
  }

  get pending(): number {
    return this.#due.size;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: a test reads into what was sent as it knows it.
export type Frame = any;

/** The other end of a socket, in the test's hands. */
export class Wire implements WebSocketLike {
  bufferedAmount = 0;
  onopen: ((event: never) => unknown) | null = null;
  onmessage: ((event: never) => unknown) | null = null;
  onclose: ((event: never) => unknown) | null = null;
  onerror: ((event: never) => unknown) | null = null;
  /** How the program closed it. */
  closed: { readonly code: number; readonly reason: string } | undefined;
  /** Nothing has happened to it yet. */
  fresh = true;
  readonly #sent: string[] = [];

  constructor(
    readonly url: string,
    readonly protocols: readonly string[],
  ) {}

  send(text: string): void {
    this.#sent.push(text);
  }

  close(code = 1000, reason = ""): void {
    this.closed = { code, reason };
  }

  opens(): void {
    this.fresh = false;
    this.onopen?.({} as never);
  }

  says(frame: Frame): void {
    this.onmessage?.({ data: JSON.stringify(frame) } as never);
  }

  saysText(data: unknown): void {
    this.onmessage?.({ data } as never);
  }

  hangsUp(code = 1006, reason = ""): void {
    this.fresh = false;
    this.onclose?.({ code, reason } as never);
  }

  /** Every frame that came since the last look. */
  heard(): Frame[] {
    return this.#sent.splice(0).map((text) => JSON.parse(text));
  }

  /** The one frame that came since the last look. */
  hears(): Frame {
    const frames = this.heard();
    if (frames.length !== 1) throw new Error(`expected one frame, heard ${JSON.stringify(frames)}`);
    return frames[0];
  }

  /** The raw door's welcome. */
  joins(session = 7): void {
    this.opens();
    const { id } = this.hears();
    this.says({ id, result: { session, authid: "guest-1", role: "guest", realm: "hopsack", server: "hopsack/0.1.0" } });
  }

  /** A WAMP router's welcome. */
  welcomes(session = 7): void {
    this.opens();
    this.heard();
    this.says([
      2,
      session,
      { authid: "guest-1", authrole: "guest", realm: "hopsack", agent: "hopsack/0.1.0", roles: {} },
    ]);
  }
}

export interface Stage {
  readonly fabric: Fabric;
  readonly clock: HandClock;
  /** Every socket that was opened, in order. */
  readonly wires: readonly Wire[];
  /** The newest one. */
  readonly wire: Wire;
}

export function stage(options: ConnectOptions = {}): Stage {
  const clock = new HandClock();
  const wires: Wire[] = [];
  const socket = (url: string, protocols: string[]): Wire => {
    const wire = new Wire(url, protocols);
    wires.push(wire);
    return wire;
  };
  const fabric = connect({ url: "ws://node/raw", random: () => 0.5, clock, socket, checkEvery: 0, ...options });
  return {
    fabric,
    clock,
    wires,
    get wire(): Wire {
      const wire = wires.at(-1);
      if (!wire) throw new Error("no socket was opened");
      return wire;
    },
  };
}

/** Lets promises that are already decided tell their readers. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}

/** What a promise has come to by now. */
export async function outcome(promise: Promise<unknown>): Promise<unknown> {
  const open = Symbol("open");
  const seen = await Promise.race([promise.catch((error: unknown) => error), settle().then(() => open)]);
  return seen === open ? "open" : seen;
}
