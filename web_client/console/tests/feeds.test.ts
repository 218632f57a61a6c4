/** The feeds over a fabric in memory: what the page asks for, in which order, and what it makes of the answers. */
import { describe, expect, test } from "vitest";
import { alertsFeed } from "../src/feeds/alerts";
import { hostsFeed } from "../src/feeds/hosts";
import { presenceFeed } from "../src/feeds/presence";
import { pause } from "../src/feeds/snapshot";
import { viewerFeed } from "../src/feeds/viewer";
import { watchFeed } from "../src/feeds/watch";
import { batch, paced } from "../src/state/batches";
import { FakeLink } from "./fakeLink";
import { FakePage, settled } from "./fakePage";
import { alert, change, entry, member, sample, THRESHOLD } from "./samples";

function setting() {
  const link = new FakeLink();
  const page = new FakePage();
  return { link, page };
}

describe("batches", () => {
  test("reduce once per frame", () => {
    const { page } = setting();
    const seen: (readonly number[])[] = [];
    const values = batch<number>(page.frame, (batched) => seen.push(batched), 4);

    for (const value of [1, 2, 3]) values.add(value);

    expect(seen).toEqual([]);
    page.draw();
    expect(seen).toEqual([[1, 2, 3]]);
  });

  test("a page that is not drawn keeps no more than the limit", () => {
    const { page } = setting();
    const seen: (readonly number[])[] = [];
    const values = batch<number>(page.frame, (batched) => seen.push(batched), 4);

    for (let value = 0; value < 10; value += 1) values.add(value);

    expect(seen.map(({ length }) => length)).toEqual([4, 4]);
    expect(page.frames).toBe(1);
  });

  test("of costly reductions keep their distance", async () => {
    const { page } = setting();
    const seen: (readonly number[])[] = [];
    const values = batch<number>(paced(page, 0.2), (batched) => seen.push(batched));

    values.add(1);
    page.draw();
    values.add(2);
    page.draw();
    values.add(3);

    expect(seen).toEqual([[1]]);
    await page.pass(0.2);
    page.draw();
    expect(seen).toEqual([[1], [2, 3]]);
  });
});

describe("hosts", () => {
  test("samples become histories, and the first host is described", async () => {
    const { link, page } = setting();
    link.answers.set("host.describe", (input) => ({ ...(input as object), system: "Linux" }));
    const feed = hostsFeed(link, page);
    link.open();

    link.publish("host.metrics", sample(1_000));
    link.publish("host.metrics", sample(1_001));
    page.draw();
    await settled();

    expect(feed.shown.value?.revision).toBe(2);
    expect(feed.freshness.value).toBe("live");
    expect(link.calls).toEqual([["host.describe", { host: "loom" }]]);
    expect(feed.description.value).toMatchObject({ phase: "ready", value: { host: "loom", system: "Linux" } });
  });

  test("the reader's choice of a host stays until that host is forgotten", () => {
    const { link, page } = setting();
    const feed = hostsFeed(link, page);

    link.publish("host.metrics", sample(1_000, 1, "loom"));
    link.publish("host.metrics", sample(1_000, 2, "shuttle"));
    page.draw();
    feed.chosen.value = "shuttle";

    expect(feed.names.value).toEqual(["loom", "shuttle"]);
    expect(feed.shown.value?.host).toBe("shuttle");
  });
});

describe("hosts that the node has dropped", () => {
  test("go, once it has told which there are", () => {
    const { link, page } = setting();
    const feed = hostsFeed(link, page);
    const newest = link.latest("host.metrics");
    link.publish("host.metrics", sample(1_000, 1, "loom"));
    link.publish("host.metrics", sample(1_000, 2, "shuttle"));
    page.draw();

    newest.value = { complete: false, values: new Map([["loom", sample(1_000, 1, "loom")]]) };
    expect(feed.names.value).toEqual(["loom", "shuttle"]);
    link.publish("host.metrics", sample(1_001, 2, "shuttle"));
    newest.value = { complete: true, values: new Map([["loom", sample(1_000, 1, "loom")]]) };
    page.draw();

    expect(feed.names.value).toEqual(["loom"]);
  });
});

