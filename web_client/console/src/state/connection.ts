/** The state of the connection as one value, and the words for it. The words are the same in the pill and in panels. */

export type Connection =
  | { readonly phase: "connecting" }
  | { readonly phase: "open"; readonly identity: Identity }
  /** `retryAt`: the page's clock, epoch seconds. */
  | { readonly phase: "waiting"; readonly retryAt: number; readonly reason: string }
  | { readonly phase: "closed"; readonly reason: string };

export interface Identity {
  readonly authid: string;
  readonly role: string;
  readonly session: number;
}

export interface ConnectionWords {
  readonly label: string;
  readonly detail: string;
  readonly canReconnect: boolean;
}

export function wordsFor(connection: Connection, now: number): ConnectionWords {
  switch (connection.phase) {
    case "connecting":
      return { label: "Connecting", detail: "Opening the connection to the node.", canReconnect: false };
    case "open":
      return { label: "Connected", detail: "Everything on this page is live.", canReconnect: false };
    case "waiting": {
      const seconds = Math.max(0, Math.ceil(connection.retryAt - now));
      return { label: `Retry in ${seconds} s`, detail: connection.reason, canReconnect: true };
    }
    case "closed":
      return { label: "Offline", detail: connection.reason, canReconnect: true };
  }
}
