/** The connections of the node, asked for every two seconds while somebody looks. For operators. */
import { effect, type ReadonlySignal, signal, untracked } from "@preact/signals";
import { asRefusal, type Closable, type Link } from "../link";
import type { Page } from "../page";
import { LOADING, type Remote } from "../state/remote";
import { type Sessions, sessionsOf } from "../state/sessions";

const PAUSE = 2;

export interface SessionsFeed {
  readonly sessions: ReadonlySignal<Remote<Sessions>>;
  /** Asks until closed, and begins again whenever the connection does. */
  watch(): Closable;
}

export function sessionsFeed(link: Link, page: Page): SessionsFeed {
  const sessions = signal<Remote<Sessions>>(LOADING);

  const watch = (): Closable => {
    let generation = 0;
    let forget = () => {};
    const ask = async (mine: number): Promise<void> => {
      const again = () => {
        forget = page.after(PAUSE, () => void ask(mine));
      };
      try {
        const list = await link.call("hopsack.sessions.list", null);
        if (mine !== generation) return;
        sessions.value = { phase: "ready", value: sessionsOf(list) };
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
  return { sessions, watch };
}
