/** The recorded conversations of the raw door, from the client's side (tests/conversations/README.md explains the files). */
import { readdirSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import {
  DeclaredError,
  type HopsackError,
  type Identity,
  type Invocation,
  type Iteration,
  type LatestMap,
  type Subscription,
} from "../src/index";
import { type Frame, type Stage, settle, stage } from "./stage";

/** Another folder than the repository's, for conversations that no node can have yet. */
const { CONVERSATIONS } = process.env;
const FOLDER = CONVERSATIONS
  ? pathToFileURL(`${CONVERSATIONS}/`)
  : new URL("../../../tests/conversations/", import.meta.url);

interface Line {
  readonly from?: string;
  readonly to?: string;
  readonly frame?: Frame;
  readonly close?: { readonly code: number; readonly reason: Frame };
  readonly act?: string;
  readonly as?: string;
  readonly of?: string;
  readonly [member: string]: Frame;
}

const conversations = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".jsonl"))
  .map((name) => {
    const lines = readFileSync(new URL(name, FOLDER), "utf8").split("\n");
    const values = lines.filter((line) => line.trim() && !line.startsWith("//")).map((line) => JSON.parse(line));
    return { name, head: values[0], lines: values.slice(1) as Line[] };
  })
  .filter(({ head }) => head.sdk);

test("there are conversations to replay", () => {
  expect(conversations.length).toBeGreaterThan(10);
});

test.each(conversations)("$name: $head.summary", async ({ head, lines }) => {
  const replay = new Replay(head.values);
  for (const line of lines) await replay.line(line);
  replay.ends();
});

/** What somebody hands over one after the other, to one who waits. */
class Handed<Value> {
  readonly #waiting: Value[] = [];
  #reader: ((value: Value) => void) | undefined;

