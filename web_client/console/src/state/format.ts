/** Numbers, sizes, times and durations as people read them. Pure; the locale is the caller's to pass. */

const BINARY_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** A number and its unit, apart, so that a view can set them in different sizes. */
export interface Quantity {
  readonly number: string;
  readonly unit: string;
}

/** Shown where there is no number yet. As wide as a digit, so that nothing moves when one arrives. */
export const NO_NUMBER = "–";

/** Three significant digits, no exponent: `0`, `3.14`, `31.4`, `314`. */
export function threeDigits(value: number): string {
  const magnitude = Math.abs(value);
  if (magnitude >= 99.95) return value.toFixed(0);
  if (magnitude >= 9.995) return value.toFixed(1);
  return magnitude === 0 ? "0" : value.toFixed(2);
}

/** Bytes in binary units (IEC 80000-13): 1536 → `1.50 KiB`. Whole bytes below 1 KiB. */
export function bytes(value: number): Quantity {
  if (!Number.isFinite(value)) return { number: NO_NUMBER, unit: "B" };
  let scaled = value;
  let step = 0;
  // 999.5 would show as 1000: go up to the next unit first.
  while (Math.abs(scaled) >= 999.5 && step < BINARY_UNITS.length - 1) {
    scaled /= 1024;
    step += 1;
  }
  const number = step === 0 ? Math.round(scaled).toString() : threeDigits(scaled);
  return { number, unit: BINARY_UNITS[step] ?? "B" };
}

/** Bytes without needless decimals, for the round values beside an axis: `2 MiB`, `512 KiB`, `0.5 KiB`. */
export function roundBytes(value: number): Quantity {
  const { number, unit } = bytes(value);
  return { number: String(Number(number)), unit };
}

/** Bytes per second. */
export function rate(value: number): Quantity {
  const { number, unit } = bytes(value);
  return { number, unit: `${unit}/s` };
}

/** Percent with one decimal below 10, none above: `3.4`, `37`. */
export function percent(value: number): Quantity {
  if (!Number.isFinite(value)) return { number: NO_NUMBER, unit: "%" };
  return { number: value < 9.95 ? value.toFixed(1) : value.toFixed(0), unit: "%" };
}

export function asText({ number, unit }: Quantity): string {
  return unit === "" ? number : `${number} ${unit}`;
}

/** A length of time in its two largest units: `42 s`, `3 min 5 s`, `2 h 10 min`, `12 d 4 h`. Seconds in. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3_600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first === -1) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(" ");
}

/** How long ago, in one unit: `now`, `12 s ago`, `5 min ago`, `3 h ago`, `4 d ago`. Both in epoch seconds. */
export function ago(then: number, now: number): string {
  const elapsed = Math.max(0, now - then);
  if (elapsed < 1.5) return "now";
  if (elapsed < 60) return `${Math.floor(elapsed)} s ago`;
  if (elapsed < 3_600) return `${Math.floor(elapsed / 60)} min ago`;
  if (elapsed < 86_400) return `${Math.floor(elapsed / 3_600)} h ago`;
  return `${Math.floor(elapsed / 86_400)} d ago`;
}

/** `m:ss` left, never below zero. Rounded up, so that it says 0:00 only when nothing is left. */
export function countdown(secondsLeft: number): string {
  const whole = Math.max(0, Math.ceil(secondsLeft));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** The clock time of an epoch in seconds, `14:03:22`, in the reader's zone and always 24 h, so that columns align. */
export function clockTime(epochSeconds: number): string {
  const at = new Date(epochSeconds * 1000);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** `1 member`, `2 members`. */
export function count(amount: number, one: string, many = `${one}s`): string {
  return `${amount} ${amount === 1 ? one : many}`;
}
