/** Connections come and go: what is kept, what is asked for again, what ends, and when. The raw door, a scripted node. */
import { describe, expect, test, vi } from "vitest";
import { CAP, FIRST } from "../src/backoff";
import { BACKLOG, JOIN, STABLE, TICK, WAITING } from "../src/connection";
import { outcome, type Stage, settle, stage } from "./stage";

function joined(): Stage {
  const on = stage();
  on.wire.joins();
  return on;
}

/** The connection breaks, the pause passes, the next one stands. */
function rejoins(on: Stage): void {
  on.wire.hangsUp();
  on.clock.turn(CAP);
  on.wire.joins(on.wires.length + 100);
}

const names = (on: Stage): string[] => {
  const seen: string[] = [];
  on.fabric.state.subscribe(({ name }) => seen.push(name));
  return seen;
};

describe("the state of the connection", () => {
  test("connecting, open, waiting, connecting, open", () => {
    const on = stage();
    const seen = names(on);
    on.wire.joins();
    on.wire.hangsUp(1001, "The node is going away.");
    const waiting = on.fabric.state.value;
    on.clock.turn(FIRST);
    on.wire.joins(8);

    expect(seen).toEqual(["connecting", "open", "waiting", "connecting", "open"]);
    expect(waiting).toEqual({
      name: "waiting",
      attempt: 1,
      reason: "The node is going away.",
      retryAt: 1_000_000 + FIRST / 2,
    });
    expect(on.fabric.state.value).toMatchObject({
      name: "open",
      session: { id: 8, authid: "guest-1", role: "guest", realm: "hopsack", server: "hopsack/0.1.0" },
    });
  });

  test("pauses grow while nothing holds, and begin again after a stable connection", () => {
    const on = stage();
    const pauses: number[] = [];
    const fail = (): void => {
      on.wire.hangsUp();
      pauses.push((on.fabric.state.value.retryAt ?? 0) - on.clock.now());
      on.clock.turn(CAP);
    };

    for (let attempt = 0; attempt < 6; attempt += 1) fail();
    on.wire.joins();
    keepAlive(on, STABLE - TICK);
    fail();
    on.wire.joins();
    keepAlive(on, STABLE);
    fail();

    expect(pauses).toEqual([FIRST / 2, ...Array(6).fill(CAP / 2), FIRST / 2]);
  });

  test("a node that cannot be reached and one that does not answer are named apart", () => {
    const on = stage();
    on.wire.hangsUp();
    const unreachable = on.fabric.state.value.reason;
    on.clock.turn(FIRST);
    on.wire.opens();
    on.clock.turn(JOIN);

    expect(unreachable).toBe("The node cannot be reached.");
    expect(on.fabric.state.value.reason).toBe("The node did not answer in time.");
    expect(on.wire.closed).toEqual({ code: 1000, reason: "" });
  });

  test("a hint in the reason of a close is honoured", () => {
    const on = stage();
    on.wire.joins();
    on.wire.hangsUp(1001, "The node is going away. (retry_after=2.3)");

    expect(on.fabric.state.value).toMatchObject({ name: "waiting", retryAt: 1_000_000 + 2_300 + FIRST / 2 });
  });

  test("the node's hint is honoured", () => {
    const on = stage();
    on.wire.opens();
    const data = { code: "hopsack.overloaded", retry: "later", data: { retry_after: 30 } };
    on.wire.says({ id: on.wire.hears().id, error: { code: 1013, message: "Full.", data } });

    expect(on.fabric.state.value).toMatchObject({
      name: "waiting",
      reason: "Full.",
      retryAt: 1_000_000 + 30_000 + FIRST / 2,
    });
  });

  test("a refused token is for good, whether hello or the close says so", async () => {
    const on = stage({ token: "old" });
    const waiting = on.fabric.call("demo.add", null);
    on.wire.hangsUp(4401, "The token is expired.");
    on.clock.turn(1e9);

    expect(on.wires).toHaveLength(1);
    expect(on.fabric.state.value).toMatchObject({ name: "closed", reason: "The token is expired." });
    expect(await outcome(on.fabric.ready())).toMatchObject({ code: "hopsack.login_required", retry: "after_login" });
    expect(await outcome(waiting)).toMatchObject({ code: "hopsack.login_required" });
    expect(await outcome(on.fabric.call("demo.add", null))).toMatchObject({ code: "hopsack.login_required" });
    expect(on.clock.pending).toBe(0);
  });

  test("what an old socket still says is dropped", () => {
    const on = joined();
    const [old] = on.wires;
    on.wire.hangsUp();
    on.clock.turn(CAP);
    on.wire.joins(8);

    old?.hangsUp(4401, "late");
    old?.says({ method: "event", params: { topic: "x", data: 1 } });

    expect(on.fabric.state.value).toMatchObject({ name: "open", session: { id: 8 } });
  });

  test("reconnect() ends the pause", () => {
    const on = stage();
    on.wire.hangsUp();
    on.fabric.reconnect();

    expect(on.wires).toHaveLength(2);
    expect(on.fabric.state.value.name).toBe("connecting");
  });

  test("after close() nothing is left: no socket, no timer, no promise", async () => {
    const on = joined();
    const call = on.fabric.call("demo.add", null);
    const ready = on.fabric.subscribe("demo.news", () => {}).ready;
    on.fabric.close();
    on.fabric.close();

    expect(on.wire.closed).toEqual({ code: 1000, reason: "" });
    expect(on.clock.pending).toBe(0);
    expect(on.fabric.state.value.name).toBe("closed");
    expect(await outcome(call)).toMatchObject({ code: "hopsack.outcome_unknown" });
    expect(await outcome(ready)).toMatchObject({ code: "hopsack.disconnected" });
    expect(await outcome(on.fabric.ready())).toMatchObject({ code: "hopsack.disconnected" });
  });
});

