/**
 * Light, dark, or what the system says; remembered.
 *
 * public/assets/theme.js sets the same attribute from the same key before the first paint, so that a dark page never
 * flashes white.
 */
import { effect, signal } from "@preact/signals";
import { remembered } from "./storage";

export type Theme = "auto" | "light" | "dark";

export const THEMES: readonly Theme[] = ["auto", "light", "dark"];

const stored = remembered("hopsack.theme", "auto");

export const theme = signal<Theme>(THEMES.find((known) => known === stored.get()) ?? "auto");

/** Counts changes of the palette. Canvases, which no style sheet reaches, redraw when it moves. */
export const paletteRevision = signal(0);

const resolved = new Map<string, string>();

/** Applies the theme now and whenever it or the system's preference changes. */
export function followTheme(root: HTMLElement): void {
  effect(() => {
    root.dataset.theme = theme.value;
    stored.set(theme.value);
    repaint();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
}

function repaint(): void {
  resolved.clear();
  paletteRevision.value = paletteRevision.peek() + 1;
}

/** The present value of a colour token of the style sheet, for a canvas. */
export function colour(token: string): string {
  const known = resolved.get(token);
  if (known !== undefined) return known;
  const value = getComputedStyle(document.documentElement).getPropertyValue(token).trim() || "gray";
  resolved.set(token, value);
  return value;
}
