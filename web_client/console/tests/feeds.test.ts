/** The feeds over a fabric in memory: what the page asks for, in which order, and what it makes of the answers. */
import { describe, expect, test } from "vitest";
import type { SessionInfo } from "../src/contracts";
import { alertsFeed } from "../src/feeds/alerts";
import { hereFeed } from "../src/feeds/here";
import { type HostsFeed, hostsFeed } from "../src/feeds/hosts";
import { presenceFeed } from "../src/feeds/presence";
import { sessionsFeed } from "../src/feeds/sessions";
import { pause } from "../src/feeds/snapshot";
import { viewerFeed } from "../src/feeds/viewer";
import { watchFeed } from "../src/feeds/watch";
import { type Past, type PastQuery, Refusal } from "../src/link";
import { batch, paced } from "../src/state/batches";
import { FakeLink, IDENTITY } from "./fakeLink";
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
    await settled();

    link.publish("host.metrics", sample(1_000));
    link.publish("host.metrics", sample(1_001));
    page.draw();
    await settled();

    expect(feed.shown.value?.revision).toBe(2);
    expect(feed.freshness.value).toBe("live");
    expect(link.calls).toEqual([["host.describe", { host: "loom" }]]);
    expect(feed.description.value).toMatchObject({ phase: "ready", value: { host: "loom", system: "Linux" } });
  });

  test("the reader's choice of a host stays until that host is forgotten", async () => {
    const { link, page } = setting();
    const feed = hostsFeed(link, page);
    link.open();
    await settled();

    link.publish("host.metrics", sample(1_000, 1, "loom"));
    link.publish("host.metrics", sample(1_000, 2, "shuttle"));
    page.draw();
    feed.chosen.value = "shuttle";

    expect(feed.names.value).toEqual(["loom", "shuttle"]);
    expect(feed.shown.value?.host).toBe("shuttle");
  });
});

