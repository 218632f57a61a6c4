import { describe, expect, test } from "vitest";
import {
  ceiling,
  columns,
  coreBars,
  freshness,
  type HostHistory,
  type Hosts,
  NO_HOSTS,
  type Picked,
  usualInterval,
  windowOf,
  withSamples,
} from "../src/state/hosts";
import { sample } from "./samples";

const TOTAL: Picked = { width: 1, of: ({ cpu }) => [cpu.total] };

function heard(hosts: Hosts, ...times: readonly number[]): Hosts {
  return withSamples(
    hosts,
    times.map((at) => ({ value: sample(at, at % 100), receivedAt: at + 5 })),
  );
}

function loom(hosts: Hosts): HostHistory {
  return hosts.get("loom") as HostHistory;
}

describe("a history", () => {
  test("keeps samples in order, drops repetitions, and knows how far the clocks are apart", () => {
    const hosts = heard(NO_HOSTS, 100, 101, 101, 100, 102);

    expect([...loom(hosts).samples].map(({ at }) => at)).toEqual([100, 101, 102]);
    expect(loom(hosts)).toMatchObject({ revision: 3, skew: 5, receivedAt: 107 });
  });

  test("starts afresh after a clock that was set back", () => {
    const hosts = heard(heard(NO_HOSTS, 5_000, 5_001), 1_000, 1_001);

    expect([...loom(hosts).samples].map(({ at }) => at)).toEqual([1_000, 1_001]);
  });

  test("of the host that is silent for longest makes room for a new host", () => {
    const many = Array.from({ length: 33 }, (_, at) => ({ value: sample(at, 1, `host-${at}`), receivedAt: at }));

    const hosts = withSamples(NO_HOSTS, many);

    expect(hosts.size).toBe(32);
    expect(hosts.has("host-0")).toBe(false);
    expect(hosts.has("host-32")).toBe(true);
  });
});

describe("columns", () => {
  test("hold the window and the sample before it, from which the line enters", () => {
    const hosts = heard(NO_HOSTS, 100, 101, 400, 401, 402);

    const [times] = columns(loom(hosts).samples, TOTAL, 701.5);

    expect(times).toEqual([401, 402]);
  });

  test("show a gap as a gap", () => {
    const hosts = heard(NO_HOSTS, 100, 101, 102, 110, 111);

    const drawn = columns(loom(hosts).samples, TOTAL, 111);

    expect(drawn).toEqual([
      [100, 101, 102, 106, 110, 111],
      [0, 1, 2, null, 10, 11],
    ]);
  });

  test("do not take a slow but steady host for one with gaps", () => {
    const hosts = heard(NO_HOSTS, 100, 110, 120, 130);

    const [, values] = columns(loom(hosts).samples, TOTAL, 130);

    expect(values).toEqual([0, 10, 20, 30]);
    expect(usualInterval(loom(hosts).samples)).toBe(10);
  });
});

test("a chart spans more as more is known", () => {
  const hosts = heard(NO_HOSTS, 100, 130);
  const { samples } = loom(hosts);

  expect([130, 160, 161, 221, 5_000].map((edge) => windowOf(samples, edge))).toEqual([60, 60, 120, 300, 300]);
});

test("a host is live while it reports at its usual pace", () => {
  const hosts = heard(NO_HOSTS, 100, 101, 102);

  expect(freshness(undefined, 0, true)).toBe("waiting");
  expect(freshness(loom(hosts), 110, true)).toBe("live");
  expect(freshness(loom(hosts), 110, false)).toBe("silent");
  expect(freshness(loom(hosts), 112, true)).toBe("silent");
});

test("axes end at round values and stay put under noise", () => {
  expect([0, 3, 7, 12, 99].map((highest) => ceiling(highest, 1, 10))).toEqual([1, 5, 10, 20, 100]);
  expect([0, 1025, 3_000, 900 * 1024].map((highest) => ceiling(highest, 1024, 1024))).toEqual([
    1024,
    2048,
    4096,
    1024 * 1024,
  ]);
});

test("more cores than bars share bars with their neighbours", () => {
  expect(coreBars([10, 20])).toEqual([
    { label: "Core 0", busy: 10 },
    { label: "Core 1", busy: 20 },
  ]);
  expect(coreBars([10, 20, 30, 40, 50], 3)).toEqual([
    { label: "Cores 0–1", busy: 15 },
    { label: "Cores 2–3", busy: 35 },
    { label: "Core 4", busy: 50 },
  ]);
});
