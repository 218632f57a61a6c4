/**
 * How a stream went on, in words for a person: that it resumed and how many events were caught up on, or that some are
 * gone. It is told for a while: as long as a gap may be in sight, or somebody may have wondered.
 */
import type { Continuity } from "../link";
import { count } from "./format";

const RESUMED_TOLD = 30;
const GAP_TOLD = 300;

export interface Course {
  /** The page's clock, epoch seconds. */
  readonly at: number;
  readonly how: Continuity;
  /** Events that were published while the page was away, and have come since. */
  readonly caughtUp: number;
}

export function turned(how: Continuity, now: number): Course {
  return { at: now, how, caughtUp: 0 };
}

export function caughtUp(course: Course, events: number): Course {
  return { ...course, caughtUp: course.caughtUp + events };
}

export interface CourseWords {
  readonly kind: "resumed" | "gap";
  readonly label: string;
  readonly detail: string;
}

const REASONS: Readonly<Record<string, string>> = {
  trimmed: "the node no longer keeps them",
  epoch: "the node has begun its journal anew",
  gap: "they stayed missing, though they were asked for",
  slow: "this page read too slowly",
};

/** `undefined` where there is nothing to tell any more. */
export function wordsOf(course: Course | undefined, now: number): CourseWords | undefined {
  if (course === undefined) return undefined;
  const { how, at } = course;
  if (now - at > (how.kind === "gap" ? GAP_TOLD : RESUMED_TOLD)) return undefined;
  if (how.kind === "resumed") {
    const events = count(course.caughtUp, "event");
    return {
      kind: "resumed",
      label: `resumed, ${events} caught up`,
      detail: `The connection was lost. ${events} came meanwhile and have been caught up on: nothing is missing.`,
    };
  }
  const many = how.missed === undefined ? "some events" : count(how.missed, "event");
  const why = REASONS[how.reason];
  return {
    kind: "gap",
    label: how.missed === undefined ? "gap" : `gap, ${count(how.missed, "event")} lost`,
    detail: `There is a gap: ${many} could not be caught up on${why === undefined ? "" : `, as ${why}`}.`,
  };
}
