/** Invocations that run here, by their numbers: the node's, which begin anew with every connection, and ours, which never do. */
export class Invocations<Theirs> {
  readonly #ours = new Map<unknown, number>();
  readonly #theirs = new Map<number, Theirs>();

  begin(theirs: Theirs, ours: number): void {
    this.#ours.set(theirs, ours);
    this.#theirs.set(ours, theirs);
  }

  /** @returns the node's number, or `undefined` where nobody waits for an answer any more. */
  theirs(ours: number): Theirs | undefined {
    return this.#theirs.get(ours);
  }

  ours(theirs: unknown): number | undefined {
    return this.#ours.get(theirs);
  }

  /** @returns the node's number, once. */
  end(ours: number): Theirs | undefined {
    const theirs = this.#theirs.get(ours);
    this.#theirs.delete(ours);
    this.#ours.delete(theirs);
    return theirs;
  }

  /** The node withdraws one. @returns our number, once. */
  withdraw(theirs: unknown): number | undefined {
    const ours = this.#ours.get(theirs);
    if (ours !== undefined) this.end(ours);
    return ours;
  }
}
