/** A token is pasted once; the browser keeps it as a cookie that no script can read. */
import { useState } from "preact/hooks";
import { asRefusal, type Link, type Refusal } from "../link";

export function SignInForm({ link }: { readonly link: Link }) {
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const [why, setWhy] = useState<Refusal>();
  const signIn = async () => {
    setBusy(true);
    setWhy(undefined);
    try {
      await link.signIn(token.trim());
      setToken("");
    } catch (error) {
      setWhy(asRefusal(error));
    }
    setBusy(false);
  };
  return (
    <form
      class="form"
      onSubmit={(event) => {
        event.preventDefault();
        if (token.trim() !== "") void signIn();
      }}
    >
      <label class="field">
        <span>Token</span>
        <input
          type="password"
          autocomplete="off"
          placeholder="from: hopsack token"
          value={token}
          aria-invalid={why !== undefined}
          onInput={(event) => {
            setToken(event.currentTarget.value);
            setWhy(undefined);
          }}
        />
        <SignInHint why={why} />
      </label>
      <div class="actions">
        <button type="submit" class="button button-primary" disabled={busy || token.trim() === ""}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
      </div>
    </form>
  );
}

function SignInHint({ why }: { readonly why: Refusal | undefined }) {
  if (why === undefined) return <small>Kept by this browser until it expires, out of reach of scripts.</small>;
  const { advice } = why.facts;
  return (
    <small class="problem" role="alert" data-testid="sign-in-problem">
      {sentence(why.message)}
      {advice !== undefined && ` ${sentence(advice)}`}
    </small>
  );
}

/** The node's words begin small and end without a full stop. A name that begins them stays as it is. */
export function sentence(text: string): string {
  const whole = /^[a-z]+\b(?![.:_-])/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
  return /[.!?…]$/.test(whole) ? whole : `${whole}.`;
}
