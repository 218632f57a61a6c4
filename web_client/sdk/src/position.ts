/** Where an event stands in its stream: `epoch:offset`. Offsets of a topic are contiguous within an epoch. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

export function parse(text: unknown): Position | undefined {
  const parts = typeof text === "string" ? /^(.+):(\d+)$/.exec(text) : null;
  return parts ? { epoch: parts[1] ?? "", offset: Number(parts[2]) } : undefined;
}

/** Earlier in the same epoch; anything is before nothing. */
export function isBefore(one: Position, other: Position | undefined): boolean {
  return !other || (one.epoch === other.epoch && one.offset < other.offset);
}

/** The positions that the answer to a subscription tells, by topic. */
export function positionsIn(topic: string, answer: { position?: unknown; positions?: unknown }): Map<string, Position> {
  const texts = answer.position === undefined ? answer.positions : { [topic]: answer.position };
  const read = Object.entries(texts ?? {}).map(([topic, text]) => [topic, parse(text)] as const);
  return new Map(read.filter((one): one is [string, Position] => one[1] !== undefined));
}
