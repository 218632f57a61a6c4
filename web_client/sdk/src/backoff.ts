/**
 * How long to stay away after losing the node: full jitter, as one pure function; `hopsack.backoff` in Python is the same.
 *
 * Many pages lose a node at the same moment. With the same delays they would come back as one crowd; a delay drawn from
 * the whole range from zero spreads them evenly ("full jitter" of the AWS architecture blog, "Exponential Backoff And
 * Jitter", 2015).
 */

/**
 * Milliseconds the first attempt is spread over: 2,000 pages arrive as 100 in each tenth of a second, a twentieth of them.
 * If their node is back after less than that, those who tried too early come besides: together less than a tenth.
 */
export const FIRST = 2_000;

/** Milliseconds the attempts are spread over in the end, so that everybody is back that long after the node at the latest. */
export const CAP = 4_000;

/**
 * @param attempt losses in a row before this one; 0 for the first.
 * @param chance a random number in [0, 1).
 * @param hint milliseconds that the node asked to stay away; the jitter comes on top, for others may know it too.
 * @returns milliseconds
 */
export function backoff(attempt: number, chance: number, hint = 0): number {
  return Math.max(0, hint) + chance * Math.min(CAP, FIRST * 2 ** Math.min(attempt, 16));
}

/** Seconds that a reason may ask for. A node that asks for more means something else. */
const LONGEST = 300;

const HINT = / \(retry_after=([0-9]{1,9}(?:\.[0-9]{1,9})?)\)$/;

/** Seconds that the node asks to stay away, at the end of a close's reason: `… (retry_after=2.3)`; 0 if it does not. */
export function hintIn(reason: string): number {
  return Math.min(Number(HINT.exec(reason)?.[1] ?? 0), LONGEST);
}
