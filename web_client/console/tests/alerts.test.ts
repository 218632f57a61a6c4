import { describe, expect, test } from "vitest";
import { type Alerts, draftProblem, ended, NO_ALERTS, severity, standing, thresholdSet } from "../src/state/alerts";
import { alert, THRESHOLD } from "./samples";

const ready: Alerts = { ...standing(NO_ALERTS, true, [alert("a", 1), alert("b", 2)]), thresholds: [THRESHOLD] };

function ids(alerts: readonly { readonly id: string }[]): readonly string[] {
  return alerts.map(({ id }) => id);
}

describe("alerts", () => {
  test("stand newest first, as the node has them", () => {
    const after = standing(ready, true, [{ ...alert("a", 1), acknowledged_by: "ops" }, alert("c", 3)]);

    expect(ids(after.active)).toEqual(["c", "a"]);
    expect(after.active[1]?.acknowledged_by).toBe("ops");
  });

  test("are known once all are there, and stay known over a reconnection", () => {
    expect(standing(NO_ALERTS, false, []).phase).toBe("loading");
    expect(standing(NO_ALERTS, true, []).phase).toBe("ready");
    expect(standing(ready, false, [alert("a")]).phase).toBe("ready");
  });

  test("that ended are told newest first, each once", () => {
    const after = ended(ended(ready, [alert("a"), alert("b")]), [alert("a"), alert("c")]);

    expect(ids(after.ended)).toEqual(["c", "a", "b"]);
  });

  test("are bounded", () => {
    const flood = Array.from({ length: 300 }, (_, at) => alert(`n${at}`, at));

    expect(standing(ready, true, flood).active.length).toBe(200);
    expect(ended(ready, flood).ended.length).toBe(50);
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