  put(value: Value): void {
    if (this.#reader) this.#reader(value);
    else this.#waiting.push(value);
    this.#reader = undefined;
  }

  async take(): Promise<Value> {
    if (this.#waiting.length > 0) return this.#waiting.shift() as Value;
    return new Promise((resolve) => {
      this.#reader = resolve;
    });
  }
}

/** As a conversation records it: what a login does not have is left out, and so is the time of its end. */
function identityOf({ id: session, groups, tenant, expires: _, ...rest }: Identity): object {
  return { session, ...rest, ...(groups.length > 0 && { groups }), ...(tenant !== undefined && { tenant }) };
}

const published = (position: string | undefined): object => (position ? { position } : {});

class Replay {
  readonly #bound: Map<string, unknown> = new Map();
  /** What the program saw and no line has named yet, by the operation's name. */
  readonly #seen: { readonly of: string; readonly what: Frame }[] = [];
  readonly #holds = new Map<string, { close(): Promise<void> }>();
  readonly #maps = new Map<string, LatestMap>();
  readonly #aborts = new Map<string, AbortController>();
  readonly #asked = new Map<string, { readonly says: Handed<Line>; readonly invocation: Invocation }>();
  readonly #inputs = new Map<string, Handed<Line>>();
  readonly #iterations = new Map<string, Iteration>();
  readonly #unnamed: ((name: string) => void)[] = [];
  readonly #sent: Frame[] = [];
  #stage: Stage | undefined;

  constructor(private readonly values: Readonly<Record<string, unknown>>) {}

  async line(line: Line): Promise<void> {
    if (line.from === "app") this.#acts[line.act ?? ""]?.(this.#fill(line) as Line);
    else if (line.from === "server") this.#feeds(line);
    await settle();
    this.#sent.push(...this.#on.wire.heard());
    if (line.from === "client") this.#expectsSent(line);
    else if (line.to === "app") this.#expectsSeen(line);
  }

  ends(): void {
    expect(this.#sent).toEqual([]);
    const unnamed = this.#seen.filter(({ what }) => !("result" in what || "asked" in what));
    expect(unnamed).toEqual([]);
  }

  get #on(): Stage {
    if (!this.#stage) throw new Error("the conversation does not begin with connect");
    return this.#stage;
  }

  readonly #acts: Readonly<Record<string, (line: Line) => void>> = {
    connect: ({ as, token }) => {
      this.#stage = stage(token ? { token } : {});
      this.#on.wire.opens();
      this.#note(as, this.#on.fabric.ready().then(identityOf));
    },
    subscribe: ({ as = "", topic, match, after, max_rate: maxRate }) => {
      const see =
        (kind: string) =>
        (seen: Frame): void =>
          void this.#seen.push({ of: as, what: { [kind]: seen } });
      const told = { onDelete: see("event"), onRecovery: see("recovery"), onGap: see("gap") };
      const ends = this.#ends(as);
      const hold = this.#on.fabric.subscribe(topic, see("event"), { match, after, maxRate, ...told, ...ends });
      this.#holds.set(as, hold);
      this.#note(as, hold.ready.then(ends.granted));
    },
    rate: ({ of = "", max_rate: rate }) => (this.#holds.get(of) as Subscription).setMaxRate(rate ?? undefined),
    map: ({ as = "", topic, key }) => void this.#maps.set(as, this.#on.fabric.map(topic, { key })),
    unsubscribe: ({ of = "", as }) => this.#note(as, this.#holds.get(of)?.close()),
    publish: ({ as, topic, data, acknowledge, key }) =>
      this.#note(as, this.#on.fabric.publish(topic, data, { acknowledge, key }).then(published)),
    delete: ({ as, topic, key }) => this.#note(as, this.#on.fabric.delete(topic, key).then(published)),
    call: ({ as = "", procedure, input }) => {
      const abort = new AbortController();
      this.#aborts.set(as, abort);
      this.#note(as, this.#on.fabric.call(procedure, input, { signal: abort.signal }));
    },
    iterate: ({ as = "", procedure, input, window, inputs }) => {
      const says = new Handed<Line>();
      const further = (async function* () {
        for (let line = await says.take(); line.act === "input"; line = await says.take()) yield line.data;
      })();
      this.#inputs.set(as, says);
      const options = { window, ...(inputs && { inputs: further }) };
      const iteration = this.#on.fabric.iterate(procedure, input, options);
      this.#iterations.set(as, iteration);
      this.#note(as, iteration.result);
      void this.#reads(as, iteration, "progress");
    },
    // The library says by itself what the loop takes.
    more: () => {},
    input: (line) => this.#inputs.get(line.of ?? "")?.put(line),
    end: (line) => this.#inputs.get(line.of ?? "")?.put(line),
    cancel: ({ of = "" }) => {
      this.#aborts.get(of)?.abort();
      void this.#iterations.get(of)?.return();
    },
    register: ({ as = "", procedure }) => {
      const { fabric } = this.#on;
      const ends = this.#ends(as);
      const hold = fabric.register(procedure, (input, invocation) => this.#serve(as, input, invocation), ends);
      this.#holds.set(as, hold);
      this.#note(as, hold.ready.then(ends.granted));
    },
    progress: (line) => this.#asked.get(line.of ?? "")?.says.put(line),
    more_input: ({ of = "" }) => {
      const inputs = this.#asked.get(of)?.invocation.inputs;
      if (inputs) void this.#reads(of, inputs, "input").then(() => this.#seen.push({ of, what: { over: true } }));
    },
    unregister: ({ of = "", as }) => this.#note(as, this.#holds.get(of)?.close()),
    answer: (line) => this.#asked.get(line.of ?? "")?.says.put(line),
    close: () => this.#on.fabric.close(),
    return: () => {
      this.#on.clock.turn(10_000);
      this.#on.wire.opens();
    },
  };

  /** Sees the end of what had been granted. */
  #ends(of: string): { granted(): void; onError(error: HopsackError): void } {
    let isGranted = false;
    return {
      granted: () => {
        isGranted = true;
      },
      onError: (ended) => void (isGranted && this.#seen.push({ of, what: { ended } })),
    };
  }

  async *#serve(of: string, input: unknown, invocation: Invocation): AsyncGenerator<Frame, Frame, undefined> {
    const says = new Handed<Line>();
    this.#seen.push({ of, what: { asked: { procedure: invocation.procedure, input } } });
    this.#unnamed.push((name) => this.#asked.set(name, { says, invocation }));
    for (;;) {
      const { act, data, result, error } = await says.take();
      if (error) throw new DeclaredError(error.code, error.message, error.data);
      if (act === "answer") return result;
      yield data;
    }
  }

  async #reads(of: string, pieces: AsyncIterable<unknown>, kind: string): Promise<void> {
    try {
      for await (const piece of pieces) this.#seen.push({ of, what: { [kind]: piece } });
    } catch {
      // The outcome tells it.
    }
  }

  #note(of: string | undefined, told: Promise<unknown> | undefined): void {
    told?.then(
      (result) => of && this.#seen.push({ of, what: { result } }),
      (error: HopsackError) => of && this.#seen.push({ of, what: { error } }),
    );
  }

  #feeds({ frame, close }: Line): void {
    if (close) this.#on.wire.hangsUp(close.code, this.#fill(close.reason) as string);
    else this.#on.wire.says(this.#fill(frame));
  }

