/**
 * File names as a person may safely read them.
 *
 * A name is any sequence of characters. Preact writes it as text, so it cannot become markup; but it may still hold
 * characters that are invisible or that turn the reading direction of what follows (`photo\u202Egpj.exe`). Those are
 * shown by their numbers.
 */
export interface NamePart {
  readonly text: string;
  /** True: `text` is the number of a character that would not show, such as `U+202E`. */
  readonly escaped: boolean;
}

// Controls, soft hyphen, zero-width and bidi controls, separators, byte order mark, lone surrogates, private use.
const UNSEEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find
  /[\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]|\p{Surrogate}|\p{Co}/gu;

export function nameParts(name: string): readonly NamePart[] {
  const parts: NamePart[] = [];
  let from = 0;
  for (const found of name.matchAll(UNSEEN)) {
    if (found.index > from) parts.push({ text: name.slice(from, found.index), escaped: false });
    parts.push({ text: codePoint(found[0]), escaped: true });
    from = found.index + found[0].length;
  }
  if (from < name.length || parts.length === 0) parts.push({ text: name.slice(from), escaped: false });
  return parts;
}

function codePoint(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
}