describe("watched folders", () => {
  test("are subscribed to before they are listed, and a change in between is kept", async () => {
    const { link, page } = setting();
    link.answers.set("watch.roots", () => ["data"]);
    link.answers.set("watch.list", () => {
      link.publish("watch.data.changed", change("created", "between.txt"));
      return { root: "data", at: 940, truncated: false, entries: [entry("old.txt")] };
    });
    const feed = watchFeed(link, page);

    expect([...link.subscriptions].map(({ topic, match }) => [topic, match])).toEqual([["watch..changed", "wildcard"]]);
    link.open();
    await settled();

    expect([...(feed.shown.value?.entries.keys() ?? [])]).toEqual(["old.txt", "between.txt"]);
  });

  test("appear by themselves once their service is there", async () => {
    const { link, page } = setting();
    const feed = watchFeed(link, page);
    link.open();
    await settled();

    expect(feed.roots.value).toMatchObject({ phase: "failed", why: { code: "hopsack.no_callee" } });

    link.answers.set("watch.roots", () => ["data"]);
    link.answers.set("watch.list", () => ({ root: "data", at: 940, truncated: false, entries: [] }));
    await page.pass(1);

    expect(feed.roots.value).toEqual({ phase: "ready", value: ["data"] });
    expect(feed.shown.value?.phase).toBe("ready");
  });

  test("are listed again after a reconnection and after lost events", async () => {
    const { link, page } = setting();
    let listings = 0;
    link.answers.set("watch.roots", () => ["data"]);
    link.answers.set("watch.list", () => {
      listings += 1;
      return { root: "data", at: 940, truncated: false, entries: [entry(`listing-${listings}`)] };
    });
    const feed = watchFeed(link, page);
    link.open();
    await settled();

    link.lose(2_000);
    link.open();
    await settled();

    expect([...(feed.shown.value?.entries.keys() ?? [])]).toEqual(["listing-2"]);

    link.publish("watch.data.changed", change("rescanned", "", null));
    link.publish("watch.data.changed", change("rescanned", "", null));
    page.draw();
    await page.pass(1);

    expect([...(feed.shown.value?.entries.keys() ?? [])]).toEqual(["listing-3"]);
  });

  test("an answer from before a reconnection no longer counts", async () => {
    const { link, page } = setting();
    const late: ((value: unknown) => void)[] = [];
    link.answers.set("watch.roots", () => ["data"]);
    link.answers.set("watch.list", () => new Promise((resolve) => late.push(resolve)));
    const feed = watchFeed(link, page);
    link.open();
    await settled();
    link.lose(2_000);
    link.open();
    await settled();

    late[1]?.({ root: "data", at: 2, truncated: false, entries: [entry("new")] });
    late[0]?.({ root: "data", at: 1, truncated: false, entries: [entry("old")] });
    await settled();

    expect([...(feed.shown.value?.entries.keys() ?? [])]).toEqual(["new"]);
  });
});

describe("alerts", () => {
  test("an alert that is raised while the list is on its way stands afterwards", async () => {
    const { link, page } = setting();
    link.answers.set("alerts.list", () => {
      link.publish("alerts.raised", alert("new", 200));
      return { thresholds: [THRESHOLD], active: [alert("old", 100)] };
    });
    const feed = alertsFeed(link, page);
    link.open();
    await settled();

    expect(feed.alerts.value.active.map(({ id }) => id)).toEqual(["new", "old"]);
  });

  test("setting a threshold shows what the service made of it", async () => {
    const { link, page } = setting();
    link.answers.set("alerts.list", () => ({ thresholds: [THRESHOLD], active: [] }));
    link.answers.set("alerts.set", (input) => ({ ...(input as object), for_s: 12 }));
    const feed = alertsFeed(link, page);
    link.open();
    await settled();

    await feed.set({ ...THRESHOLD, raise_at: 90 });

    expect(feed.alerts.value.thresholds).toEqual([{ ...THRESHOLD, raise_at: 90, for_s: 12 }]);
  });
});

test("presence tells of services that join", async () => {
  const { link, page } = setting();
  let told = 0;
  link.answers.set("presence.list", () => ({ count: 1, roles: { guest: 1 }, members: [member(1)] }));
  const feed = presenceFeed(link, page, () => {
    told += 1;
  });
  link.open();
  await settled();

  link.publish("presence.joined", member(2));
  link.publish("presence.joined", member(3, "service", "watch"));
  link.publish("presence.count", { count: 3, roles: { guest: 2, service: 1 } });
  page.draw();

  expect(told).toBe(1);
  expect(feed.presence.value.count).toBe(3);
});

test("the viewer has one subscription at a time", () => {
  const { link, page } = setting();
  const feed = viewerFeed(link, page);

  feed.start({ topic: "demo.", match: "prefix" });
  feed.start({ topic: "demo.text", match: "exact" });
  link.publish("demo.text", "hello");
  link.publish("demo.clock", { at: 1 });
  page.draw();

  expect(feed.viewer.value.rows.map(({ topic, data }) => [topic, data])).toEqual([["demo.text", "hello"]]);
  feed.stop();
  expect(link.subscriptions.size).toBe(0);
});

test("pauses between attempts grow to a bound and are a random share of it", () => {
  expect([0, 1, 2, 10].map((failures) => pause(failures, 0.999))).toEqual([0.999, 1.998, 3.996, 14.985]);
  expect(pause(10, 0.5)).toBe(7.5);
  expect(pause(0, 0)).toBe(0.1);
});