/** Lets time pass while the node answers every probe. */
function keepAlive(on: Stage, time: number): void {
  for (let passed = 0; passed < time; passed += TICK / 2) {
    on.clock.turn(TICK / 2);
    for (const { id, method } of on.wire.heard()) if (method === "hopsack.ping") on.wire.says({ id, result: {} });
  }
}

describe("liveness", () => {
  test("a silent node is asked, and given up in less than 10 s", () => {
    const on = joined();
    on.clock.turn(2 * TICK);
    const probe = on.wire.hears();
    on.clock.turn(2 * TICK);

    expect(probe.method).toBe("hopsack.ping");
    expect(on.wire.closed).toEqual({ code: 1000, reason: "" });
    expect(on.fabric.state.value).toMatchObject({ name: "waiting", reason: "The node stopped answering." });
    expect(4 * TICK).toBeLessThan(10_000);
  });

  test("anything that comes is a sign of life", () => {
    const on = joined();
    keepAlive(on, 60_000);
    on.wire.says({ method: "event", params: { topic: "x", data: 1 } });
    on.clock.turn(TICK);

    expect(on.wire.heard()).toEqual([]);
    expect(on.fabric.state.value.name).toBe("open");
  });

  test("reconnect() on an open connection asks at once", () => {
    const on = joined();
    on.fabric.reconnect();

    expect(on.wire.hears().method).toBe("hopsack.ping");
    on.clock.turn(2 * TICK);
    expect(on.fabric.state.value.name).toBe("waiting");
  });
});

