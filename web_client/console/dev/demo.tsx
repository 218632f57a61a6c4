/**
 * The console over a simulated fabric: to work on its looks without a node. Not part of the build.
 *
 *     npx vite --config console/vite.config.ts console      then open /dev/demo.html
 *
 * ?state=loading|waiting|closed|empty|open  ?alerts=0  ?ask=1  ?as=operator
 */
import { effect } from "@preact/signals";
import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import { createConsole } from "../src/console";
import type { Alert, HostSample, PresenceMember, WatchEntry } from "../src/contracts";
import { Refusal } from "../src/link";
import { browserPage } from "../src/page";
import "../src/styles/index.css";
import { followTheme } from "../src/theme";
import { App } from "../src/views/App";
import { routeOf } from "../src/views/Header";
import { FakeLink } from "../tests/fakeLink";

const query = new URLSearchParams(location.search);
const state = query.get("state") ?? "open";
const link = new FakeLink();
const nothing = { get: () => "", set: () => {} };

followTheme(document.documentElement);
const model = createConsole(link, browserPage(), { name: { ...nothing, get: () => "ops" }, duty: nothing });
const root = document.getElementById("app");
if (root !== null) render(<App model={model} route={routeOf(location, window)} />, root);
effect(() => {
  document.title = model.operator.desk.value.open?.question.text ?? "Hopsack, simulated";
});

const now = () => Date.now() / 1000;
const wave = (at: number, period: number, low: number, high: number) =>
  low + (high - low) * (0.5 + 0.5 * Math.sin((at / period) * 2 * Math.PI)) * (0.85 + 0.15 * Math.random());

function sample(host: string, at: number): HostSample {
  const per_core = Array.from({ length: 8 }, (_, core) =>
    Math.min(100, wave(at + core * 9, 47 + core * 5, 3, core === 3 ? 99 : 70)),
  );
  const total = 16 * 2 ** 30;
  const percent = wave(at, 400, 48, 63);
  return {
    host,
    at,
    cpu: { total: per_core.reduce((a, b) => a + b, 0) / 8, per_core },
    memory: { total, used: (total * percent) / 100, available: total * (1 - percent / 100), percent },
    disk: {
      read_bytes_per_s: Math.random() < 0.15 ? Math.random() * 3e7 : 0,
      write_bytes_per_s: wave(at, 30, 1e4, 4e6),
      used_percent: 45.2,
    },
    network: { sent_bytes_per_s: wave(at, 90, 2e4, 3e5), received_bytes_per_s: wave(at, 70, 1e5, 2.4e6) },
    load: [wave(at, 120, 0.6, 4.2), wave(at, 300, 1.1, 3), wave(at, 900, 1.5, 2)],
  };
}

const entry = (path: string, is_dir: boolean, size: number | null, age: number): WatchEntry => ({
  path,
  is_dir,
  size,
  modified: now() - age,
});
const entries: WatchEntry[] = [
  entry("reports", true, null, 900),
  entry("reports/2026-11.csv", false, 1_843_200, 880),
  entry("reports/2026-10.csv", false, 912_384, 2_592_000),
  entry("reports/archive", true, null, 90_000),
  entry("reports/archive/2025.tar.zst", false, 734_003_200, 90_000),
  entry("<img src=x onerror=alert(1)>.txt", false, 12, 60),
  entry("photo\u202Egpj.exe", false, 4096, 200),
  entry("שלום עולם.txt", false, 77, 500),
  entry("notes.md", false, 5_120, 30),
  entry(`${"a-very-long-name-".repeat(9)}end.log`, false, 88_000, 4_000),
];

const threshold = { metric: "cpu", raise_at: 80, clear_at: 70, for_s: 10 } as const;
const alert = (id: string, value: number, message: string, by: string | null): Alert => ({
  id,
  host: "loom",
  metric: "cpu",
  value,
  threshold,
  at: now() - 95,
  message,
  acknowledged_by: by,
  cleared_at: null,
});
const active =
  query.get("alerts") === "0"
    ? []
    : [
        alert("a1", 93.4, "CPU of loom has been at or above 80 % for 10 s.", null),
        { ...alert("a2", 84, "Memory of loom is at 84 %.", "ops"), metric: "memory" as const },
      ];
const members: PresenceMember[] = [
  { session: 4711, authid: "guest-7f3a", role: "guest", door: "raw", since: now() - 20 },
  { session: 12, authid: "host", role: "service", door: "wamp-rawsocket", since: now() - 4000 },
  { session: 13, authid: "watch", role: "service", door: "wamp-rawsocket", since: now() - 4000 },
  { session: 14, authid: "alerts", role: "service", door: "wamp-rawsocket", since: now() - 3990 },
  { session: 15, authid: "guest-91bc", role: "guest", door: "sse", since: now() - 200 },
  { session: 16, authid: "amira", role: "user", door: "wamp-websocket", since: now() - 700 },
];

