/** Calls that give their results, or take their inputs, piece by piece: from the caller's side and from the callee's. */
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Invocation, Iteration } from "../src/index";
import { type Frame, outcome, type Stage, settle, stage } from "./stage";

afterEach(() => vi.restoreAllMocks());

/** A door, in words that both have. */
interface Door {
  readonly path: string;
  joins(on: Stage): void;
  /** What the call says of itself. */
  terms(sent: Frame): Frame;
  id(sent: Frame): unknown;
  progress(id: unknown, data: unknown): Frame;
  result(id: unknown, data: unknown): Frame;
  more(sent: Frame): number | undefined;
  granted(id: unknown, n: number): Frame;
  input(sent: Frame): { readonly data?: unknown; readonly end?: true } | undefined;
  isCancel(sent: Frame): boolean;
}

const RAW: Door = {
  path: "/raw",
  joins: (on) => on.wire.joins(),
  terms: ({ hopsack }) => hopsack,
  id: ({ id }) => id,
  progress: (id, data) => ({ method: "hopsack.progress", params: { id, data } }),
  result: (id, result) => ({ id, result }),
  more: ({ method, params }) => (method === "hopsack.more" ? params.n : undefined),
  granted: (id, n) => ({ method: "hopsack.more_input", params: { id, n } }),
  input: ({ method, params }) => {
    const { id: _, ...further } = method === "hopsack.input" ? params : { id: 0 };
    return method === "hopsack.input" ? further : undefined;
  },
  isCancel: ({ method }) => method === "hopsack.cancel",
};

const DEALER = { roles: { dealer: { features: { progressive_call_invocations: true, x_hopsack_flow: true } } } };

const WAMP: Door = {
  path: "/ws",
  joins: (on) => {
    on.wire.opens();
    on.wire.heard();
    on.wire.says([2, 7, DEALER]);
  },
  terms: ([, , { timeout, receive_progress, x_hopsack_window, progress }]) => ({
    ...{ timeout, progress: receive_progress, window: x_hopsack_window, inputs: progress },
  }),
  id: ([, id]) => id,
  progress: (id, data) => [50, id, { progress: true }, [data]],
  result: (id, data) => [50, id, {}, [data]],
  more: ([type, kind, , n]) => (type === 513 && kind === 48 ? n : undefined),
  granted: (id, n) => [513, 48, id, n],
  input: ([type, , options, , args]) => {
    if (type !== 48) return undefined;
    return options.progress ? { data: args[0] } : { end: true };
  },
  isCancel: ([type]) => type === 49,
};

interface Call {
  readonly on: Stage;
  readonly it: Iteration;
  readonly id: unknown;
  readonly terms: Frame;
}

function call(door: Door, options: object = {}): Call {
  const on = stage({ url: `ws://node${door.path}` });
  door.joins(on);
  const it = on.fabric.iterate("demo.count", 3, options);
  const sent = on.wire.hears();
  return { on, it, id: door.id(sent), terms: door.terms(sent) };
}

async function all(it: AsyncIterable<unknown>): Promise<unknown[]> {
  const pieces: unknown[] = [];
  for await (const piece of it) pieces.push(piece);
  return pieces;
}

