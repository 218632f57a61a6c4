/** A token as a function: asked before every connection and before it expires, on both doors; refused, and given up. */
import { describe, expect, test, vi } from "vitest";
import { CAP, FIRST } from "../src/backoff";
import { JOIN } from "../src/connection";
import { Expired, type HopsackError, LocalError, RateLimited, RemoteError, Revoked } from "../src/index";
import { early } from "../src/token";
import { type Frame, outcome, type Stage, settle, stage, type Wire } from "./stage";

/** The node's clock is an hour ahead of the page's. */
const HOUR = 3_600;
const nodeTime = (on: Stage): number => on.clock.now() / 1000 + HOUR;

/** One of the two doors, as a test needs it: who we are, what we call, how it is answered. */
interface Door {
  readonly url: string;
  welcomes(wire: Wire, facts: Frame): Frame;
  /** The token of the last hello. */
  token(frames: readonly Frame[]): unknown;
  called(frame: Frame): { readonly id: number; readonly procedure: string; readonly input: unknown };
  answers(wire: Wire, id: number, result: unknown): void;
  refuses(wire: Wire, id: number, details: Frame): void;
}

const RAW: Door = {
  url: "ws://node/raw",
  welcomes(wire, facts) {
    wire.opens();
    const hello = wire.hears();
    const who = { session: 7, authid: "ann", role: "user", realm: "hopsack", server: "hopsack/0.1.0" };
    wire.says({ id: hello.id, result: { ...who, ...facts } });
    return hello.params.token;
  },
  token: ([hello]) => hello.params.token,
  called: ({ id, method: procedure, params: input }) => ({ id, procedure, input }),
  answers: (wire, id, result) => wire.says({ id, result }),
  refuses: (wire, id, data) => wire.says({ id, error: { code: 1, message: data.message, data } }),
};

const WAMP: Door = {
  url: "ws://node/ws",
  welcomes(wire, authextra) {
    wire.opens();
    wire.heard();
    wire.says([4, "ticket", {}]);
    const [, token] = wire.hears();
    wire.says([2, 7, { authid: "ann", authrole: "user", realm: "hopsack", agent: "hopsack/0.1.0", authextra }]);
    return token;
  },
  token: ([, authenticate]) => authenticate[1],
  called: ([, id, , procedure, [input] = []]) => ({ id, procedure, input }),
  answers: (wire, id, result) => wire.says([50, id, {}, [result]]),
  refuses: (wire, id, data) => wire.says([8, 48, id, {}, data.code, [data.message], data]),
};

/** A function that gives tokens in order, the last one for ever. */
function source(...tokens: (string | undefined | Error)[]) {
  return vi.fn(async () => {
    const next = tokens.length > 1 ? tokens.shift() : tokens[0];
    if (next instanceof Error) throw next;
    return next;
  });
}

