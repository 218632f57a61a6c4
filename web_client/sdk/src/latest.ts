/**
 * The newest value of each key, as an observable map. It is told when the node begins to send all keys and when they are
 * in; what came in between takes the place of what was there, so that keys which vanished meanwhile vanish here.
 *
 * Bound: {@link KEYS} keys, as on the node; the key that was longest without a change makes room.
 */
import type { LatestMap } from "./contract.js";
import { isObject, LocalError } from "./errors.js";
import type { Hold } from "./hold.js";
import { Variable } from "./observable.js";
import type { Step } from "./reading.js";
import type { Arrival } from "./session.js";

export const KEYS = 10_000;

/** Why a map is not filled. */
const MISSING = {
  none: "The node keeps no newest values of this topic.",
  unmarked: "The node does not say which values are the newest.",
} as const;

const ADVICE =
  "Is the topic `latest` in its contract? A node may be older than this client: each one's own is at its /sdk.js.";

type Label = string | number | boolean;
type Values = Map<Label, unknown>;

export class Latest extends Variable<ReadonlyMap<Label, unknown>> implements LatestMap {
  complete = false;
  #values: Values = new Map();
  /** What came since the node began to send all keys. */
  #next: Values | undefined;
  #hold: Hold | undefined;

  /** @param fields that make the key; none: there is one value. */
  constructor(
    readonly topic: string,
    private readonly fields: readonly string[],
  ) {
    super(new Map());
  }

  /** Tells it what it is fed by: the subscription needs the map first. */
  of(hold: Hold): this {
    this.#hold = hold;
    return this;
  }

  get ready(): Promise<void> {
    return this.#hold?.ready ?? Promise.resolve();
  }

  close(): Promise<void> {
    return this.#hold?.close() ?? Promise.resolve();
  }

  snapshot(step: Step): void {
    this.complete = step === "done";
    if (step === "none" || step === "unmarked") {
      this.#hold?.lacks(
        new LocalError("hopsack.usage", MISSING[step], { where: this.topic, retry: "later", advice: ADVICE }),
      );
    } else if (step === "begun") {
      this.#next = new Map();
    } else {
      this.#values = this.#next ?? this.#values;
      this.#next = undefined;
      this.#show();
      this.#hold?.granted();
    }
  }

  heard({ data, deleted }: Arrival): void {
    const values = this.#next ?? this.#values;
    const key = this.#keyOf(data);
    values.delete(key);
    if (!deleted) values.set(key, data);
    if (values.size > KEYS) values.delete(values.keys().next().value as Label);
    if (!this.#next) this.#show();
  }

  #show(): void {
    const values = this.#values;
    this.renew(() => new Map(values));
  }

  #keyOf(data: unknown): Label {
    const parts = this.fields.map((field) => (isObject(data) ? data[field] : undefined));
    if (parts.length === 0) return this.topic;
    return parts.length === 1 ? (parts[0] as Label) : JSON.stringify(parts);
  }
}
