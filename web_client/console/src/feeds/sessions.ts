/** The connections of the node, asked for every two seconds while somebody looks. For operators. */
import { effect, type ReadonlySignal, signal, untracked } from "@preact/signals";
import { asRefusal, type Closable, type Link, type Refusal } from "../link";
import type { Page } from "../page";
import { LOADING, type Remote } from "../state/remote";
import { type Sessions, sessionsOf } from "../state/sessions";

const PAUSE = 2;

/** What the one whose session is ended is told. */
const REASON = "An operator ended this session.";

export interface SessionsFeed {
  readonly sessions: ReadonlySignal<Remote<Sessions>>;
  /** Asks until closed, and begins again whenever the connection does. */
  watch(): Closable;
  /** Ends one, and asks what is left. */
  end(session: number): Promise<void>;
  /** Why the last one could not be ended. */
  readonly trouble: ReadonlySignal<Refusal | undefined>;
}

export function sessionsFeed(link: Link, page: Page): SessionsFeed {
  const sessions = signal<Remote<Sessions>>(LOADING);
  const trouble = signal<Refusal | undefined>(undefined);
  const list = async (): Promise<void> => {
    sessions.value = { phase: "ready", value: sessionsOf(await link.call("hopsack.sessions.list", null)) };
  };

  const end = async (session: number): Promise<void> => {
    try {
      trouble.value = undefined;
      await link.call("hopsack.sessions.end", { session, reason: REASON });
      await list();
    } catch (error) {
      trouble.value = asRefusal(error);
    }
  };

  const watch = (): Closable => {
    let generation = 0;
    let forget = () => {};
    const ask = async (mine: number): Promise<void> => {
      const again = () => {
        forget = page.after(PAUSE, () => void ask(mine));
      };
      try {
        const all = await link.call("hopsack.sessions.list", null);
        if (mine !== generation) return;
        sessions.value = { phase: "ready", value: sessionsOf(all) };
        again();
      } catch (error) {
        if (mine !== generation || link.connection.peek().phase !== "open") return;
        const why = asRefusal(error);
        if (sessions.peek().phase !== "ready" || !why.passing) sessions.value = { phase: "failed", why };
        if (why.passing) again();
      }
    };
    const stop = effect(() => {
      generation += 1;
      forget();
      if (link.connection.value.phase === "open") untracked(() => void ask(generation));
    });
    return {
      close() {
        generation += 1;
        forget();
        stop();
      },
    };
  };
  return { sessions, watch, end, trouble };
}
