/** Who this session is, for how long, and the ways to be somebody else. */
import { useEffect, useState } from "preact/hooks";
import type { SessionIdentity } from "../contracts";
import { asRefusal, type Link, type Refusal } from "../link";
import type { Page } from "../page";
import { endsSoon, type Identity } from "../state/connection";
import { clockTime, countdown, duration } from "../state/format";
import { RefusalNote } from "./Panel";
import { SignInForm } from "./SignIn";

interface Props {
  readonly link: Link;
  readonly page: Page;
}

export function IdentityButton({ link, page }: Props) {
  const [open, setOpen] = useState(false);
  const connection = link.connection.value;
  const identity = connection.phase === "open" ? connection.identity : undefined;
  const { authid, role } = identity ?? { authid: "nobody", role: "offline" };
  return (
    <>
      <button type="button" class="chip identity" popovertarget="identity" title="Who this page is on the node">
        <span class="identity-name" data-testid="authid">
          {authid}
        </span>
        <span class={`role role-${role}`} data-testid="role">
          {role}
        </span>
        {identity?.expires !== undefined && <Ending identity={identity} page={page} />}
      </button>
      <div id="identity" class="popover" popover="auto" onToggle={(event) => setOpen(event.newState === "open")}>
        <h2>This session</h2>
        {identity === undefined ? (
          <p class="muted">Not connected.</p>
        ) : (
          <Facts link={link} page={page} identity={identity} open={open} />
        )}
        {identity === undefined || identity.role === "guest" ? <SignInForm link={link} /> : <SignedIn link={link} />}
      </div>
    </>
  );
}

/** Only here does the header look at the clock, and only of a sign-in that has an end. */
function Ending({ identity, page }: { readonly identity: Identity; readonly page: Page }) {
  const left = endsSoon(identity, page.clock.value);
  if (left === undefined) return null;
  return (
    <span class="badge badge-warn number" title="Then this sign-in expires" data-testid="ending">
      {countdown(left)}
    </span>
  );
}

interface FactsProps extends Props {
  readonly identity: Identity;
  readonly open: boolean;
}

function Facts({ link, page, identity, open }: FactsProps) {
  const { authid, role, groups, tenant, expires, session } = identity;
  const proof = useProof(link, open ? session : undefined);
  return (
    <dl class="facts" data-testid="whoami">
      <Fact name="Name">{authid}</Fact>
      <Fact name="Role">{role}</Fact>
      {groups.length > 0 && <Fact name={groups.length === 1 ? "Group" : "Groups"}>{groups.join(", ")}</Fact>}
      {tenant !== undefined && <Fact name="Tenant">{tenant}</Fact>}
      {proof !== undefined && <Fact name="Let in by">{PROOFS[proof]}</Fact>}
      {expires !== undefined && (
        <Fact name="Until">
          <span class="number">{clockTime(expires)}</span>
          {open && <span class="muted number"> ({duration(expires - page.clock.value)} left)</span>}
        </Fact>
      )}
      <Fact name="Session">
        <span class="number">{session}</span>
      </Fact>
    </dl>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: preact.ComponentChildren }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

type Proof = SessionIdentity["proof"];

const PROOFS: Readonly<Record<Proof, string>> = {
  guest: "no proof",
  token: "a token",
  cookie: "this browser's cookie",
  key: "a key",
  ticket: "a ticket",
  scram: "a password",
  tls: "a certificate",
  node: "the node itself",
};

/** What the session was let in by; asked for when somebody looks. A node that does not tell leaves it out. */
function useProof(link: Link, session: number | undefined): Proof | undefined {
  const [known, setKnown] = useState<SessionIdentity>();
  useEffect(() => {
    if (session !== undefined) link.call("hopsack.session.whoami", null).then(setKnown, () => {});
  }, [link, session]);
  return known !== undefined && known.session === session ? known.proof : undefined;
}

function SignedIn({ link }: { readonly link: Link }) {
  const [why, setWhy] = useState<Refusal>();
  return (
    <>
      {why !== undefined && <RefusalNote why={why} />}
      <div class="actions">
        <button
          type="button"
          class="button"
          onClick={() => void link.signOut().catch((error) => setWhy(asRefusal(error)))}
        >
          Sign out
        </button>
      </div>
      <details class="disclosure">
        <summary>Sign in as somebody else</summary>
        <SignInForm link={link} />
      </details>
    </>
  );
}
