/** The top of the page: what this is, where one is, who one is, and whether anything here is live. */
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import type { Console } from "../console";
import { wordsFor } from "../state/connection";
import { count } from "../state/format";
import { THEMES, type Theme, theme } from "../theme";
import { IdentityButton } from "./Identity";
import { AgainIcon, AutoIcon, BellIcon, Logo, MoonIcon, PersonIcon, SunIcon } from "./icons";

export type Route = "dashboard" | "connections" | "tools";

const ROUTES: readonly (readonly [Route, string, string])[] = [
  ["dashboard", "#/", "Dashboard"],
  ["connections", "#/connections", "Connections"],
  ["tools", "#/tools", "Tools"],
];

export function Header({ model, route }: { readonly model: Console; readonly route: ReadonlySignal<Route> }) {
  return (
    <header class="top">
      <a class="brand" href="#/">
        <Logo />
        <span class="brand-name">Hopsack</span>
      </a>
      <nav class="tabs" aria-label="Views">
        {ROUTES.map(([name, href, label]) => (
          <a key={name} href={href} aria-current={route.value === name ? "page" : undefined}>
            {label}
          </a>
        ))}
      </nav>
      <div class="top-who">
        <AlertCount model={model} />
        <Headcount model={model} />
        <IdentityButton link={model.link} page={model.page} />
      </div>
      <div class="top-line">
        <ConnectionPill model={model} />
        <ThemeSwitch />
      </div>
    </header>
  );
}

/** Alerts may be far below on a phone: their number is here, and leads to them. */
function AlertCount({ model }: { readonly model: Console }) {
  const { active } = model.alerts.alerts.value;
  const words = active.length === 0 ? "No active alerts" : count(active.length, "active alert");
  return (
    <a class={active.length === 0 ? "chip bell" : "chip bell bell-ringing"} href="#/alerts" title={words}>
      <BellIcon />
      <span class="number" aria-hidden="true">
        {active.length}
      </span>
      <span class="sr-only">{words}</span>
    </a>
  );
}

function Headcount({ model }: { readonly model: Console }) {
  const { phase, count: connected, serial } = model.presence.presence.value;
  const known = phase === "ready" || serial > 0 || connected > 0;
  return (
    <span class="chip headcount" title="Sessions connected to this node">
      <PersonIcon />
      <span class="number" data-testid="headcount">
        {known ? connected : "–"}
      </span>
      <span class="chip-words">{connected === 1 ? "session" : "sessions"}</span>
      <span class="sr-only">{known ? `${count(connected, "session")} connected` : "not known yet"}</span>
    </span>
  );
}

/** One size in every state, so that losing the connection moves nothing. */
function ConnectionPill({ model }: { readonly model: Console }) {
  const connection = model.link.connection.value;
  // An open connection needs no clock: do not render every second.
  const now = connection.phase === "waiting" ? model.page.clock.value : 0;
  const { label, detail, canReconnect } = wordsFor(connection, now);
  return (
    <>
      <button
        type="button"
        class={`pill pill-${connection.phase}`}
        data-testid="connection"
        data-phase={connection.phase}
        title={canReconnect ? `${detail} Click to reconnect now.` : detail}
        disabled={!canReconnect}
        onClick={() => model.link.reconnect()}
      >
        {canReconnect ? <AgainIcon /> : <span class="pill-dot" aria-hidden="true" />}
        <span class="pill-label">{label}</span>
        {canReconnect && <span class="sr-only">. Reconnect now</span>}
      </button>
      <span class="sr-only" role="status">
        {connection.phase === "waiting" ? `Connection lost. ${connection.reason}` : detail}
      </span>
    </>
  );
}

const THEME_LABELS: Readonly<Record<Theme, string>> = {
  auto: "Like the system",
  light: "Light",
  dark: "Dark",
};

const THEME_ICONS: Readonly<Record<Theme, () => preact.JSX.Element>> = {
  auto: AutoIcon,
  light: SunIcon,
  dark: MoonIcon,
};

function ThemeSwitch() {
  return (
    <fieldset class="segments">
      <legend class="sr-only">Theme</legend>
      {THEMES.map((choice) => {
        const Picture = THEME_ICONS[choice];
        return (
          <label key={choice} title={THEME_LABELS[choice]}>
            <input
              type="radio"
              name="theme"
              value={choice}
              checked={theme.value === choice}
              onChange={() => {
                theme.value = choice;
              }}
            />
            <Picture />
            <span class="sr-only">{THEME_LABELS[choice]}</span>
          </label>
        );
      })}
    </fieldset>
  );
}

/** The view that the address names; an unknown one is the dashboard. */
export function routeOf(location: Location, target: Pick<Window, "addEventListener">): ReadonlySignal<Route> {
  const hash = signal(location.hash);
  target.addEventListener("hashchange", () => {
    hash.value = location.hash;
    // "#/alerts" and its like name a panel of the dashboard.
    document.getElementById(location.hash.slice(2))?.scrollIntoView({ behavior: "smooth" });
  });
  return computed(() => ROUTES.find(([name]) => hash.value.startsWith(`#/${name}`))?.[0] ?? "dashboard");
}
