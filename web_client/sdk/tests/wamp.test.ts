/** The WAMP machine against a scripted router. */
import { beforeEach, describe, expect, test } from "vitest";
import { DeclaredError, RemoteError } from "../src/errors";
import type { Effect, Input, Session } from "../src/session";
import { wamp } from "../src/wamp";

let session: Session;
let last: number;

const take = (input: Input): Effect[] => session.take(input);
const says = (...message: unknown[]): Effect[] => take({ kind: "received", text: JSON.stringify(message) });
const sent = (...message: unknown[]): Effect => ({ kind: "send", text: JSON.stringify(message) });
const frames = (effects: Effect[]): unknown[] =>
  effects.flatMap((effect) => (effect.kind === "send" ? [JSON.parse(effect.text)] : []));

function open(token: string | null = null): Effect[] {
  last = 100;
  session = wamp("hopsack", "hopsack-web/test")(() => ++last, token);
  return take({ kind: "opened" });
}

describe("joining", () => {
  test("as a guest", () => {
    expect(frames(open())).toEqual([
      [
        1,
        "hopsack",
        {
          roles: expect.any(Object),
          agent: "hopsack-web/test",
          authmethods: ["anonymous"],
          authextra: { agent: "hopsack-web/test" },
        },
      ],
    ]);
    expect(says(2, 4711, { authid: "guest-1", authrole: "guest", realm: "hopsack", agent: "hopsack/0.1.0" })).toEqual([
      {
        kind: "join",
        identity: {
          ...{ id: 4711, authid: "guest-1", role: "guest", realm: "hopsack", server: "hopsack/0.1.0" },
          ...{ groups: [], tenant: undefined, expires: undefined },
        },
        left: undefined,
      },
    ]);
  });

  test("with a token as the ticket", () => {
    expect(frames(open("token-1"))).toMatchObject([[1, "hopsack", { authmethods: ["ticket"] }]]);
    expect(says(4, "ticket", {})).toEqual([sent(5, "token-1", {})]);
    const authextra = { groups: ["press"], tenant: "acme", expires: 2_000_000_000, expires_in: 60 };
    expect(says(2, 1, { authextra })).toMatchObject([
      { kind: "join", identity: { id: 1, groups: ["press"], tenant: "acme", expires: 2e12 }, left: 60_000 },
    ]);
  });

  test.each([
    ["wamp.error.authentication_failed", "hopsack.login_required", true],
    ["wamp.error.no_such_realm", "hopsack.bad_request", true],
    ["wamp.close.system_shutdown", "hopsack.overloaded", false],
    ["hopsack.revoked", "hopsack.revoked", true],
    ["hopsack.rate_limited", "hopsack.rate_limited", false],
  ])("refused with %s", (reason, code, final) => {
    open();

    expect(says(3, { message: "No.", retry_after: 2 }, reason)).toEqual([
      { kind: "refuse", error: expect.objectContaining({ code, message: "No.", data: { retry_after: 2 } }), final },
    ]);
  });

  test("a challenge that was not offered is a violation", () => {
    open();

    const effects = says(4, "wampcra", {});

    expect(frames(effects)).toMatchObject([[3, {}, "wamp.error.protocol_violation"]]);
    expect(effects.at(-1)).toMatchObject({ kind: "part" });
  });
});

