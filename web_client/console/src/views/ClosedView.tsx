/** In place of everything else once the node refused this session for good: why, and the two ways on. */
import type { Link } from "../link";
import { PlugIcon } from "./icons";

export function ClosedView({ link, reason }: { readonly link: Link; readonly reason: string }) {
  return (
    <main class="closed">
      <section class="panel closed-card" role="alert" data-testid="closed">
        <span class="notice-icon">
          <PlugIcon />
        </span>
        <h1>The node refused this session</h1>
        <p>{reason}</p>
        <p class="muted">Sign in with another token at the top of the page, or go on without one.</p>
        <div class="actions">
          <button type="button" class="button button-primary" onClick={() => link.signIn(undefined)}>
            Go on as a guest
          </button>
          <button type="button" class="button" onClick={() => link.reconnect()}>
            Try again
          </button>
        </div>
      </section>
    </main>
  );
}