describe.each([RAW, WAMP])("over $path", (door) => {
  test("results come one after the other, and then the last one", async () => {
    const { on, it, id, terms } = call(door, { timeout: 3_000 });
    const read = all(it);
    for (const data of [1, null, { a: 1 }]) on.wire.says(door.progress(id, data));
    on.wire.says(door.result(id, "done"));

    expect(terms).toMatchObject({ timeout: 3_000, progress: true, window: 16 });
    expect(await read).toEqual([1, null, { a: 1 }]);
    expect(await it.result).toBe("done");
    expect(await it.next()).toEqual({ done: true, value: undefined });
  });

  test("no more than a window waits for a slow loop, and a callee that counts is as slow as it", async () => {
    const { on, it, id } = call(door, { window: 4 });
    let [allowed, sent, read] = [4, 0, 0];
    while (sent < 100) {
      for (; allowed > 0; allowed -= 1) on.wire.says(door.progress(id, ++sent));
      expect(sent - read).toBeLessThanOrEqual(4);
      expect(await it.next()).toEqual({ done: false, value: ++read });
      for (const frame of on.wire.heard()) allowed += door.more(frame) ?? 0;
    }
    expect(sent).toBeLessThanOrEqual(read + 4);
  });

  test("the longest silence ends it; whatever passes begins the time anew", async () => {
    const { on, it, id } = call(door, { timeout: 1_000 });
    for (let n = 0; n < 5; n += 1) {
      on.clock.turn(900);
      on.wire.says(door.progress(id, n));
    }
    on.clock.turn(1_000);

    expect(on.wire.heard().map(door.isCancel).at(-1)).toBe(true);
    expect(await it.next()).toEqual({ done: false, value: 0 });
    expect(await outcome(all(it))).toMatchObject({ code: "hopsack.deadline", where: "demo.count" });
    expect(await outcome(it.result)).toMatchObject({ code: "hopsack.deadline" });
  });

  test("a slow loop says early that it takes more, for silence would end the call", async () => {
    const { on, it, id } = call(door, { timeout: 1_000 });
    for (const n of [1, 2]) on.wire.says(door.progress(id, n));
    await it.next();
    expect(on.wire.heard()).toEqual([]);
    on.clock.turn(300);
    await it.next();

    expect(on.wire.heard().map(door.more)).toEqual([1]);
  });

  test.each(["break", "throw"])("a loop that is left by %s cancels the call", async (how) => {
    const { on, it, id } = call(door);
    on.wire.says(door.progress(id, 1));
    const left = (async () => {
      for await (const _ of it) {
        if (how === "break") break;
        throw new Error("enough");
      }
    })();
    await outcome(left);

    expect(on.wire.heard().map(door.isCancel)).toEqual([true]);
    on.wire.says(door.progress(id, 2));
    on.wire.says(door.result(id, "late"));
    expect(await outcome(it.result)).toMatchObject({ code: "hopsack.canceled" });
    expect(on.clock.pending).toBe(2);
  });

  test("a signal ends it at once, whatever waits", async () => {
    const abort = new AbortController();
    const { on, it, id } = call(door, { signal: abort.signal });
    on.wire.says(door.progress(id, 1));
    abort.abort();
    await settle();

    expect(on.wire.heard().map(door.isCancel)).toEqual([true]);
    expect(await outcome(it.next())).toMatchObject({ code: "hopsack.canceled" });
  });

  test("a lost connection ends it, behind what had come", async () => {
    const { on, it, id } = call(door);
    on.wire.says(door.progress(id, 1));
    on.wire.hangsUp();

    expect(await it.next()).toEqual({ done: false, value: 1 });
    expect(await outcome(it.next())).toMatchObject({ code: "hopsack.outcome_unknown", where: "demo.count" });
    expect(await outcome(it.next())).toEqual({ done: true, value: undefined });
  });

  test("without a connection it waits for one", async () => {
    const on = stage({ url: `ws://node${door.path}` });
    const read = all(on.fabric.iterate("demo.count", 3));
    door.joins(on);
    const id = door.id(on.wire.hears());
    on.wire.says(door.progress(id, 1));
    on.wire.says(door.result(id, null));

    expect(await read).toEqual([1]);
  });

  test("a callee that does not count ends its call a thousand ahead", async () => {
    const { on, it, id } = call(door, { window: 2 });
    for (let n = 0; n < 1_002; n += 1) on.wire.says(door.progress(id, n));
    expect(on.wire.heard()).toEqual([]);
    on.wire.says(door.progress(id, "too much"));

    expect(on.wire.heard().map(door.isCancel)).toEqual([true]);
    expect(await outcome(it.result)).toMatchObject({ code: "hopsack.overloaded" });
  });

  test("inputs are pulled as the callee takes them, one ahead at most", async () => {
    let pulled = 0;
    const inputs = (function* () {
      for (; pulled < 5; ) yield ++pulled;
    })();
    const { on, it, id, terms } = call(door, { inputs });
    await settle();
    expect([terms.inputs, pulled]).toEqual([true, 0]);

    on.wire.says(door.granted(id, 2));
    await settle();
    expect(on.wire.heard().map(door.input)).toEqual([{ data: 1 }, { data: 2 }]);
    expect(pulled).toBe(3);
    on.wire.says(door.granted(id, 3));
    await settle();
    expect(on.wire.heard().map(door.input)).toEqual([{ data: 3 }, { data: 4 }, { data: 5 }, { end: true }]);
    on.wire.says(door.result(id, 15));
    expect(await it.result).toBe(15);
  });

  test("inputs that fail cancel the call, and their error is the loop's", async () => {
    const inputs = (async function* () {
      yield 1;
      throw new Error("no more tea");
    })();
    const { on, it, id } = call(door, { inputs });
    on.wire.says(door.granted(id, 9));
    await settle();

    expect(on.wire.heard().map(door.isCancel)).toEqual([false, true]);
    expect(await outcome(it.next())).toMatchObject({ message: "no more tea" });
  });

  test("inputs that cannot be sent are the program's mistake", async () => {
    const { on, it, id } = call(door, { inputs: [1n] });
    on.wire.says(door.granted(id, 9));
    await settle();

    expect(on.wire.heard().map(door.isCancel)).toEqual([true]);
    expect(await outcome(it.result)).toMatchObject({ code: "hopsack.usage" });
  });

  test("the end of the call closes what its inputs come from", async () => {
    let closed = false;
    const inputs = (async function* () {
      try {
        for (let n = 0; ; n += 1) yield n;
      } finally {
        closed = true;
      }
    })();
    const { on, id } = call(door, { inputs });
    on.wire.says(door.granted(id, 1));
    await settle();
    on.wire.says(door.result(id, "enough"));
    await settle();

    expect(closed).toBe(true);
  });
});

