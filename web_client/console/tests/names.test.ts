import { expect, test } from "vitest";
import { nameParts } from "../src/state/names";

test("a plain name is one part, markup and other scripts included", () => {
  for (const name of ["notes.md", "<img src=x onerror=alert(1)>", "שלום.txt", "naïve 🧶.txt"]) {
    expect(nameParts(name)).toEqual([{ text: name, escaped: false }]);
  }
});

test("characters that would not show, or would turn the line around, are shown by number", () => {
  expect(nameParts("photo\u202Egpj.exe")).toEqual([
    { text: "photo", escaped: false },
    { text: "U+202E", escaped: true },
    { text: "gpj.exe", escaped: false },
  ]);
  expect(nameParts("a\nb\uDCFF")).toEqual([
    { text: "a", escaped: false },
    { text: "U+000A", escaped: true },
    { text: "b", escaped: false },
    { text: "U+DCFF", escaped: true },
  ]);
});

test("an empty name is still a part", () => {
  expect(nameParts("")).toEqual([{ text: "", escaped: false }]);
});
