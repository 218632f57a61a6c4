/** Something that the other side has: not here yet, here, or refused. */
import type { Refusal } from "../link";

export type Remote<T> =
  | { readonly phase: "loading" }
  | { readonly phase: "ready"; readonly value: T }
  | { readonly phase: "failed"; readonly why: Refusal };

export const LOADING: Remote<never> = { phase: "loading" };
