/** Streams across lost connections: nothing missed, nothing twice, nothing out of order, or told plainly. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { CAP } from "../src/backoff";
import type { Recovery } from "../src/index";
import { ATTEMPTS, TOPICS } from "../src/reading";
import { chance, JournalNode, Topic } from "./journalNode";
import { type Stage, stage } from "./stage";

afterEach(() => vi.restoreAllMocks());

interface Scene {
  readonly on: Stage;
  readonly node: JournalNode;
  readonly news: Topic;
}

function scene(...more: Topic[]): Scene {
  return sceneWith({}, ...more);
}

function sceneWith(options: object, ...more: Topic[]): Scene {
  const on = stage(options);
  const news = new Topic("demo.news");
  return { on, news, node: new JournalNode(on, news, ...more) };
}

/** The connection breaks and the next one stands. */
function rejoins({ on, node }: Scene): void {
  node.hangsUp();
  on.clock.turn(CAP);
  node.accept();
}

function listen(on: Stage, topic: string, options: object = {}): { heard: unknown[]; recoveries: Recovery[] } {
  const heard: unknown[] = [];
  const recoveries: Recovery[] = [];
  const onRecovery = (recovery: Recovery): void => void recoveries.push(recovery);
  on.fabric.subscribe(topic, ({ data }) => heard.push(data), { onRecovery, ...options });
  return { heard, recoveries };
}

const subscriptions = ({ asked }: JournalNode): unknown[] =>
  asked.filter(({ method }) => method === "hopsack.subscribe").map(({ params }) => params);

describe("after a lost connection", () => {
  test("what was missed comes, in order, then what is live", () => {
    const { on, node, news } = scene();
    const { heard, recoveries } = listen(on, "demo.news");
    node.accept();
    node.settles();
    node.publish(news, 1);
    node.settles();
    node.hangsUp();
    node.publish(news, 2);
    node.publish(news, 3);
    on.clock.turn(CAP);
    node.accept();
    node.settles();
    node.publish(news, 4);
    node.settles();

    expect(subscriptions(node)).toEqual([{ topic: "demo.news" }, { topic: "demo.news", after: "e1:1" }]);
    expect(heard).toEqual([1, 2, 3, 4]);
    expect(recoveries).toEqual([{ topic: "demo.news", recovered: true, reason: undefined, missed: 0, attempts: 0 }]);
  });

  test("a reader that has heard nothing yet begins where it subscribed", () => {
    const { on, node, news } = scene();
    news.append("old");
    const { heard } = listen(on, "demo.news");
    node.accept();
    node.settles();
    node.hangsUp();
    node.publish(news, "missed");
    on.clock.turn(CAP);
    node.accept();
    node.settles();

    expect(subscriptions(node)).toEqual([{ topic: "demo.news" }, { topic: "demo.news", after: "e1:1" }]);
    expect(heard).toEqual(["missed"]);
  });

  test("a pattern resumes each of its topics", () => {
    const [hall, kitchen] = [new Topic("demo.hall.said"), new Topic("demo.kitchen.said")];
    const { on, node, news } = scene(hall, kitchen);
    const { heard } = listen(on, "demo.", { match: "prefix" });
    node.accept();
    node.settles();
    for (const topic of [hall, news, hall]) node.publish(topic, "live");
    node.settles();
    node.hangsUp();
    node.publish(kitchen, "missed in the kitchen");
    node.publish(hall, "missed in the hall");
    on.clock.turn(CAP);
    node.accept();
    node.settles();

    const after = { "demo.news": "e1:1", "demo.hall.said": "e1:2" };
    expect(subscriptions(node).at(-1)).toEqual({ topic: "demo.", match: "prefix", after });
    expect(heard.slice(3).sort()).toEqual(["missed in the hall", "missed in the kitchen"]);
  });

  test("what the stream no longer keeps is told with its number, before what it still has", () => {
    const { on, node, news } = scene();
    const { heard, recoveries } = listen(on, "demo.news");
    node.accept();
    node.settles();
    node.publish(news, 1);
    node.settles();
    node.hangsUp();
    for (const data of [2, 3, 4, 5]) node.publish(news, data);
    news.trim(2);
    on.clock.turn(CAP);
    node.accept();
    node.settles();

    expect(heard).toEqual([1, 4, 5]);
    expect(recoveries).toEqual([{ topic: "demo.news", recovered: false, reason: "trimmed", missed: 2, attempts: 0 }]);
  });

  test("a stream that began anew is told, and read from its beginning", () => {
    const { on, node, news } = scene();
    const { heard, recoveries } = listen(on, "demo.news");
    node.accept();
    node.settles();
    node.publish(news, "old");
    node.settles();
    node.hangsUp();
    news.begin("e2");
    node.publish(news, "new");
    on.clock.turn(CAP);
    node.accept();
    node.settles();

    expect(heard).toEqual(["old", "new"]);
    expect(recoveries).toMatchObject([{ recovered: false, reason: "epoch", missed: undefined }]);
  });

  test("nobody listening for it, a loss is written to the console; a live topic's is not", () => {
    const written = vi.spyOn(console, "warn").mockImplementation(() => {});
    const it = scene();
    const { on, node, news } = it;
    on.fabric.subscribe("demo.news", () => {});
    on.fabric.subscribe("demo.live", () => {});
    node.accept();
    node.settles();
    node.publish(news, 1);
    node.settles();
    news.begin("e2");
    rejoins(it);
    node.settles();

    expect(written.mock.calls).toEqual([["demo.news: some events are gone (epoch)."]]);
  });

  test("a listener of a live topic may know that it was away", () => {
    const it = scene();
    const { recoveries } = listen(it.on, "demo.live");
    it.node.accept();
    it.node.settles();
    expect(recoveries).toEqual([]);
    rejoins(it);
    it.node.settles();

    expect(recoveries).toMatchObject([{ topic: "demo.live", recovered: false, reason: "live", missed: undefined }]);
  });

  test("a node without streams is asked as ever", () => {
    const on = stage();
    const { heard } = listen(on, "demo.news");
    on.wire.joins();
    on.wire.says({ id: on.wire.hears().id, result: { subscription: 11, recovered: false } });
    on.wire.says({ method: "event", params: { topic: "demo.news", data: 1 } });
    on.wire.hangsUp();
    on.clock.turn(CAP);
    on.wire.joins(8);

    expect(on.wire.hears().params).toEqual({ topic: "demo.news" });
    expect(heard).toEqual([1]);
  });
});

