/** What the recorded conversations do not say: odd peers, late answers, which subscription an event belongs to. */
import { describe, expect, test } from "vitest";
import { RemoteError } from "../src/errors";
import { matches, raw } from "../src/raw";
import type { Effect, Input, Session } from "../src/session";

function joined(): { readonly take: (input: Input) => Effect[]; readonly says: (frame: unknown) => Effect[] } {
  let last = 100;
  const session: Session = raw(() => ++last, null);
  const says = (frame: unknown): Effect[] => session.take({ kind: "received", text: JSON.stringify(frame) });
  session.take({ kind: "opened" });
  says({
    id: 101,
    result: { session: 7, authid: "guest-1", role: "guest", realm: "hopsack", server: "hopsack/0.1.0" },
  });
  return { take: (input) => session.take(input), says };
}

const sent = (message: object): Effect => ({ kind: "send", text: JSON.stringify({ jsonrpc: "2.0", ...message }) });

describe("joining", () => {
  test("hello, then who we are", () => {
    const session = raw(() => 1, "token-1");

    expect(session.take({ kind: "opened" })).toEqual([
      sent({ id: 1, method: "hopsack.hello", params: { token: "token-1" } }),
    ]);
    const result = {
      ...{ session: 7, authid: "ann", role: "user", realm: "hopsack", server: "hopsack/0.1.0" },
      ...{ groups: ["press"], tenant: "acme", expires: 2_000_000_000, expires_in: 60 },
    };
    expect(session.take({ kind: "received", text: JSON.stringify({ id: 1, result }) })).toEqual([
      {
        kind: "join",
        identity: {
          ...{ id: 7, authid: "ann", role: "user", realm: "hopsack", server: "hopsack/0.1.0" },
          ...{ groups: ["press"], tenant: "acme", expires: 2_000_000_000_000 },
        },
        left: 60_000,
      },
    ]);
  });

  test.each([
    ["hopsack.login_required", true],
    ["hopsack.denied", true],
    ["hopsack.overloaded", false],
  ])("a hello refused with %s is final: %s", (code, final) => {
    const session = raw(() => 1, null);
    session.take({ kind: "opened" });

    const text = JSON.stringify({ id: 1, error: { code: 1, message: "No.", data: { code } } });

    expect(session.take({ kind: "received", text })).toEqual([
      { kind: "refuse", error: expect.objectContaining({ code, message: "No." }), final },
    ]);
  });

  test("a request before the join is a mistake of the caller", () => {
    const session = raw(() => 1, null);

    expect(() => session.take({ kind: "probe", ticket: 2 })).toThrow(
      expect.objectContaining({ code: "hopsack.usage" }),
    );
  });
});

describe("a peer that does not speak the protocol is left", () => {
  test.each(["", "nonsense", "[]", "7", "null", "{}", '{"method":"event","params":{}}', '{"method":"event"}'])(
    "%s",
    (text) => {
      expect(joined().take({ kind: "received", text })).toEqual([
        { kind: "part", reason: expect.any(String), retryAfter: 0 },
      ]);
    },
  );

  test("but a notification that a later version may send is passed over", () => {
    expect(joined().says({ method: "hopsack.weather", params: { sun: true } })).toEqual([]);
  });
});

describe("answers", () => {
  test("a result that crossed the cancel is dropped", () => {
    const { take, says } = joined();
    take({ kind: "call", ticket: 5, procedure: "demo.add", input: [1, 2] });

    expect(take({ kind: "abandon", of: 5 })).toEqual([sent({ method: "hopsack.cancel", params: { id: 5 } })]);
    expect(says({ id: 5, result: 3 })).toEqual([]);
    expect(take({ kind: "abandon", of: 5 })).toEqual([]);
  });

  test("an answer to nothing we asked is dropped", () => {
    expect(joined().says({ id: null, error: { code: -32700, message: "?" } })).toEqual([]);
  });

  test("an error without details is read by its number", () => {
    const { take, says } = joined();
    take({ kind: "call", ticket: 5, procedure: "demo.add", input: null });

    expect(says({ id: 5, error: { code: -32602, message: "b is missing" } })).toEqual([
      {
        kind: "reject",
        ticket: 5,
        error: expect.objectContaining({ code: "hopsack.invalid", message: "b is missing", where: "demo.add" }),
      },
    ]);
  });

  test("a ping is answered by anything", () => {
    const { take, says } = joined();

    expect(take({ kind: "probe", ticket: 5 })).toEqual([sent({ id: 5, method: "hopsack.ping", params: {} })]);
    expect(says({ id: 5, error: { code: -32601, message: "unknown" } })).toEqual([
      { kind: "reject", ticket: 5, error: expect.any(RemoteError) },
    ]);
  });
});

