// A reader with the browser client: prints one JSON line for each thing that it is given.
//
//     reader.mjs WEB_CLIENT '{"url": …, "token": …, "topic": …, "match": …, "after": …}'
//
// WEB_CLIENT is the folder with dist/sdk.js and node_modules. What the lines mean stands in hopsack_bench/programs.py.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, asked] = process.argv.slice(2);
const { connect } = await import(pathToFileURL(`${folder}/dist/sdk.js`).href);
const { WebSocket } = createRequire(`${folder}/`)("ws");
const { url, token, topic, match, after } = JSON.parse(asked);
const say = (facts) => console.log(JSON.stringify(facts));

const fabric = connect({ url, token, socket: (url, protocols) => new WebSocket(url, protocols) });
fabric.subscribe(
  topic,
  ({ topic, position = null, data }) => say({ came: topic, position, data }),
  {
    match,
    after: after ?? undefined,
    onRecovery: ({ topic, recovered, reason }) => say({ recovered, reason: `${topic}: ${reason}` }),
  },
);
