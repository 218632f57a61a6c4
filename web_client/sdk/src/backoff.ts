/**
 * How long to stay away after losing the node: full jitter, as one pure function; `hopsack.backoff` in Python is the same.
 *
 * Many pages lose a node at the same moment. With the same delays they would come back as one crowd; a delay drawn from
 * the whole range from zero spreads them evenly ("full jitter" of the AWS architecture blog, "Exponential Backoff And
 * Jitter", 2015).
 */

/** Milliseconds the first attempt is spread over: 2,000 pages arrive as 200 in each tenth of a second. */
export const FIRST = 1_000;

/** Milliseconds the attempts are spread over in the end. */
export const CAP = 8_000;

/**
 * @param attempt losses in a row before this one; 0 for the first.
 * @param chance a random number in [0, 1).
 * @param hint milliseconds that the node asked to stay away; the jitter comes on top, for everybody was told the same.
 * @returns milliseconds
 */
export function backoff(attempt: number, chance: number, hint = 0): number {
  return Math.max(0, hint) + chance * Math.min(CAP, FIRST * 2 ** Math.min(attempt, 16));
}
