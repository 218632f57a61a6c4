// A stock EventSource (the package `eventsource`): one JSON line for each event of a topic and for each that the node
// adds, with its id; it ends after so many of the topic.
//   event_source_log.mjs NODE_MODULES URL COUNT
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, url, count] = process.argv.slice(2);
const { EventSource } = await import(pathToFileURL(createRequire(`${modules}/`).resolve("eventsource")).href);

const topic = new URL(url).searchParams.get("topic");
const source = new EventSource(url);
let left = Number(count);

const log = ({ type, lastEventId, data }) => console.log(JSON.stringify([type, lastEventId, JSON.parse(data)]));
source.addEventListener(topic, (event) => {
  log(event);
  left -= 1;
  if (left === 0) source.close();
});
for (const told of ["hopsack.recovery", "hopsack.gap"]) source.addEventListener(told, log);
