/** In place of everything else once the node ended this session for good: why, and the ways on. */
import { useState } from "preact/hooks";
import { asRefusal, type Link, type Refusal } from "../link";
import { endingOf } from "../state/connection";
import { LockIcon, PlugIcon } from "./icons";
import { RefusalNote } from "./Panel";
import { SignInForm, sentence } from "./SignIn";

interface Props {
  readonly link: Link;
  readonly reason: string;
  readonly code: string;
}

export function ClosedView({ link, reason, code }: Props) {
  const { title, advice, isLogin } = endingOf(code);
  const [why, setWhy] = useState<Refusal>();
  return (
    <main class="closed">
      <section class="panel closed-card" data-testid="closed">
        <span class="notice-icon">{isLogin ? <LockIcon /> : <PlugIcon />}</span>
        <div role="alert">
          <h1>{title}</h1>
          <p>{sentence(reason)}</p>
        </div>
        <p class="muted">{advice}</p>
        <SignInForm link={link} />
        {why !== undefined && <RefusalNote why={why} />}
        <div class="actions closed-others">
          <button
            type="button"
            class="button button-quiet"
            onClick={() => void link.signOut().catch((error) => setWhy(asRefusal(error)))}
          >
            Go on as a guest
          </button>
          <button type="button" class="button button-quiet" onClick={() => link.reconnect()}>
            Try again
          </button>
        </div>
      </section>
    </main>
  );
}