describe("hosts that the node has dropped", () => {
  test("go, once it has told which there are", async () => {
    const { link, page } = setting();
    const feed = hostsFeed(link, page);
    link.open();
    await settled();
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

/** A stream that holds one sample a second from 1 on, in pages of two; what it is asked is kept. */
function keeping(link: FakeLink, last: number) {
  const asked: PastQuery[] = [];
  const event = (at: number) => ({ data: sample(at), time: at });
  link.kept.set("host.metrics", (query) => {
    asked.push(query);
    if ("last" in query) return { events: [event(last)], position: `e:${last}`, end: true };
    const first = "since" in query ? Math.max(1, query.since) : Number(query.after.slice(2)) + 1;
    const events = [first, first + 1].filter((at) => at <= last).map(event);
    return { events, position: `e:${events.at(-1)?.time ?? last}`, end: first + 1 >= last };
  });
  return asked;
}

function times(feed: HostsFeed): readonly number[] {
  return [...(feed.shown.value?.samples ?? [])].map(({ at }) => at);
}

function subscriptionTo(link: FakeLink, topic: string) {
  return [...link.subscriptions].find((one) => one.topic === topic);
}

describe("a stream", () => {
  test("is read back as far as a chart shows, by the node's clock, and goes on behind what was read", async () => {
    const { link, page } = setting();
    const asked = keeping(link, 305);
    const feed = hostsFeed(link, page);
    link.open();
    for (let page = 0; page < 155; page += 1) await settled();

    expect(asked.slice(0, 3)).toEqual([{ last: 1 }, { since: 5 }, { after: "e:6" }]);
    expect(times(feed)).toEqual(Array.from({ length: 301 }, (_, index) => index + 5));
    expect(subscriptionTo(link, "host.metrics")?.hearing.after).toBe("e:305");

    link.publish("host.metrics", sample(305));
    link.publish("host.metrics", sample(306));
    page.draw();

    expect(times(feed).slice(-2)).toEqual([305, 306]);
    expect(feed.course.value).toBeUndefined();
  });

  test("is read again where the connection was lost meanwhile, and subscribed to once", async () => {
    const { link, page } = setting();
    const late: ((value: Past) => void)[] = [];
    link.kept.set("host.metrics", () => new Promise((resolve) => late.push(resolve)));
    const feed = hostsFeed(link, page);
    link.open();
    link.lose(2_000);
    link.open();
    await settled();
    expect(link.subscriptions.size).toBe(0);

    late[1]?.({ events: [], position: "e:7", end: true });
    late[0]?.({ events: [], position: "e:1", end: true });
    await settled();
    link.lose(2_000);
    link.open();
    await settled();

    expect([...link.subscriptions].map(({ hearing }) => hearing.after)).toEqual(["e:7"]);
    expect(feed.names.value).toEqual([]);
  });

  test("that cannot be read back is heard live", async () => {
    const { link, page } = setting();
    link.kept.set("host.metrics", () => {
      throw new Refusal("not a stream", "hopsack.bad_request", { retry: "never" });
    });
    const feed = hostsFeed(link, page);
    link.open();
    await settled();

    link.publish("host.metrics", sample(1_000));
    page.draw();

    expect(times(feed)).toEqual([1_000]);
  });

  test("that resumes tells how many events were caught up on, and one that does not, that there is a gap", async () => {
    const { link, page } = setting();
    const feed = hostsFeed(link, page);
    link.open();
    await settled();
    const went = subscriptionTo(link, "host.metrics")?.hearing.went;
    went?.({ kind: "resumed" });
    link.publish("host.metrics", sample(1_000));
    page.draw();

    await page.pass(10);
    went?.({ kind: "resumed" });
    for (const at of [1_003, 1_006, 1_009, 1_010]) link.publish("host.metrics", sample(at));

    expect(feed.course.value).toMatchObject({ how: { kind: "resumed" }, caughtUp: 3, at: 1_010 });

    went?.({ kind: "gap", missed: 40, reason: "trimmed" });
    expect(feed.course.value).toMatchObject({ how: { missed: 40 }, caughtUp: 0 });
  });
});

describe("alerts", () => {
  test("that stand are the newest values of their topic", async () => {
    const { link, page } = setting();
    const feed = alertsFeed(link, page);
    const raised = link.latest("alerts.raised");

    raised.value = {
      complete: true,
      values: new Map([alert("old", 100), alert("new", 200)].map((one) => [one.id, one])),
    };
    expect(feed.alerts.value).toMatchObject({ phase: "ready", active: [{ id: "new" }, { id: "old" }] });

    raised.value = { complete: true, values: new Map([["new", alert("new", 200)]]) };
    expect(feed.alerts.value.active.map(({ id }) => id)).toEqual(["new"]);
  });

  test("that ended before the page was there are read back, and later ones come on top", async () => {
    const { link, page } = setting();
    link.kept.set("alerts.cleared", () => ({
      events: [alert("a"), alert("b")].map((data) => ({ data, time: 1 })),
      position: "e:2",
      end: true,
    }));
    const feed = alertsFeed(link, page);
    link.open();
    await settled();

    link.publish("alerts.cleared", alert("c"));
    page.draw();

    expect(feed.alerts.value.ended.map(({ id }) => id)).toEqual(["c", "b", "a"]);
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

describe("connections", () => {
  const lag = { unsent: 10, policy: "holding", since: 1, stalled_since: null, dropped: 0, following: [] } as const;
  const session = (id: number, more: Partial<SessionInfo> = {}) => ({
    ...member(id),
    peer: null,
    agent: null,
    ...more,
  });

  test("are asked for while somebody looks, the worst first", async () => {
    const { link, page } = setting();
    const list = [session(1), session(2, { lag }), session(3, { lag: { ...lag, unsent: 20 } })];
    link.answers.set("hopsack.sessions.list", () => list);
    const feed = sessionsFeed(link, page);
    link.open();
    await settled();
    expect(link.calls).toEqual([]);

    const watching = feed.watch();
    await settled();
    await page.pass(4);
    expect(link.calls.length).toBe(3);
    expect(feed.sessions.value).toMatchObject({
      phase: "ready",
      value: { behind: [{ session: 3 }, { session: 2 }], level: [{ session: 1 }], total: 3 },
    });

    watching.close();
    await page.pass(10);
    expect([link.calls.length, page.timers]).toEqual([3, 0]);
  });

  test("of a page that may not see them are asked for once", async () => {
    const { link, page } = setting();
    link.answers.set("hopsack.sessions.list", () => {
      throw new Refusal("not for guests", "hopsack.denied", { retry: "after_login" });
    });
    const feed = sessionsFeed(link, page);
    link.open();
    feed.watch();
    await page.pass(10);

    expect(link.calls.length).toBe(1);
    expect(feed.sessions.value).toMatchObject({ phase: "failed", why: { code: "hopsack.denied" } });
  });
});

test("who is at the console: oneself first", () => {
  const { link } = setting();
  const feed = hereFeed(link);
  link.open();

  const person = (authid: string) => [authid, { authid, since: 1, role: "user" }] as const;
  link.latest("console.notice.members").value = {
    complete: true,
    values: new Map([person("zoe"), person(IDENTITY.authid), person("amira")]),
  };
  link.latest("console.notice").value = {
    complete: true,
    values: new Map([["console.notice", { text: "hi", by: "me" }]]),
  };

  expect(feed.people.value.map(({ authid }) => authid)).toEqual([IDENTITY.authid, "amira", "zoe"]);
  expect(feed.people.value.map(({ own }) => own)).toEqual([true, false, false]);
  expect(feed.notice.value).toEqual({ text: "hi", by: "me" });
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
