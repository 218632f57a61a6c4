// A stock EventSource (the package `eventsource`): one JSON line for each event of a topic; it ends after so many.
//   event_source.mjs NODE_MODULES URL COUNT
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, url, count] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { EventSource } = await import(pathToFileURL(require.resolve("eventsource")).href);

const topics = new URL(url).searchParams.getAll("topic");
const source = new EventSource(url);
let left = Number(count);

source.addEventListener("open", () => console.log("open"), { once: true });
for (const topic of topics) {
  source.addEventListener(topic, ({ data }) => {
    console.log(JSON.stringify([topic, JSON.parse(data)]));
    left -= 1;
    if (left === 0) source.close();
  });
}
source.addEventListener("hopsack.recovery", ({ data }) => console.log(JSON.stringify(["hopsack.recovery", JSON.parse(data)])));
