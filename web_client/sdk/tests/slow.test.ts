/** A loop that is slower than its stream: what it has no room for is read back from the journal. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { CAP } from "../src/backoff";
import type { Deletion, EventsOptions, Recovery } from "../src/index";
import type { Gap } from "../src/session";
import { chance, JournalNode, Topic } from "./journalNode";
import { type Stage, settle, stage } from "./stage";

afterEach(() => vi.restoreAllMocks());

interface Scene {
  readonly on: Stage;
  readonly node: JournalNode;
  readonly news: Topic;
  readonly events: AsyncIterableIterator<{ readonly data: unknown }>;
  readonly recoveries: Recovery[];
}

function slow(options: EventsOptions = {}, random = (): number => 0.5): Scene {
  const on = stage({ random });
  const news = new Topic("demo.news");
  const node = new JournalNode(on, news);
  const recoveries: Recovery[] = [];
  const onRecovery = (recovery: Recovery): void => void recoveries.push(recovery);
  const events = on.fabric.events("demo.news", { buffer: 10, onRecovery, ...options });
  node.accept();
  node.settles();
  return { on, node, news, events, recoveries };
}

function publishes({ node, news }: Scene, count: number): void {
  for (let index = 0; index < count; index += 1) node.publish(news, news.head + 1);
  node.settles();
}

/** Takes so many events, while the node answers. */
async function takes({ events, node }: Scene, count: number): Promise<unknown[]> {
  const taken: unknown[] = [];
  for (let index = 0; index < count; index += 1) {
    const next = events.next();
    for (let turn = 0; turn < 3; turn += 1) {
      node.settles();
      await settle();
    }
    taken.push((await next).value?.data);
  }
  return taken;
}

const reads = ({ node }: Scene): { after: string; limit: number }[] =>
  node.asked.filter(({ method }) => method === "hopsack.stream.read").map(({ params }) => params);

const upTo = (last: number, first = 1): number[] => Array.from({ length: last - first + 1 }, (_, at) => at + first);

describe("a slow loop over a stream", () => {
  test("loses nothing: thousands of events wait in the journal, and ten here", async () => {
    const it = slow();
    publishes(it, 3_000);
    expect(await takes(it, 3_000)).toEqual(upTo(3_000));
    publishes(it, 2);

    expect(await takes(it, 2)).toEqual([3_001, 3_002]);
    expect(Math.max(...reads(it).map(({ limit }) => limit))).toBeLessThanOrEqual(10);
    expect(it.recoveries).toEqual([]);
    expect(it.events).toMatchObject({ dropped: 0 });
  });

  test("gets what comes live while a page is on its way behind it", async () => {
    const it = slow();
    publishes(it, 15);
    for (const expected of upTo(5)) expect((await it.events.next()).value?.data).toBe(expected);
    it.node.reads();
    for (const data of [16, 17]) it.node.publish(it.news, data);

    expect(await takes(it, 12)).toEqual(upTo(17, 6));
  });

  test("goes on after a lost connection, and a page that was lost with it", async () => {
    const it = slow();
    publishes(it, 15);
    for (const expected of upTo(5)) expect((await it.events.next()).value?.data).toBe(expected);
    it.node.hangsUp();
    await settle();
    for (let data = 16; data <= 40; data += 1) it.news.append(data);
    it.on.clock.turn(CAP);
    it.node.accept();
    it.node.settles();
    it.on.clock.turn(CAP);

    expect(await takes(it, 35)).toEqual(upTo(40, 6));
    expect(it.recoveries.filter(({ recovered }) => !recovered)).toEqual([]);
  });

  test("is told what the journal dropped before it came there, once", async () => {
    const it = slow();
    publishes(it, 30);
    it.news.trim(5);
    it.node.hangsUp();
    it.on.clock.turn(CAP);
    it.node.accept();
    it.node.settles();

    expect(await takes(it, 15)).toEqual([...upTo(10), ...upTo(30, 26)]);
    expect(it.recoveries.filter(({ recovered }) => !recovered)).toMatchObject([{ reason: "trimmed", missed: 15 }]);
  });

  test("waits where the node is busy, and is told where it may not read back", async () => {
    const it = slow();
    const refuse = async (code: string): Promise<void> => {
      const { id } = it.on.wire.heard().at(-1);
      it.on.wire.says({ id, error: { code: 1, message: "No.", data: { code } } });
      await settle();
    };
    publishes(it, 15);
    for (const expected of upTo(5)) expect((await it.events.next()).value?.data).toBe(expected);
    await refuse("hopsack.overloaded");
    expect(it.on.wire.heard()).toEqual([]);
    it.on.clock.turn(2_000);
    await refuse("hopsack.denied");
    publishes(it, 1);

    expect(await takes(it, 6)).toEqual([6, 7, 8, 9, 10, 16]);
    expect(it.recoveries).toMatchObject([{ recovered: false, reason: "hopsack.denied", missed: undefined }]);
  });

  test("is told once, with its number and in its place, what had no room and may not be read back", async () => {
    const told: Gap[] = [];
    const it = slow({ onGap: (gap) => told.push(gap) });
    it.node.lacks = ["hopsack.stream.read"];
    publishes(it, 15);
    expect(await takes(it, 10)).toEqual(upTo(10));
    publishes(it, 25);
    expect(await takes(it, 10)).toEqual(upTo(25, 16));
    expect(told).toEqual([]);
    publishes(it, 1);
    expect(await takes(it, 1)).toEqual([41]);

    expect(told).toEqual([{ topic: "demo.news", dropped: 15 }]);
    expect(it.events).toMatchObject({ dropped: 15 });
    expect(reads(it)).toHaveLength(1);
    expect(it.recoveries).toHaveLength(1);
  });

  test("asks again on the next connection what it might not read back on the last", async () => {
    const it = slow();
    it.node.lacks = ["hopsack.stream.read"];
    publishes(it, 15);
    expect(await takes(it, 10)).toEqual(upTo(10));
    publishes(it, 25);
    it.node.hangsUp();
    it.node.lacks = [];
    it.on.clock.turn(CAP);
    it.node.accept();
    it.node.settles();

    expect(await takes(it, 25)).toEqual(upTo(40, 16));
  });

  test("is told of deletions in their place", async () => {
    const deletions: Deletion[] = [];
    const it = slow({ onDelete: (one) => deletions.push(one) });
    publishes(it, 12);
    it.node.publish(it.news, { id: 7 }, true);
    publishes(it, 3);

    expect(await takes(it, 15)).toEqual([...upTo(12), ...upTo(16, 14)]);
    expect(deletions).toMatchObject([{ data: { id: 7 }, position: "e1:13" }]);
  });

  test("that was told to fail does", async () => {
    const it = slow({ overflow: "fail" });
    publishes(it, 11);
    expect(await takes(it, 10)).toEqual(upTo(10));

    await expect(it.events.next()).rejects.toMatchObject({ code: "hopsack.overloaded" });
    expect(reads(it)).toEqual([]);
  });
});

