// A stock wampy client: the same tour as the Autobahn one, and one JSON line for each thing it saw.
//   wampy_client.mjs NODE_MODULES URL SERIALIZER
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, url, serializer] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { Wampy } = require("wampy");
const { default: WebSocket } = await load("ws");
const names = { json: "JsonSerializer", msgpack: "MsgpackSerializer", cbor: "CborSerializer" };
const serializers = require(`wampy/${names[serializer]}.js`);
const Serializer = serializers[names[serializer]];

const say = (what, value) => console.log(JSON.stringify([what, value]));
const make = () =>
  new Wampy(url, { realm: "hopsack", ws: WebSocket, autoReconnect: false, serializer: plain(new Serializer()) });
const client = make();
const other = make(); // wampy cannot ask for its own events

// Its binary serializers write `undefined`, which is no WAMP value: leave such fields out.
function plain(inner) {
  const strip = (value) => {
    if (Array.isArray(value)) return value.map(strip);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined).map(([k, v]) => [k, strip(v)]));
  };
  const encode = inner.encode.bind(inner);
  inner.encode = (data) => encode(strip(data));
  return inner;
}

const welcome = await client.connect();
say("joined", [welcome.authrole]);
const heard = [];
let enough;
const twice = new Promise((resolve) => (enough = resolve));
const hear = ({ argsList }) => heard.push(argsList[0]) === 2 && enough();
await client.subscribe("demo.text", hear);
await client.subscribe("demo", hear, { match: "prefix" });
await other.connect();
await other.publish("demo.text", ["grüße"]);
await twice;
say("events", heard);
await client.register("demo.add", ({ argsList }) => ({ argsList: [argsList.reduce((a, b) => a + b, 0)] }));
await client.register("demo.greet", ({ argsDict }) => ({ argsList: [`hello ${argsDict.name}`] }));
say("positional", (await client.call("demo.add", [1, 2, 3.5])).argsList[0]);
say("keywords", (await client.call("demo.greet", { argsDict: { name: "ann" } })).argsList[0]);
for (const [procedure, args] of [["demo.add", ["one"]], ["demo.ad", []], ["host.describe", [{ host: "h" }]]]) {
  try {
    await client.call(procedure, args);
  } catch (error) {
    say("refused", [error.error ?? error.errorUri, error.argsDict.code, error.argsDict.path ?? null]);
  }
}
await other.disconnect();
await client.disconnect();
say("left", "wamp.close.goodbye_and_out");
