/**
 * A bounded line of values, oldest first. Bound: `capacity`. Policy: the oldest value makes room.
 *
 * Mutable on purpose: the history of a chart is appended to at every sample, and copying it each time would be the
 * page's largest cost. Its owner publishes a new revision instead (see host.ts).
 */
export class Ring<T> {
  readonly #slots: (T | undefined)[];
  #start = 0;
  #length = 0;

  constructor(readonly capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1)
      throw new RangeError(`capacity ${capacity}: want a whole number ≥ 1`);
    this.#slots = new Array<T | undefined>(capacity);
  }

  get length(): number {
    return this.#length;
  }

  get last(): T | undefined {
    return this.at(this.#length - 1);
  }

  /** The value at `index` counted from the oldest; `undefined` outside. */
  at(index: number): T | undefined {
    if (index < 0 || index >= this.#length) return undefined;
    return this.#slots[(this.#start + index) % this.capacity];
  }

  push(value: T): void {
    if (this.#length < this.capacity) {
      this.#slots[(this.#start + this.#length) % this.capacity] = value;
      this.#length += 1;
      return;
    }
    this.#slots[this.#start] = value;
    this.#start = (this.#start + 1) % this.capacity;
  }

  clear(): void {
    this.#slots.fill(undefined);
    this.#start = 0;
    this.#length = 0;
  }

  *[Symbol.iterator](): Generator<T> {
    for (let index = 0; index < this.#length; index += 1) yield this.at(index) as T;
  }
}