describe("another page goes on where this one was", () => {
  test("with the position of its last event", () => {
    const { on, node, news } = scene();
    for (const data of [1, 2, 3]) news.append(data);
    const { heard, recoveries } = listen(on, "demo.news", { after: "e1:1" });
    node.accept();
    node.settles();

    expect(heard).toEqual([2, 3]);
    expect(recoveries).toMatchObject([{ recovered: true }]);
  });

  test("beside a listener that is ahead: nobody gets anything twice", () => {
    const { on, node, news } = scene();
    for (const data of [1, 2]) news.append(data);
    const first = listen(on, "demo.news");
    node.accept();
    node.settles();
    node.publish(news, 3);
    node.settles();
    const late = listen(on, "demo.news", { after: "e1:0" });
    node.settles();
    node.publish(news, 4);
    node.settles();

    expect(first.heard).toEqual([3, 4]);
    expect(late.heard).toEqual([1, 2, 3, 4]);
    expect(first.recoveries).toEqual([]);
  });

  test("and learns what is gone, which a listener that is ahead does not", () => {
    const { on, node, news } = scene();
    for (const data of [1, 2, 3]) news.append(data);
    news.trim(1);
    const first = listen(on, "demo.news");
    node.accept();
    node.settles();
    const late = listen(on, "demo.news", { after: "e1:0" });
    node.settles();

    expect(late.heard).toEqual([3]);
    expect(late.recoveries).toMatchObject([{ recovered: false, reason: "trimmed", missed: 2 }]);
    expect(first.heard).toEqual([]);
    expect(first.recoveries).toEqual([]);
  });

  test("of a topic that is no stream is told so", () => {
    const { on, node } = scene();
    const { recoveries } = listen(on, "demo.live", { after: "e1:7" });
    node.accept();
    node.settles();

    expect(recoveries).toMatchObject([{ recovered: false, reason: "live", missed: undefined }]);
  });

  test("what is no position is the program's mistake", () => {
    const { on } = scene();

    expect(() => on.fabric.subscribe("demo.news", () => {}, { after: "yesterday" })).toThrow(
      expect.objectContaining({ code: "hopsack.usage", where: "demo.news" }),
    );
  });
});