test("a window that lets nothing through is refused", () => {
  expect(() => stage().fabric.iterate("a.b", null, { window: 0 })).toThrow(/window of 0/);
});

describe("a router that does not count", () => {
  const stock = (features: object): Stage => {
    const on = stage({ url: "ws://node/ws" });
    on.wire.opens();
    on.wire.heard();
    on.wire.says([2, 7, { roles: { dealer: { features } } }]);
    return on;
  };

  test("gets inputs as they come, and is told nothing of windows", async () => {
    const on = stock({ progressive_call_invocations: true });
    const it = on.fabric.iterate("demo.sum", null, { inputs: [1, 2], window: 2 });
    await settle();
    const [begun, ...further] = on.wire.heard();
    for (let n = 0; n < 4; n += 1) on.wire.says([50, begun[1], { progress: true }, [n]]);
    for (let n = 0; n < 4; n += 1) await it.next();

    expect(begun[2]).not.toHaveProperty("x_hopsack_window");
    expect(further.map(WAMP.input)).toEqual([{ data: 1 }, { data: 2 }, { end: true }]);
    expect(on.wire.heard()).toEqual([]);
  });

  test("and takes one input only, is not asked for more", async () => {
    const on = stock({});

    expect(await outcome(on.fabric.iterate("demo.sum", null, { inputs: [1] }).result)).toMatchObject({
      code: "hopsack.usage",
    });
    expect(on.wire.heard()).toEqual([]);
  });
});

// ---- the callee ---------------------------------------------------------------------------------------------------

interface Callee {
  readonly path: string;
  joins(on: Stage): void;
  registered(sent: Frame): Frame;
  invoke(flow: { timeout?: number; progress?: true; window?: number; inputs?: true }): Frame;
  /** A progressive result that was sent; `more`: so many inputs are taken. */
  sent(frame: Frame): { readonly progress?: unknown; readonly more?: number; readonly result?: unknown } | undefined;
  taken(n: number): Frame;
  fed(data: unknown, end?: true): Frame;
  interrupt: Frame;
}

