/** The console's one door to the SDK: everything else of the page knows `link.ts` only. */
import {
  connect,
  DeclaredError,
  type Fabric,
  type FabricState,
  type Gap,
  type History,
  HopsackError,
  type LatestMap,
  login,
  logout,
  type Recovery,
} from "@hopsack/client";
import { type ReadonlySignal, signal } from "@preact/signals";
import { LATEST, type Procedures, type Topics } from "./contracts";
import {
  asRefusal,
  type Continuity,
  type Hearing,
  type Link,
  type Match,
  type Newest,
  type Past,
  type PastQuery,
  Refusal,
} from "./link";
import type { Connection } from "./state/connection";

/** Longer than any contract's own deadline: the node is to end the calls that a person makes by hand. */
const PATIENCE_MS = 180_000;

/** Events, at most, that are asked for at once. */
const PAGE = 1_000;

type Handler = (event: { readonly topic: string; readonly data: unknown }) => void;

/** The SDK's surface for names that are known at run time only. */
interface Untyped {
  subscribe(topic: string, heard: Handler, options: object): { close(): Promise<void> };
  map(topic: string, options: object): LatestMap;
  history(topic: string, options: object): Promise<History>;
  call(procedure: string, input: unknown, options: object): Promise<unknown>;
  register(
    procedure: string,
    serve: (input: never, invocation: { readonly signal: AbortSignal }) => Promise<unknown>,
    options: object,
  ): { readonly ready: Promise<void>; close(): Promise<void> };
}

/** Connects to the node that served this page, as whoever the browser is signed in as. @param reload makes a new page. */
export function openLink(reload: () => void): Link {
  const fabric = connect<Topics, Procedures>({ latest: LATEST });
  const untyped = fabric as unknown as Untyped;
  const listen = (topic: string, match: Match, heard: Handler, hearing: Hearing = {}) =>
    closing(untyped.subscribe(topic, heard, { match, ...optionsOf(hearing) }));

  return {
    connection: connectionOf(fabric),
    reconnect: () => (fabric.state.value.name === "closed" ? reload() : fabric.reconnect()),
    signIn: (token) => login(token).then(reload, refuse),
    signOut: () => logout().then(reload, refuse),
    listen,
    subscribe: (topic, heard, hearing) => listen(topic, "exact", heard as Handler, hearing),
    latest: (topic) => newestOf(untyped.map(topic, { onError: () => {} })) as never,
    past: (topic, query) => untyped.history(topic, { ...toOptions(query), limit: PAGE }).then(toPast, refuse) as never,
    call: (procedure, input) => untyped.call(procedure, input, {}).catch(refuse) as never,
    invoke: (procedure, input, signal) =>
      untyped.call(procedure, input, { signal, timeout: PATIENCE_MS }).catch(refuse),
    register(procedure, serve, settled) {
      const onError = (error: unknown) => settled(toRefusal(error));
      const answer = (input: never, { signal: withdrawn }: { readonly signal: AbortSignal }) =>
        serve(input, withdrawn).catch(decline);
      const registration = untyped.register(procedure, answer, { onError });
      registration.ready.then(
        () => settled(undefined),
        () => {},
      );
      return closing(registration);
    },
  };
}

function optionsOf({ refused = complain, went, after }: Hearing): object {
  return {
    after,
    onError: (error: unknown) => refused(toRefusal(error)),
    ...(went && { onRecovery: (how: Recovery) => went(toContinuity(how)), onGap: (gap: Gap) => went(ofGap(gap)) }),
  };
}

function toContinuity({ recovered, missed, reason = "" }: Recovery): Continuity {
  return recovered ? { kind: "resumed" } : { kind: "gap", missed, reason };
}

/** What the node dropped because this page read too slowly. */
function ofGap({ dropped }: Gap): Continuity {
  return { kind: "gap", missed: dropped ?? undefined, reason: "slow" };
}

function toOptions(query: PastQuery): object {
  return "since" in query ? { since: query.since * 1000 } : query;
}

function toPast({ events, position, end }: History): Past {
  return { events: events.map(({ data, time }) => ({ data, time: time / 1000 })), position, end };
}

function newestOf(map: LatestMap): ReadonlySignal<Newest> {
  const newest = signal<Newest>({ complete: false, values: map.value });
  map.subscribe((values) => {
    newest.value = { complete: map.complete, values };
  });
  return newest;
}

function connectionOf(fabric: Fabric<Topics, Procedures>): ReadonlySignal<Connection> {
  const connection = signal(toConnection(fabric.state.value));
  fabric.state.subscribe((state) => {
    connection.value = toConnection(state);
  });
  return connection;
}

function toConnection(state: FabricState): Connection {
  switch (state.name) {
    case "connecting":
      return { phase: "connecting" };
    case "open": {
      const { id: session, authid, role, groups, tenant, expires } = state.session;
      const ends = expires === undefined ? undefined : expires / 1000;
      return { phase: "open", identity: { session, authid, role, groups, tenant, expires: ends } };
    }
    case "waiting":
      return { phase: "waiting", retryAt: state.retryAt / 1000, reason: state.reason };
    case "closed":
      return { phase: "closed", reason: state.error.message, code: state.error.code };
  }
}

function closing(held: { close(): Promise<void> }) {
  return { close: () => void held.close() };
}

function toRefusal(error: unknown): Refusal {
  return error instanceof HopsackError ? new Refusal(error.message, error.code, error) : asRefusal(error);
}

function refuse(error: unknown): never {
  throw toRefusal(error);
}

/** Our "no" in the SDK's words: it travels to the caller as the contract's error. */
function decline(error: unknown): never {
  throw error instanceof Refusal ? new DeclaredError(error.code, error.message) : error;
}

function complain(why: Refusal): void {
  console.error(`${why.code}: ${why.message}`);
}