describe("subscriptions", () => {
  test("survive the connection: asked for again, with a new number", () => {
    const on = stage();
    const heard: unknown[] = [];
    on.fabric.subscribe("demo.news", ({ data }) => heard.push(data));
    on.wire.joins();
    const first = on.wire.hears();
    on.wire.says({ id: first.id, result: { subscription: 11 } });
    rejoins(on);
    const second = on.wire.hears();
    on.wire.says({ id: first.id, result: { subscription: 11 } });
    on.wire.says({ method: "event", params: { topic: "demo.news", data: "before the grant" } });
    on.wire.says({ id: second.id, result: { subscription: 12 } });
    on.wire.says({ method: "event", params: { topic: "demo.news", data: "after" } });

    expect(second).toMatchObject({ method: "hopsack.subscribe", params: { topic: "demo.news" } });
    expect(second.id).not.toBe(first.id);
    expect(heard).toEqual(["after"]);
  });

  test("listeners of one topic share one, which is given back with the last of them", async () => {
    const on = joined();
    const heard: string[] = [];
    const one = on.fabric.subscribe("demo.news", () => heard.push("one"));
    const two = on.fabric.subscribe("demo.news", () => heard.push("two"));
    on.wire.says({ id: on.wire.hears().id, result: { subscription: 11 } });
    const three = on.fabric.subscribe("demo.news", () => heard.push("three"));
    await Promise.all([one.ready, two.ready, three.ready]);
    on.wire.says({ method: "event", params: { topic: "demo.news", data: 1 } });

    await one.close();
    await one.close();
    await two.close();
    expect(on.wire.heard()).toEqual([]);
    on.wire.says({ method: "event", params: { topic: "demo.news", data: 2 } });
    const closing = three.close();
    const { id, method, params } = on.wire.hears();
    on.wire.says({ id, result: {} });
    await closing;

    expect(heard).toEqual(["one", "two", "three", "three"]);
    expect({ method, params }).toEqual({ method: "hopsack.unsubscribe", params: { subscription: 11 } });
  });

  test("one closed before its grant is given back when the grant comes", async () => {
    const on = joined();
    const subscription = on.fabric.subscribe("demo.news", () => {});
    const { id } = on.wire.hears();
    await subscription.close();
    expect(on.wire.heard()).toEqual([]);
    on.wire.says({ id, result: { subscription: 11 } });

    expect(on.wire.hears()).toMatchObject({ method: "hopsack.unsubscribe", params: { subscription: 11 } });
  });

  test("one closed and made again before the grant keeps it", async () => {
    const on = joined();
    const heard: unknown[] = [];
    void on.fabric.subscribe("demo.news", () => heard.push("old")).close();
    const again = on.fabric.subscribe("demo.news", () => heard.push("new"));
    on.wire.says({ id: on.wire.hears().id, result: { subscription: 11 } });
    await again.ready;
    on.wire.says({ method: "event", params: { topic: "demo.news", data: 1 } });

    expect(on.wire.heard()).toEqual([]);
    expect(heard).toEqual(["new"]);
  });

  test("one closed without a connection is not asked for again, and closing ends with the connection", async () => {
    const on = joined();
    const one = on.fabric.subscribe("demo.one", () => {});
    on.wire.says({ id: on.wire.hears().id, result: { subscription: 11 } });
    const closing = one.close();
    const two = on.fabric.subscribe("demo.two", () => {});
    on.wire.hangsUp();
    await closing;
    await two.close();
    on.clock.turn(CAP);
    on.wire.joins();

    expect(on.wire.heard()).toEqual([]);
  });

  test("a refusal is the program's to deal with, and is not repeated", async () => {
    const on = joined();
    const onError = vi.fn();
    const subscription = on.fabric.subscribe("demo.secret", () => {}, { onError });
    const error = { code: 1003, message: "No.", data: { code: "hopsack.denied" } };
    on.wire.says({ id: on.wire.hears().id, error });
    rejoins(on);

    expect(await outcome(subscription.ready)).toMatchObject({ code: "hopsack.denied", where: "demo.secret" });
    expect(onError).toHaveBeenCalledOnce();
    expect(on.wire.heard()).toEqual([]);
  });

  test("a refusal that nobody looks at is written to the console", async () => {
    const on = joined();
    const written = vi.spyOn(console, "error").mockImplementation(() => {});
    on.fabric.subscribe("demo.secret", () => {});
    on.wire.says({ id: on.wire.hears().id, error: { code: 1003, message: "No." } });
    await settle();

    expect(written.mock.calls).toEqual([["hopsack.denied: No. [demo.secret]"]]);
    written.mockRestore();
  });

  test("a listener that throws takes the event from nobody", () => {
    const on = joined();
    const written = vi.spyOn(console, "error").mockImplementation(() => {});
    const heard: unknown[] = [];
    on.fabric.subscribe("demo.news", () => {
      throw new Error("mine");
    });
    on.fabric.subscribe("demo.news", ({ data }) => heard.push(data));
    on.wire.says({ id: on.wire.hears().id, result: { subscription: 11 } });
    on.wire.says({ method: "event", params: { topic: "demo.news", data: 1 } });

    expect(heard).toEqual([1]);
    expect(written).toHaveBeenCalledOnce();
    written.mockRestore();
  });
});

