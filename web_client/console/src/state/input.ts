/** The text of a call's input as a JSON value, or what is wrong with it and where. */
export type Parsed =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string; readonly line: number | undefined };

/** Empty text is `null`: a call without input. */
export function parseInput(text: string): Parsed {
  if (text.trim() === "") return { ok: true, value: null };
  try {
    return { ok: true, value: JSON.parse(text) as unknown };
  } catch (error) {
    const message = error instanceof Error ? error.message : "This is not JSON.";
    return { ok: false, message, line: lineOf(text, message) };
  }
}

/** V8 names a position or a line, SpiderMonkey a line; where neither is there, none is invented. */
function lineOf(text: string, message: string): number | undefined {
  const line = /line (\d+)/.exec(message)?.[1];
  if (line !== undefined) return Number(line);
  const position = /position (\d+)/.exec(message)?.[1];
  return position === undefined ? undefined : text.slice(0, Number(position)).split("\n").length;
}
