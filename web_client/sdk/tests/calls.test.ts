/** What a call says of itself beside its input, and what becomes of a keyed one when the connection is lost. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { CAP } from "../src/backoff";
import { LOCAL } from "../src/errors";
import { ERRORS } from "../src/errors.generated";
import { LocalError, RemoteError } from "../src/index";
import { outcome, type Stage, stage } from "./stage";

afterEach(() => vi.restoreAllMocks());

/** Connected. */
function open(): Stage {
  const on = stage();
  on.wire.joins();
  return on;
}

describe("a call", () => {
  test("says what is left of its time, waiting for the connection counted", () => {
    const on = stage();
    void on.fabric.call("a.b", 1, { timeout: 5_000 }).catch(() => {});
    on.clock.turn(2_000);
    on.wire.joins();

    expect(on.wire.heard()).toMatchObject([{ method: "a.b", params: 1, hopsack: { timeout: 3_000 } }]);
  });

  test("says its key, how long it waits for a callee, and how often it is tried", () => {
    const on = open();
    void on.fabric.call("a.b", 1, { key: "k", wait: 2_000, retry: 0 }).catch(() => {});

    expect(on.wire.heard()).toMatchObject([{ hopsack: { timeout: 10_000, key: "k", wait: 2_000, retry: 0 } }]);
  });

  test("without an end says no time", () => {
    const on = open();
    void on.fabric.call("a.b", 1, { timeout: Number.POSITIVE_INFINITY }).catch(() => {});

    expect(on.wire.heard()[0]).not.toHaveProperty("hopsack");
  });

  test.each(["", "k".repeat(65)])("is not sent with a key that is none: %j", async (key) => {
    const on = open();

    await expect(on.fabric.call("a.b", 1, { key })).rejects.toMatchObject({ code: "hopsack.usage", where: "a.b" });
    expect(on.wire.heard()).toEqual([]);
  });

  test("with a key is sent again when its outcome is open, with what is left of its time", async () => {
    const on = open();
    const called = on.fabric.call("a.b", 1, { key: "k", timeout: 60_000 });
    const first = on.wire.hears();
    on.wire.hangsUp();
    on.clock.turn(CAP);
    on.wire.joins();
    const again = on.wire.hears();
    on.wire.says({ id: again.id, result: "done" });

    expect([again.method, again.hopsack.key]).toEqual([first.method, "k"]);
    expect(again.hopsack.timeout).toBeLessThan(first.hopsack.timeout);
    expect(await called).toBe("done");
  });

  test("without one ends as unknown", async () => {
    const on = open();
    const called = on.fabric.call("a.b", 1);
    on.wire.hangsUp();

    expect(await outcome(called)).toMatchObject({ code: "hopsack.outcome_unknown", where: "a.b" });
  });

  test("of unknown outcome says who lost what: this page its connection, or the node its callee", async () => {
    const on = open();
    const [first, second] = [on.fabric.call("a.b", 1), on.fabric.call("a.b", 2)];
    const [{ id }] = on.wire.heard();
    on.wire.says({ id, error: { code: 1020, message: "Gone.", data: { code: "hopsack.outcome_unknown" } } });
    on.wire.hangsUp();

    expect(await outcome(first)).toBeInstanceOf(RemoteError);
    expect(await outcome(second)).toBeInstanceOf(LocalError);
    expect(await outcome(first)).toMatchObject({ code: "hopsack.outcome_unknown", message: "Gone.", retry: "never" });
  });
});

test("no code has two rows", () => {
  expect(Object.keys(LOCAL).filter((code) => code in ERRORS)).toEqual([]);
});