describe("events missing on a connection that stands", () => {
  function losing(): Scene & ReturnType<typeof listen> {
    const it = scene();
    const listener = listen(it.on, "demo.news");
    it.node.accept();
    it.node.settles();
    it.node.publish(it.news, 1);
    it.node.settles();
    return { ...it, ...listener };
  }

  test("are asked for again at once", () => {
    const { node, news, heard, recoveries } = losing();
    node.publish(news, 2);
    node.out.pop();
    node.publish(news, 3);
    node.settles();
    node.publish(news, 4);
    node.settles();

    expect(node.asked.map(({ method }) => method)).toEqual([
      "hopsack.subscribe",
      "hopsack.unsubscribe",
      "hopsack.subscribe",
    ]);
    expect(heard).toEqual([1, 2, 3, 4]);
    expect(recoveries).toMatchObject([{ recovered: true, missed: 0, attempts: 1 }]);
  });

  test("are given up after some attempts, with growing pauses, and told", () => {
    const { on, node, news, heard, recoveries } = losing();
    // Says that it recovers, and does not.
    Object.assign(news, { head: 3, kept: [{ offset: 1 }, { offset: 3, data: 3 }] });
    node.out.push(news.frame({ offset: 3, data: 3 }));
    for (let attempt = 0; attempt < 2 * ATTEMPTS; attempt += 1) {
      node.settles();
      on.clock.turn(CAP / 2);
    }
    node.settles();

    expect(subscriptions(node)).toHaveLength(1 + ATTEMPTS);
    expect(heard).toEqual([1, 3]);
    expect(recoveries.at(-1)).toMatchObject({ recovered: false, reason: "gap", missed: 1, attempts: ATTEMPTS });
  });

  test("are not asked for where the node has told that they are gone", () => {
    const { node, news, heard, recoveries } = losing();
    node.publish(news, 2);
    node.publish(news, 3);
    node.out.splice(0, 1, { method: "gap", params: { topic: "demo.news", dropped: 1, reason: "trimmed" } });
    const written = vi.spyOn(console, "warn").mockImplementation(() => {});
    node.settles();

    expect(heard).toEqual([1, 3]);
    expect(recoveries).toEqual([]);
    expect(written).toHaveBeenCalledOnce();
    expect(subscriptions(node)).toHaveLength(1);
  });

  test("are asked for as often as it happens, as long as they come", () => {
    const { node, news, heard, recoveries } = losing();
    for (let hole = 0; hole < 2 * ATTEMPTS; hole += 1) {
      node.publish(news, news.head + 1);
      node.out.pop();
      node.publish(news, news.head + 1);
      node.settles();
    }

    expect(heard).toEqual(Array.from({ length: news.head }, (_, index) => index + 1));
    expect(recoveries.map(({ attempts }) => attempts)).toEqual(Array(2 * ATTEMPTS).fill(1));
  });

  test("a stream that begins anew while we read is told", () => {
    const { node, news, heard, recoveries } = losing();
    news.begin("e2");
    node.publish(news, "new");
    node.settles();

    expect(heard).toEqual([1, "new"]);
    expect(recoveries).toMatchObject([{ recovered: false, reason: "epoch" }]);
  });
});

