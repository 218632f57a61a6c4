/** A subscription or registration in the program's hands. */
import type { HoldOptions, Registration, Subscription } from "./contract.js";
import type { HopsackError } from "./errors.js";

export interface Ends extends HoldOptions {
  /** Told when the program closed the whole connection. */
  readonly onClose?: (() => void) | undefined;
}

export class Hold implements Subscription, Registration {
  #settle: { resolve(): void; reject(error: HopsackError): void } | undefined;
  #outcome: "asked" | "granted" | HopsackError = "asked";
  #ready: Promise<void> | undefined;

  constructor(
    readonly subject: string,
    private readonly options: Ends,
    private readonly leave: () => Promise<void>,
    private readonly limit: (rate: number | undefined) => void,
  ) {}

  get topic(): string {
    return this.subject;
  }

  get procedure(): string {
    return this.subject;
  }

  /** Made when somebody looks: a refusal that nobody looks at must not end a program as an unhandled rejection. */
  get ready(): Promise<void> {
    this.#ready ??= new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      if (this.#outcome === "granted") resolve();
      else if (this.#outcome !== "asked") reject(this.#outcome);
    });
    return this.#ready;
  }

  granted(): void {
    this.#outcome = "granted";
    this.#settle?.resolve();
  }

  /** It is granted, without what `ready` stands for. */
  lacks(error: HopsackError): void {
    const asked = this.#outcome === "asked";
    this.#outcome = error;
    this.#tell(error, asked);
  }

  /** @param byProgram it closed the whole connection, so there is nothing to report. */
  failed(error: HopsackError, byProgram: boolean): void {
    const asked = this.#outcome === "asked";
    if (asked) this.#outcome = error;
    if (byProgram) {
      this.#settle?.reject(error);
      this.options.onClose?.();
    } else {
      this.#tell(error, asked);
    }
  }

  #tell(error: HopsackError, asked: boolean): void {
    this.#settle?.reject(error);
    if (this.options.onError) this.options.onError(error);
    else {
      // A little later: the program may be about to look at `ready`.
      queueMicrotask(() => {
        if (!asked || !this.#settle) console.error(String(error));
      });
    }
  }

  setMaxRate(rate?: number): void {
    this.limit(rate);
  }

  close(): Promise<void> {
    return this.leave();
  }
}