describe.each([
  ["raw", RAW],
  ["wamp", WAMP],
])("over %s", (_, door) => {
  /** Connected, with a token that is good for so many seconds. */
  async function joined(token: () => Promise<string | undefined>, left: number) {
    const troubles: HopsackError[] = [];
    const on = stage({ url: door.url, token, onTokenError: (error) => troubles.push(error) });
    await settle();
    const shown = door.welcomes(on.wire, { expires: nodeTime(on) + left, expires_in: left });
    return { on, shown, troubles };
  }

  async function asked(on: Stage) {
    await settle();
    return door.called(on.wire.heard().find((frame) => !isPing(frame)));
  }

  test("a newer token is handed over at four fifths of its time, and the connection stands", async () => {
    const token = source("first", "second");
    const { on, shown } = await joined(token, 600);

    on.wire.heard();
    passes(on, 600_000 * 0.8 * 0.95 - 1);
    expect(token).toHaveBeenCalledTimes(1);
    on.wire.heard();
    on.clock.turn(1);
    const refresh = await asked(on);
    door.answers(on.wire, refresh.id, { expires: nodeTime(on) + 900, kept: 2, ended: [] });
    const whoami = await asked(on);
    const now = on.clock.now();
    const facts = { session: 7, subject: "ann", role: "operator", groups: ["press"], tenant: "acme", proof: "token" };
    door.answers(on.wire, whoami.id, { ...facts, expires: nodeTime(on) + 900, door: "raw" });

    expect(shown).toBe("first");
    expect(refresh).toMatchObject({ procedure: "hopsack.session.refresh", input: { token: "second" } });
    expect(whoami.procedure).toBe("hopsack.session.whoami");
    expect(on.wires).toHaveLength(1);
    expect(on.fabric.state.value.session).toMatchObject({
      ...{ id: 7, authid: "ann", role: "operator", groups: ["press"], tenant: "acme" },
      expires: now + 900_000,
    });
  });

  test("and the one after that, by the time that the node tells", async () => {
    const token = source("first", "second", "third");
    const { on } = await joined(token, 60);
    for (const after of [30_000 * 0.95, 200_000 * 0.8 * 0.95]) {
      on.wire.heard();
      passes(on, after);
      const refresh = await asked(on);
      expect(refresh.procedure).toBe("hopsack.session.refresh");
      door.answers(on.wire, refresh.id, { expires: nodeTime(on) + 200, kept: 0, ended: [] });
      const whoami = await asked(on);
      door.answers(on.wire, whoami.id, { role: "user", groups: [], tenant: null, expires: nodeTime(on) + 200 });
    }
    expect(token).toHaveBeenCalledTimes(3);
  });

  /** Time passes on a connection that is alive. */
  function passes(on: Stage, time: number): void {
    for (let left = time; left > 0; left -= 1_000) {
      on.clock.turn(Math.min(left, 1_000));
      on.wire.onmessage?.({ data: door === RAW ? '{"method":"noise"}' : "[36,999,1,{}]" } as never);
    }
  }

  test("what the node refuses is told, and tried again with another one", async () => {
    const token = source("first", "stolen", "second");
    const { on, troubles } = await joined(token, 600);
    on.wire.heard();
    passes(on, 600_000 * 0.8 * 0.95);
    const refresh = await asked(on);
    door.refuses(on.wire, refresh.id, { code: "hopsack.login_required", message: "That is Bob's." });
    on.clock.turn(1_100);
    const again = await asked(on);

    expect(troubles).toMatchObject([{ code: "hopsack.login_required", message: "That is Bob's." }]);
    expect(again.input).toEqual({ token: "second" });
    expect(on.fabric.state.value.name).toBe("open");
  });

  test("the time that the node asks for is waited", async () => {
    const { on } = await joined(source("first", "second", "third"), 600);
    on.wire.heard();
    passes(on, 600_000 * 0.8 * 0.95);
    const refresh = await asked(on);
    const data = { code: "hopsack.rate_limited", message: "Slower.", retry: "later", data: { retry_after: 7 } };
    door.refuses(on.wire, refresh.id, data);
    passes(on, 6_900);
    await settle();
    const early = on.wire.heard().filter((frame) => !isPing(frame));
    passes(on, 1_000);

    expect(early).toEqual([]);
    expect((await asked(on)).input).toEqual({ token: "third" });
  });

  test("no newer token, the same one, an error, silence: each is told, and tried again", async () => {
    const never = new Promise<string>(() => {});
    const answers = [async () => "first", async () => undefined, async () => "first", fails, () => never];
    const token = (): Promise<string | undefined> => (answers.length > 1 ? answers.shift() : answers[0])?.() ?? never;
    const { on, troubles } = await joined(token, 600);
    on.wire.heard();
    passes(on, 600_000 * 0.8 * 0.95);
    for (let time = 0; time < 30; time += 1) {
      await settle();
      passes(on, 1_000);
    }

    expect(troubles.map(({ message }) => message)).toEqual([
      "The page's `token` function gave no newer one.",
      "The page's `token` function gave the one that is about to expire.",
      "There is no token: Error: the login server is down",
      "The page's `token` function did not answer in time.",
    ]);
    expect(on.fabric.state.value.name).toBe("open");
  });

  async function fails(): Promise<string> {
    throw new Error("the login server is down");
  }

  test("what a newer token no longer allows ends, and only that", async () => {
    const { on } = await joined(source("first", "second"), 600);
    on.wire.heard();
    const ended: HopsackError[] = [];
    const heard: unknown[] = [];
    on.fabric.subscribe("press.news", () => {}, { onError: (error) => ended.push(error) });
    on.fabric.subscribe("demo.news", ({ data }) => heard.push(data));
    on.fabric.register("demo.ann.ask", () => 1, { onError: (error) => ended.push(error) });
    const ids = on.wire.heard().map((frame) => (door === RAW ? frame.id : frame[1]));
    grants(on.wire, ids);
    takesAway(on.wire);
    tells(on.wire, 52, "demo.news", 1);
    on.wire.hangsUp();
    on.clock.turn(CAP);
    await settle();
    door.welcomes(on.wire, {});

    expect(ended).toMatchObject([
      { code: "hopsack.denied", where: "press.news", message: "This needs group press." },
      { code: "hopsack.denied", where: "demo.ann.ask", message: "This needs role service." },
    ]);
    expect(ended[0]).toBeInstanceOf(RemoteError);
    expect(heard).toEqual([1]);
    expect(on.wire.heard().map((frame) => (door === RAW ? frame.params.topic : frame[3]))).toEqual(["demo.news"]);
  });

  function grants(wire: Wire, ids: readonly number[]): void {
    const [news, open, ask] = ids;
    if (door === RAW) {
      wire.says({ id: news, result: { subscription: 51, recovered: false } });
      wire.says({ id: open, result: { subscription: 52, recovered: false } });
      wire.says({ id: ask, result: { registration: 61 } });
    } else {
      wire.says([33, news, 51]);
      wire.says([33, open, 52]);
      wire.says([65, ask, 61]);
    }
  }

  function takesAway(wire: Wire): void {
    const error = { code: "hopsack.denied", message: "This needs group press.", retry: "after_login" };
    const reason = "This needs role service.";
    if (door === RAW) {
      wire.says({ method: "hopsack.revoked", params: { subscription: 51, uri: "press.news", reason: "…", error } });
      wire.says({ method: "hopsack.revoked", params: { registration: 61, uri: "demo.ann.ask", reason } });
    } else {
      wire.says([35, 0, { subscription: 51, reason: "wamp.error.not_authorized", x_hopsack_error: error }]);
      wire.says([67, 0, { registration: 61, reason }]);
    }
  }

  function tells(wire: Wire, subscription: number, topic: string, data: unknown): void {
    wire.says(door === RAW ? { method: "event", params: { topic, data } } : [36, subscription, 1, {}, [data]]);
  }

  test("the end of a session says which error it was", async () => {
    const on = stage({ url: door.url, token: "fixed" });
    door.welcomes(on.wire, {});
    if (door === RAW) on.wire.hangsUp(4401, "hopsack.expired: the token has expired (sign in again)");
    else on.wire.says([6, { message: "the token has expired" }, "hopsack.expired"]);
    on.clock.turn(1e9);

    expect(on.wires).toHaveLength(1);
    expect(on.fabric.state.value.error).toBeInstanceOf(Expired);
    expect(on.fabric.state.value).toMatchObject({ name: "closed", error: { retry: "after_login" } });
  });

  test("who asks too much comes back when the node says", () => {
    const on = stage({ url: door.url, token: "fixed" });
    door.welcomes(on.wire, {});
    const now = on.clock.now();
    if (door === RAW) on.wire.hangsUp(4429, "hopsack.rate_limited: too many messages (retry_after=12)");
    else on.wire.says([6, { message: "too many messages", retry_after: 12 }, "hopsack.rate_limited"]);

    expect(on.fabric.state.value).toEqual({
      ...{ name: "waiting", attempt: 1, reason: "too many messages" },
      retryAt: now + 12_000 + FIRST / 2,
    });
  });
});