describe("a stream that begins while nobody is connected", () => {
  test("is read from its first event by a reader that was there before", () => {
    const it = scene();
    const { heard, recoveries } = listen(it.on, "demo.news");
    it.node.accept();
    it.node.settles();
    it.node.hangsUp();
    it.news.append(1);
    it.on.clock.turn(CAP);
    it.node.accept();
    it.node.settles();

    expect(heard).toEqual([1]);
    expect(recoveries).toMatchObject([{ recovered: true, missed: 0 }]);
  });

  test("is read from its first event by a pattern that had seen none", () => {
    const it = scene();
    const { heard, recoveries } = listen(it.on, "demo.", { match: "prefix" });
    it.node.accept();
    it.node.settles();
    it.node.hangsUp();
    it.news.append(1);
    it.news.append(2);
    it.on.clock.turn(CAP);
    it.node.accept();
    it.node.settles();

    expect(subscriptions(it.node).at(-1)).toEqual({ topic: "demo.", match: "prefix", after: {} });
    expect(heard).toEqual([1, 2]);
    expect(recoveries).toMatchObject([{ recovered: true, missed: 0 }]);
  });

  test("or while we read, and its first event is lost: the second tells", () => {
    const it = scene();
    const { heard } = listen(it.on, "demo.", { match: "prefix" });
    it.node.accept();
    it.node.settles();
    it.node.publish(it.news, 1);
    it.node.out.pop();
    it.node.publish(it.news, 2);
    it.node.settles();

    expect(heard).toEqual([1, 2]);
  });

  test("a pattern of more topics than are remembered says so, and reads nothing twice", () => {
    const topics = Array.from({ length: TOPICS + 1 }, (_, index) => new Topic(`many.${index}`));
    const it = scene(...topics);
    const { heard } = listen(it.on, "many.", { match: "prefix" });
    it.node.accept();
    it.node.settles();
    for (const topic of topics) it.node.publish(topic, topic.uri);
    it.node.settles();
    rejoins(it);
    it.node.settles();
    const after = (subscriptions(it.node).at(-1) as { after: object }).after;

    expect(Object.keys(after)).toHaveLength(TOPICS);
    expect(after).toMatchObject({ "*": "", "many.1000": "e1:1" });
    expect(heard).toHaveLength(TOPICS + 1);
  });
});

describe("a last event that is lost on a connection that stands", () => {
  const asks = ({ asked }: JournalNode): unknown[] =>
    asked.filter(({ method }) => method === "hopsack.stream.behind").map(({ params }) => params);

  function standing(checkEvery: number, ...more: Topic[]): Scene & ReturnType<typeof listen> {
    const it = sceneWith({ checkEvery }, ...more);
    const listener = listen(it.on, "demo.news");
    it.node.accept();
    it.node.settles();
    return { ...it, ...listener };
  }

  /** Time passes; who asks is answered at once. */
  function passes({ on, node }: Scene, milliseconds: number): void {
    for (let at = 0; at < milliseconds; at += 100) {
      on.clock.turn(100);
      node.settles();
    }
  }

  test.each([...Array(100).keys()])("is there within five seconds, after %i tenths of a second", (tenths) => {
    const it = standing(4_000);
    passes(it, 100 * tenths);
    it.node.publish(it.news, 1);
    it.node.settles();
    it.node.publish(it.news, 2);
    it.node.out.pop();
    passes(it, 4_800);

    expect(it.heard).toEqual([1, 2]);
    expect(it.recoveries).toMatchObject([{ recovered: true, missed: 0, attempts: 1 }]);
    it.node.publish(it.news, 3);
    it.node.settles();
    expect(it.heard).toEqual([1, 2, 3]);
  });

  test("is asked about only where nothing was heard for a while, and once in that while", () => {
    const it = standing(4_000);
    passes(it, 4_000);
    expect(asks(it.node)).toEqual([{ positions: { "demo.news": "e1:0" } }]);
    for (let second = 0; second < 20; second += 1) {
      it.node.publish(it.news, second);
      passes(it, 1_000);
    }
    expect(asks(it.node)).toHaveLength(1);
    passes(it, 20_000);
    expect(asks(it.node).length).toBeGreaterThan(4);
    expect(asks(it.node).length).toBeLessThan(8);
  });

  test("nobody asks who reads no streams, is away, or was told not to", () => {
    const idle = sceneWith({ checkEvery: 4_000 });
    listen(idle.on, "demo.live");
    idle.node.accept();
    idle.node.settles();
    passes(idle, 20_000);
    expect(asks(idle.node)).toEqual([]);

    const never = standing(0);
    passes(never, 20_000);
    expect(asks(never.node)).toEqual([]);

    const away = standing(4_000);
    away.node.hangsUp();
    away.on.clock.turn(20_000);
    expect(away.on.wire.heard()).toEqual([]);
  });

  test("a node that does not know the question is not asked again", () => {
    const it = standing(4_000);
    it.node.lacks = ["hopsack.stream.behind"];
    passes(it, 20_000);

    expect(asks(it.node)).toHaveLength(1);
  });

  test("an answer that does not come keeps nobody from asking again", () => {
    const it = standing(4_000);
    it.on.clock.turn(30_000 - 24_000);
    it.on.wire.heard();
    for (let second = 0; second < 20; second += 1) {
      it.on.wire.says({ method: "hopsack.later" });
      it.on.clock.turn(1_000);
    }

    expect(it.on.wire.heard().filter(({ method }) => method === "hopsack.stream.behind").length).toBeGreaterThan(1);
  });

  test("topics of two subscriptions are asked about together", () => {
    const [a, b] = [new Topic("load.a"), new Topic("load.b")];
    const it = standing(4_000, a, b);
    const all = listen(it.on, "load.", { match: "prefix" });
    it.node.settles();
    it.node.publish(a, 1);
    it.node.publish(b, 1);
    it.node.settles();
    for (const topic of [a, b]) {
      it.node.publish(topic, 2);
      it.node.out.pop();
    }
    passes(it, 4_800);

    const positions = { "demo.news": "e1:0", "load.a": "e1:1", "load.b": "e1:1" };
    expect(asks(it.node)).toContainEqual({ positions, patterns: [{ topic: "load.", match: "prefix" }] });
    expect([...all.heard].sort()).toEqual([1, 1, 2, 2]);
  });

  test.each([...Array(17).keys()])("is found where all of its stream was lost, after %i times 0.3 seconds", (times) => {
    const [a, b] = [new Topic("load.a"), new Topic("load.b")];
    a.append(0);
    const it = standing(4_000, a, b);
    const all = listen(it.on, "load.", { match: "prefix" });
    it.node.settles();
    passes(it, 300 * times);
    for (const data of [1, 2]) it.node.publish(b, data);
    it.node.out.splice(0);
    passes(it, 4_800);

    expect(all.heard).toEqual([1, 2]);
    it.node.publish(b, 3);
    it.node.settles();
    expect(all.heard).toEqual([1, 2, 3]);
  });

  test("patterns whose topics have no room in one question take turns, and one that has forgotten some has none", () => {
    const prefixes = ["a.", "b.", "c."];
    const topics = prefixes.flatMap((prefix) => [...Array(600).keys()].map((at) => new Topic(`${prefix}${at}`)));
    for (const topic of topics) topic.append(0);
    const many = [...Array(TOPICS + 1).keys()].map((at) => new Topic(`many.${at}`));
    const it = standing(4_000, ...topics, ...many);
    for (const prefix of [...prefixes, "many."]) listen(it.on, prefix, { match: "prefix" });
    it.node.settles();
    for (const topic of many) it.node.publish(topic, 1);
    it.node.settles();
    passes(it, 16_000);
    const turns = asks(it.node) as { positions: object; patterns?: { topic: string }[] }[];

    expect(turns.flatMap(({ patterns = [] }) => patterns.map(({ topic }) => topic)).slice(0, 6)).toEqual([
      ...prefixes,
      ...prefixes,
    ]);
    for (const { positions } of turns) expect(Object.keys(positions).length).toBeLessThanOrEqual(TOPICS);
  });
});