  #expectsSent({ frame, close }: Line): void {
    if (close) this.#match(close, this.#on.wire.closed);
    else {
      // A call of this library always says its time, and a loop what it takes.
      const { hopsack, ...sent } = this.#sent.shift() ?? {};
      const { hopsack: terms, ...expected } = frame ?? {};
      this.#match(expected, sent);
      this.#match({ ...terms, $more: true }, hopsack ?? {});
    }
  }

  #expectsSeen({ of = "", closed, canceled, map, ...told }: Line): void {
    if (closed) expect(this.#on.fabric.state.value.name).toBe("closed");
    else if (canceled) expect(this.#asked.get(of)?.invocation.signal.aborted).toBe(true);
    else if (map) this.#expectsMap(map, this.#maps.get(of) as LatestMap);
    else this.#expectsTold({ of, ...told });
  }

  #expectsMap({ complete, values }: Frame, map: LatestMap): void {
    expect(map.complete).toBe(complete);
    expect(new Set(map.value.values())).toEqual(new Set(values));
  }

  #expectsTold({ of = "", granted, asked, ended, error = ended, result, event, recovery, gap, ...flowed }: Line): void {
    // What the other side takes is the library's to know.
    if (granted) return;
    const { progress, input, over } = flowed;
    const told = { asked, ended, error, event, recovery, gap, progress, input, over };
    const kind = Object.entries(told).find(([, one]) => one !== undefined)?.[0] ?? "result";
    const at = this.#seen.findIndex((one) => one.of === of && kind in one.what);
    const what = this.#seen.splice(at, 1)[0]?.what[kind];
    expect(at, `${of} has seen no ${kind}`).toBeGreaterThanOrEqual(0);
    if (asked) {
      const { as, flow: _, ...rest } = asked;
      this.#match(rest, what);
      this.#unnamed.shift()?.(as);
    } else if (error) {
      this.#match({ ...error, $more: true }, { ...what, message: what.message });
    } else if (recovery) {
      this.#match({ ...recovery, $more: true }, what);
    } else {
      this.#match(event ?? gap ?? progress ?? input ?? over ?? result, what);
    }
  }

  #fill(template: unknown): unknown {
    if (typeof template === "string") return this.#fillText(template);
    if (Array.isArray(template)) return template.map((one) => this.#fill(one));
    if (typeof template !== "object" || template === null) return template;
    const members = Object.entries(template).filter(([name]) => name !== "$more");
    return Object.fromEntries(members.map(([name, value]) => [name, this.#fill(value)]));
  }

  #fillText(text: string): unknown {
    if (text.startsWith("$$")) return text.slice(1);
    if (!text.startsWith("$")) return text;
    const name = text.slice(1);
    if (!this.#bound.has(name)) this.#bound.set(name, this.values[name]);
    return this.#bound.get(name);
  }

  #match(expected: unknown, actual: unknown): void {
    if (typeof expected === "string" && expected.startsWith("$") && !expected.startsWith("$$")) {
      const name = expected.slice(1);
      if (name === "_") return;
      if (this.#bound.has(name)) expect(actual).toEqual(this.#bound.get(name));
      else this.#bound.set(name, actual);
    } else if (typeof expected === "object" && expected !== null) {
      const { $more, ...members } = expected as Record<string, unknown>;
      const present = actual as Record<string, unknown>;
      expect(typeof actual, `${JSON.stringify(actual)} for ${JSON.stringify(expected)}`).toBe("object");
      if (!$more) expect(Object.keys(present).sort()).toEqual(Object.keys(members).sort());
      for (const [name, value] of Object.entries(members)) this.#match(value, present[name]);
    } else {
      expect(actual).toEqual(this.#fill(expected));
    }
  }
}