link.answers.set("host.describe", () => ({
  host: "loom",
  system: "Linux",
  release: "6.8.0-49-generic",
  machine: "x86_64",
  cpus: 8,
  cpu_model: "AMD Ryzen 7 7840U",
  memory_total: 16 * 2 ** 30,
  boot_time: now() - 400_000,
  python: "3.11.7",
}));
link.answers.set("presence.list", () => ({ count: members.length, roles: { guest: 2, service: 3, user: 1 }, members }));
if (state !== "empty") {
  link.answers.set("watch.roots", () => ["data", "uploads"]);
  link.answers.set("watch.list", (input) => ({
    root: (input as { root: string }).root,
    at: now(),
    truncated: false,
    entries,
  }));
  link.answers.set("alerts.list", () => ({
    thresholds: [
      threshold,
      { ...threshold, metric: "memory" },
      { ...threshold, metric: "disk", raise_at: 90, clear_at: 85 },
    ],
    active,
  }));
  link.answers.set("alerts.set", (input) => input);
}

if (state === "open" || state === "waiting") {
  for (let ago = 300; ago > 0; ago -= 1) {
    if (ago < 150 && ago > 125) continue;
    link.publish("host.metrics", sample("loom", now() - ago));
  }
}
const operator = { authid: "ada", role: "operator", groups: ["ops", "press"], tenant: "acme", expires: now() + 272 };
if (state !== "loading") setTimeout(() => link.open(query.get("as") === "operator" ? operator : {}), 50);
if (query.get("as") === "operator") {
  link.answers.set("hopsack.sessions.list", () =>
    [...members, { session: 4711, authid: "ada", role: "operator", door: "raw" as const, since: now() - 5 }].map(
      (one) => ({ ...one, peer: `tcp4:10.0.0.${one.session % 250}:50112`, agent: "hopsack-web/0.1.0" }),
    ),
  );
  link.answers.set("hopsack.session.whoami", () => ({ session: 4711, proof: "cookie" }));
  link.answers.set("hopsack.access.why", (input) => {
    const allowed = (input as { subject: string }).subject === "bob";
    return {
      allowed,
      who: { subject: allowed ? "bob" : "ann", role: "user", groups: ["press"], tenant: null },
      rule: allowed ? "user:{name}" : null,
      contract: "inbox.{name}",
      place: "schemas/inbox.yaml:7",
      ...(!allowed && { code: "hopsack.denied" }),
      why: allowed ? "inbox.bob is bob's own" : "inbox.bob is for user:{name}, and ann is not bob",
    };
  });
}
link.loginRefusal =
  query.get("login") === "refused"
    ? new Refusal("the token has expired", "hopsack.expired", { advice: "get a new token" })
    : undefined;
if (state === "closed")
  setTimeout(
    () => (link.connection.value = { phase: "closed", reason: "the token has expired", code: "hopsack.expired" }),
    900,
  );
if (state === "waiting") setTimeout(() => link.lose(now() + 9), 900);
let written = 0;
if (state === "open") {
  setInterval(() => link.publish("host.metrics", sample("loom", now())), 1000);
  setTimeout(() => link.publish("alerts.cleared", { ...alert("a0", 61, "", null), cleared_at: now() }), 700);
  setInterval(() => {
    written += 1;
    link.publish("watch.data.changed", {
      root: "data",
      path: written % 3 === 0 ? "notes.md" : `reports/run-${written}.log`,
      kind: written % 3 === 0 ? "modified" : "created",
      is_dir: false,
      size: 1000 * written,
      modified: now(),
      at: now(),
    });
    const member = { session: 100 + written, authid: `guest-${written}`, role: "guest", door: "raw", since: now() };
    link.publish("presence.joined", member);
    link.publish("presence.count", {
      count: members.length + written,
      roles: { guest: 2 + written, service: 3, user: 1 },
    });
  }, 2500);
}
if (query.has("ask")) {
  model.operator.goOn("ops");
  const question = {
    id: "q1",
    text: "CPU of loom has been above 80 % for 10 s. Take it on?",
    choices: ["I take it on", "Ignore it", "Stop asking for an hour"],
    timeout_s: 60,
  };
  setTimeout(() => void link.ask("operator.ops.ask", question).catch(() => {}), 800);
}
