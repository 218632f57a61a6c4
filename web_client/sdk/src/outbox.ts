/**
 * Calls that outlive the page. A call is stored (IndexedDB) before it is sent, and goes with a key, so that the node
 * executes it once: a click made offline is applied when the page is back, across reloads, and never twice.
 *
 *     const box = await outbox(fabric);
 *     await box.call("orders.place", { article: "tea" });
 *
 * Calls go one at a time, in the order they were made. One page of several that have the same box sends for all, if the
 * browser has Web Locks (a secure context); without them each sends, which the keys make harmless.
 *
 * A call whose fate is open is sent again only while the node surely remembers its key. After that nobody can know, and
 * it ends as `hopsack.outcome_unknown`. One that was never sent waits as long as it takes.
 *
 * Bound: `most` calls wait; one more is refused with `hopsack.overloaded`.
 */
import { backoff } from "./backoff.js";
import { type Clock, clock as realClock } from "./browser.js";
import type { AnyProcedures, CallArguments, Fabric, InputOf, Name, OutputOf } from "./contract.js";
import { type Details, fromDetails, HopsackError, LocalError, toDetails } from "./errors.js";
import { type Observable, Variable } from "./observable.js";

/** A call that waits. Times are epoch milliseconds. */
export interface Posted {
  readonly id: number;
  readonly key: string;
  readonly procedure: string;
  readonly input: unknown;
  readonly posted: number;
  /** When it was first sent, or about to be. */
  readonly tried?: number | undefined;
}

export type Settled = { readonly output: unknown } | { readonly error: HopsackError };

export interface OutboxOptions {
  /** Of the database: pages of one site that name the same one share the box. */
  readonly name?: string;
  /** Milliseconds for which the node remembers a key: the contract's `once`; 600,000 by default. */
  readonly once?: number;
  /** Milliseconds that one attempt may take; 30,000 by default: a dead connection is noticed before. */
  readonly timeout?: number;
  /** Calls that may wait; 1,000 by default. */
  readonly most?: number;
  /** Told of calls that this page did not make: an earlier one did, or another one that is open. */
  readonly onSettled?: ((call: Posted, settled: Settled) => void) | undefined;
  /** For tests, and for where the browser's own are not wanted. */
  readonly database?: IDBFactory;
  readonly locks?: Pick<LockManager, "request"> | undefined;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly newKey?: () => string;
}

export interface Outbox<P = AnyProcedures> {
  /** What waits, the oldest first. */
  readonly waiting: Observable<readonly Posted[]>;
  /**
   * Stores the call, then sends it when its turn comes.
   *
   * @returns its output. Rejects with what the callee refused it with; what may work later is tried again instead.
   */
  call<K extends Name<P>>(procedure: K, ...rest: Stored<CallArguments<InputOf<P, K>>>): Promise<OutputOf<P, K>>;
  /** Stop sending from this page. What waits stays stored. */
  close(): void;
}

type Stored<Arguments extends readonly unknown[]> = Arguments extends [infer Input, unknown?]
  ? [Input]
  : [input?: unknown];

interface Waiter {
  resolve(output: unknown): void;
  reject(error: HopsackError): void;
}

/** What pages tell each other. */
type News = { readonly kind: "posted" } | { readonly kind: "settled"; readonly call: Posted; readonly told: Told };
type Told = { readonly output: unknown } | { readonly error: Details; readonly local: boolean };

const STORE = "calls";
const WINDOW = 600_000;
const TIMEOUT = 30_000;
const MOST = 1_000;

/** Opens the box: calls that an earlier page left in it are sent. */
export async function outbox<T, P>(fabric: Fabric<T, P>, options: OutboxOptions = {}): Promise<Outbox<P>> {
  const name = options.name ?? "hopsack-outbox";
  const box = new Box(fabric as unknown as Fabric, name, await open(options.database ?? indexedDB, name), options);
  await box.begin();
  return box as unknown as Outbox<P>;
}