describe("whatever happens to a slow loop", () => {
  type Act = readonly [weight: number, act: () => unknown];

  async function live(it: Scene, heard: unknown[], random: () => number, others: readonly Act[]): Promise<void> {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const { on, node, news } = it;
    const last = (): unknown => heard.filter((one) => typeof one === "number").at(-1);
    let isWaiting = false;
    const loop = async (): Promise<void> => {
      if (!isWaiting) {
        isWaiting = true;
        void it.events.next().then(({ value }) => {
          isWaiting = false;
          if (value) heard.push(value.data);
        });
      }
      await settle();
    };
    const acts: readonly Act[] = [
      [30, () => node.publish(news, news.head + 1)],
      [40, () => node.delivers()],
      [20, () => node.reads()],
      [20, loop],
      [2, () => node.hangsUp()],
      [2, () => node.out[0]?.method === "event" && node.out.shift()],
      [2, () => node.out[0]?.method === "event" && node.out.unshift(node.out[0])],
      [5, () => on.clock.turn(1_000)],
      ...others,
    ];
    const wheel = acts.flatMap(([weight, act]) => Array<() => unknown>(weight).fill(act));
    for (let step = 0; step < 300; step += 1) {
      node.returns();
      await wheel[Math.floor(random() * wheel.length)]?.();
    }
    for (let round = 0; round < 400 && last() !== news.head; round += 1) {
      node.returns();
      node.settles();
      if (round % 40 === 0) node.publish(news, news.head + 1);
      node.settles();
      await loop();
      if (round % 10 === 0) on.clock.turn(CAP / 2);
    }
    expect(last()).toBe(news.head);
  }

  test.each([...Array(30).keys()])("with the seed %i it reads every event once, in order, or is told", async (seed) => {
    const random = chance(seed);
    const it = slow({ buffer: 4 }, random);
    const heard: unknown[] = [];
    await live(it, heard, random, [[seed % 2, () => it.news.trim(3)]]);
    const lost = it.recoveries.filter(({ recovered }) => !recovered);
    const gone = lost.reduce((sum, { missed = Number.NaN }) => sum + missed, 0);

    expect(heard).toEqual([...new Set(heard as number[])].sort((a, b) => a - b));
    expect(heard.length + gone).toBe(it.news.head);
  });

  test.each([...Array(60).keys()])(
    "with the seed %i it is told what may not be read back, in its place",
    async (seed) => {
      const random = chance(seed);
      const heard: (number | Gap)[] = [];
      const it = slow({ buffer: 4, onGap: (gap) => heard.push(gap) }, random);
      const { node } = it;
      let refusals = 0;
      const refuse = (): void => {
        const before = node.asked.length;
        node.lacks = ["hopsack.stream.read"];
        node.reads();
        node.lacks = [];
        refusals += node.asked.slice(before).filter(({ method }) => method === "hopsack.stream.read").length;
      };
      await live(it, heard, random, [[10, refuse]]);
      const unknown = it.recoveries.filter(({ recovered }) => !recovered).length;

      let [at, told, unexplained] = [0, 0, 0];
      for (const one of heard) {
        if (typeof one !== "number") told += one.dropped ?? Number.NaN;
        else {
          expect(one - at - 1).toBeGreaterThanOrEqual(told);
          unexplained += one - at - 1 === told ? 0 : 1;
          [at, told] = [one, 0];
        }
      }
      expect(unexplained).toBeLessThanOrEqual(unknown);
      expect(unknown).toBeLessThanOrEqual(refusals);
    },
  );
});
