/** The only file that names what a browser has: WebSocket, timers, the page's address, the network coming back. */
import { LocalError } from "./errors.js";

/** What is used of a WebSocket; the browser's and those of `ws` and `undici` fit. */
export interface WebSocketLike {
  /** Bytes that were given to `send` and have not left yet. */
  readonly bufferedAmount: number;
  onopen: ((event: never) => unknown) | null;
  onmessage: ((event: never) => unknown) | null;
  onclose: ((event: never) => unknown) | null;
  onerror: ((event: never) => unknown) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export type SocketFactory = (url: string, protocols: string[]) => WebSocketLike;

export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Runs `callback` once, `delay` milliseconds from now. @returns a function that prevents it. */
  after(delay: number, callback: () => void): () => void;
}

export const clock: Clock = {
  now: () => Date.now(),
  after(delay, callback) {
    const timer = setTimeout(callback, delay);
    return () => clearTimeout(timer);
  },
};

export const openSocket: SocketFactory = (url, protocols) => {
  if (typeof WebSocket === "undefined") {
    const advice =
      'Pass one: connect({url, socket: (url, protocols) => new WebSocket(url, protocols)}) with that of "ws".';
    throw new LocalError("hopsack.usage", "There is no WebSocket here.", { advice });
  }
  return new WebSocket(url, protocols);
};

export interface Address {
  readonly url: string;
  readonly door: "raw" | "wamp";
}

/**
 * Where to connect. Relative addresses belong to the page; http(s) becomes ws(s); an address without a path is the raw
 * door's.
 *
 * @throws LocalError hopsack.usage: no address, or the path is of neither door.
 */
export function resolve(address = "/raw", page: string | undefined = globalThis.location?.href): Address {
  let url: URL;
  try {
    url = new URL(address, page);
  } catch {
    const advice = 'Pass a whole one, such as connect({url: "ws://127.0.0.1:8080/raw"}).';
    throw new LocalError("hopsack.usage", `"${address}" is no address here.`, { advice });
  }
  url.protocol = url.protocol.replace(/^http/, "ws");
  if (url.pathname === "/") url.pathname = "/raw";
  const door = url.pathname.endsWith("/raw") ? "raw" : url.pathname.endsWith("/ws") ? "wamp" : undefined;
  if (!door || !url.protocol.startsWith("ws")) {
    const advice = "The path chooses the door: /raw (JSON-RPC) or /ws (WAMP); the scheme is ws, wss, http or https.";
    throw new LocalError("hopsack.usage", `${url.href} is not the address of a door.`, { advice });
  }
  return { url: url.href, door };
}

/** What is used of a page's document. */
export interface DocumentLike {
  readonly visibilityState: string;
  addEventListener(type: "visibilitychange", listener: () => void): void;
  removeEventListener(type: "visibilitychange", listener: () => void): void;
}

/** Calls `online` when the network is back, and `seen` now and whenever the page is hidden or seen. @returns its end. */
export function onPage(
  page: DocumentLike | undefined = globalThis.document,
  online: () => void,
  seen: (hidden: boolean) => void,
): () => void {
  const looked = (): void => seen(page?.visibilityState === "hidden");
  globalThis.addEventListener?.("online", online);
  page?.addEventListener("visibilitychange", looked);
  if (page) looked();
  return () => {
    globalThis.removeEventListener?.("online", online);
    page?.removeEventListener("visibilitychange", looked);
  };
}
