// A stock wampy client in a room that is kept: the same as the Autobahn one, and a deletion it does not know of.
//   wampy_streams.mjs NODE_MODULES URL ROOM
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, url, room] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { Wampy } = require("wampy");
const { default: WebSocket } = await load("ws");
const [told, weather] = [`demo.${room}.told`, `demo.${room}.weather`];

const say = (what, value) => console.log(JSON.stringify([what, value]));
const client = new Wampy(url, { realm: "hopsack", ws: WebSocket, autoReconnect: false });

/** Collects what comes; `of(n)` resolves when there are so many. */
function collect(pick) {
  const values = [];
  let wanted = { count: Number.POSITIVE_INFINITY, resolve: () => {} };
  const hear = (event) => {
    values.push(pick(event));
    if (values.length >= wanted.count) wanted.resolve(values);
  };
  const of = (count) => new Promise((resolve) => {
    wanted = { count, resolve };
    if (values.length >= count) resolve(values);
  });
  return { hear, of };
}

await client.connect();
const heard = collect(({ argsList }) => argsList[0]);
await client.subscribe(told, heard.hear);
for (const text of ["one", "two", "three"]) await client.publish(told, [text]);
say("live", await heard.of(3));
const page = (await client.call("hopsack.stream.read", [{ topic: told, last: 2 }])).argsList[0];
say("read back", page.events.map(({ data }) => data));
for (const [place, text] of [["Oslo", "snow"], ["Rome", "sun"], ["Oslo", "thaw"]]) {
  await client.publish(weather, [{ place, text }]);
}
const newest = collect(({ argsList }) => argsList[0].text);
await client.subscribe(weather, newest.hear, { get_retained: true });
say("newest", await newest.of(2));
await client.disconnect();
say("left", "wamp.close.goodbye_and_out");
