/** The style sheet's promise: text is readable on whatever it stands on (WCAG 2.2, 1.4.3 and 1.4.11). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const TEXT = 4.5;
const GRAPHICS = 3;

const PAIRS: readonly (readonly [front: string, back: string, ratio: number])[] = [
  ...["surface", "sunken", "hover", "ground"].map((back) => ["text", back, TEXT] as const),
  ...["surface", "sunken", "hover", "ground", "warn-wash", "bad-wash"].map((back) => ["muted", back, TEXT] as const),
  ...["accent", "good", "warn", "bad"].flatMap((front) => [
    [front, "surface", TEXT] as const,
    [front, `${front}-wash`, TEXT] as const,
  ]),
  ["chart-text", "sunken", TEXT],
  ["control", "surface", GRAPHICS],
  ...["cpu", "memory", "load-1", "load-5", "load-15", "received", "sent", "read", "written"].map(
    (line) => [line, "sunken", GRAPHICS] as const,
  ),
];

const sheet = readFileSync(join(import.meta.dirname, "../src/styles/tokens.css"), "utf8");
const tokens = new Map(
  [...sheet.matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)/g)].map(([, name, light, dark]) => [
    name,
    { light, dark },
  ]),
);

describe.each(["light", "dark"] as const)("in %s", (scheme) => {
  test.each(PAIRS)("%s on %s has a contrast of %d at least", (front, back, least) => {
    expect(contrast(colourOf(front, scheme), colourOf(back, scheme))).toBeGreaterThanOrEqual(least);
  });
});

function colourOf(name: string, scheme: "light" | "dark"): string {
  const value = tokens.get(name)?.[scheme];
  if (value === undefined) throw new Error(`tokens.css has no --${name} as a pair of colours`);
  return value;
}

function contrast(front: string, back: string): number {
  const [lighter = 0, darker = 0] = [luminance(front), luminance(back)].sort((a, b) => b - a);
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance(hex: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5]
    .map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
