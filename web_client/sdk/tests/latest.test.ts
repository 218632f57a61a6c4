/** The newest value of each key, as a map: when it is complete, and what stays and goes through a reconnection. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { CAP } from "../src/backoff";
import type { LatestMap } from "../src/index";
import { JournalNode, Topic } from "./journalNode";
import { outcome, type Stage, settle, stage } from "./stage";

afterEach(() => vi.restoreAllMocks());

interface Scene {
  readonly on: Stage;
  readonly node: JournalNode;
  readonly load: Topic;
}

const sample = (host: string, cpu: number): object => ({ host, cpu });

function scene(): Scene {
  const on = stage({ latest: { "host.metrics": ["host"], "demo.{room}.weather": [] } });
  const load = new Topic("host.metrics", "host");
  return { on, load, node: new JournalNode(on, load) };
}

/** A map that is complete, of the hosts a and b. */
async function ready(): Promise<Scene & { readonly map: LatestMap }> {
  const it = scene();
  it.load.append(sample("a", 1));
  it.load.append(sample("b", 2));
  const map = it.on.fabric.map("host.metrics");
  it.node.accept();
  it.node.settles();
  await map.ready;
  return { ...it, map };
}

const shown = (map: LatestMap): object => Object.fromEntries([...map.value].map(([key, { cpu }]) => [key, cpu]));

