import { expect, test } from "vitest";
import { parseInput } from "../src/state/input";

test("no text is no input", () => {
  expect(parseInput("  \n")).toEqual({ ok: true, value: null });
});

test("JSON is its value", () => {
  expect(parseInput('{"host": "loom"}')).toEqual({ ok: true, value: { host: "loom" } });
});

test("anything else is told with its line, where the browser says where", () => {
  const parsed = parseInput('{\n  "host": loom\n}');

  expect(parsed.ok).toBe(false);
  expect(parsed).toMatchObject({ line: expect.toSatisfy((line: unknown) => line === 2 || line === undefined) });
});