class Box {
  readonly waiting = new Variable<readonly Posted[]>([]);
  readonly #fabric: Fabric;
  readonly #name: string;
  readonly #database: IDBDatabase;
  readonly #options: OutboxOptions;
  readonly #clock: Clock;
  readonly #once: number;
  readonly #timeout: number;
  readonly #channel: BroadcastChannel;
  readonly #mine = new Map<string, Waiter>();
  readonly #ends = new AbortController();
  #storing = 0;
  #leads = false;
  #sends = false;

  constructor(fabric: Fabric, name: string, database: IDBDatabase, options: OutboxOptions) {
    this.#fabric = fabric;
    this.#name = name;
    this.#database = database;
    this.#options = options;
    this.#clock = options.clock ?? realClock;
    this.#once = options.once ?? WINDOW;
    this.#timeout = options.timeout ?? TIMEOUT;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }: MessageEvent<News>) => void this.#hear(data);
  }

  async begin(): Promise<void> {
    await this.#look();
    const locks = "locks" in this.#options ? this.#options.locks : globalThis.navigator?.locks;
    if (!locks) return this.#lead();
    // Held until the box is closed: then the next page leads.
    const held = locks.request(this.#name, { signal: this.#ends.signal }, async () => {
      await this.#lead();
      await aborted(this.#ends.signal);
    });
    held.catch(() => {});
  }

