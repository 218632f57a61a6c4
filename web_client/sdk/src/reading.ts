/**
 * What the listeners of one subscription have read: nothing twice, nothing left out, nothing out of order. Without I/O;
 * `connection.ts` asks it what to subscribe with, and tells it what came.
 *
 *     after()   -> where to resume from; nothing for whoever has read nothing yet
 *     granted() <- {recovered, reason?, position(s)?, snapshot?}     the answer; `snapshot: n` announces n newest values
 *     heard()   <- an event;  skipped() <- the node tells that some are gone
 *     quiet()   -> what to ask the node about, because nothing has come for a while
 *     checked() <- where the node says that those topics stand
 *     lost()    <- the connection is gone
 *
 * Every listener has its own places, because one may have come later, or from an older page, than another. What is asked
 * for is the earliest of them; whoever is ahead of it drops what it has. Where the subscription that stands will not
 * bring what somebody lacks, `behind` is set: it has to be asked for again.
 *
 * Offsets of a topic are contiguous within an epoch. One that jumps means that events are missing: the subscription is
 * asked for again after the last one read. After {@link ATTEMPTS} tries the gap is accepted and told.
 *
 * An event that is lost with none after it shows when the node is asked: the same is done then.
 *
 * Bound: {@link TOPICS} places for each listener of a pattern; the topic silent for longest is forgotten, and the node is
 * told that there are more.
 */
import type { Recovery } from "./contract.js";
import { isObject, LocalError } from "./errors.js";
import { isBefore, type Position, parse, positionsIn } from "./position.js";
import { matches } from "./raw.js";
import type { After, Arrival, Match } from "./session.js";

export const TOPICS = 1_000;
/** A name among the positions of a pattern: there are topics that are not named. */
const FORGETFUL = "*";
export const ATTEMPTS = 5;

/** Of the last event read. */
export interface Place extends Position {
  /** What comes next may be further on: what lies between was left out, or told. */
  loose?: boolean;
  /** It was the last one already when somebody looked. */
  quiet?: boolean;
}

type Places = Map<string, Place>;

interface Reader {
  readonly places: Places;
  /** It holds the newest values of the keys, and wants each snapshot whole. */
  readonly keen: boolean;
  /** The newest values are still to come to it. */
  due: boolean;
  /** It was granted once. */
  held: boolean;
  /** It is to be told how the next grant went. */
  waits: boolean;
  /** It knows all topics that there were: another one is new, and read from its first event. */
  whole: boolean;
}

/** What to do for the listeners. */
export type Told =
  | { readonly kind: "deliver"; readonly ids: readonly number[]; readonly event: Arrival }
  | { readonly kind: "recover"; readonly id: number; readonly recovery: Recovery }
  /** Newest values begin to come, all are there, the node has none to give, or gives them so that none can be told. */
  | { readonly kind: "snapshot"; readonly id: number; readonly step: Step };

export type Step = "begun" | "done" | "none" | "unmarked";

export class Reading {
  /** Somebody lacks what the subscription that stands will not bring. */
  behind = false;
  /** A rate limit leaves events out: offsets may jump. */
  thinned = false;
  /** Times it was asked for again because events were missing, without success so far. */
  attempts = 0;
  /** Since the node was asked whether streams have begun. */
  rounds = 0;
  readonly #readers = new Map<number, Reader>();
  /** What the last grant was asked to resume from. */
  #asked: Places | undefined;
  /** Where the grant says that reading begins. */
  #heads: Places = new Map();
  /** The topic keeps newest values, as far as is known. */
  #latest = false;
  /** This node has no newest values to give. */
  #none = false;
  /** It is granted: who comes now comes too late for the snapshot. */
  #stands = false;
  /** Newest values still to come; when somebody looked last, and so often without a change. */
  #left = 0;
  #awaited = 0;
  #stuck = 0;
  /** Newest values that were announced, and events that might be some of them, but do not say so. */
  #announced = 0;
  #unmarked = 0;
  #hole: { readonly topic: string; readonly place: Place } | undefined;
  /** The grant names all topics that there are. */
  #whole = false;
  /** The grant did not say where the streams stand, and the node was not asked yet. */
  #curious = false;
  /** There are topics that it has no place of any more. */
  #forgetful = false;

  constructor(
    readonly topic: string,
    readonly match: Match,
  ) {}

