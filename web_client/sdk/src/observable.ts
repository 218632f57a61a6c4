/** A value that can be read at any time and watched. Preact's signals have the same shape. */
export interface Observable<T> {
  readonly value: T;
  /** Calls `watcher` now and after every change. @returns a function that ends it. */
  subscribe(watcher: (value: T) => void): () => void;
}

export class Variable<T> implements Observable<T> {
  #value: T;
  #make: (() => T) | undefined;
  readonly #watchers = new Set<(value: T) => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    if (this.#make) this.#value = this.#make();
    this.#make = undefined;
    return this.#value;
  }

  set(value: T): void {
    this.renew(() => value);
  }

  /** Changes it to what `make` returns when somebody looks. */
  renew(make: () => T): void {
    this.#make = make;
    for (const watcher of [...this.#watchers]) {
      try {
        watcher(this.value);
      } catch (error) {
        // One watcher's mistake is not the others'.
        console.error(error);
      }
    }
  }

  subscribe(watcher: (value: T) => void): () => void {
    const own = (value: T): void => watcher(value);
    this.#watchers.add(own);
    own(this.value);
    return () => this.#watchers.delete(own);
  }
}
