// A reader with the ws package that offers compression: one JSON line for each thing it saw.
//   compressing_client.mjs NODE_MODULES URL TOPIC EVENTS
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, url, topic, events] = process.argv.slice(2);
const { default: WebSocket } = await import(pathToFileURL(createRequire(`${modules}/`).resolve("ws")).href);
const say = (what, value) => console.log(JSON.stringify([what, value]));

const socket = new WebSocket(url, { perMessageDeflate: { threshold: 0 } });
let missing = Number(events);
socket.on("upgrade", (response) => say("agreed", response.headers["sec-websocket-extensions"]));
socket.on("open", () =>
  socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "hopsack.subscribe", params: { topic } })),
);
socket.on("message", (data) => {
  const message = JSON.parse(data);
  if (message.id === 1) {
    say("subscribed", "error" in message ? message.error : true);
  } else if (message.method === "event") {
    say("event", message.params.data);
    missing -= 1;
    if (missing === 0) socket.close(1000);
  }
});
socket.on("close", (code) => say("closed", code));