describe("registrations", () => {
  test("are asked for again while the node still sees our old session", async () => {
    const on = stage();
    const registration = on.fabric.register("demo.ask", () => "yes");
    on.wire.joins();
    on.wire.says({ id: on.wire.hears().id, result: { registration: 21 } });
    await registration.ready;
    rejoins(on);
    const taken = { code: 1005, message: "Taken.", data: { code: "hopsack.already_registered" } };
    on.wire.says({ id: on.wire.hears().id, error: taken });
    expect(on.wire.heard()).toEqual([]);
    on.clock.turn(FIRST / 2);
    const again = on.wire.hears();
    on.wire.says({ id: again.id, result: { registration: 22 } });
    on.wire.says({ id: 1, method: "demo.ask" });
    await settle();

    expect(again).toMatchObject({ method: "hopsack.register", params: { procedure: "demo.ask" } });
    expect(on.wire.hears()).toMatchObject({ id: 1, result: "yes" });
  });

  test("closing one between two tries ends the tries", async () => {
    const on = stage();
    const registration = on.fabric.register("demo.ask", () => "yes");
    on.wire.joins();
    on.wire.says({ id: on.wire.hears().id, result: { registration: 21 } });
    rejoins(on);
    on.wire.says({ id: on.wire.hears().id, error: { code: 1005, message: "Taken." } });
    await registration.close();
    on.clock.turn(2 * TICK - 1);

    expect(on.wire.heard().map(({ method }) => method)).toEqual([]);
  });

  test("one page serves a procedure once", async () => {
    const on = joined();
    on.fabric.register("demo.ask", () => 1);
    const second = on.fabric.register("demo.ask", () => 2);

    expect(await outcome(second.ready)).toMatchObject({ code: "hopsack.already_registered" });
    expect(on.wire.hears().method).toBe("hopsack.register");
  });

  test("a lost connection aborts what runs, and its answer is not sent to the next one", async () => {
    const on = stage();
    let answer: (value: string) => void = () => {};
    let signal: AbortSignal | undefined;
    on.fabric.register("demo.ask", (_, invocation) => {
      signal = invocation.signal;
      return new Promise((resolve) => {
        answer = resolve;
      });
    });
    on.wire.joins();
    on.wire.says({ id: on.wire.hears().id, result: { registration: 21 } });
    on.wire.says({ id: 1, method: "demo.ask" });
    rejoins(on);
    on.wire.says({ id: on.wire.hears().id, result: { registration: 22 } });
    on.wire.says({ id: 1, method: "demo.ask" });
    const late = answer;
    late("old");
    await settle();

    expect(signal?.aborted).toBe(false);
    expect(on.wire.heard()).toEqual([{ jsonrpc: "2.0", id: 1, result: "old" }]);
  });
});

