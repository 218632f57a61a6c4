/** What streams bring beside resuming: gaps, deletions, rates, keys of publications, history; and the same over WAMP. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { CAP, FIRST } from "../src/backoff";
import type { DocumentLike } from "../src/browser";
import { REPEATABLE } from "../src/connection";
import type { Deletion, Gap, Recovery } from "../src/index";
import { HELD } from "../src/wamp";
import { chance, JournalNode, Topic } from "./journalNode";
import { type Frame, outcome, type Stage, settle, stage } from "./stage";

afterEach(() => vi.restoreAllMocks());

class Page implements DocumentLike {
  visibilityState = "visible";
  readonly #listeners = new Set<() => void>();

  addEventListener(_type: string, listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_type: string, listener: () => void): void {
    this.#listeners.delete(listener);
  }

  becomes(state: "visible" | "hidden"): void {
    this.visibilityState = state;
    for (const listener of this.#listeners) listener();
  }

  get listeners(): number {
    return this.#listeners.size;
  }
}

function granted(on: Stage, result: object = {}): void {
  on.wire.says({ id: on.wire.hears().id, result: { subscription: 11, recovered: false, ...result } });
}

describe("a slow reader", () => {
  test("is told how many events of a live topic were dropped", () => {
    const on = stage();
    const gaps: Gap[] = [];
    const heard: unknown[] = [];
    on.fabric.subscribe("demo.live", ({ data }) => heard.push(data), { onGap: (gap) => gaps.push(gap) });
    on.wire.joins();
    granted(on);
    on.wire.says({ method: "gap", params: { topic: "demo.live", dropped: 7 } });
    on.wire.says({ method: "gap", params: { topic: "demo.other", dropped: 1 } });
    on.wire.says({ method: "event", params: { topic: "demo.live", data: "newest" } });

    expect(gaps).toEqual([{ topic: "demo.live", dropped: 7 }]);
    expect(heard).toEqual(["newest"]);
  });

  test("who does not listen reads it in the console", () => {
    const written = vi.spyOn(console, "warn").mockImplementation(() => {});
    const on = stage();
    on.fabric.subscribe("demo.live", () => {});
    on.wire.joins();
    granted(on);
    on.wire.says({ method: "gap", params: { topic: "demo.live", dropped: 7 } });

    expect(written.mock.calls).toEqual([[expect.stringContaining("7")]]);
  });
});

test("a deleted key is told apart from a value", () => {
  const on = stage();
  const heard: unknown[] = [];
  const deleted: Deletion[] = [];
  on.fabric.subscribe("host.metrics", ({ data }) => heard.push(data), { onDelete: (one) => deleted.push(one) });
  on.wire.joins();
  granted(on, { position: "e:4", snapshot: 0 });
  const gone = { topic: "host.metrics", position: "e:5", data: { host: "a" }, deleted: true };
  on.wire.says({ method: "event", params: gone });

  expect(heard).toEqual([]);
  expect(deleted).toEqual([gone]);
});

describe("rates", () => {
  const rates = (on: Stage): unknown[] =>
    on.wire.heard().map(({ method, params }) => (method === "hopsack.rate" ? params.max_rate : method));

  test("are asked for, changed live, and lifted", () => {
    const on = stage();
    const subscription = on.fabric.subscribe("demo.fast", () => {}, { maxRate: 20 });
    on.wire.joins();
    const { id, params } = on.wire.hears();
    on.wire.says({ id, result: { subscription: 11, recovered: false } });
    subscription.setMaxRate(5);
    subscription.setMaxRate(5);
    const lower = on.wire.hears();
    subscription.setMaxRate();

    expect(params).toEqual({ topic: "demo.fast", max_rate: 20 });
    expect(lower).toMatchObject({ method: "hopsack.rate", params: { subscription: 11, max_rate: 5 } });
    expect(on.wire.hears()).toMatchObject({ method: "hopsack.rate", params: { subscription: 11, max_rate: null } });
  });

  test("the fastest listener of a topic counts", () => {
    const on = stage();
    const fast = on.fabric.subscribe("demo.fast", () => {}, { maxRate: 20 });
    on.wire.joins();
    granted(on);
    on.fabric.subscribe("demo.fast", () => {}, { maxRate: 5 });
    expect(rates(on)).toEqual([]);
    void fast.close();
    expect(rates(on)).toEqual([5]);
    on.fabric.subscribe("demo.fast", () => {});

    expect(rates(on)).toEqual([null]);
  });

  test("in a hidden page fall to one a second, where events may be left out, and rise again", () => {
    const page = new Page();
    const on = stage({ document: page });
    on.fabric.subscribe("demo.whole", () => {});
    on.fabric.subscribe("demo.fast", () => {}, { maxRate: 20 });
    on.fabric.map("demo.map", { key: "k" });
    on.wire.joins();
    for (const [index, { id }] of on.wire.heard().entries())
      on.wire.says({ id, result: { subscription: index, recovered: false, snapshot: 0 } });
    page.becomes("hidden");
    const hidden = on.wire.heard().map(({ params }) => params);
    page.becomes("visible");
    const visible = on.wire.heard().filter(({ method }) => method === "hopsack.rate");

    expect(hidden).toEqual([
      { subscription: 1, max_rate: 1 },
      { subscription: 2, max_rate: 1 },
    ]);
    expect(visible.map(({ params }) => params)).toEqual([
      { subscription: 1, max_rate: 20 },
      { subscription: 2, max_rate: null },
    ]);
    on.fabric.close();
    expect(page.listeners).toBe(0);
  });

  test("a page that opens hidden asks for the low rate at once; 0 leaves it", () => {
    const page = new Page();
    page.visibilityState = "hidden";
    const [low, off] = [stage({ document: page, hiddenRate: 2 }), stage({ document: page, hiddenRate: 0 })];
    for (const on of [low, off]) {
      on.fabric.subscribe("demo.fast", () => {}, { maxRate: 20 });
      on.wire.joins();
    }

    expect(low.wire.hears().params).toEqual({ topic: "demo.fast", max_rate: 2 });
    expect(off.wire.hears().params).toEqual({ topic: "demo.fast", max_rate: 20 });
  });

  test("what a rate leaves out is no gap, and where it ends nothing is asked for again", () => {
    const on = stage();
    const heard: unknown[] = [];
    const subscription = on.fabric.subscribe("demo.fast", ({ data }) => heard.push(data), { maxRate: 1 });
    const event = (offset: number): void =>
      on.wire.says({ method: "event", params: { topic: "demo.fast", position: `e:${offset}`, data: offset } });
    on.wire.joins();
    granted(on, { position: "e:0" });
    event(3);
    event(9);
    subscription.setMaxRate();
    const lifted = on.wire.hears();
    event(12);
    on.wire.says({ id: lifted.id, result: {} });
    event(15);
    event(16);
    expect(on.wire.heard()).toEqual([]);
    event(18);

    expect(heard).toEqual([3, 9, 12, 15, 16]);
    expect(on.wire.heard().map(({ method }) => method)).toEqual(["hopsack.unsubscribe", "hopsack.subscribe"]);
  });

  test("a node that knows no rates is subscribed to without", async () => {
    const on = stage();
    on.fabric.subscribe("demo.fast", () => {}, { maxRate: 20 });
    on.wire.joins();
    const { id } = on.wire.hears();
    on.wire.says({ id, error: { code: -32602, message: "max_rate?", data: { code: "hopsack.invalid" } } });
    const { params } = on.wire.hears();
    expect(params).toEqual({ topic: "demo.fast" });
  });

  test("nor asked for another when it refuses one", () => {
    const on = stage();
    const subscription = on.fabric.subscribe("demo.fast", () => {});
    on.wire.joins();
    granted(on);
    subscription.setMaxRate(3);
    on.wire.says({
      id: on.wire.hears().id,
      error: { code: -32601, message: "?", data: { code: "hopsack.undeclared" } },
    });
    subscription.setMaxRate(4);

    expect(on.wire.heard()).toEqual([]);
  });

  test("WAMP has none", () => {
    const on = stage({ url: "ws://node/ws" });
    on.fabric.subscribe("demo.fast", () => {}, { maxRate: 20 });
    on.wire.welcomes();

    expect(on.wire.hears()).toEqual([32, 1, {}, "demo.fast"]);
  });
});

describe("publications with a key", () => {
  function lossy(): { on: Stage; node: JournalNode; news: Topic } {
    const on = stage();
    const news = new Topic("demo.news");
    const node = new JournalNode(on, news);
    node.accept();
    node.settles();
    return { on, node, news };
  }

  test("are sent again after a lost connection, and happen once", async () => {
    const { on, node, news } = lossy();
    const publication = on.fabric.publish("demo.news", "x", { key: "k-1" });
    node.reads();
    node.hangsUp();
    on.clock.turn(CAP);
    node.accept();
    node.settles();

    expect(await outcome(publication)).toBe("e1:1");
    expect(node.asked.map(({ params }) => params)).toEqual(
      Array(2).fill({ topic: "demo.news", data: "x", key: "k-1" }),
    );
    expect(news.head).toBe(1);
  });

  test("are sent again within their deadline, and end as unknown after it", async () => {
    const { on, node } = lossy();
    const publication = on.fabric.publish("demo.news", "x", { key: "k-1", timeout: 2_000 });
    node.reads();
    node.hangsUp();
    on.clock.turn(2_000);

    expect(await outcome(publication)).toMatchObject({ code: "hopsack.outcome_unknown", where: "demo.news" });
  });

  test("are not sent again when the node may have forgotten the key", async () => {
    const { on, node } = lossy();
    const publication = on.fabric.publish("demo.news", "x", { key: "k", timeout: Number.POSITIVE_INFINITY });
    node.reads();
    node.hangsUp();
    const asked = node.asked.length;
    while (on.clock.now() < 1_000_000 + REPEATABLE) {
      on.clock.turn(CAP);
      on.wire.hangsUp();
    }
    on.clock.turn(CAP);
    node.accept();
    node.settles();

    expect(await outcome(publication)).toMatchObject({ code: "hopsack.outcome_unknown" });
    expect(node.asked.length).toBe(asked);
  });

  test("the program that closes the connection does not know either", async () => {
    const { on, node } = lossy();
    const publication = on.fabric.publish("demo.news", "x", { key: "k" });
    node.hangsUp();
    on.fabric.close();

    expect(await outcome(publication)).toMatchObject({ code: "hopsack.outcome_unknown" });
  });

  test.each(["", "k".repeat(65)])("a key of a length that no node takes is refused here", async (key) => {
    const { on } = lossy();

    expect(await outcome(on.fabric.publish("demo.news", 1, { key }))).toMatchObject({ code: "hopsack.usage" });
  });

  test("delete() takes the key's fields", async () => {
    const { on, node, news } = lossy();
    const deletion = on.fabric.delete("demo.news", { id: 7 });
    node.settles();

    expect(await outcome(deletion)).toBe("e1:1");
    expect(node.asked).toEqual([
      { method: "hopsack.publish", params: { topic: "demo.news", data: { id: 7 }, delete: true } },
    ]);
    expect(news.kept).toEqual([{ offset: 1, data: { id: 7 }, deleted: true }]);
  });
});

test("history is read back by time, number and position", async () => {
  const on = stage();
  on.wire.joins();
  const history = on.fabric.history("demo.news", { since: new Date(1_500), limit: 10 });
  const { id, method, params } = on.wire.hears();
  const events = [{ position: "e:1", publication: 5, time: 1.5, data: "x" }];
  on.wire.says({ id, result: { events, position: "e:1", recovered: true, end: true } });

  expect({ method, params }).toEqual({
    method: "hopsack.stream.read",
    params: { topic: "demo.news", since: 1.5, limit: 10 },
  });
  expect(await history).toMatchObject({
    events: [{ topic: "demo.news", position: "e:1", time: 1_500, data: "x" }],
    position: "e:1",
    recovered: true,
    end: true,
  });
});

describe("a session that somebody ended", () => {
  test.each(["ws://node/raw", "ws://node/ws"])("does not come back: %s", (url) => {
    const on = stage({ url });
    if (url.endsWith("raw")) {
      on.wire.joins();
      on.wire.hangsUp(4403, "An operator ended this session.");
    } else {
      on.wire.welcomes();
      on.wire.says([6, { message: "An operator ended this session." }, "wamp.close.killed"]);
    }
    on.clock.turn(1e6);

    expect(on.wires).toHaveLength(1);
    expect(on.fabric.state.value).toMatchObject({ name: "closed", error: { code: "hopsack.denied" } });
  });

  test("for reading too slowly comes back when it was told to, spread by chance", () => {
    const on = stage();
    on.wire.joins();
    on.wire.hangsUp(4408, "Nothing moved for too long. (retry_after=5)");

    expect(on.fabric.state.value).toMatchObject({ name: "waiting", retryAt: 1_000_000 + 5_000 + FIRST / 2 });
  });
});

describe("over WAMP", () => {
  /** A router with one stream, of which it gives three events a page; what it sends waits until it is let arrive. */
  class Router {
    head = 0;
    oldest = 1;
    /** So many pages are refused. */
    busy = 0;
    out: Frame[] = [];
    #up = false;
    #reads = false;

    constructor(readonly on: Stage) {}

    accept(): void {
      this.out = [];
      this.#reads = false;
      this.#up = true;
      this.on.wire.welcomes();
    }

    hangsUp(): void {
      this.#up = false;
      this.on.wire.hangsUp();
    }

    returns(): void {
      if (this.#up && !this.on.wire.closed) return;
      if (!this.on.wire.fresh) this.on.clock.turn(CAP);
      this.accept();
    }

    publish(): void {
      this.head += 1;
      if (this.#reads) this.out.push(event(this.head));
    }

    trim(): void {
      this.oldest = Math.max(this.oldest, this.head - 3);
    }

    reads(): void {
      for (const frame of this.on.wire.heard()) this.#answer(frame);
    }

    delivers(): boolean {
      const frame = this.out.shift();
      if (frame) this.on.wire.says(frame);
      return frame !== undefined;
    }

    settles(): void {
      do this.reads();
      while (this.delivers());
    }

    #answer([type, id, number, procedure, args]: Frame): void {
      if (type === 32) {
        this.#reads = true;
        this.out.push([33, id, 77]);
      } else if (type === 34 && number === 77) {
        this.#reads = false;
        this.out.push([35, id]);
      } else if (type === 34) {
        this.out.push([8, 34, id, {}, "wamp.error.no_such_subscription"]);
      } else if (procedure === "hopsack.stream.read") {
        if (this.busy > 0) this.out.push(refusal(id, "hopsack.overloaded"));
        else this.out.push([50, id, {}, [this.#page(Number(args[0].after.split(":")[1]))]]);
        this.busy = Math.max(0, this.busy - 1);
      } else if (procedure === "hopsack.stream.behind") {
        const head = `e:${this.head}`;
        this.out.push([50, id, {}, [args[0].positions["demo.news"] === head ? {} : { "demo.news": head }]]);
      }
    }

    #page(after: number): object {
      const recovered = after + 1 >= this.oldest;
      const from = Math.max(after + 1, this.oldest);
      const to = Math.min(this.head, from + 2);
      const events = Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => stored(from + index));
      return {
        events,
        position: `e:${to}`,
        recovered,
        ...(!recovered && { reason: "trimmed" }),
        end: to === this.head,
      };
    }
  }

  test.each([...Array(60).keys()])("with the seed %i every event is read once, in order, or told as gone", (seed) => {
    const random = chance(seed);
    const on = stage({ url: "ws://node/ws", random, checkEvery: (seed % 3) * 2_000 });
    const router = new Router(on);
    const heard: number[] = [];
    const recoveries: Recovery[] = [];
    const onRecovery = (recovery: Recovery): void => void recoveries.push(recovery);
    on.fabric.subscribe("demo.news", ({ data }) => heard.push(data), { onRecovery });
    router.accept();
    router.settles();
    router.publish();
    router.settles();
    const isEvent = (): boolean => router.out[0]?.[0] === 36;
    const acts: readonly (readonly [weight: number, act: () => unknown])[] = [
      [30, () => router.publish()],
      [40, () => router.delivers()],
      [20, () => router.reads()],
      [3, () => router.hangsUp()],
      [3, () => isEvent() && router.out.unshift(router.out[0])],
      [2, () => isEvent() && router.out.shift()],
      [5, () => on.clock.turn(1_000)],
      [seed % 2, () => router.trim()],
      [2, () => (router.busy += 1)],
    ];
    const wheel = acts.flatMap(([weight, act]) => Array<() => unknown>(weight).fill(act));
    for (let step = 0; step < 400; step += 1) {
      router.returns();
      wheel[Math.floor(random() * wheel.length)]?.();
    }
    for (let round = 0; round < 12; round += 1) {
      router.returns();
      router.settles();
      router.publish();
      router.settles();
      on.clock.turn(CAP / 2);
    }
    const gone = recoveries.reduce((sum, { missed = Number.NaN }) => sum + missed, 0);

    expect(heard).toEqual([...new Set(heard)].sort((a, b) => a - b));
    expect(heard.at(-1)).toBe(router.head);
    expect(heard.length + gone).toBe(router.head);
  });

  const event = (offset: number): unknown[] => [36, 77, offset, { x_hopsack_position: `e:${offset}` }, [offset]];
  const stored = (offset: number): object => ({ position: `e:${offset}`, publication: 1, time: 1, data: offset });

  function reading(onGap?: (gap: Gap) => void): { on: Stage; heard: unknown[]; recoveries: Recovery[] } {
    const on = stage({ url: "ws://node/ws" });
    const heard: unknown[] = [];
    const recoveries: Recovery[] = [];
    const onRecovery = (recovery: Recovery): void => void recoveries.push(recovery);
    on.fabric.subscribe("demo.news", ({ data }) => heard.push(data), { onRecovery, onGap });
    on.wire.welcomes();
    on.wire.says([33, on.wire.hears()[1], 77]);
    on.wire.says(event(1));
    on.wire.hangsUp();
    on.clock.turn(CAP);
    on.wire.welcomes(8);
    on.wire.says([33, on.wire.hears()[1], 77]);
    return { on, heard, recoveries };
  }

  test("what was missed is read page by page, while what is live waits", async () => {
    const { on, heard, recoveries } = reading();
    const first = on.wire.hears();
    on.wire.says(event(5));
    on.wire.says([50, first[1], {}, [{ events: [stored(2), stored(3)], recovered: true, end: false }]]);
    const second = on.wire.hears();
    on.wire.says(event(6));
    on.wire.says([50, second[1], {}, [{ events: [stored(4), stored(5)], recovered: true, end: true }]]);
    on.wire.says(event(7));

    expect(first.slice(3)).toEqual(["hopsack.stream.read", [{ topic: "demo.news", after: "e:1", limit: 500 }]]);
    expect(second[4][0].after).toBe("e:3");
    expect(heard).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(recoveries).toMatchObject([{ recovered: true, missed: 0 }]);
  });

  test("what is gone is told", () => {
    const { on, heard, recoveries } = reading();
    const page = { events: [stored(5), stored(6)], recovered: false, reason: "trimmed", end: true };
    on.wire.says([50, on.wire.hears()[1], {}, [page]]);

    expect(heard).toEqual([1, 5, 6]);
    expect(recoveries).toMatchObject([{ recovered: false, reason: "trimmed", missed: 3 }]);
  });

  test("a router that keeps no streams says why, and what is live goes on", () => {
    const { on, heard, recoveries } = reading();
    const [, id] = on.wire.hears();
    on.wire.says(event(5));
    on.wire.says([8, 48, id, {}, "wamp.error.no_such_procedure"]);
    on.wire.says(event(6));

    expect(heard).toEqual([1, 5, 6]);
    expect(recoveries).toMatchObject([{ recovered: false, reason: "hopsack.no_callee", missed: undefined }]);
  });

  const refusal = (id: unknown, code: string): unknown[] => [8, 48, id, {}, "wamp.error.x", [], { code }];
  const read = (frames: Frame[]): Frame => frames.find(([, , , name]) => name === "hopsack.stream.read");
  const page = (id: unknown, end: boolean, ...offsets: number[]): unknown[] => [
    50,
    id,
    {},
    [{ events: offsets.map(stored), recovered: true, end }],
  ];

  test.each(["hopsack.overloaded", "hopsack.store_failed", "hopsack.unavailable"])(
    "a node that answers %s is asked again a little later, and nothing is told as lost",
    (code) => {
      const { on, heard, recoveries } = reading();
      on.wire.says(refusal(read(on.wire.heard())[1], code));
      on.wire.says(event(3));
      expect(heard).toEqual([1]);
      const [given] = on.wire.heard();
      expect(given.slice(0, 1)).toEqual([34]);
      on.wire.says([35, given[1]]);
      on.clock.turn(FIRST);
      const [again] = on.wire.heard();
      expect(again.slice(2)).toEqual([{}, "demo.news"]);
      on.wire.says([33, again[1], 78]);
      on.wire.says(page(read(on.wire.heard())[1], true, 2, 3));

      expect(heard).toEqual([1, 2, 3]);
      expect(recoveries).toMatchObject([{ recovered: true, missed: 0 }]);
    },
  );

  test("the pauses grow while a node stays busy", () => {
    const { on } = reading();
    const pauses: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      on.wire.says(refusal(read(on.wire.heard())[1], "hopsack.overloaded"));
      const since = on.clock.now();
      on.wire.heard();
      let frames: Frame[] = [];
      while (frames.length === 0) {
        on.clock.turn(10);
        on.wire.says([36, 99, 1, {}]);
        frames = on.wire.heard().filter(([type]) => type === 32);
      }
      pauses.push(on.clock.now() - since);
      on.wire.says([33, frames[0][1], 80 + round]);
    }

    expect(pauses).toEqual([...pauses].sort((a, b) => a - b));
    expect(pauses.at(-1)).toBeGreaterThan(pauses[0] as number);
  });

  test("a page amid the others that is refused is read again from where they ended", () => {
    const { on, heard, recoveries } = reading();
    on.wire.says(page(read(on.wire.heard())[1], false, 2, 3));
    on.wire.says(refusal(read(on.wire.heard())[1], "hopsack.store_failed"));
    on.clock.turn(FIRST);
    const asked = on.wire.heard();
    on.wire.says([33, asked.find(([type]) => type === 32)[1], 78]);
    const [, id, , , [query]] = read(on.wire.heard());
    on.wire.says(page(id, true, 4));

    expect(query.after).toBe("e:3");
    expect(heard).toEqual([1, 2, 3, 4]);
    expect(recoveries).toMatchObject([{ recovered: true, missed: 0 }]);
  });

  test("what comes while it is read is held, and beyond a thousand read again", () => {
    const { on, heard } = reading();
    const [, id] = read(on.wire.heard());
    for (let offset = 2; offset <= HELD + 11; offset += 1) on.wire.says(event(offset));
    on.wire.says(page(id, true, 2, 3));
    const [, again, , , [query]] = read(on.wire.heard());
    expect(heard).toEqual([1, 2, 3]);
    expect(query.after).toBe("e:3");
    on.wire.says(page(again, true, ...Array.from({ length: HELD + 8 }, (_, index) => index + 4)));
    on.wire.says(event(HELD + 12));

    expect(heard).toEqual(Array.from({ length: HELD + 12 }, (_, index) => index + 1));
  });

  test("a topic that is read to its end goes on while others are still read", () => {
    const on = stage({ url: "ws://node/ws" });
    const heard: unknown[] = [];
    const after = { "t.a": "e:1", "t.b": "e:1" };
    on.fabric.subscribe("t.", ({ topic, data }) => heard.push([topic, data]), { match: "prefix", after });
    on.wire.welcomes();
    on.wire.says([33, on.wire.hears()[1], 77]);
    const [a, b] = on.wire.heard();
    on.wire.says(page(a[1], true, 2));
    on.wire.says(page(b[1], false, 2));
    on.wire.says([36, 77, 9, { topic: "t.a", x_hopsack_position: "e:3" }, [3]]);
    on.wire.says([36, 77, 9, { topic: "t.live" }, ["live"]]);
    on.wire.says([36, 77, 9, { topic: "t.b", x_hopsack_position: "e:4" }, [4]]);
    on.wire.says(page(read(on.wire.heard())[1], true, 3));

    expect(heard).toEqual([
      ["t.a", 2],
      ["t.b", 2],
      ["t.a", 3],
      ["t.live", "live"],
      ["t.b", 3],
      ["t.b", 4],
    ]);
  });

  test("an answer that is none is told, and a gap without a number is one without a number", () => {
    const gaps: Gap[] = [];
    const { on, recoveries } = reading((gap) => gaps.push(gap));
    on.wire.says([50, read(on.wire.heard())[1], {}, ["what?"]]);
    on.wire.says([36, 77, 1, { x_hopsack_dropped: "slow" }]);
    on.wire.says([36, 77, 1, { x_hopsack_dropped: "size", x_hopsack_size: 70_000 }]);

    expect(recoveries).toMatchObject([{ recovered: false, reason: "unknown" }]);
    expect(gaps.map(({ dropped }) => dropped)).toEqual([null, 1]);
  });

  describe("where the node is asked how far the streams are", () => {
    const asks = (frames: Frame[]): Frame => frames.find(([, , , name]) => name === "hopsack.stream.behind");

    function subscribed(match: "exact" | "prefix"): { on: Stage; heard: unknown[]; topic: string; asked: Frame } {
      const on = stage({ url: "ws://node/ws", checkEvery: 4_000 });
      const heard: unknown[] = [];
      const topic = match === "exact" ? "demo.news" : "demo.";
      on.fabric.subscribe(topic, ({ data }) => heard.push(data), { match: match as "prefix" });
      on.wire.welcomes();
      on.wire.says([33, on.wire.hears()[1], 77]);
      return { on, heard, topic, asked: asks(on.wire.heard()) };
    }

    test.each(["exact", "prefix"] as const)("a reader that had no event yet misses none of a stream: %s", (match) => {
      const { on, heard, topic, asked } = subscribed(match);
      expect(asked[4]).toEqual([{ positions: {}, patterns: [{ topic, match }] }]);
      on.wire.says([50, asked[1], {}, [match === "exact" ? { "demo.news": "e:0" } : {}]]);
      on.wire.hangsUp();
      on.clock.turn(CAP);
      on.wire.welcomes(8);
      on.wire.says([33, on.wire.hears()[1], 77]);
      let frames = on.wire.heard();
      if (match === "prefix") {
        on.wire.says([50, asks(frames)[1], {}, [{ "demo.news": "e:2" }]]);
        frames = on.wire.heard();
        on.wire.says([33, frames.find(([type]) => type === 32)[1], 78]);
        frames = on.wire.heard();
      }
      const [, id, , , [query]] = read(frames);
      on.wire.says(page(id, true, 1, 2));

      expect(query).toEqual({ topic: "demo.news", after: "e:0", limit: 500 });
      expect(heard).toEqual([1, 2]);
    });

    test("a last event that was lost is read back", () => {
      const { on, heard, asked } = subscribed("exact");
      on.wire.says([50, asked[1], {}, [{ "demo.news": "e:0" }]]);
      on.wire.says(event(1));
      on.clock.turn(4_000);
      const again = asks(on.wire.heard());
      expect(again[4]).toEqual([{ positions: { "demo.news": "e:1" } }]);
      on.wire.says([50, again[1], {}, [{ "demo.news": "e:3" }]]);
      const frames = on.wire.heard();
      expect(frames.map(([type]) => type)).toEqual([34, 32]);
      on.wire.says([35, frames[0][1]]);
      on.wire.says([33, frames[1][1], 78]);
      on.wire.says(page(read(on.wire.heard())[1], true, 2, 3));

      expect(heard).toEqual([1, 2, 3]);
    });
  });

  test("a gap, a deletion and a publication's key are WAMP's options", async () => {
    const on = stage({ url: "ws://node/ws" });
    const gaps: Gap[] = [];
    const deleted: Deletion[] = [];
    const options = { onGap: (gap: Gap) => gaps.push(gap), onDelete: (one: Deletion) => deleted.push(one) };
    on.fabric.subscribe("demo.news", () => {}, options);
    on.wire.welcomes();
    on.wire.says([33, on.wire.hears()[1], 77]);
    on.wire.says([36, 77, 1, { x_hopsack_dropped: "slow", x_hopsack_count: 4 }]);
    on.wire.says([36, 77, 2, { x_hopsack_position: "e:2", x_hopsack_deleted: true }, [{ id: 7 }]]);
    void on.fabric.publish("demo.news", 1, { key: "k" }).catch(() => {});
    void on.fabric.delete("demo.news", { id: 7 }).catch(() => {});
    await settle();

    expect(gaps).toEqual([{ topic: "demo.news", dropped: 4 }]);
    expect(deleted).toMatchObject([{ topic: "demo.news", position: "e:2", data: { id: 7 } }]);
    expect(on.wire.heard().map(([, , options]) => options)).toEqual([
      { acknowledge: true, x_hopsack_key: "k" },
      { acknowledge: true, x_hopsack_delete: true },
    ]);
  });
});
