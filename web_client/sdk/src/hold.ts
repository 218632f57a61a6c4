/** A subscription or registration in the program's hands. */
import type { Registration, SubscribeOptions, Subscription } from "./contract";
import type { HopsackError } from "./errors";

export class Hold implements Subscription, Registration {
  #settle: { resolve(): void; reject(error: HopsackError): void } | undefined;
  #outcome: "asked" | "granted" | HopsackError = "asked";
  #ready: Promise<void> | undefined;

  constructor(
    readonly subject: string,
    private readonly onError: SubscribeOptions["onError"],
    private readonly leave: () => Promise<void>,
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

  /** @param quiet the program ended it itself. */
  failed(error: HopsackError, quiet: boolean): void {
    const waited = this.#outcome === "asked" && this.#settle !== undefined;
    if (this.#outcome === "asked") this.#outcome = error;
    this.#settle?.reject(error);
    if (quiet) return;
    if (this.onError) this.onError(error);
    else if (!waited) console.error(String(error));
  }

  close(): Promise<void> {
    return this.leave();
  }
}
