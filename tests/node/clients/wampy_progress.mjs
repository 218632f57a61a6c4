// Two stock wampy clients: progressive results, and a call with further inputs; one JSON line for each thing it saw.
//   wampy_progress.mjs NODE_MODULES URL
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, url] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { Wampy } = require("wampy");
const { default: WebSocket } = await import(pathToFileURL(require.resolve("ws")).href);

const say = (what, value) => console.log(JSON.stringify([what, value]));
const make = () => new Wampy(url, { realm: "hopsack", ws: WebSocket, autoReconnect: false });
const callee = make();
const caller = make();
await callee.connect();
await caller.connect();

await callee.register("open.count", ({ argsList, result_handler }) => {
  for (let number = 0; number < argsList[0]; number++) {
    result_handler({ argsList: [number], options: { progress: true } });
  }
  return { argsList: ["done"] };
});
const seen = [];
const last = await caller.call("open.count", [5], { progress_callback: ({ argsList }) => seen.push(argsList[0]) });
say("last", last.argsList[0]);
say("before", seen);

// As a callee wampy does not announce that it takes several inputs: that is the service's part.
const taking = caller.progressiveCall("long.taken");
for (const piece of ["a", "bc", "def"]) taking.sendData([piece]);
taking.sendData(["ghij"], { progress: false });
say("taken", (await taking.result).argsList[0]);

await caller.disconnect();
await callee.disconnect();