  /** @throws LocalError hopsack.usage: `after` is no position. */
  join(id: number, after: After | undefined, keen: boolean): void {
    const places = new Map(
      Object.entries(typeof after === "string" ? { [this.topic]: after } : (after ?? {})).map(([topic, text]) => {
        const place = parse(text);
        if (place) return [topic, place];
        throw new LocalError("hopsack.usage", `"${text}" is no position.`, { where: topic });
      }),
    );
    const waits = places.size > 0;
    this.#latest ||= keen;
    const due = !waits && (this.#latest || !this.#stands);
    this.#readers.set(id, { places, keen, due, held: false, waits, whole: false });
    this.behind ||= waits || (this.#latest && this.#stands);
  }

  leave(id: number): void {
    this.#readers.delete(id);
  }

  /** What to ask for. `snapshot`: somebody wants the newest values. */
  ask(): { readonly after: After | undefined; readonly snapshot: boolean } {
    this.behind = this.#stands = false;
    this.#left = 0;
    const due = [...this.#readers.values()].filter((reader) => reader.due);
    const all = this.#latest && due.length > 0 ? [] : [...this.#lowest()];
    this.#forgetful ||= all.length > TOPICS;
    const lowest = all.slice(this.#forgetful ? 1 - TOPICS : -TOPICS);
    // Whoever knows that there was nothing yet resumes from nothing.
    const empty = lowest.length === 0 && !this.#latest && this.#isWhole;
    this.#asked = lowest.length > 0 || empty ? new Map(lowest) : undefined;
    const texts = lowest.map(([topic, place]): [string, string] => [topic, `${place.epoch}:${place.offset}`]);
    const after = this.match === "exact" ? texts[0]?.[1] : Object.fromEntries(texts);
    if (this.#forgetful && typeof after === "object") after[FORGETFUL] = "";
    return { after: this.#asked && after, snapshot: !this.#asked && due.some(({ keen }) => keen) };
  }

  get #isWhole(): boolean {
    return [...this.#readers.values()].some(({ whole }) => whole);
  }

  #lowest(): Places {
    const lowest: Places = new Map();
    for (const { places } of this.#readers.values()) {
      for (const [topic, place] of places) if (isBefore(place, lowest.get(topic))) lowest.set(topic, place);
    }
    return lowest;
  }

  lost(): void {
    this.#stands = this.#none = false;
    this.#left = 0;
    this.attempts = 0;
    this.#hole = undefined;
    for (const reader of this.#readers.values()) {
      reader.waits ||= reader.held;
      reader.due ||= reader.places.size === 0;
    }
  }

  /** A rate limit ended: the next event of each topic may be further on. */
  loosen(): void {
    this.thinned = false;
    for (const { places } of this.#readers.values()) for (const place of places.values()) place.loose = true;
  }

  /** The node has told that events of a topic are gone. */
  skipped(topic: string): void {
    for (const reader of this.#readers.values()) {
      const place = reader.places.get(topic);
      if (place) place.loose = true;
      this.#refill(reader);
    }
  }

  /** Values may have changed in what is gone: who holds them all needs them all again. */
  #refill(reader: Reader): void {
    if (reader.keen && !this.#none) reader.due = this.behind = true;
  }

  /** @param tells whether this door says where the streams stand. */
  granted(answer: unknown, tells = true): Told[] {
    const facts = isObject(answer) ? answer : {};
    const { recovered = false, reason, snapshot, positions } = facts;
    this.#heads = positionsIn(this.topic, facts);
    this.#whole = tells && isObject(positions) && this.#heads.size < TOPICS;
    this.#curious = !tells && (this.match !== "exact" || this.#lowest().size === 0);
    this.#stands = true;
    const told = this.#tell(recovered === true, reason, typeof snapshot === "number");
    if (this.#asked && !recovered) this.#restart(typeof snapshot === "number");
    for (const reader of this.#readers.values()) reader.held = true;
    if (typeof snapshot !== "number") return [...told, ...this.#live()];
    this.#latest = true;
    this.#left = this.#announced = snapshot;
    this.#unmarked = 0;
    return [...told, ...this.#toKeen("begun"), ...(snapshot === 0 ? this.#settled("done") : [])];
  }

  #tell(recovered: boolean, reason: unknown, snapshot: boolean): Told[] {
    const told: Told[] = [];
    for (const [id, reader] of this.#readers) {
      const reads = reader.places.size > 0 || (reader.whole && reader.waits);
      const resumed = this.#asked && reads;
      if (!resumed && (this.#asked || !reader.waits || (reads && !reader.due))) continue;
      const missed = recovered ? 0 : resumed ? this.#missed(reader.places) : undefined;
      // What another listener missed is not gone for one that was ahead of it.
      if (missed === 0 && !reader.waits) continue;
      reader.waits = false;
      const why = resumed ? String(reason ?? "live") : snapshot ? "snapshot" : "live";
      told.push(this.#recovery(id, missed === 0 ? undefined : why, missed));
    }
    return told;
  }

  #recovery(id: number, reason: string | undefined, missed: number | undefined): Told {
    const { topic, attempts } = this;
    const recovery = { topic, recovered: reason === undefined, reason, missed, attempts };
    return { kind: "recover", id, recovery };
  }

  /** How many events are gone; `undefined` where nobody can know. */
  #missed(places: Places): number | undefined {
    let missed = 0;
    if (this.#asked?.size === 0) return undefined;
    for (const topic of this.#asked?.keys() ?? []) {
      const [head, place] = [this.#heads.get(topic), places.get(topic)];
      if (!place) continue;
      if (head?.epoch !== place.epoch) return undefined;
      missed += Math.max(0, head.offset - place.offset);
    }
    return missed;
  }

  /** The journal no longer reaches back to where we were. */
  #restart(snapshot: boolean): void {
    this.attempts = 0;
    this.#hole = undefined;
    for (const reader of this.#readers.values()) {
      if (snapshot) reader.due = true;
      // A node that resumes from the journal alone: the newest values need a second question.
      else this.#refill(reader);
      for (const [topic, place] of snapshot ? [] : [...reader.places]) {
        const head = this.#heads.get(topic);
        if (!head && this.#asked?.has(topic)) reader.places.delete(topic);
        else if (head && !isBefore(head, place)) reader.places.set(topic, head);
      }
    }
  }

  /** No snapshot comes: from here on, live. */
  #live(): Told[] {
    return this.behind ? [] : this.#settled("none");
  }

  #settled(step: "done" | "none"): Told[] {
    const readers = [...this.#readers.values()];
    this.behind = readers.some((reader) => this.#lacks(reader));
    const told = this.#toKeen(step);
    this.#none = step === "none" && (this.#none || told.length > 0);
    for (const reader of readers) this.#start(reader);
    return told;
  }

  #toKeen(step: Step): Told[] {
    const keen = [...this.#readers].filter(([, { keen, due }]) => keen && due);
    return keen.map(([id]) => ({ kind: "snapshot", id, step }));
  }

  #start(reader: Reader): void {
    const { due, places } = reader;
    reader.due = false;
    reader.whole ||= this.#whole;
    for (const [topic, head] of this.#heads) {
      const known = places.get(topic);
      if (!known || (due && !isBefore(head, known))) this.#note(reader, topic, head);
    }
  }

  // ---- an event that was lost, and none came after it --------------------------------------------------------------

  /**
   * Topics whose last event was the last already when this was asked before, and whether others are not known. Sets
   * `behind` where newest values have stopped coming before they were all there.
   *
   * @param asked topics that are asked about already. @param most so many more. @param patterns others may be asked about.
   */
  quiet(
    asked: object = {},
    most = TOPICS,
    patterns = true,
  ): { readonly places: ReadonlyMap<string, Place>; readonly others: boolean } {
    const isAwaiting = this.#stands && this.#left > 0 && this.#unmarked < this.#announced;
    this.#stuck = isAwaiting && this.#left === this.#awaited ? this.#stuck + 1 : 0;
    this.#awaited = this.#left;
    this.behind ||= this.#stuck > 1;
    const isStill = this.#stands && !this.behind && !this.thinned && this.#left === 0;
    const lowest = isStill ? [...this.#lowest()] : [];
    const open = lowest.filter(([topic]) => !(topic in asked));
    // One that began, and of which every event was lost, shows in no other way. Those that are known are named with it.
    if (isStill && this.match !== "exact" && this.#isWhole) this.rounds += 1;
    const expects = isStill && patterns && this.rounds > 1 && open.length <= most;
    if (expects) this.rounds = 0;
    const places = new Map(open.filter(([, place]) => expects || place.quiet).slice(0, most));
    for (const [topic, place] of lowest) place.quiet = !places.has(topic);
    return { places, others: expects || (isStill && patterns && this.#curious) };
  }

  /** Where the node says that topics stand. Who has heard something meanwhile is not meant. */
  checked(asked: ReadonlyMap<string, Place>, others: boolean, heads: ReadonlyMap<string, Position>): void {
    if (!this.#stands || this.behind) return;
    for (const [topic, head] of heads) {
      if (matches(this.topic, this.match, topic)) this.#stand(topic, head, asked.get(topic), others);
    }
    if (this.behind) this.attempts += this.attempts < ATTEMPTS ? 1 : 0;
    if (!others || !this.#curious) return;
    this.#curious = false;
    for (const reader of this.#readers.values()) reader.whole ||= this.match !== "exact" && heads.size < TOPICS;
  }

  #stand(topic: string, head: Position, asked: Place | undefined, others: boolean): void {
    for (const reader of this.#readers.values()) {
      const place = reader.places.get(topic);
      if (!place && others && !asked) this.#note(reader, topic, reader.whole ? { ...head, offset: 0 } : head);
      const from = reader.places.get(topic);
      if (!from || (place && place !== asked) || (!isBefore(from, head) && from.epoch === head.epoch)) continue;
      reader.waits = this.behind = true;
      this.#hole = { topic, place: head };
    }
  }

  /** Whether something lies between what it has read and where this subscription begins. */
  #lacks({ due, places }: Reader): boolean {
    if (due) return false;
    const from = this.#asked;
    return [...places].some(([topic, place]) => {
      const start = from ? from.get(topic) : this.#heads.get(topic);
      if (!start) return !from;
      return start.epoch === place.epoch ? start.offset > place.offset : !from;
    });
  }

  /** @param newest it belongs to the snapshot. */
  heard(event: Arrival, newest: boolean): Told[] {
    const place = parse(event.position);
    if (newest && this.#left > 0) return this.#kept(event, place);
    const told = this.#doubt(event.topic, place);
    const ids: number[] = [];
    let jumped = false;
    for (const [id, reader] of this.#readers) {
      const known = place && this.#placeOf(reader, event.topic, place);
      const verdict = place ? this.#judge(known, place) : "next";
      if (verdict === "jump") {
        jumped = reader.waits = true;
        if (known && !reader.places.has(event.topic)) this.#note(reader, event.topic, known);
      }
      if (verdict === "jump" || verdict === "old") continue;
      ids.push(id);
      if (place) this.#note(reader, event.topic, place);
      if (typeof verdict !== "object") continue;
      told.push(this.#recovery(id, verdict.reason, verdict.missed));
      this.#refill(reader);
    }
    if (place) this.#mend(event.topic, place, jumped);
    return ids.length > 0 ? [...told, { kind: "deliver", ids, event }] : told;
  }

  /** A node older than the mark sends newest values without it: as many as it announced, and not one that has it. */
  #doubt(topic: string, place: Position | undefined): Told[] {
    const head = this.#heads.get(topic);
    const isLive = place && (!head || isBefore(head, place));
    if (this.#left === 0 || this.#left < this.#announced || isLive) return [];
    this.#unmarked += 1;
    return this.#unmarked === this.#announced ? this.#toKeen("unmarked") : [];
  }

  /** Where a snapshot comes, reading goes on behind its head. */
  #placeOf({ due, places, whole }: Reader, topic: string, { epoch }: Position): Place | undefined {
    const [place, head] = [places.get(topic), this.#heads.get(topic)];
    return due && head && (!place || !isBefore(head, place))
      ? head
      : (place ?? (whole ? { epoch, offset: 0 } : undefined));
  }

  #judge(known: Place | undefined, place: Place): "next" | "old" | "jump" | { reason: string; missed?: number } {
    const same = known?.epoch === place.epoch;
    if (same && place.offset <= known.offset) return "old";
    const skipped = place.offset - 1 - (same ? known.offset : 0);
    if (!known || (same && skipped === 0)) return "next";
    if (this.thinned || known.loose) return same ? "next" : { reason: "epoch" };
    if (skipped === 0) return { reason: "epoch" };
    if (this.attempts < ATTEMPTS) return "jump";
    return same ? { reason: "gap", missed: skipped } : { reason: "epoch" };
  }

  #mend(topic: string, place: Place, jumped: boolean): void {
    if (jumped) {
      this.attempts += 1;
      this.behind = true;
      this.#hole = { topic, place };
    } else if (this.#hole?.topic === topic && !isBefore(place, this.#hole.place)) {
      this.attempts = 0;
      this.#hole = undefined;
    }
  }

  /** A newest value: for whoever waits for it, except where it was read before. Who holds them all wants it anyway. */
  #kept(event: Arrival, place: Place | undefined): Told[] {
    const ids: number[] = [];
    for (const [id, reader] of this.#readers) {
      const { due, keen, places } = reader;
      const known = places.get(event.topic);
      const read = place && known?.epoch === place.epoch && place.offset <= known.offset;
      if (due && (keen || !read)) ids.push(id);
      if (due && place && !read) this.#note(reader, event.topic, place);
    }
    this.#left -= 1;
    const told: Told[] = ids.length > 0 ? [{ kind: "deliver", ids, event }] : [];
    return this.#left === 0 ? [...told, ...this.#settled("done")] : told;
  }

  #note({ places }: Reader, topic: string, place: Place): void {
    places.delete(topic);
    places.set(topic, place);
    if (places.size > TOPICS) this.#forget(places);
  }

  #forget(places: Places): void {
    const [oldest] = places.keys();
    places.delete(oldest as string);
    this.#forgetful = true;
    for (const reader of this.#readers.values()) reader.whole = false;
  }
}