describe("calls and publications", () => {
  test("made without a connection wait for it, in order", async () => {
    const on = stage();
    const one = on.fabric.call("demo.add", [1, 2]);
    const two = on.fabric.publish("demo.news", { headline: "x" });
    on.wire.joins();
    const [first, second] = on.wire.heard();
    on.wire.says({ id: second.id, result: {} });
    on.wire.says({ id: first.id, result: 3 });

    expect(first).toMatchObject({ method: "demo.add", params: [1, 2] });
    expect(second).toMatchObject({ method: "hopsack.publish" });
    expect(await one).toBe(3);
    expect(await two).toBeUndefined();
  });

  test("end at their deadlines, connected or not; the node is told to stop", async () => {
    const on = joined();
    const sent = on.fabric.call("demo.slow", null, { timeout: 1_000 });
    const { id } = on.wire.hears();
    on.clock.turn(1_000);
    expect(on.wire.hears()).toMatchObject({ method: "hopsack.cancel", params: { id } });
    on.wire.hangsUp();
    const waiting = on.fabric.call("demo.slow", null, { timeout: 10 });
    on.clock.turn(10);

    expect(await outcome(sent)).toMatchObject({ code: "hopsack.deadline", where: "demo.slow" });
    expect(await outcome(waiting)).toMatchObject({ code: "hopsack.deadline", advice: expect.any(String) });
  });

  test("10 s is the deadline nobody has to ask for, and Infinity is none", async () => {
    const on = joined();
    const one = on.fabric.call("demo.slow", null);
    const two = on.fabric.call("demo.slow", null, { timeout: Number.POSITIVE_INFINITY });
    keepAlive(on, 9_000);
    expect(await outcome(one)).toBe("open");
    keepAlive(on, 1_200);

    expect(await outcome(one)).toMatchObject({ code: "hopsack.deadline" });
    keepAlive(on, 100_000);
    expect(await outcome(two)).toBe("open");
  });

  test("in flight when the connection breaks: nobody knows", async () => {
    const on = joined();
    const call = on.fabric.call("demo.add", null);
    const publication = on.fabric.publish("demo.news", 1);
    rejoins(on);

    expect(await outcome(call)).toMatchObject({ code: "hopsack.outcome_unknown", where: "demo.add", retry: "never" });
    expect(await outcome(publication)).toMatchObject({ code: "hopsack.outcome_unknown", where: "demo.news" });
    expect(on.wire.heard()).toEqual([]);
  });

  test("a signal gives a call up, before, while and after", async () => {
    const on = joined();
    const abort = new AbortController();
    const call = on.fabric.call("demo.slow", null, { signal: abort.signal });
    const { id } = on.wire.hears();
    abort.abort();

    expect(await outcome(call)).toMatchObject({ code: "hopsack.canceled" });
    expect(on.wire.hears()).toMatchObject({ method: "hopsack.cancel", params: { id } });
    expect(await outcome(on.fabric.call("demo.slow", null, { signal: abort.signal }))).toMatchObject({
      code: "hopsack.canceled",
    });
    expect(on.wire.heard()).toEqual([]);
  });

  test("without an acknowledgement nothing waits", async () => {
    const on = stage();
    const early = on.fabric.publish("demo.news", 1, { acknowledge: false });
    on.wire.joins();
    const done = on.fabric.publish("demo.news", 2, { acknowledge: false });

    expect(await outcome(early)).toMatchObject({ code: "hopsack.disconnected", advice: expect.any(String) });
    expect(await outcome(done)).toBeUndefined();
    expect(on.wire.hears()).toEqual({
      jsonrpc: "2.0",
      method: "hopsack.publish",
      params: { topic: "demo.news", data: 2 },
    });
  });

  test("the thousand-and-first that waits is told the numbers; none of the others is lost", async () => {
    const on = stage();
    const calls = Array.from({ length: WAITING }, (_, index) => on.fabric.call("demo.add", [index]));
    const over = on.fabric.call("demo.add", ["over"]);
    on.wire.joins();

    expect(await outcome(over)).toMatchObject({ code: "hopsack.overloaded", message: expect.stringContaining("1000") });
    const frames = on.wire.heard();
    expect(frames.map(({ params }) => params[0])).toEqual([...calls.keys()]);
    on.fabric.close();
    await Promise.allSettled(calls);
  });

  test("a socket that does not empty refuses more", async () => {
    const on = joined();
    on.wire.bufferedAmount = BACKLOG;

    expect(await outcome(on.fabric.publish("demo.news", 1, { acknowledge: false }))).toMatchObject({
      code: "hopsack.overloaded",
      retry: "later",
    });
    expect(on.wire.heard()).toEqual([]);
  });

  test("what is not JSON fails alone", async () => {
    const on = stage();
    const early = on.fabric.call("demo.add", 1n);
    on.wire.joins();
    const late = on.fabric.publish("demo.news", 1n);
    const fine = on.fabric.publish("demo.news", 1);
    on.wire.says({ id: on.wire.hears().id, result: {} });

    expect(await outcome(early)).toMatchObject({ code: "hopsack.usage" });
    expect(await outcome(late)).toMatchObject({ code: "hopsack.usage" });
    expect(await outcome(fine)).toBeUndefined();
  });
});
