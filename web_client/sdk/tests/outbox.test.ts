/** Calls that outlive the page: stored before they are sent, applied once, in order, over reloads and several pages. */
import { IDBFactory } from "fake-indexeddb";
import { afterEach, expect, test, vi } from "vitest";
import type { Fabric } from "../src/contract";
import { LocalError, RemoteError } from "../src/errors";
import { type Outbox, type OutboxOptions, outbox, type Posted, type Settled } from "../src/outbox";
import { HandClock } from "./stage";

interface Sent {
  readonly procedure: string;
  readonly input: unknown;
  readonly key: string;
  answer(output: unknown): void;
  fail(error: Error): void;
}

/** A fabric in the test's hands: what is called waits for its answer. */
class FakeFabric {
  readonly sent: Sent[] = [];
  #open: Promise<void>;
  opens: () => void = () => {};
  #arrived: (() => void)[] = [];

  constructor(open = true) {
    this.#open = open ? Promise.resolve() : new Promise((resolve) => (this.opens = resolve));
  }

  ready = (): Promise<void> => this.#open;

  call = (procedure: string, input: unknown, { key, signal }: { key: string; signal: AbortSignal }): Promise<unknown> =>
    new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(new LocalError("hopsack.canceled")));
      this.sent.push({ procedure, input, key, answer: resolve, fail: reject });
      for (const tell of this.#arrived.splice(0)) tell();
    });

  /** The n-th call, when it is there. */
  async nth(n: number): Promise<Sent> {
    while (this.sent.length < n) await new Promise<void>((resolve) => this.#arrived.push(resolve));
    return this.sent[n - 1]!;
  }
}

const boxes: Outbox[] = [];
let names = 0;

afterEach(() => {
  for (const box of boxes.splice(0)) box.close();
  vi.restoreAllMocks();
});

interface Scene {
  readonly database: IDBFactory;
  readonly clock: HandClock;
  readonly name: string;
}

function scene(): Scene {
  return { database: new IDBFactory(), clock: new HandClock(), name: `box-${++names}` };
}

async function page(on: Scene, fabric: FakeFabric, more: OutboxOptions = {}): Promise<Outbox> {
  const options = { ...on, locks: undefined, random: () => 0.5, ...more };
  const box = await outbox(fabric as unknown as Fabric, options);
  boxes.push(box);
  return box;
}

/** Resolves when as many calls wait. */
function waits(box: Outbox, count: number): Promise<void> {
  return new Promise((resolve) => {
    const end = box.waiting.subscribe((waiting) => {
      if (waiting.length !== count) return;
      resolve();
      queueMicrotask(() => end());
    });
  });
}

test("a call is stored, sent with a key, and taken out when it is answered", async () => {
  const fabric = new FakeFabric();
  const box = await page(scene(), fabric, { newKey: () => "k1" });

  const answer = box.call("shop.buy", { article: "tea" });
  const sent = await fabric.nth(1);
  const waiting = box.waiting.value.map(({ procedure, input, key }) => ({ procedure, input, key }));
  sent.answer({ order: 7 });

  expect(await answer).toEqual({ order: 7 });
  expect(waiting).toEqual([{ procedure: "shop.buy", input: { article: "tea" }, key: "k1" }]);
  expect(sent.key).toBe("k1");
  expect(box.waiting.value).toEqual([]);
});

test("calls go one at a time, in the order they were made", async () => {
  const fabric = new FakeFabric();
  const box = await page(scene(), fabric);

  const first = box.call("shop.buy", 1);
  const second = box.call("shop.buy", 2);
  (await fabric.nth(1)).answer("one");
  await first;
  (await fabric.nth(2)).answer("two");

  expect(await second).toBe("two");
  expect(fabric.sent.map(({ input }) => input)).toEqual([1, 2]);
});

test("a click made offline is applied when the page is loaded again, with the same key", async () => {
  const on = scene();
  const offline = await page(on, new FakeFabric(false));
  void offline.call("shop.buy", "tea").catch(() => {});
  await waits(offline, 1);
  const [stored] = offline.waiting.value;
  offline.close();

  const settled: [Posted, Settled][] = [];
  const fabric = new FakeFabric();
  const again = await page(on, fabric, { onSettled: (call, how) => settled.push([call, how]) });
  const sent = await fabric.nth(1);
  sent.answer("done");
  await waits(again, 0);

  expect([sent.procedure, sent.input, sent.key]).toEqual(["shop.buy", "tea", stored?.key]);
  expect(settled.map(([{ key }, how]) => [key, how])).toEqual([[stored?.key, { output: "done" }]]);
});

test("a page that is closed amid a call leaves it to the next one, with the same key", async () => {
  const on = scene();
  const before = new FakeFabric();
  const first = await page(on, before);
  const answer = first.call("shop.buy", "tea");
  const sent = await before.nth(1);
  first.close();
  await expect(answer).rejects.toMatchObject({ code: "hopsack.disconnected" });

  const fabric = new FakeFabric();
  await page(on, fabric);

  expect((await fabric.nth(1)).key).toBe(sent.key);
});