const RAW_CALLEE: Callee = {
  path: "/raw",
  joins: RAW.joins,
  registered: ({ id }) => ({ id, result: { registration: 9 } }),
  invoke: (hopsack) => ({ id: 1, method: "demo.count", params: 3, hopsack }),
  sent: ({ method, params, result }) => {
    if (method === "hopsack.progress") return { progress: params.data };
    return method === "hopsack.more_input" ? { more: params.n } : result !== undefined ? { result } : undefined;
  },
  taken: (n) => ({ method: "hopsack.more", params: { id: 1, n } }),
  fed: (data, end) => ({ method: "hopsack.input", params: { id: 1, data, end } }),
  interrupt: { method: "hopsack.cancel", params: { id: 1 } },
};

const WAMP_CALLEE: Callee = {
  path: "/ws",
  joins: WAMP.joins,
  registered: ([, id]) => [65, id, 9],
  invoke: ({ timeout, progress, window, inputs }) => [
    ...[68, 1, 9, { timeout, receive_progress: progress, x_hopsack_window: window, progress: inputs }, [3]],
  ],
  sent: ([type, kind, detail, value]) => {
    if (type === 513 && kind === 68) return { more: value };
    if (type !== 70) return undefined;
    return detail.progress ? { progress: value?.[0] ?? null } : { result: value?.[0] ?? null };
  },
  taken: (n) => [513, 68, 1, n],
  fed: (data, end) => [68, 1, 9, end ? {} : { progress: true }, ...(data === undefined ? [] : [[data]])],
  interrupt: [69, 1, {}],
};

