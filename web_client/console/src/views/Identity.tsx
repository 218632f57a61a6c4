/** Who this session is, and a way to be somebody else: a token, kept for this tab only. */
import { useRef, useState } from "preact/hooks";
import type { Link } from "../link";
import type { Connection } from "../state/connection";

export function IdentityButton({ link }: { readonly link: Link }) {
  const connection = link.connection.value;
  const { authid, role } = shown(connection);
  return (
    <>
      <button type="button" class="chip identity" popovertarget="identity" title="Who this page is on the node">
        <span class="identity-name" data-testid="authid">
          {authid}
        </span>
        <span class={`role role-${role}`} data-testid="role">
          {role}
        </span>
      </button>
      <div id="identity" class="popover" popover="auto">
        <IdentityCard link={link} connection={connection} />
      </div>
    </>
  );
}

function shown(connection: Connection): { readonly authid: string; readonly role: string } {
  return connection.phase === "open" ? connection.identity : { authid: "nobody", role: "offline" };
}

interface CardProps {
  readonly link: Link;
  readonly connection: Connection;
}

function IdentityCard({ link, connection }: CardProps) {
  const [token, setToken] = useState("");
  const card = useRef<HTMLFormElement>(null);
  const leave = (next: string | undefined) => {
    setToken("");
    link.signIn(next);
    card.current?.closest<HTMLElement>("[popover]")?.hidePopover();
  };
  return (
    <form
      ref={card}
      class="form"
      onSubmit={(event) => {
        event.preventDefault();
        if (token.trim() !== "") leave(token.trim());
      }}
    >
      <h2>This session</h2>
      {connection.phase === "open" ? (
        <dl class="facts">
          <dt>Name</dt>
          <dd>{connection.identity.authid}</dd>
          <dt>Role</dt>
          <dd>{connection.identity.role}</dd>
          <dt>Session</dt>
          <dd class="number">{connection.identity.session}</dd>
        </dl>
      ) : (
        <p class="muted">Not connected.</p>
      )}
      <label class="field">
        <span>Token</span>
        <input
          type="password"
          autocomplete="off"
          placeholder="from: hopsack token"
          value={token}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
        <small>Kept until this tab is closed.</small>
      </label>
      <div class="actions">
        <button type="submit" class="button button-primary" disabled={token.trim() === ""}>
          Sign in
        </button>
        <button type="button" class="button" onClick={() => leave(undefined)}>
          Be a guest
        </button>
      </div>
    </form>
  );
}
