/**
 * The SDK against a real node, over both doors. Run by tests/node/test_typescript_sdk.py, which sets
 * HOPSACK_TEST_URL (http://host:port, with the repository's contracts) and HOPSACK_TEST_TOKEN (of the user "ann").
 */
import { connect as connectTo, createServer, type Server, type Socket } from "node:net";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import type { WebSocketLike } from "../src/browser";
import { DeclaredError } from "../src/index";
import { page, reaches } from "./pages";

const NODE = process.env.HOPSACK_TEST_URL ?? "";
const TOKEN = process.env.HOPSACK_TEST_TOKEN ?? "";

const caught = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "no error",
    (error) => error,
  );

describe.skipIf(!NODE).each(["/raw", "/ws"])("over %s", (path) => {
  test("a guest is let in, a token names somebody, a wrong one is refused for good", async () => {
    const guest = await page(NODE + path).ready();
    const ann = await page(NODE + path, { token: TOKEN }).ready();
    const refused = page(NODE + path, { token: "not.a.token" });

    expect(guest).toMatchObject({ role: "guest", authid: expect.any(String), realm: "hopsack" });
    expect(ann).toMatchObject({ role: "user", authid: "ann", id: expect.any(Number) });
    expect(await caught(refused.ready())).toMatchObject({ code: "hopsack.login_required", retry: "after_login" });
    expect(refused.state.value.name).toBe("closed");
  });

  test.each(["/raw", "/ws"])("events published over %s arrive, through topics and patterns", async (other) => {
    const [reader, writer] = [page(NODE + path), page(NODE + other)];
    const prefix = reader.events("chat.room.", { match: "prefix" });
    const wildcard = reader.events("chat..kitchen", { match: "wildcard" });
    const exact = reader.events("chat.room.kitchen");
    await Promise.all([prefix.ready, wildcard.ready, exact.ready]);

    const message = { by: "ann", text: "grüße <b>" };
    await writer.publish("chat.room.hall", message);
    await writer.publish("chat.room.kitchen", message);

    expect((await prefix.next()).value).toMatchObject({ topic: "chat.room.hall", data: message });
    for (const events of [prefix, wildcard, exact]) {
      expect((await events.next()).value).toMatchObject({ topic: "chat.room.kitchen", data: message });
    }
  });

  test.each(["/raw", "/ws"])("a page serves, a page at %s calls", async (other) => {
    const [server, caller] = [page(NODE + path), page(NODE + other)];
    const registration = server.register("demo.page.one.greet", ({ name }: { name: string }) => {
      if (name === "nobody") throw new DeclaredError("demo.no_manners", "Not you.", { why: "reasons" });
      return `hello ${name}`;
    });
    await registration.ready;

    expect(await caller.call("demo.page.one.greet", { name: "ann" })).toBe("hello ann");
    expect(await caught(caller.call("demo.page.one.greet", { name: "nobody" }))).toMatchObject({
      code: "demo.no_manners",
      message: "Not you.",
      data: { why: "reasons" },
    });
    await registration.close();
    expect(await caught(caller.call("demo.page.one.greet", { name: "ann" }))).toMatchObject({
      code: "hopsack.no_callee",
    });
  });

  test("a call that is given up reaches its callee as an abort", async () => {
    const [server, caller] = [page(NODE + path), page(NODE + path)];
    let began: () => void = () => {};
    const running = new Promise<void>((resolve) => {
      began = resolve;
    });
    const abort = new AbortController();
    const aborted = new Promise((resolve) => {
      const registration = server.register("demo.page.slow.greet", (_, { signal }) => {
        signal.addEventListener("abort", resolve);
        began();
        return new Promise(() => {});
      });
      void registration.ready
        .then(() => caller.call("demo.page.slow.greet", { name: "x" }, { signal: abort.signal }))
        .catch(() => {});
    });
    await running;
    abort.abort();

    await aborted;
  });

  test("what the contracts refuse says where and what would be right", async () => {
    const fabric = page(NODE + path);

    expect(await caught(fabric.publish("chat.room.hall", { by: "ann", text: 7 }))).toMatchObject({
      code: "hopsack.invalid",
      where: "chat.room.hall",
      path: "/text",
    });
    expect(await caught(fabric.call("demo.ad", [1]))).toMatchObject({
      code: "hopsack.undeclared",
      where: "demo.ad",
      advice: expect.stringContaining("demo.add"),
    });
    expect(await caught(fabric.subscribe("demo.clok", () => {}).ready)).toMatchObject({ code: "hopsack.undeclared" });
    expect(await caught(fabric.publish("host.metrics", {}))).toMatchObject({
      code: "hopsack.denied",
      retry: "after_login",
    });
  });

  test("a rate is a wish: a node that knows none still grants the subscription", async () => {
    const fabric = page(NODE + path);
    const subscription = fabric.subscribe("demo.clock", () => {}, { maxRate: 5 });
    await subscription.ready;
    subscription.setMaxRate(1);

    expect(await caught(fabric.call("demo.ad", []))).toMatchObject({ code: "hopsack.undeclared" });
  });

  test("a probe is answered, so a quiet connection stays", async () => {
    const fabric = page(NODE + path);
    const { id } = await fabric.ready();
    for (let round = 0; round < 5; round += 1) fabric.reconnect();
    expect(await caught(fabric.call("demo.ad", []))).toMatchObject({ code: "hopsack.undeclared" });

    expect(fabric.state.value).toMatchObject({ name: "open", session: { id } });
  });

  test("a hundred last events that are lost on the way are read all the same, once, in order", async () => {
    const seen = new Set<string>();
    let cut = 0;
    /** Loses every event that says so, the first time that it comes. */
    const socket = (url: string, protocols: string[]): WebSocketLike => {
      const real = new WebSocket(url, protocols);
      return new Proxy(real, {
        get: (target, name) => {
          const value = Reflect.get(target, name);
          return typeof value === "function" ? value.bind(target) : value;
        },
        set: (target, name, value) => {
          const filtered = (event: { data: string }): void => {
            const isEvent = event.data.includes('"method":"event"') || event.data.startsWith("[36,");
            const text = /lost in [a-z0-9.]+/.exec(event.data)?.[0] ?? "";
            const isLost = isEvent && text !== "" && !seen.has(text);
            if (!isLost) value(event);
            else cut += 1;
            seen.add(isLost ? text : "");
          };
          return Reflect.set(target, name, name === "onmessage" ? filtered : value);
        },
      });
    };
    const reader = page(NODE + path, { socket, checkEvery: 1_000 });
    const writer = page(`${NODE}/raw`, { token: TOKEN });
    const heard = new Map<string, string[]>();
    const rooms = Array.from({ length: 100 }, (_, index) => `chat.room.${path.slice(1)}lost${index}`);
    await Promise.all(
      rooms.map((room) => {
        const texts: string[] = [];
        heard.set(room, texts);
        return reader.subscribe(room, ({ data }) => texts.push(data.text)).ready;
      }),
    );
    const say = (word: string): Promise<unknown> =>
      Promise.all(rooms.map((room) => writer.publish(room, { by: "ann", text: `${word} ${room}` })));
    await say("first in");
    await say("lost in");

    const expected = new Map(rooms.map((room) => [room, [`first in ${room}`, `lost in ${room}`]]));
    await vi.waitFor(() => expect(heard).toEqual(expected), { timeout: 20_000, interval: 100 });
    expect(cut).toBe(100);
  }, 30_000);

  describe("through a cable that is cut", () => {
    let cable: Cable;

    beforeEach(async () => {
      cable = await Cable.to(new URL(NODE));
      return () => cable.close();
    });

    test("a page is back with its subscriptions and procedures", async () => {
      const [cut, steady] = [page(cable.url + path, { random: () => 0.01 }), page(NODE + path)];
      const events = cut.events("demo.text");
      const registration = cut.register("demo.page.two.greet", () => "hello");
      await Promise.all([events.ready, registration.ready]);
      const before = await cut.ready();

      cable.cut();
      await reaches(cut, ({ name }) => name === "waiting");
      const again = cut.events("demo.text");
      const after = await reaches(cut, ({ name }) => name === "open");
      await again.ready;
      await steady.publish("demo.text", "after the cut");

      expect(after.session?.id).not.toBe(before.id);
      expect((await events.next()).value?.data).toBe("after the cut");
      expect(await cut.call("demo.page.two.greet", { name: "x" })).toBe("hello");
    });

    test("what was in flight ends, what was not sent yet is sent then", async () => {
      const [cut, steady] = [page(cable.url + path, { random: () => 0.01 }), page(NODE + path)];
      const began = new Promise<void>((resolve) => {
        const registration = steady.register("demo.page.three.greet", ({ name }: { name: string }) => {
          if (name === "first") resolve();
          return name === "first" ? new Promise(() => {}) : "second";
        });
        void registration.ready.then(() => {
          inFlight = caught(cut.call("demo.page.three.greet", { name: "first" }));
        });
      });
      let inFlight: Promise<unknown> = Promise.resolve();
      await began;

      cable.cut();
      expect(await inFlight).toMatchObject({ code: "hopsack.outcome_unknown" });
      expect(await cut.call("demo.page.three.greet", { name: "then" })).toBe("second");
    });
  });
});

/** A TCP relay in front of the node, so that a test can cut the connection without asking either side. */
class Cable {
  readonly #ends = new Set<Socket>();

  private constructor(
    readonly url: string,
    readonly server: Server,
  ) {}

  static async to(node: URL): Promise<Cable> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const cable = new Cable(`http://127.0.0.1:${port}`, server);
    server.on("connection", (near) => {
      const far = connectTo(Number(node.port), node.hostname);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        cable.#ends.add(one);
        one.pipe(other);
        one.on("error", () => {});
        one.on("close", () => {
          cable.#ends.delete(one);
          other.destroy();
        });
      }
    });
    return cable;
  }

  cut(): void {
    for (const end of this.#ends) end.destroy();
  }

  close(): void {
    this.server.close();
    this.cut();
  }
}
