import { expect, test } from "vitest";
import {
  ago,
  asText,
  bytes,
  clockTime,
  count,
  countdown,
  duration,
  percent,
  rate,
  roundBytes,
  threeDigits,
} from "../src/state/format";

test.each([
  [0, "0 B"],
  [1, "1 B"],
  [999, "999 B"],
  [1000, "0.98 KiB"],
  [1024, "1.00 KiB"],
  [1536, "1.50 KiB"],
  [10 * 1024, "10.0 KiB"],
  [999.4 * 1024, "999 KiB"],
  [1023 * 1024, "1.00 MiB"],
  [16 * 2 ** 30, "16.0 GiB"],
  [2 ** 60, "1024 PiB"],
  [Number.NaN, "– B"],
])("%d bytes are %s", (value, text) => {
  expect(asText(bytes(value))).toBe(text);
});

test("rates carry the second in their unit, round values no decimals", () => {
  expect(asText(rate(2048))).toBe("2.00 KiB/s");
  expect(asText(roundBytes(2 * 2 ** 20))).toBe("2 MiB");
  expect(asText(roundBytes(512))).toBe("512 B");
});

test.each([
  [0, "0.0"],
  [3.44, "3.4"],
  [9.96, "10"],
  [99.6, "100"],
])("%d percent is %s", (value, text) => {
  expect(percent(value).number).toBe(text);
});

test.each([
  [0, "0"],
  [0.004, "0.00"],
  [2.71, "2.71"],
  [9.999, "10.0"],
  [31.42, "31.4"],
  [314.2, "314"],
])("%d in three digits is %s", (value, text) => {
  expect(threeDigits(value)).toBe(text);
});

test.each([
  [0, "0 s"],
  [42, "42 s"],
  [60, "1 min"],
  [185, "3 min 5 s"],
  [7_800, "2 h 10 min"],
  [86_400 * 12 + 3_600 * 4 + 59, "12 d 4 h"],
])("%d seconds last %s", (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});

test.each([
  [0, "now"],
  [-5, "now"],
  [12.9, "12 s ago"],
  [60, "1 min ago"],
  [7_300, "2 h ago"],
  [200_000, "2 d ago"],
])("what was %d seconds before was %s", (elapsed, text) => {
  expect(ago(1_000_000 - elapsed, 1_000_000)).toBe(text);
});

test("a countdown says 0:00 only when nothing is left", () => {
  expect([61, 60, 0.2, 0, -3].map(countdown)).toEqual(["1:01", "1:00", "0:01", "0:00", "0:00"]);
});

test("clock times have eight characters, whatever the hour", () => {
  expect(clockTime(new Date(2026, 10, 23, 7, 3, 9).getTime() / 1000)).toBe("07:03:09");
});

test("counts agree with their nouns", () => {
  expect([count(0, "entry", "entries"), count(1, "entry", "entries"), count(2, "event")]).toEqual([
    "0 entries",
    "1 entry",
    "2 events",
  ]);
});
