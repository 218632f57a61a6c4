/** The state of the connection as one value, and the words for it. The words are the same in the pill and in panels. */

export type Connection =
  | { readonly phase: "connecting" }
  | { readonly phase: "open"; readonly identity: Identity }
  /** `retryAt`: the page's clock, epoch seconds. */
  | { readonly phase: "waiting"; readonly retryAt: number; readonly reason: string }
  /** `code`: of the error that ended it, as in the table of errors. */
  | { readonly phase: "closed"; readonly reason: string; readonly code: string };

export interface Identity {
  readonly authid: string;
  readonly role: string;
  readonly session: number;
  readonly groups: readonly string[];
  readonly tenant: string | undefined;
  /** When the sign-in ends, by the page's clock: epoch seconds. */
  readonly expires: number | undefined;
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

/** What a person is told when a session has ended for good, and what to do. */
export function endingOf(code: string): Ending {
  return (
    ENDINGS[code] ?? { title: "The node refused this session", advice: "Try again, or sign in with another token." }
  );
}

export interface Ending {
  readonly title: string;
  readonly advice: string;
  /** Another token mends it. */
  readonly isLogin?: true;
}

const ENDINGS: Readonly<Record<string, Ending>> = {
  "hopsack.expired": {
    title: "Your sign-in has expired",
    advice: "Sign in with a new token to go on.",
    isLogin: true,
  },
  "hopsack.revoked": {
    title: "Your sign-in was revoked",
    advice: "An operator can tell why, and give you a new token.",
    isLogin: true,
  },
  "hopsack.login_required": {
    title: "The node asks you to sign in",
    advice: "Sign in with a token that this node accepts.",
    isLogin: true,
  },
  "hopsack.denied": {
    title: "An operator ended this session",
    advice: "You may try again, or sign in as somebody else.",
  },
};

/** Seconds before its end in which a sign-in is pointed at. */
const SOON = 300;

/** What is left of a sign-in that ends soon, in seconds. */
export function endsSoon({ expires }: Identity, now: number): number | undefined {
  return expires !== undefined && expires - now < SOON ? Math.max(0, expires - now) : undefined;
}
