/** What the types say, checked by `tsc` alone: a line after @ts-expect-error must not compile. Never run. */
import { connect, type FabricEvent, type InputOf, type OutputOf } from "../src/index";

interface Sample {
  readonly host: string;
  readonly cpu: { readonly total: number };
}

interface Change {
  readonly path: string;
}

interface Topics {
  readonly "host.metrics": Sample;
  readonly "host.note": string;
  readonly [topic: `watch.${string}.changed`]: Change;
}

interface Procedures {
  readonly "host.describe": { input: { host: string }; output: { cores: number }; errors: "host.unknown" };
  readonly "watch.roots": { input: null; output: readonly string[]; errors: never };
  readonly "find.hits": { input: string; output: number; progress: { hit: string }; inputs: boolean; errors: never };
  readonly [procedure: `operator.${string}.ask`]: { input: { text: string }; output: "yes" | "no"; errors: never };
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(..._: Same<A, B> extends true ? [] : ["the types differ"]): void => {};

const fabric = connect<Topics, Procedures>();

export async function topics(): Promise<void> {
  fabric.subscribe("host.metrics", (event) => {
    same<typeof event, FabricEvent<Sample, "host.metrics">>();
    same<typeof event.data.cpu.total, number>();
    // @ts-expect-error no such field
    event.data.memory;
  });
  // @ts-expect-error no such topic
  fabric.subscribe("host.metric", () => {});
  fabric.subscribe("watch.docs.changed", ({ data }) => same<typeof data, Change>());
  // @ts-expect-error the pattern of a declared topic is not any topic below it
  fabric.subscribe("watch.docs.gone", () => {});

  fabric.subscribe("host.", ({ data }) => same<typeof data, Sample | string>(), { match: "prefix" });
  fabric.subscribe("watch..changed", ({ data }) => same<typeof data, Change>(), { match: "wildcard" });
  fabric.subscribe(".metrics", ({ data }) => same<typeof data, Sample>(), { match: "wildcard" });
  fabric.subscribe("nowhere.", ({ data }) => same<typeof data, unknown>(), { match: "prefix" });

  for await (const { data, topic } of fabric.events("host.metrics"))
    same<typeof data & { t: typeof topic }, Sample & { t: "host.metrics" }>();

  await fabric.publish("host.note", "fine");
  // @ts-expect-error a note is a string
  await fabric.publish("host.note", 7);
}

export async function streams(): Promise<void> {
  const onDelete = ({ data }: { data: Partial<Sample> }): unknown => data.host;
  const held = fabric.subscribe("host.metrics", () => {}, { after: "e:1", maxRate: 2, onDelete });
  held.setMaxRate();
  fabric.subscribe("host.", () => {}, { match: "prefix", after: { "host.metrics": "e:1" } });
  // @ts-expect-error one topic has one position
  fabric.subscribe("host.metrics", () => {}, { after: { "host.metrics": "e:1" } });

  const byHost = fabric.map("host.metrics", { key: "host" });
  same<typeof byHost.value, ReadonlyMap<string, Sample>>();
  await byHost.ready;
  // @ts-expect-error not a field
  fabric.map("host.metrics", { key: "hots" });
  await fabric.delete("host.metrics", { host: "a" });
  // @ts-expect-error not a field either
  await fabric.delete("host.metrics", { hots: "a" });

  const { events, position } = await fabric.history("host.metrics", { since: new Date(0), limit: 5 });
  same<(typeof events)[number]["data"], Sample>();
  same<typeof position, string | undefined>();
}

export async function procedures(): Promise<void> {
  const described = await fabric.call("host.describe", { host: "a" }, { timeout: 2_000 });
  same<typeof described, { cores: number }>();
  same<InputOf<Procedures, "host.describe">, { host: string }>();
  same<OutputOf<Procedures, "watch.roots">, readonly string[]>();
  // @ts-expect-error the input is not optional
  await fabric.call("host.describe");
  // @ts-expect-error nor is it something else
  await fabric.call("host.describe", { name: "a" });
  // @ts-expect-error no such procedure
  await fabric.call("host.destroy", null);
  await fabric.call("watch.roots");
  const answer = await fabric.call("operator.ann.ask", { text: "Ready?" });
  same<typeof answer, "yes" | "no">();

  fabric.register("operator.ann.ask", async ({ text }, { signal }) => (text && !signal.aborted ? "yes" : "no"));
  // @ts-expect-error not one of the answers
  fabric.register("operator.ann.ask", () => "maybe");
}

export async function pieces(): Promise<void> {
  const found = fabric.iterate("find.hits", "tea", { inputs: [true], window: 4 });
  for await (const piece of found) same<typeof piece, { hit: string }>();
  const total = await found.result;
  same<typeof total, number>();
  // @ts-expect-error an input that follows is a boolean
  fabric.iterate("find.hits", "tea", { inputs: ["yes"] });
  // @ts-expect-error none follows here
  fabric.iterate("host.describe", { host: "a" }, { inputs: [1] });
  // Where the contract says nothing of them, progressive results are like the last one.
  for await (const piece of fabric.iterate("watch.roots")) same<typeof piece, readonly string[]>();

  fabric.register("find.hits", async function* (_, { inputs }) {
    for await (const more of inputs) {
      same<typeof more, boolean>();
      yield { hit: "tea" };
    }
    return 1;
  });
  // @ts-expect-error not one of the hits
  fabric.register("find.hits", async function* () {
    yield "tea";
    return 1;
  });
}

export async function state(): Promise<void> {
  const now = fabric.state.value;
  if (now.name === "open") same<typeof now.session.authid, string>();
  if (now.name === "waiting") same<typeof now.retryAt, number>();
  same<typeof now.reason, string>();
  const { id, role } = await fabric.ready();
  same<typeof id, number>();
  same<typeof role, string>();
}

export async function untyped(): Promise<void> {
  const anything = connect({ url: "ws://127.0.0.1:8080/ws" });
  anything.subscribe("any.topic", (event) => event.data.whatever.it.is);
  const result = await anything.call("any.procedure");
  result.may.be.anything;
  await anything.publish("any.topic", { a: 1 });
}
