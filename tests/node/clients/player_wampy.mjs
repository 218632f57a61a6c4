// A stock wampy client that does what it is told, one JSON line each, and says what it saw likewise.
//   player_wampy.mjs NODE_MODULES URL      the lines stand in tests/node/test_client_matrix.py
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [modules, url] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { Wampy } = require("wampy");
const { default: WebSocket } = await import(pathToFileURL(require.resolve("ws")).href);

const say = (facts) => console.log(JSON.stringify(facts));
const uri = (error) => say({ error: error.error ?? error.errorUri });
const client = new Wampy(url, { realm: "hopsack", ws: WebSocket, autoReconnect: false });
await client.connect();
say({ joined: true });

const handlers = {
  echo: ({ argsList }) => ({ argsList }),
  hang: () => new Promise(() => {}),
  count: ({ argsList, details, result_handler }) => {
    for (let number = 0; details.receive_progress && number < argsList[0]; number++) {
      result_handler({ argsList: [number], options: { progress: true } });
    }
    return { argsList: ["done"] };
  },
};
let request;

const does = {
  async register({ procedure, how, invoke }) {
    const heard = (asked) => {
      say({ invoked: asked.argsList?.[0] ?? null, timeout: asked.details.timeout ?? null });
      return handlers[how](asked);
    };
    await client.register(procedure, heard, invoke ? { invoke } : {}).then(() => say({ registered: procedure }), uri);
  },
  async call({ procedure, args, timeout, progress }) {
    const seen = [];
    const options = { ...(timeout && { timeout }) };
    if (progress) options.progress_callback = ({ argsList }) => seen.push(argsList[0]);
    const answer = client.call(procedure, args, options);
    request = client.getOpStatus().reqId;
    answer.then(({ argsList }) => say({ result: argsList?.[0] ?? null, progress: seen }), uri);
  },
  async cancel({ mode }) {
    client.cancel(request, { mode });
  },
  async subscribe({ topic }) {
    await client.subscribe(topic, ({ argsList }) => say({ event: argsList[0] }));
    say({ subscribed: topic });
  },
  async publish({ topic, args }) {
    await client.publish(topic, args);
    say({ published: topic });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  await does[asked.do](asked);
}
await client.disconnect();
process.exit(0);