describe("events", () => {
  test("one event reaches every subscription that it matches, and no other", () => {
    const { take, says } = joined();
    take({ kind: "subscribe", ticket: 1, topic: "demo.hall.said", match: "exact" });
    take({ kind: "subscribe", ticket: 2, topic: "demo.", match: "prefix" });
    take({ kind: "subscribe", ticket: 3, topic: "demo..said", match: "wildcard" });
    take({ kind: "subscribe", ticket: 4, topic: "demo.news", match: "exact" });
    for (const id of [1, 2, 3, 4]) says({ id, result: { subscription: 10 + id } });

    const event = { topic: "demo.hall.said", data: "hi" };
    const effects = says({ method: "event", params: event });

    expect(effects).toEqual([1, 2, 3].map((ticket) => ({ kind: "deliver", ticket, event })));
  });

  test("none comes for a subscription that is being given back", () => {
    const { take, says } = joined();
    take({ kind: "subscribe", ticket: 1, topic: "demo.news", match: "exact" });
    says({ id: 1, result: { subscription: 11 } });

    expect(take({ kind: "unsubscribe", ticket: 2, of: 1 })).toEqual([
      sent({ id: 2, method: "hopsack.unsubscribe", params: { subscription: 11 } }),
    ]);
    expect(says({ method: "event", params: { topic: "demo.news", data: 1 } })).toEqual([]);
  });

  test.each([
    ["a.b", "exact", "a.b", true],
    ["a.b", "exact", "a.b.c", false],
    ["a.", "prefix", "a.b.c", true],
    ["a.b", "prefix", "a.bc", true],
    ["a.", "prefix", "b.a.", false],
    ["a..c", "wildcard", "a.b.c", true],
    ["a..c", "wildcard", "a.b.b.c", false],
    [".b.", "wildcard", "a.b.c", true],
    ["a..c", "wildcard", "a.b.d", false],
  ] as const)("%s as %s matches %s: %s", (pattern, match, topic, result) => {
    expect(matches(pattern, match, topic)).toBe(result);
  });
});

describe("invocations", () => {
  test("a request for what we do not serve is answered so", () => {
    const [effect] = joined().says({ id: "n1", method: "demo.ask", params: {} });

    expect(JSON.parse((effect as { text: string }).text)).toMatchObject({
      id: "n1",
      error: { code: 1004, data: { code: "hopsack.no_callee", where: "demo.ask" } },
    });
  });

  test("an answer after the caller gave up is dropped", () => {
    const { take, says } = joined();
    take({ kind: "register", ticket: 1, procedure: "demo.ask" });
    says({ id: 1, result: { registration: 9 } });
    const [served] = says({ id: 3, method: "demo.ask", params: "?" });
    const { invocation } = served as Extract<Effect, { kind: "serve" }>;

    expect(served).toEqual({ kind: "serve", flow: {}, ticket: 1, invocation, procedure: "demo.ask", input: "?" });
    expect(says({ method: "hopsack.cancel", params: { id: 3 } })).toEqual([{ kind: "interrupt", invocation }]);
    expect(take({ kind: "answer", invocation, result: "late" })).toEqual([]);
    expect(take({ kind: "decline", invocation, error: new RemoteError("hopsack.internal") })).toEqual([]);
  });

  test("an answer that is not JSON is thrown back, and can still be declined", () => {
    const { take, says } = joined();
    take({ kind: "register", ticket: 1, procedure: "demo.ask" });
    says({ id: 1, result: { registration: 9 } });
    const [served] = says({ id: 3, method: "demo.ask" });
    const { invocation } = served as Extract<Effect, { kind: "serve" }>;

    expect(() => take({ kind: "answer", invocation, result: 1n })).toThrow(TypeError);
    expect(take({ kind: "decline", invocation, error: new RemoteError("hopsack.internal") })).toHaveLength(1);
  });
});