/** Random lives: what is lost, doubled, turned round and cut comes from a seed, so that a failure can be had again. */
describe("whatever happens", () => {
  interface Life {
    readonly on: Stage;
    readonly node: JournalNode;
    readonly random: () => number;
    readonly seed: number;
  }

  function begin(seed: number, ...topics: Topic[]): Life {
    const random = chance(seed);
    const on = stage({ random, checkEvery: (seed % 2) * 4_000 });
    const node = new JournalNode(on, ...topics);
    node.accept();
    return { on, node, random, seed };
  }

  /** Some hundred things happen; then a quiet time, in which what is missing shows with the next event, or when asked. */
  function live({ on, node, random, seed }: Life, publish: (topic: Topic) => void, others: readonly Act[] = []): void {
    const isEvent = (at: number): boolean => node.out[at]?.method === "event";
    const [first] = node.topics as [Topic];
    const one = (): Topic => node.topics[Math.floor(random() * node.topics.length)] ?? first;
    const acts: readonly Act[] = [
      [30, () => publish(one())],
      [40, () => node.delivers()],
      [20, () => node.reads()],
      [3, () => node.hangsUp()],
      [3, () => isEvent(0) && node.out.splice(0, 0, node.out[0])],
      [2, () => isEvent(0) && node.out.shift()],
      [2, () => isEvent(0) && isEvent(1) && node.out.splice(0, 2, node.out[1], node.out[0])],
      [1, () => on.wires.at(-2)?.says(first.frame({ offset: 1, data: 1 }))],
      [5, () => on.clock.turn(1_000)],
      ...others,
    ];
    const wheel = acts.flatMap(([weight, act]) => Array<() => unknown>(weight).fill(act));
    for (let step = 0; step < 400; step += 1) {
      node.returns();
      wheel[Math.floor(random() * wheel.length)]?.();
    }
    for (let round = 0; round < 2 * ATTEMPTS; round += 1) {
      node.returns();
      node.settles();
      for (const topic of seed % 2 === 0 ? node.topics : []) publish(topic);
      node.settles();
      on.clock.turn(CAP / 2);
    }
    node.settles();
  }

  const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

  test.each([...Array(60).keys()])("with the seed %i the reader has every event once, in order", (seed) => {
    const news = new Topic("demo.news");
    const life = begin(seed, news);
    const { heard, recoveries } = listen(life.on, "demo.news");
    life.node.settles();
    live(life, (topic) => life.node.publish(topic, topic.head + 1));

    expect(heard).toEqual(upTo(news.head));
    expect(recoveries.filter(({ recovered }) => !recovered)).toEqual([]);
  });

  test.each([...Array(60).keys()])("with the seed %i every event is read once or told as gone", (seed) => {
    const news = new Topic("demo.news");
    const life = begin(seed, news);
    const { heard, recoveries } = listen(life.on, "demo.news");
    life.node.settles();
    live(life, (topic) => life.node.publish(topic, topic.head + 1), [[2, () => news.trim(3)]]);
    const gone = recoveries.reduce((sum, { missed = Number.NaN }) => sum + missed, 0);

    expect(heard).toEqual([...new Set(heard as number[])].sort((a, b) => a - b));
    expect(heard.at(-1)).toBe(news.head);
    expect(heard.length + gone).toBe(news.head);
  });

  test.each([...Array(60).keys()])("with the seed %i every hole is told, also where the stream begins anew", (seed) => {
    const news = new Topic("demo.news");
    const life = begin(seed, news);
    const told: (number | Recovery)[] = [];
    const onRecovery = (recovery: Recovery): void => void told.push(recovery);
    life.on.fabric.subscribe("demo.news", ({ data }) => told.push(data), { onRecovery });
    life.node.settles();
    let [last, epochs] = [0, 1];
    const anew = (): void => {
      life.node.hangsUp();
      news.begin(`e${++epochs}`);
    };
    const trim = (): void => news.trim(2);
    live(life, (topic) => life.node.publish(topic, ++last), [
      [seed % 3, anew],
      [seed % 2, trim],
    ]);
    life.node.publish(news, ++last);
    life.node.settles();

    let [at, isTold] = [0, false];
    for (const one of told) {
      if (typeof one !== "number") isTold ||= !one.recovered;
      else {
        expect(one === at + 1 || (one > at && isTold), `${one} after ${at}`).toBe(true);
        [at, isTold] = [one, false];
      }
    }
    expect(at).toBe(last);
  });

  test.each([...Array(60).keys()])(
    "with the seed %i pattern, topic, late comer and map agree with the node",
    (seed) => {
      const [a, b] = [new Topic("load.a", "key"), new Topic("load.b")];
      const life = begin(seed, a, b);
      const { on, node, random } = life;
      const all: Record<string, number[]> = { "load.a": [], "load.b": [] };
      on.fabric.subscribe("load.", ({ topic, data }) => all[topic]?.push(data.at), { match: "prefix" });
      const exact: number[] = [];
      on.fabric.subscribe("load.a", ({ data }) => exact.push(data.at));
      node.settles();
      const late: number[][] = [];
      const joins = (): void => {
        const read: number[] = [];
        late.push(read);
        on.fabric.subscribe("load.a", ({ data }) => read.push(data.at), { after: a.position(0) });
      };
      const map = on.fabric.map("load.a", { key: "key" });
      live(life, (topic) => node.publish(topic, { key: Math.floor(random() * 4), at: topic.head + 1 }), [[1, joins]]);

      expect(all).toEqual({ "load.a": upTo(a.head), "load.b": upTo(b.head) });
      expect(exact).toEqual(upTo(a.head));
      for (const read of late) expect(read).toEqual(upTo(a.head));
      expect([...map.value.values()]).toEqual(a.newest().map(({ data }) => data));
      expect(map.complete).toBe(true);
    },
  );
});

type Act = readonly [weight: number, act: () => unknown];
