/** The program's side: loops, handlers that fail, the WAMP door behind the same API. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { FIRST } from "../src/backoff";
import { DeclaredError } from "../src/index";
import { outcome, type Stage, settle, stage } from "./stage";

afterEach(() => vi.restoreAllMocks());

function joined(): Stage {
  const on = stage();
  on.wire.joins();
  return on;
}

const event = (on: Stage, data: unknown): void =>
  on.wire.says({ method: "event", params: { topic: "demo.news", data } });

const grant = (on: Stage): void =>
  on.wire.says({ id: on.wire.hears().id, result: { subscription: 11, registration: 21 } });

describe("events as a loop reads them", () => {
  test("in order, until the loop is left; then the subscription is given back", async () => {
    const on = joined();
    const events = on.fabric.events("demo.news");
    grant(on);
    for (const data of [1, 2, 3]) event(on, data);

    const read: unknown[] = [];
    const loop = (async () => {
      for await (const { data } of events) {
        read.push(data);
        if (data === 4) break;
      }
    })();
    await settle();
    event(on, 4);
    await settle();
    const { id, method } = on.wire.hears();
    on.wire.says({ id, result: {} });
    await loop;

    expect(read).toEqual([1, 2, 3, 4]);
    expect(method).toBe("hopsack.unsubscribe");
  });

  test.each([
    ["oldest", [3, 4]],
    ["newest", [1, 2]],
  ] as const)("a full buffer that drops the %s", async (overflow, kept) => {
    const on = joined();
    const events = on.fabric.events("demo.news", { buffer: 2, overflow });
    grant(on);
    for (const data of [1, 2, 3, 4]) event(on, data);

    expect([(await events.next()).value?.data, (await events.next()).value?.data]).toEqual(kept);
    expect(events.dropped).toBe(2);
  });

  test("a full buffer of a live topic drops the oldest, and the loop is told how many before it reads on", async () => {
    const on = joined();
    const told: unknown[] = [];
    const events = on.fabric.events("demo.news", { buffer: 2, onGap: (gap) => told.push(gap) });
    grant(on);
    for (const data of [1, 2, 3, 4]) event(on, data);
    expect(told).toEqual([]);
    told.push((await events.next()).value?.data, (await events.next()).value?.data);

    expect(told).toEqual([{ topic: "demo.news", dropped: 2 }, 3, 4]);
    expect(events.dropped).toBe(2);
  });

  test("a full buffer ends the loop with the numbers, if it was told to", async () => {
    const on = joined();
    const events = on.fabric.events("demo.news", { buffer: 2, overflow: "fail" });
    grant(on);
    for (const data of [1, 2, 3, 4]) event(on, data);

    expect((await events.next()).value?.data).toBe(1);
    expect((await events.next()).value?.data).toBe(2);
    expect(await outcome(events.next())).toMatchObject({
      code: "hopsack.overloaded",
      message: expect.stringContaining("2"),
    });
    expect(await events.next()).toEqual({ done: true, value: undefined });
    expect(on.wire.hears().method).toBe("hopsack.unsubscribe");
  });

  test("a refusal ends the loop", async () => {
    const on = joined();
    const events = on.fabric.events("demo.secret");
    const next = events.next();
    on.wire.says({ id: on.wire.hears().id, error: { code: 1003, message: "No." } });

    expect(await outcome(next)).toMatchObject({ code: "hopsack.denied" });
  });

  test("close() ends it too", async () => {
    const on = joined();
    const events = on.fabric.events("demo.news");
    const next = events.next();
    on.fabric.close();

    expect(await outcome(next)).toEqual({ done: true, value: undefined });
  });
});

describe("what a handler does wrong", () => {
  async function answered(
    handler: () => unknown,
  ): Promise<{ readonly answer: Record<string, unknown>; readonly written: unknown[][] }> {
    const written = vi.spyOn(console, "error").mockImplementation(() => {});
    const on = joined();
    on.fabric.register("demo.ask", handler);
    grant(on);
    on.wire.says({ id: 1, method: "demo.ask", params: "?" });
    await settle();
    return { answer: on.wire.hears(), written: written.mock.calls };
  }

  test("a declared error reaches the caller as it is", async () => {
    const { answer, written } = await answered(() => {
      throw new DeclaredError("demo.declined", "Not now.", { until: 7 });
    });

    expect(answer).toEqual({
      jsonrpc: "2.0",
      id: 1,
      error: {
        code: 1016,
        message: "Not now.",
        data: { code: "demo.declined", message: "Not now.", retry: "never", data: { until: 7 } },
      },
    });
    expect(written).toEqual([]);
  });

  test("anything else reaches it as an incident, and only the console has the details", async () => {
    const secret = new Error("password is hunter2");

    const { answer, written } = await answered(() => Promise.reject(secret));

    expect(answer.error).toMatchObject({
      code: 1011,
      data: { code: "hopsack.internal", where: "demo.ask", data: { incident: "80000000" } },
    });
    expect(JSON.stringify(answer)).not.toContain("hunter2");
    expect(written).toEqual([[expect.stringContaining("80000000"), secret]]);
  });

  test("a result that is not JSON is an internal error", async () => {
    const { answer, written } = await answered(() => 1n);

    expect(answer.error).toMatchObject({ code: 1011, data: { code: "hopsack.internal" } });
    expect(written).toHaveLength(1);
  });

  test("no result is null", async () => {
    expect((await answered(() => undefined)).answer).toEqual({ jsonrpc: "2.0", id: 1, result: null });
  });
});

test("a program may act from within its own listeners: what it sends keeps its order", async () => {
  const on = stage();
  on.fabric.state.subscribe(({ name }) => {
    if (name === "open") void on.fabric.publish("demo.news", "hello", { acknowledge: false });
  });
  on.fabric.subscribe("demo.news", () => {});
  on.wire.joins();

  expect(on.wire.heard().map(({ method }) => method)).toEqual(["hopsack.subscribe", "hopsack.publish"]);
});

test("the WAMP door behind the same API", async () => {
  const on = stage({ url: "ws://node/ws" });
  const heard: unknown[] = [];
  on.fabric.subscribe("demo.news", ({ data }) => heard.push(data));
  on.wire.welcomes();
  const [subscribe] = on.wire.heard();
  on.wire.says([33, subscribe[1], 77]);
  on.wire.says([36, 77, 1, {}, ["hi"]]);
  const call = on.fabric.call("demo.add", { a: 1 });
  const [, request] = on.wire.hears();
  on.wire.says([50, request, {}, [3]]);

  expect(on.wire.protocols).toEqual(["wamp.2.json"]);
  expect(await on.fabric.ready()).toMatchObject({ id: 7, role: "guest" });
  expect(heard).toEqual(["hi"]);
  expect(await call).toBe(3);
  on.wire.says([6, { retry_after: 2 }, "wamp.close.system_shutdown"]);
  expect(on.fabric.state.value).toMatchObject({ name: "waiting", retryAt: 1_000_000 + 2_000 + FIRST / 2 });
});