describe("joined", () => {
  beforeEach(() => {
    open();
    says(2, 4711, {});
  });

  test("requests are numbered from 1 without gaps, and a value that is not JSON leaves none", () => {
    expect(take({ kind: "publish", ticket: null, topic: "t", data: 1 })).toEqual([sent(16, 1, {}, "t", [1])]);
    expect(() => take({ kind: "publish", ticket: 5, topic: "t", data: 1n })).toThrow(TypeError);
    expect(take({ kind: "publish", ticket: 6, topic: "t", data: null })).toEqual([
      sent(16, 2, { acknowledge: true }, "t"),
    ]);
    expect(says(17, 2, 999)).toEqual([{ kind: "settle", ticket: 6, value: null }]);
  });

  test.each([
    [[[3]], 3],
    [[[]], null],
    [[], null],
    [[[], { sum: 3 }], { sum: 3 }],
    [[[1, 2]], [1, 2]],
    [[[[1, 2]]], [1, 2]],
  ])("a result of %j is %j", (arguments_, value) => {
    expect(take({ kind: "call", ticket: 5, procedure: "demo.add", input: { a: 1 } })).toEqual([
      sent(48, 1, {}, "demo.add", [{ a: 1 }]),
    ]);
    expect(says(50, 1, {}, ...arguments_)).toEqual([{ kind: "settle", ticket: 5, value }]);
  });

  test("a cancelled call is over; the router's word about it is dropped", () => {
    take({ kind: "call", ticket: 5, procedure: "demo.add", input: null });

    expect(take({ kind: "abandon", of: 5 })).toEqual([sent(49, 1, { mode: "killnowait" })]);
    expect(says(8, 48, 1, {}, "wamp.error.canceled")).toEqual([]);
    expect(take({ kind: "abandon", of: 5 })).toEqual([]);
  });

  test.each([
    [["wamp.error.no_such_procedure", ["Nobody."]], { code: "hopsack.no_callee", message: "Nobody.", retry: "later" }],
    [["wamp.error.not_authorized"], { code: "hopsack.denied", retry: "after_login" }],
    [["demo.declined", ["Not now."], { until: 7 }], { code: "demo.declined", message: "Not now.", data: { until: 7 } }],
    [
      ["wamp.error.invalid_argument", ["b"], { code: "hopsack.invalid", message: "b", path: "/b", where: "demo.sum" }],
      { code: "hopsack.invalid", path: "/b", where: "demo.sum" },
    ],
  ])("the error %j", (error, expected) => {
    take({ kind: "call", ticket: 5, procedure: "demo.add", input: null });

    const effects = says(8, 48, 1, {}, ...error);

    expect(effects).toEqual([
      { kind: "reject", ticket: 5, error: expect.objectContaining({ where: "demo.add", ...expected }) },
    ]);
  });

  test("an error that no table knows is a declared one", () => {
    take({ kind: "call", ticket: 5, procedure: "demo.add", input: null });

    const [effect] = says(8, 48, 1, {}, "demo.overflow", ["Too much."]);

    expect((effect as Extract<Effect, { kind: "reject" }>).error).toBeInstanceOf(DeclaredError);
  });

  test("subscribe, receive, unsubscribe, and no more", () => {
    expect(take({ kind: "subscribe", ticket: 5, topic: "demo.", match: "prefix" })).toEqual([
      sent(32, 1, { match: "prefix" }, "demo."),
    ]);
    expect(says(33, 1, 77)).toEqual([{ kind: "settle", ticket: 5, value: null }]);
    expect(says(36, 77, 1, { topic: "demo.news" }, ["hi"])).toEqual([
      { kind: "deliver", ticket: 5, event: { topic: "demo.news", data: "hi" } },
    ]);
    expect(take({ kind: "unsubscribe", ticket: 6, of: 5 })).toEqual([sent(34, 2, 77)]);
    expect(says(36, 77, 2, { topic: "demo.news" }, ["late"])).toEqual([]);
    expect(says(35, 2)).toEqual([{ kind: "settle", ticket: 6, value: null }]);
  });

  test("an exact subscription's events need no topic on the wire", () => {
    take({ kind: "subscribe", ticket: 5, topic: "demo.news", match: "exact" });
    says(33, 1, 77);

    expect(says(36, 77, 1, {})).toEqual([{ kind: "deliver", ticket: 5, event: { topic: "demo.news", data: null } }]);
  });

  test("the router takes a subscription away", () => {
    take({ kind: "subscribe", ticket: 5, topic: "demo.news", match: "exact" });
    says(33, 1, 77);

    expect(says(35, 0, { subscription: 77, reason: "gone" })).toEqual([
      { kind: "revoke", ticket: 5, error: expect.objectContaining({ message: "gone" }) },
    ]);
    expect(take({ kind: "unsubscribe", ticket: 6, of: 5 })).toEqual([{ kind: "settle", ticket: 6, value: null }]);
  });

  test("a procedure is served: result, declared error, interruption", () => {
    take({ kind: "register", ticket: 5, procedure: "demo.ask" });
    says(65, 1, 88);

    const [one, two, three] = [1, 2, 3].map(
      (id) => says(68, id, 88, {}, ["?"])[0] as Extract<Effect, { kind: "serve" }>,
    );
    expect(one).toMatchObject({
      kind: "serve",
      ticket: 5,
      invocation: one?.invocation,
      procedure: "demo.ask",
      input: "?",
    });

    expect(take({ kind: "answer", invocation: one?.invocation ?? 0, result: "yes" })).toEqual([
      sent(70, 1, {}, ["yes"]),
    ]);
    const declined = new DeclaredError("demo.declined", "Not now.", { until: 7 });
    expect(take({ kind: "decline", invocation: two?.invocation ?? 0, error: declined })).toEqual([
      sent(8, 68, 2, {}, "demo.declined", ["Not now."], {
        code: "demo.declined",
        message: "Not now.",
        retry: "never",
        data: { until: 7 },
      }),
    ]);
    expect(frames(says(69, 3, {}))).toMatchObject([
      [8, 68, 3, {}, "wamp.error.canceled", [expect.any(String)], { code: "hopsack.canceled" }],
    ]);
    expect(take({ kind: "answer", invocation: three?.invocation ?? 0, result: "late" })).toEqual([]);
  });

  test("an invocation of what was given back is declined", () => {
    take({ kind: "register", ticket: 5, procedure: "demo.ask" });
    says(65, 1, 88);
    expect(take({ kind: "unregister", ticket: 6, of: 5 })).toEqual([sent(66, 2, 88)]);

    expect(frames(says(68, 1, 88, {}))).toMatchObject([
      [8, 68, 1, {}, "wamp.error.no_such_procedure", [expect.any(String)], { code: "hopsack.no_callee" }],
    ]);
    expect(says(67, 2)).toEqual([{ kind: "settle", ticket: 6, value: null }]);
  });

  test("a node that withheld our answer tells why", () => {
    expect(
      says(8, 70, 1, {}, "wamp.error.invalid_argument", ["not a string"], { code: "hopsack.broken_result" }),
    ).toEqual([{ kind: "report", error: expect.objectContaining({ code: "hopsack.broken_result" }) }]);
  });

  test("a probe asks for nothing and is answered all the same", () => {
    take({ kind: "subscribe", ticket: 5, topic: "t", match: "exact" });
    says(33, 1, 1);

    expect(take({ kind: "probe", ticket: 6 })).toEqual([sent(34, 2, 2)]);
    expect(says(8, 34, 2, {}, "wamp.error.no_such_subscription")).toEqual([
      { kind: "reject", ticket: 6, error: expect.any(RemoteError) },
    ]);
  });

  test("the router says goodbye, and when to come back", () => {
    expect(says(6, { retry_after: 3 }, "wamp.close.system_shutdown")).toEqual([
      sent(6, {}, "wamp.close.goodbye_and_out"),
      { kind: "part", reason: "wamp.close.system_shutdown", retryAfter: 3 },
    ]);
    expect(says(36, 77, 1, {})).toEqual([]);
  });

  test.each([["[]"], ["nonsense"], ["{}"], ["[2,1,{}]"], ["[999]"]])("%s is a violation", (text) => {
    const effects = take({ kind: "received", text });

    expect(frames(effects)).toMatchObject([[3, {}, "wamp.error.protocol_violation"]]);
    expect(effects.at(-1)).toMatchObject({ kind: "part" });
  });
});
