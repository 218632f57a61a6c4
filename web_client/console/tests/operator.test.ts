import { describe, expect, test } from "vitest";
import { operatorFeed } from "../src/feeds/operator";
import { asked, EMPTY_DESK, ended, nameProblem, type OpenQuestion, shareLeft } from "../src/state/operator";
import type { Remembered } from "../src/storage";
import { FakeLink } from "./fakeLink";
import { FakePage } from "./fakePage";

const QUESTION = { id: "q1", text: "Take it on?", choices: ["yes", "no"], timeout_s: 30 };

function memory(value: string): Remembered {
  let kept = value;
  return {
    get: () => kept,
    set: (next) => {
      kept = next;
    },
  };
}

function onDuty() {
  const link = new FakeLink();
  const page = new FakePage();
  const duty = memory("off");
  link.open();
  const feed = operatorFeed(link, page, { name: memory("ops"), duty });
  feed.goOn("ops");
  return { link, page, feed, duty };
}

describe("the desk", () => {
  test("takes one question at a time", () => {
    const desk = asked(EMPTY_DESK, QUESTION, 100);

    expect(desk?.open).toEqual({ question: QUESTION, askedAt: 100, deadline: 130 });
    expect(desk && asked(desk, { ...QUESTION, id: "q2" }, 101)).toBeUndefined();
  });

  test("an end that comes twice counts once", () => {
    const desk = asked(EMPTY_DESK, QUESTION, 100);
    const open = desk?.open as OpenQuestion;
    const once = desk && ended(desk, open, { kind: "declined" }, 101);

    expect(once && ended(once, open, { kind: "expired" }, 130)).toBe(once);
  });

  test("knows the share of time that is left", () => {
    const open = asked(EMPTY_DESK, QUESTION, 100)?.open as OpenQuestion;

    expect([100, 115, 130, 140].map((now) => shareLeft(open, now))).toEqual([1, 0.5, 0, 0]);
  });
});

test("names are components of a URI", () => {
  expect(nameProblem("ops_2")).toBeUndefined();
  for (const bad of ["", "Ops", "a.b", "a b", "x".repeat(65)]) expect(nameProblem(bad)).toBeTypeOf("string");
});

describe("on duty", () => {
  test("is off until the person says so, and remembered afterwards", () => {
    const { link, feed, duty } = onDuty();

    expect([...link.served.keys()]).toEqual(["operator.ops.ask"]);
    expect(feed.duty.value).toEqual({ phase: "on", name: "ops" });
    expect(duty.get()).toBe("on");

    feed.goOff();

    expect([...link.served.keys()]).toEqual([]);
    expect(duty.get()).toBe("off");
  });

  test("an answer goes back with the name of who gave it", async () => {
    const { link, feed } = onDuty();

    const answer = link.ask("operator.ops.ask", QUESTION);
    feed.answer("yes");

    await expect(answer).resolves.toEqual({ choice: "yes", by: "ops" });
    expect(feed.desk.value.open).toBeUndefined();
    expect(feed.desk.value.past[0]?.outcome).toEqual({ kind: "answered", choice: "yes" });
  });

  test("declining is told as the contract's error", async () => {
    const { link, feed } = onDuty();

    const answer = link.ask("operator.ops.ask", QUESTION);
    feed.decline();

    await expect(answer).rejects.toMatchObject({ code: "operator.declined" });
  });

  test("a second question meets a busy person, and the first one stays open", async () => {
    const { link, feed } = onDuty();

    const first = link.ask("operator.ops.ask", QUESTION);
    const second = link.ask("operator.ops.ask", { ...QUESTION, id: "q2" });

    await expect(second).rejects.toMatchObject({ code: "operator.busy" });
    expect(feed.desk.value.open?.question.id).toBe("q1");
    feed.answer("no");
    await expect(first).resolves.toEqual({ choice: "no", by: "ops" });
  });

  test("time that runs out closes the question", async () => {
    const { link, page, feed } = onDuty();

    const answer = link.ask("operator.ops.ask", QUESTION);
    const refused = expect(answer).rejects.toMatchObject({ code: "operator.declined" });
    await page.pass(30);

    await refused;
    expect(feed.desk.value.past[0]?.outcome.kind).toBe("expired");
    expect(page.timers).toBe(0);
  });

  test("a question whose asker went away, or the connection with it, is withdrawn", async () => {
    const { link, feed } = onDuty();
    const asker = new AbortController();

    const first = link.ask("operator.ops.ask", QUESTION, asker.signal).catch(() => "refused");
    asker.abort();
    const second = link.ask("operator.ops.ask", QUESTION).catch(() => "refused");
    link.lose(2_000);

    await expect(Promise.all([first, second])).resolves.toEqual(["refused", "refused"]);
    expect(feed.desk.value.past.map(({ outcome }) => outcome.kind)).toEqual(["withdrawn", "withdrawn"]);
  });
});