describe.each([RAW_CALLEE, WAMP_CALLEE])("a page that serves over $path", (door) => {
  /** Registered. @returns what it sent since the last look. */
  function serving(handler: (input: unknown, invocation: Invocation) => unknown): { on: Stage; sent: () => Frame[] } {
    const on = stage({ url: `ws://node${door.path}` });
    door.joins(on);
    on.fabric.register("demo.count", handler);
    on.wire.says(door.registered(on.wire.hears()));
    return { on, sent: () => on.wire.heard().map(door.sent) };
  }

  async function* count(n: unknown): AsyncGenerator<number, string> {
    for (let i = 1; i <= Number(n); i += 1) yield i;
    return "done";
  }

  test("yields results as its caller takes them, and returns the last one", async () => {
    const { on, sent } = serving(count);
    on.wire.says(door.invoke({ progress: true, window: 1 }));
    await settle();
    expect(sent()).toEqual([{ progress: 1 }]);
    on.wire.says(door.taken(1));
    await settle();
    expect(sent()).toEqual([{ progress: 2 }]);
    on.wire.says(door.taken(9));
    await settle();
    expect(sent()).toEqual([{ progress: 3 }, { result: "done" }]);
  });

  test("yields for nobody where nobody asked", async () => {
    const { on, sent } = serving(count);
    on.wire.says(door.invoke({}));
    await settle();
    await settle();

    expect(sent()).toEqual([{ result: "done" }]);
  });

  test("may be a plain generator", async () => {
    const { on, sent } = serving(function* () {
      yield "a";
      return "b";
    });
    on.wire.says(door.invoke({ progress: true, window: 9 }));
    await settle();

    expect(sent()).toEqual([{ progress: "a" }, { result: "b" }]);
  });

  test("is closed when its caller gives up, also while it waits for room", async () => {
    const closed: string[] = [];
    const { on, sent } = serving(async function* (_, { signal }) {
      try {
        for (;;) yield "more";
      } finally {
        closed.push(`closed, ${signal.aborted}`);
      }
    });
    on.wire.says(door.invoke({ progress: true, window: 2 }));
    await settle();
    on.wire.says(door.interrupt);
    await settle();

    expect(sent()).toMatchObject([
      { progress: "more" },
      { progress: "more" },
      ...(door === RAW_CALLEE ? [] : [undefined]),
    ]);
    expect(closed).toEqual(["closed, true"]);
  });

  test("is closed when the connection is lost", async () => {
    let closed = false;
    const { on } = serving(async function* () {
      try {
        for (;;) yield 1;
      } finally {
        closed = true;
      }
    });
    on.wire.says(door.invoke({ progress: true, window: 1 }));
    await settle();
    on.wire.hangsUp();
    await settle();

    expect(closed).toBe(true);
  });

  test("is told the time, and given the inputs that follow, as it reads them", async () => {
    const seen: unknown[] = [];
    const { on, sent } = serving(async (_, { inputs, timeout }) => {
      seen.push(timeout);
      for await (const one of inputs) seen.push(one);
      return seen.length;
    });
    on.wire.says(door.invoke({ timeout: 1_400, inputs: true }));
    await settle();
    expect(sent()).toEqual([{ more: 16 }]);
    for (let n = 1; n < 8; n += 1) on.wire.says(door.fed(n));
    await settle();
    expect(sent()).toEqual([]);
    on.wire.says(door.fed(8));
    await settle();
    expect(sent()).toEqual([{ more: 8 }]);
    on.wire.says(door.fed("last", true));
    await settle();

    expect(seen).toEqual([1_400, 1, 2, 3, 4, 5, 6, 7, 8, "last"]);
    expect(sent()).toEqual([{ result: 10 }]);
  });

  test("finds no inputs where none follow, and an end without one", async () => {
    const { on, sent } = serving(async (_, { inputs }) => {
      let count = 0;
      for await (const __ of inputs) count += 1;
      return count;
    });
    on.wire.says(door.invoke({}));
    await settle();
    expect(sent()).toEqual([{ result: 0 }]);
    on.wire.says(door.invoke({ inputs: true }));
    await settle();
    on.wire.says(door.fed(undefined, true));
    await settle();
    expect(sent()).toEqual([{ more: 16 }, { result: 0 }]);
  });

  test("inputs that come when it has answered are no invocation", async () => {
    const { on, sent } = serving(() => "at once");
    on.wire.says(door.invoke({ inputs: true }));
    await settle();
    expect(sent()).toEqual([{ result: "at once" }]);
    on.wire.says(door.fed(1));
    on.wire.says(door.fed(2, true));
    await settle();

    expect(sent()).toEqual([]);
  });

  test("a caller that does not count ends its call a thousand inputs ahead of it", async () => {
    const { on } = serving((_, { signal }) => new Promise((_, reject) => signal.addEventListener("abort", reject)));
    on.wire.says(door.invoke({ inputs: true }));
    for (let n = 0; n < 1_016; n += 1) on.wire.says(door.fed(n));
    await settle();
    expect(on.wire.heard()).toEqual([]);
    on.wire.says(door.fed("too much"));
    await settle();

    expect(JSON.stringify(on.wire.heard())).toContain("hopsack.overloaded");
  });

  test("what waits for inputs ends with its caller", async () => {
    const ended: unknown[] = [];
    const { on } = serving(async (_, { inputs }) => {
      try {
        await inputs.next();
      } catch (error) {
        ended.push((error as { code: string }).code);
      }
    });
    on.wire.says(door.invoke({ inputs: true }));
    await settle();
    on.wire.says(door.interrupt);
    await settle();

    expect(ended).toEqual(["hopsack.canceled"]);
  });

  test("a call that it makes for another is cancelled with that one", async () => {
    const { on } = serving((_, { signal }) => on.fabric.call("other.one", 1, { signal }));
    on.wire.says(door.invoke({}));
    await settle();
    on.wire.heard();
    on.wire.says(door.interrupt);

    const isCancel = door === RAW_CALLEE ? RAW.isCancel : WAMP.isCancel;
    expect(on.wire.heard().map(isCancel)).toContain(true);
  });

  test("a result that cannot be sent is its own mistake, and it is closed", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    let closed = false;
    const { on } = serving(async function* () {
      try {
        yield 1n;
      } finally {
        closed = true;
      }
    });
    on.wire.says(door.invoke({ progress: true, window: 1 }));
    await settle();

    expect(JSON.stringify(on.wire.heard())).toContain("hopsack.internal");
    expect(closed).toBe(true);
  });

  test("does not fill the socket for a router that does not count", async () => {
    const { on } = serving(count);
    on.wire.bufferedAmount = 16 * 1024 * 1024;
    on.wire.says(door.invoke({ progress: true }));
    await settle();

    expect(JSON.stringify(on.wire.heard())).toContain("hopsack.overloaded");
  });
});