const isPing = (frame: Frame): boolean => frame.method === "hopsack.ping" || frame[0] === 34;

const refusal = (code: string) => ({ error: { code: 1002, message: "No.", data: { code, message: "No." } } });

describe("before a connection", () => {
  test("the function is asked first, each time, and the socket opens when it has answered", async () => {
    const token = source("first", "second");
    const on = stage({ token });

    expect(on.wires).toHaveLength(0);
    expect(on.fabric.state.value.name).toBe("connecting");
    await settle();
    expect(RAW.welcomes(on.wire, {})).toBe("first");
    on.wire.hangsUp();
    on.clock.turn(CAP);
    await settle();

    expect(on.wires).toHaveLength(2);
    expect(RAW.welcomes(on.wire, {})).toBe("second");
  });

  test("it may answer at once, and nothing means a guest", async () => {
    const on = stage({ token: () => undefined });
    await settle();
    on.wire.opens();

    expect(on.wire.hears()).toMatchObject({ method: "hopsack.hello", params: {} });
  });

  test("while there is none to be had it is asked again, and an answer that comes too late is dropped", async () => {
    const late: { settle?: (token: string) => void } = {};
    const slow = new Promise<string>((resolve) => {
      late.settle = resolve;
    });
    const answers = [() => slow, () => Promise.reject(new Error("no network")), async () => "good"];
    const on = stage({ token: () => answers.shift()?.() });
    on.clock.turn(JOIN);
    const first = on.fabric.state.value;
    on.clock.turn(FIRST);
    await settle();
    const second = on.fabric.state.value;
    late.settle?.("late");
    on.clock.turn(CAP);
    await settle();

    expect(first).toMatchObject({ name: "waiting", reason: "The page's `token` function did not answer in time." });
    expect(second).toMatchObject({ name: "waiting", reason: "There is no token: Error: no network" });
    expect(on.wires).toHaveLength(1);
    expect(RAW.welcomes(on.wire, {})).toBe("good");
  });

  test("an error that says that trying again does not help is final", async () => {
    const on = stage({ token: source(new LocalError("hopsack.login_required", "Signed out.")) });
    await settle();
    on.clock.turn(1e9);

    expect(on.wires).toHaveLength(0);
    expect(await outcome(on.fabric.ready())).toMatchObject({ code: "hopsack.login_required", message: "Signed out." });
    expect(on.clock.pending).toBe(0);
  });

  test("after close() its answer changes nothing", async () => {
    const on = stage({ token: source("first") });
    on.fabric.close();
    await settle();

    expect(on.wires).toHaveLength(0);
    expect(on.clock.pending).toBe(0);
  });
});

