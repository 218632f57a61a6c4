import { describe, expect, test } from "vitest";
import {
  type Alerts,
  draftProblem,
  heard,
  listed,
  NO_ALERTS,
  reopened,
  severity,
  thresholdSet,
} from "../src/state/alerts";
import { alert, THRESHOLD } from "./samples";

const ready: Alerts = listed(NO_ALERTS, { thresholds: [THRESHOLD], active: [alert("a", 1), alert("b", 2)] });

function ids(alerts: readonly { readonly id: string }[]): readonly string[] {
  return alerts.map(({ id }) => id);
}

describe("alerts", () => {
  test("stand newest first; one that is raised again replaces itself", () => {
    const after = heard(ready, [
      { kind: "raised", alert: alert("c", 3) },
      { kind: "raised", alert: { ...alert("a", 1), acknowledged_by: "ops" } },
    ]);

    expect(ids(after.active)).toEqual(["c", "b", "a"]);
    expect(after.active[2]?.acknowledged_by).toBe("ops");
  });

  test("that cleared are listed as ended, and a late repetition does not raise them again", () => {
    const after = heard(ready, [
      { kind: "cleared", alert: { ...alert("a"), cleared_at: 9 } },
      { kind: "raised", alert: alert("a") },
    ]);

    expect(ids(after.active)).toEqual(["b"]);
    expect(ids(after.ended)).toEqual(["a"]);
  });

  test("heard while the snapshot was on its way are newer than it", () => {
    const waiting = heard(reopened(ready), [
      { kind: "cleared", alert: { ...alert("b"), cleared_at: 9 } },
      { kind: "raised", alert: alert("d", 8) },
    ]);

    const after = listed(waiting, { thresholds: [THRESHOLD], active: [alert("a", 1), alert("b", 2)] });

    expect(ids(after.active)).toEqual(["d", "a"]);
    expect(ids(after.ended)).toEqual(["b"]);
  });

  test("are bounded", () => {
    const flood = Array.from({ length: 300 }, (_, at) => ({ kind: "raised", alert: alert(`n${at}`, at) }) as const);

    expect(heard(ready, flood).active.length).toBe(200);
  });
});

test("severity is how far a value is from its threshold to the top", () => {
  expect(severity(alert("a", 1, 85))).toBe("warning");
  expect(severity(alert("a", 1, 90))).toBe("critical");
});

test("a threshold replaces the one of its metric", () => {
  const after = thresholdSet(ready, { ...THRESHOLD, raise_at: 95 });

  expect(after.thresholds).toEqual([{ ...THRESHOLD, raise_at: 95 }]);
});

test.each([
  [{ raise_at: 101 }, "raise_at"],
  [{ raise_at: Number.NaN }, "raise_at"],
  [{ clear_at: -1 }, "clear_at"],
  [{ clear_at: 80 }, "clear_at"],
  [{ for_s: -1 }, "for_s"],
  [{}, undefined],
] as const)("a draft with %o has its problem at %s", (part, field) => {
  expect(draftProblem({ ...THRESHOLD, ...part })?.field).toBe(field);
});