describe("a map", () => {
  test("is ready when all keys are in, not before", async () => {
    const { on, node, load } = scene();
    for (const [host, cpu] of [
      ["a", 1],
      ["b", 2],
      ["a", 3],
    ] as const)
      load.append(sample(host, cpu));
    const map = on.fabric.map("host.metrics");
    const seen: object[] = [];
    map.subscribe(() => seen.push(shown(map)));
    node.accept();
    node.reads();
    node.delivers();
    node.reads();
    node.delivers();
    node.delivers();
    const early = await outcome(map.ready);
    node.delivers();

    expect(early).toBe("open");
    expect(await outcome(map.ready)).toBeUndefined();
    expect(map.complete).toBe(true);
    expect(seen).toEqual([{}, { a: 3, b: 2 }]);
  });

  test("of a topic without a value yet is ready and empty", async () => {
    const { on, node } = scene();
    const map = on.fabric.map("host.metrics");
    node.accept();
    node.settles();

    expect(await outcome(map.ready)).toBeUndefined();
    expect([...map.value]).toEqual([]);
  });

  test("follows what is live; what a reader holds does not change under it", async () => {
    const { node, load, map } = await ready();
    const before = map.value;
    node.publish(load, sample("a", 7));
    node.publish(load, sample("c", 3));
    node.publish(load, { host: "b" }, true);
    node.settles();

    expect(shown(map)).toEqual({ a: 7, c: 3 });
    expect([...before.keys()]).toEqual(["a", "b"]);
    expect(map.value).toBe(map.value);
  });

  test("resumes without a snapshot where the stream reaches back", async () => {
    const { on, node, load, map } = await ready();
    node.hangsUp();
    node.publish(load, sample("a", 9));
    node.publish(load, { host: "b" }, true);
    on.clock.turn(CAP);
    node.accept();
    expect(shown(map)).toEqual({ a: 1, b: 2 });
    node.settles();

    expect(shown(map)).toEqual({ a: 9 });
    expect(node.asked.at(-1)?.params).toEqual({ topic: "host.metrics", after: "e1:2" });
  });

  test("else shows the old values until the new ones are all there, then drops what vanished", async () => {
    const { on, node, load, map } = await ready();
    const seen: object[] = [];
    map.subscribe(() => seen.push(shown(map)));
    node.hangsUp();
    load.begin("e2");
    load.append(sample("c", 5));
    load.append(sample("d", 6));
    on.clock.turn(CAP);
    node.accept();
    node.settles();
    node.publish(load, sample("c", 8));
    node.settles();

    expect(seen).toEqual([
      { a: 1, b: 2 },
      { c: 5, d: 6 },
      { c: 8, d: 6 },
    ]);
    expect(map.complete).toBe(true);
  });

  test("a connection lost amid the keys: asked for anew, and complete then", async () => {
    const { on, node, load } = scene();
    for (const host of ["a", "b", "c"]) load.append(sample(host, 1));
    const map = on.fabric.map("host.metrics");
    const heard: unknown[] = [];
    on.fabric.subscribe("host.metrics", ({ data }) => heard.push(data.host));
    node.accept();
    node.reads();
    for (let frame = 0; frame < 3; frame += 1) {
      node.delivers();
      node.reads();
    }
    node.hangsUp();
    load.append({ host: "b" }, true);
    on.clock.turn(CAP);
    node.accept();
    const early = await outcome(map.ready);
    node.settles();

    expect(early).toBe("open");
    expect(await outcome(map.ready)).toBeUndefined();
    expect(shown(map)).toEqual({ a: 1, c: 1 });
    expect(heard).toEqual(["a", "c"]);
  });

  test("joins listeners of its topic: they get nothing twice and miss nothing", async () => {
    const { on, node, load } = scene();
    load.append(sample("a", 1));
    const heard: unknown[] = [];
    on.fabric.subscribe("host.metrics", ({ data }) => heard.push(data.cpu));
    node.accept();
    node.settles();
    const map = on.fabric.map("host.metrics");
    node.publish(load, sample("b", 2));
    node.settles();
    expect(heard).toEqual([1, 2]);
    node.publish(load, sample("a", 3));
    node.settles();

    expect(heard).toEqual([1, 2, 3]);
    expect(await outcome(map.ready)).toBeUndefined();
    expect(shown(map)).toEqual({ a: 3, b: 2 });
  });

  test("of a node that keeps no newest values says so, and holds what comes", async () => {
    const on = stage();
    const map = on.fabric.map("host.metrics", { key: "host" });
    on.wire.joins();
    on.fabric.subscribe("host.metrics", () => {});
    on.wire.says({ id: on.wire.hears().id, result: { subscription: 11, recovered: false } });
    on.wire.says({ method: "event", params: { topic: "host.metrics", data: sample("a", 1) } });

    expect(await outcome(map.ready)).toMatchObject({ code: "hopsack.usage", where: "host.metrics" });
    expect(shown(map)).toEqual({ a: 1 });
    expect(map.complete).toBe(false);
    expect(on.wire.heard()).toEqual([]);
  });

  test("of such a node it is told also where nobody looks at ready: to onError, else in the console", async () => {
    const complaints = vi.spyOn(console, "error").mockImplementation(() => {});
    const on = stage();
    const told: string[] = [];
    on.fabric.map("host.metrics", { key: "host" });
    on.fabric.map("host.load", { key: "host", onError: ({ code }) => told.push(code) });
    on.wire.joins();
    for (const { id } of on.wire.heard()) on.wire.says({ id, result: { subscription: id, recovered: false } });
    await settle();

    expect(told).toEqual(["hopsack.usage"]);
    expect(complaints.mock.calls).toEqual([[expect.stringContaining("keeps no newest values")]]);
  });

  test.each([true, false])(
    "of a node too old to mark newest values says so, and asks no further: positions %j",
    async (isStream) => {
      const on = stage({ checkEvery: 4_000 });
      const map = on.fabric.map("host.metrics", { key: "host" });
      on.wire.joins();
      const position = (offset: number): object => (isStream ? { position: `e:${offset}` } : {});
      on.wire.says({
        id: on.wire.hears().id,
        result: { subscription: 1, recovered: false, snapshot: 2, ...position(7) },
      });
      const event = (host: string, offset: number): void =>
        on.wire.says({
          method: "event",
          params: { topic: "host.metrics", data: sample(host, 1), ...position(offset) },
        });
      event("a", 3);
      expect(await outcome(map.ready)).toBe("open");
      event("b", 7);

      expect(await outcome(map.ready)).toMatchObject({
        code: "hopsack.usage",
        where: "host.metrics",
        advice: expect.stringContaining("older than this client"),
      });
      for (let round = 0; round < 10; round += 1) {
        on.clock.turn(2_000);
        event("c", 8 + round);
      }
      expect(on.wire.heard().filter(({ method }) => method === "hopsack.subscribe")).toEqual([]);
    },
  );

  test("a refusal rejects it; closing gives the subscription back", async () => {
    const { on, node, map } = await ready();
    const refused = on.fabric.map("demo.secret", { key: [], onError: () => {} });
    on.wire.says({ id: on.wire.hears().id, error: { code: 1003, message: "No.", data: { code: "hopsack.denied" } } });
    const closing = map.close();
    node.settles();
    await closing;

    expect(await outcome(refused.ready)).toMatchObject({ code: "hopsack.denied" });
    expect(node.asked.at(-1)?.method).toBe("hopsack.unsubscribe");
  });

  test("its key comes from the contracts, or from the program, or is asked for", () => {
    const { on } = scene();

    expect(() => on.fabric.map("demo.text")).toThrow(
      expect.objectContaining({ advice: expect.stringContaining("key") }),
    );
    expect(() => on.fabric.map("demo.hall.weather")).not.toThrow();
  });

  test.each([
    [[], { a: 1 }, "t"],
    ["a", { a: true }, true],
    [["a", "b"], { a: 1, b: "x" }, '[1,"x"]'],
  ] as const)("with the key %j the entry of %j is %j", (key, data, expected) => {
    const on = stage();
    const map = on.fabric.map("t", { key, onError: () => {} });
    on.wire.joins();
    on.wire.says({ id: on.wire.hears().id, result: { subscription: 11, recovered: false } });
    on.wire.says({ method: "event", params: { topic: "t", data } });

    expect([...map.value]).toEqual([[expected, data]]);
  });

  test("keys of a pattern's topics come in parts, and what is live of one is not a key of another", () => {
    const on = stage();
    const heard: unknown[] = [];
    on.fabric.subscribe("load.", ({ position }) => heard.push(position), { match: "prefix" });
    const event = (topic: string, position: string, retained?: true): void =>
      on.wire.says({ method: "event", params: { topic, position, data: null, ...(retained && { retained }) } });
    on.wire.joins();
    const positions = { "load.a": "a:5", "load.b": "b:9" };
    on.wire.says({ id: on.wire.hears().id, result: { subscription: 11, positions, recovered: false, snapshot: 3 } });
    event("load.a", "a:3", true);
    event("load.a", "a:6");
    event("load.b", "b:2", true);
    event("load.b", "b:9", true);
    event("load.b", "b:10");
    event("load.a", "a:7");

    expect(heard).toEqual(["a:3", "a:6", "b:2", "b:9", "b:10", "a:7"]);
    expect(on.wire.heard()).toEqual([]);
  });

  test("a newest value that is lost on the way is asked for again, and no map waits for ever", () => {
    const on = stage({ checkEvery: 4_000 });
    const map = on.fabric.map("host.metrics", { key: "host" });
    on.wire.joins();
    const value = (data: object): void =>
      on.wire.says({ method: "event", params: { topic: "host.metrics", data, retained: true } });
    on.wire.says({ id: on.wire.hears().id, result: { subscription: 11, recovered: false, snapshot: 2 } });
    on.clock.turn(1_900);
    value(sample("a", 1));
    on.clock.turn(1_900);
    expect(on.wire.heard().filter(({ method }) => method === "hopsack.subscribe")).toEqual([]);
    on.clock.turn(4_000);
    const asked = on.wire.heard().filter(({ method }) => method === "hopsack.subscribe");
    expect(asked).toHaveLength(1);
    on.wire.says({ id: asked[0].id, result: { subscription: 12, recovered: false, snapshot: 2 } });
    value(sample("a", 1));
    value(sample("b", 2));

    expect(map.complete).toBe(true);
    expect(shown(map)).toEqual({ a: 1, b: 2 });
  });

  test("an event of a live topic amid a pattern's newest values is none of them", () => {
    const on = stage();
    const [first, late]: unknown[][] = [[], []];
    on.fabric.subscribe("load.", ({ data }) => first?.push(data), { match: "prefix" });
    on.wire.joins();
    const grant = (): void =>
      on.wire.says({ id: on.wire.heard().at(-1).id, result: { subscription: 11, positions: {}, snapshot: 1 } });
    grant();
    on.wire.says({ method: "event", params: { topic: "load.b", data: 1, retained: true } });
    on.fabric.subscribe("load.", ({ data }) => late?.push(data), { match: "prefix" });
    grant();
    on.wire.says({ method: "event", params: { topic: "load.live", data: 2 } });
    on.wire.says({ method: "event", params: { topic: "load.b", data: 1, retained: true } });

    expect({ first, late }).toEqual({ first: [1, 2], late: [2, 1] });
  });

  test("is filled anew where the node has told that changes are gone", async () => {
    const { on, node, load, map } = await ready();
    vi.spyOn(console, "warn").mockImplementation(() => {});
    load.append(sample("a", 7));
    node.publish(load, sample("c", 8));
    node.out.unshift({ method: "gap", params: { topic: "host.metrics", dropped: 1 } });
    node.settles();

    expect(shown(map)).toEqual({ a: 7, b: 2, c: 8 });
    expect(map.complete).toBe(true);
    load.begin("e2");
    node.publish(load, sample("d", 1));
    node.settles();
    expect(shown(map)).toEqual({ d: 1 });
    on.fabric.close();
  });

  test("of a topic that is no stream is filled anew, and listeners get what may have changed", () => {
    const on = stage();
    const heard: unknown[] = [];
    const map = on.fabric.map("host.metrics", { key: "host" });
    on.fabric.subscribe("host.metrics", ({ data }) => heard.push(data.cpu));
    const snapshot = (...values: object[]): void => {
      on.wire.says({ id: on.wire.hears().id, result: { subscription: 11, recovered: false, snapshot: values.length } });
      for (const data of values)
        on.wire.says({ method: "event", params: { topic: "host.metrics", data, retained: true } });
    };
    on.wire.joins();
    snapshot(sample("a", 1), sample("b", 2));
    on.wire.hangsUp();
    on.clock.turn(CAP);
    on.wire.joins(8);
    snapshot(sample("a", 3));

    expect(heard).toEqual([1, 2, 3]);
    expect(shown(map)).toEqual({ a: 3 });
  });

  test("over WAMP, where the stream does not reach back, is filled anew", async () => {
    const on = stage({ url: "ws://node/ws" });
    const map = on.fabric.map("host.metrics", { key: "host" });
    const fill = (...values: object[]): void => {
      on.wire.says([33, on.wire.heard().at(-1)[1], 77]);
      for (const [index, value] of values.entries())
        on.wire.says([36, 77, index, { retained: true, x_hopsack_position: `e:${4 + index}` }, [value]]);
      on.wire.says([8, 34, on.wire.hears()[1], {}, "wamp.error.no_such_subscription"]);
    };
    on.wire.welcomes();
    fill(sample("a", 1), sample("b", 2));
    on.wire.hangsUp();
    on.clock.turn(CAP);
    on.wire.welcomes(8);
    on.wire.says([33, on.wire.hears()[1], 77]);
    const read = on.wire.hears();
    on.wire.says([50, read[1], {}, [{ events: [], position: "e:9", recovered: false, reason: "trimmed", end: true }]]);
    fill(sample("b", 3));

    expect(shown(map)).toEqual({ b: 3 });
    expect(map.complete).toBe(true);
  });

  test("over WAMP: retained events, and an answer that says they were all", async () => {
    const on = stage({ url: "ws://node/ws" });
    const map = on.fabric.map("host.metrics", { key: "host" });
    on.wire.welcomes();
    const subscribe = on.wire.hears();
    on.wire.says([33, subscribe[1], 77]);
    on.wire.says([36, 77, 1, { retained: true, x_hopsack_position: "e1:4" }, [sample("a", 1)]]);
    on.wire.says([36, 77, 2, { x_hopsack_position: "e1:5" }, [sample("b", 2)]]);
    const early = await outcome(map.ready);
    const probe = on.wire.hears();
    on.wire.says([8, 34, probe[1], {}, "wamp.error.no_such_subscription"]);

    expect(subscribe).toEqual([32, 1, { get_retained: true }, "host.metrics"]);
    expect(early).toBe("open");
    expect(await outcome(map.ready)).toBeUndefined();
    expect(shown(map)).toEqual({ a: 1, b: 2 });
  });
});