describe("a token that the node refuses", () => {
  async function isRefused(on: Stage, code: string): Promise<unknown> {
    await settle();
    on.wire.opens();
    const { id, params } = on.wire.hears();
    on.wire.says({ id, ...refusal(code) });
    on.clock.turn(CAP);
    return params.token;
  }

  test.each(["hopsack.login_required", "hopsack.expired", "hopsack.revoked"])(
    "is followed by another one (%s)",
    async (code) => {
      const on = stage({ token: source("old", "new") });
      await isRefused(on, code);
      await settle();

      expect(RAW.welcomes(on.wire, {})).toBe("new");
      expect(on.fabric.state.value.name).toBe("open");
    },
  );

  test("is not shown twice", async () => {
    const on = stage({ token: source("old") });
    await isRefused(on, "hopsack.revoked");
    await settle();
    on.clock.turn(1e9);

    expect(on.wires).toHaveLength(1);
    expect(on.fabric.state.value.error).toBeInstanceOf(Revoked);
    expect(on.clock.pending).toBe(0);
  });

  test("three different ones are enough", async () => {
    const on = stage({ token: source("a", "b", "c", "d") });
    const shown = [
      await isRefused(on, "hopsack.login_required"),
      await isRefused(on, "hopsack.login_required"),
      await isRefused(on, "hopsack.login_required"),
    ];
    await settle();
    on.clock.turn(1e9);

    expect(shown).toEqual(["a", "b", "c"]);
    expect(on.wires).toHaveLength(3);
    expect(on.fabric.state.value).toMatchObject({ name: "closed", error: { code: "hopsack.login_required" } });
  });

  test("one that is lost on the way is shown again", async () => {
    const on = stage({ token: source("a", "b") });
    await isRefused(on, "hopsack.expired");
    await settle();
    on.wire.hangsUp();
    on.clock.turn(CAP);
    await settle();

    expect(RAW.welcomes(on.wire, {})).toBe("b");
  });

  test("who was sent away by an operator does not ask for another one", async () => {
    const token = source("a", "b");
    const on = stage({ token });
    await settle();
    RAW.welcomes(on.wire, {});
    on.wire.hangsUp(4403, "hopsack.denied: an operator ended this session");
    await settle();
    on.clock.turn(1e9);

    expect(token).toHaveBeenCalledTimes(1);
    expect(on.fabric.state.value).toMatchObject({ name: "closed", reason: "an operator ended this session" });
  });
});

test("a refusal for asking too much says when to ask again", async () => {
  const on = stage();
  on.wire.joins();
  const call = on.fabric.call("demo.add", null);
  const data = { code: "hopsack.rate_limited", message: "Slower.", retry: "later", data: { retry_after: 1.5 } };
  on.wire.says({ id: on.wire.hears().id, error: { code: 1023, message: "Slower.", data } });
  const error = await outcome(call);

  expect(error).toBeInstanceOf(RateLimited);
  expect(error).toMatchObject({ code: "hopsack.rate_limited", retry: "later", retryAfter: 1_500 });
});

test("a subscription that was held waits as long as the node asks before it is asked for again", () => {
  const on = stage();
  on.wire.joins();
  on.fabric.subscribe("demo.news", () => {});
  on.wire.says({ id: on.wire.hears().id, result: { subscription: 1, recovered: false } });
  on.wire.hangsUp();
  on.clock.turn(CAP);
  on.wire.joins(8);
  const data = { code: "hopsack.rate_limited", message: "Slower.", retry: "later", data: { retry_after: 5 } };
  on.wire.says({ id: on.wire.hears().id, error: { code: 1023, message: "Slower.", data } });
  on.clock.turn(2_000);
  const early = on.wire.heard();
  on.clock.turn(5_000);

  expect(early).toEqual([]);
  expect(on.wire.heard()).toMatchObject([{ method: "hopsack.ping" }, { method: "hopsack.subscribe" }]);
});

test.each([
  // left, seconds: asked for between so many
  [3_600, 2_592, 2_880],
  [150, 108, 120],
  [60, 27, 30],
  [20, 9, 10],
  [0, 1, 1],
  [-5, 1, 1],
  [1e9, 43_200, 43_200],
])("of a token that is good for %d s, the next is asked for after %d to %d s", (left, from, to) => {
  expect(early(left * 1000, 0)).toBeCloseTo(from * 1000);
  expect(early(left * 1000, 1)).toBeCloseTo(to * 1000);
});