test.each([
  ["the connection was lost", new LocalError("hopsack.outcome_unknown")],
  ["nobody serves it", new RemoteError("hopsack.no_callee")],
  ["the node is busy", new RemoteError("hopsack.overloaded")],
])("%s: it is sent again after a while, with the same key", async (_, error) => {
  const on = scene();
  const fabric = new FakeFabric();
  const box = await page(on, fabric);
  const answer = box.call("shop.buy", "tea");

  (await fabric.nth(1)).fail(error);
  await vi.waitUntil(() => on.clock.pending > 0);
  on.clock.turn(10_000);
  (await fabric.nth(2)).answer("done");

  expect(await answer).toBe("done");
  expect(fabric.sent[1]?.key).toBe(fabric.sent[0]?.key);
});

test.each(["hopsack.invalid", "shop.sold_out", "hopsack.internal", "hopsack.deadline"])(
  "%s is an answer, and the next call goes",
  async (code) => {
    const fabric = new FakeFabric();
    const box = await page(scene(), fabric);
    const refused = box.call("shop.buy", 1);
    const next = box.call("shop.buy", 2);

    (await fabric.nth(1)).fail(new RemoteError(code));

    await expect(refused).rejects.toMatchObject({ code });
    (await fabric.nth(2)).answer("done");
    expect(await next).toBe("done");
  },
);

test("what was sent so long ago that its key may be forgotten is not sent again", async () => {
  const on = scene();
  const before = new FakeFabric();
  const first = await page(on, before);
  void first.call("shop.buy", "tea").catch(() => {});
  await before.nth(1);
  first.close();
  on.clock.turn(600_000);

  const settled: Settled[] = [];
  const fabric = new FakeFabric();
  const again = await page(on, fabric, { onSettled: (_, how) => settled.push(how) });
  await waits(again, 0);

  expect(fabric.sent).toEqual([]);
  expect(settled).toMatchObject([{ error: { code: "hopsack.outcome_unknown", where: "shop.buy" } }]);
});

test("what was never sent waits as long as it takes", async () => {
  const on = scene();
  const fabric = new FakeFabric(false);
  const box = await page(on, fabric);
  const answer = box.call("shop.buy", "tea");
  await waits(box, 1);

  on.clock.turn(7 * 24 * 3_600_000);
  fabric.opens();
  (await fabric.nth(1)).answer("done");

  expect(await answer).toBe("done");
});

test("a call that was not sent after all is not counted as sent", async () => {
  const on = scene();
  const fabric = new FakeFabric();
  const box = await page(on, fabric);
  const answer = box.call("shop.buy", "tea");

  (await fabric.nth(1)).fail(new LocalError("hopsack.disconnected"));
  await vi.waitUntil(() => on.clock.pending > 0);
  on.clock.turn(600_000);
  (await fabric.nth(2)).answer("done");

  expect(await answer).toBe("done");
});

test("a full box refuses one more, and says so", async () => {
  const box = await page(scene(), new FakeFabric(false), { most: 1 });
  void box.call("shop.buy", 1).catch(() => {});
  await waits(box, 1);

  await expect(box.call("shop.buy", 2)).rejects.toMatchObject({ code: "hopsack.overloaded", where: "shop.buy" });
});

test("an input that cannot be stored is refused at once", async () => {
  const box = await page(scene(), new FakeFabric());

  await expect(box.call("shop.buy", () => {})).rejects.toMatchObject({ code: "hopsack.store_failed" });
});

/** Web Locks of one browser: one holds, the others wait until it lets go. */
class FakeLocks {
  readonly #queues = new Map<string, Promise<unknown>>();

  request = ((name: string, { signal }: LockOptions, hold: () => Promise<unknown>): Promise<unknown> => {
    const before = this.#queues.get(name) ?? Promise.resolve();
    const turn = before.then(() => {
      if (signal?.aborted) throw signal.reason;
      return hold();
    });
    this.#queues.set(
      name,
      turn.catch(() => {}),
    );
    return turn;
  }) as LockManager["request"];
}

test("of several pages one sends for all, and the page that asked has the answer", async () => {
  const on = scene();
  const locks = new FakeLocks();
  const [leading, other] = [new FakeFabric(), new FakeFabric()];
  await page(on, leading, { locks });
  const second = await page(on, other, { locks });

  const answer = second.call("shop.buy", "tea");
  (await leading.nth(1)).answer("done");

  expect(await answer).toBe("done");
  expect(other.sent).toEqual([]);
});

test("when the page that sends is closed, another one goes on", async () => {
  const on = scene();
  const locks = new FakeLocks();
  const [leading, other] = [new FakeFabric(), new FakeFabric()];
  const first = await page(on, leading, { locks });
  const second = await page(on, other, { locks });
  const answer = second.call("shop.buy", "tea");
  const sent = await leading.nth(1);

  first.close();
  const again = await other.nth(1);
  again.answer("done");

  expect(again.key).toBe(sent.key);
  expect(await answer).toBe("done");
});

test("a page hears what was refused to its call by another page's sending, as the error it was", async () => {
  const on = scene();
  const locks = new FakeLocks();
  const leading = new FakeFabric();
  await page(on, leading, { locks });
  const second = await page(on, new FakeFabric(), { locks });

  const answer = second.call("shop.buy", "tea");
  (await leading.nth(1)).fail(
    new RemoteError("hopsack.invalid", "no such tea", { where: "shop.buy", path: "/article" }),
  );

  const error = await answer.catch((error) => error);
  expect(error).toBeInstanceOf(RemoteError);
  expect(error).toMatchObject({ code: "hopsack.invalid", message: "no such tea", where: "shop.buy", path: "/article" });
});