  async call(procedure: string, input: unknown = null): Promise<unknown> {
    const most = this.#options.most ?? MOST;
    this.#check(procedure);
    if (this.waiting.value.length + this.#storing >= most)
      throw new LocalError("hopsack.overloaded", `${most} calls wait in this outbox.`, { where: procedure });
    const key = this.#options.newKey?.() ?? crypto.randomUUID();
    const posted = { key, procedure, input, posted: this.#clock.now() };
    this.#storing += 1;
    const answer = new Promise<unknown>((resolve, reject) => this.#mine.set(key, { resolve, reject }));
    answer.catch(() => {});
    try {
      await this.#store("readwrite", (store) => store.add(posted));
      await this.#look();
    } catch (error) {
      this.#mine.delete(key);
      throw new LocalError("hopsack.store_failed", `The browser did not store the call: ${error}`, {
        where: procedure,
      });
    } finally {
      this.#storing -= 1;
    }
    this.#tell({ kind: "posted" });
    void this.#send();
    return answer;
  }

  close(): void {
    if (this.#ends.signal.aborted) return;
    this.#ends.abort();
    this.#channel.close();
    this.#database.close();
    const error = new LocalError("hopsack.disconnected", "The outbox was closed; what waits in it stays there.");
    for (const { reject } of this.#mine.values()) reject(error);
    this.#mine.clear();
  }

  #check(where: string): void {
    if (this.#ends.signal.aborted) throw new LocalError("hopsack.usage", "The outbox is closed.", { where });
  }

  // ---- sending -------------------------------------------------------------------------------------------------------

  async #lead(): Promise<void> {
    this.#leads = true;
    await this.#look();
    void this.#send();
  }

  async #send(): Promise<void> {
    if (!this.#leads || this.#sends) return;
    this.#sends = true;
    try {
      let failed = 0;
      for (let call = this.waiting.value[0]; call && !this.#ends.signal.aborted; call = this.waiting.value[0])
        failed = (await this.#sendOne(call)) ? 0 : await this.#pause(failed);
    } catch (error) {
      // The browser closed its database, perhaps because the site's data were removed.
      if (!this.#ends.signal.aborted) console.error(error);
    } finally {
      this.#sends = false;
    }
  }

  /** @returns whether it is settled. */
  async #sendOne(call: Posted): Promise<boolean> {
    const { signal } = this.#ends;
    if (!(await this.#connected())) return false;
    if (call.tried !== undefined && this.#clock.now() + this.#timeout >= call.tried + this.#once) {
      const message = "It was sent, and the node may have forgotten its key: nobody knows whether it was carried out.";
      return this.#settle(call, {
        error: new LocalError("hopsack.outcome_unknown", message, { where: call.procedure }),
      });
    }
    if (call.tried === undefined) await this.#mark(call, this.#clock.now());
    try {
      const { procedure, input, key } = call;
      const output: unknown = await this.#fabric.call(procedure, input, { key, timeout: this.#timeout, signal });
      return await this.#settle(call, { output });
    } catch (error) {
      if (signal.aborted) return false;
      if (!(error instanceof HopsackError)) throw error;
      if (error.code === "hopsack.disconnected" && call.tried === undefined) await this.#mark(call, undefined);
      if (mayWorkLater(error)) return false;
      return this.#settle(call, { error });
    }
  }

  async #connected(): Promise<boolean> {
    try {
      await this.#fabric.ready();
      return true;
    } catch {
      // Closed, or refused for good: what waits stays for the next page.
      this.#leads = false;
      this.close();
      return false;
    }
  }

  #pause(failed: number): Promise<number> {
    const delay = backoff(failed, (this.#options.random ?? Math.random)());
    return new Promise((resolve) => {
      const cancel = this.#clock.after(delay, () => resolve(failed + 1));
      this.#ends.signal.addEventListener("abort", () => {
        cancel();
        resolve(0);
      });
    });
  }

  async #settle(call: Posted, settled: Settled): Promise<true> {
    await this.#store("readwrite", (store) => store.delete(call.id));
    const left = await this.#stored();
    this.waiting.set(left);
    this.#end(call, settled);
    const told: Told =
      "error" in settled ? { error: toDetails(settled.error), local: settled.error instanceof LocalError } : settled;
    this.#tell({ kind: "settled", call, told });
    return true;
  }

  #end(call: Posted, settled: Settled): void {
    const waiter = this.#mine.get(call.key);
    this.#mine.delete(call.key);
    if (!waiter) this.#options.onSettled?.(call, settled);
    else if ("error" in settled) waiter.reject(settled.error);
    else waiter.resolve(settled.output);
  }

  // ---- other pages ---------------------------------------------------------------------------------------------------

  async #hear(news: News): Promise<void> {
    if (this.#ends.signal.aborted) return;
    await this.#look();
    if (news.kind === "posted") return this.#send();
    const { told } = news;
    this.#end(news.call, "error" in told ? { error: errorOf(told.error, told.local) } : told);
  }

  #tell(news: News): void {
    if (!this.#ends.signal.aborted) this.#channel.postMessage(news);
  }

  // ---- the database --------------------------------------------------------------------------------------------------

  #mark(call: Posted, tried: number | undefined): Promise<unknown> {
    return this.#store("readwrite", (store) => store.put({ ...call, tried }));
  }

  async #look(): Promise<void> {
    if (!this.#ends.signal.aborted) this.waiting.set(await this.#stored());
  }

  #stored(): Promise<readonly Posted[]> {
    return this.#store("readonly", (store) => store.getAll());
  }

  /** One transaction: resolves when it is on disk. */
  #store<Value>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest<Value>): Promise<Value> {
    return new Promise((resolve, reject) => {
      const transaction = this.#database.transaction(STORE, mode, { durability: "strict" });
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  }
}

function open(database: IDBFactory, name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = database.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id", autoIncrement: true });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => {
      const message = `This browser opens no database here: ${request.error?.message}`;
      reject(new LocalError("hopsack.store_failed", message, { advice: "Private windows may not have one." }));
    };
  });
}

/** Nobody said no, and the key keeps it from being done twice. */
function mayWorkLater(error: HopsackError): boolean {
  if (error instanceof LocalError) return error.code !== "hopsack.usage" && error.code !== "hopsack.canceled";
  return error.retry === "later" && error.code !== "hopsack.internal" && error.code !== "hopsack.deadline";
}

function errorOf(details: Details, local: boolean): HopsackError {
  const error = fromDetails(details);
  return local ? new LocalError(error.code, error.message, error) : error;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve());
  });
}
