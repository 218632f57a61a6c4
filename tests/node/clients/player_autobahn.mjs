// A stock autobahn-js client that does what it is told, one JSON line each, and says what it saw likewise.
//   player_autobahn.mjs NODE_MODULES URL      the lines stand in tests/node/test_client_matrix.py
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [modules, url] = process.argv.slice(2);
const autobahn = createRequire(`${modules}/`)("autobahn");

const say = (facts) => console.log(JSON.stringify(facts));
// What it cancels in any mode but `kill` it gives up by itself, without waiting for the ERROR: "Cancelled".
const uri = (error) => say({ error: error.error });
const connection = new autobahn.Connection({ url, realm: "hopsack", max_retries: 0 });
const session = await new Promise((resolve) => {
  connection.onopen = resolve;
  connection.open();
});
connection.onclose = (reason) => {
  say({ closed: reason });
  process.exit(reason === "closed" ? 0 : 1);
};
say({ joined: true });

const handlers = {
  echo: ([value]) => value,
  hang: () => new Promise(() => {}),
  count: ([upto], _, { progress }) => {
    for (let number = 0; progress && number < upto; number++) progress([number]);
    return "done";
  },
};
let answer;

const does = {
  register({ procedure, how, invoke }) {
    const heard = (args, kwargs, details) => {
      say({ invoked: args[0] ?? null, timeout: null }); // it does not tell its handlers the timeout
      return handlers[how](args, kwargs, details);
    };
    return session.register(procedure, heard, invoke ? { invoke } : {}).then(() => say({ registered: procedure }), uri);
  },
  call({ procedure, args, timeout, progress }) {
    const seen = [];
    const options = { ...(timeout && { timeout }), ...(progress && { receive_progress: true }) };
    answer = session.call(procedure, args, {}, options);
    answer.then(
      (result) => say({ result: result ?? null, progress: seen }),
      uri,
      (number) => seen.push(number),
    );
  },
  cancel: ({ mode }) => answer.cancel({ mode }),
  subscribe: ({ topic }) =>
    session.subscribe(topic, ([value]) => say({ event: value })).then(() => say({ subscribed: topic })),
  publish: ({ topic, args }) =>
    session.publish(topic, args, {}, { acknowledge: true }).then(() => say({ published: topic })),
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  await does[asked.do](asked);
}
connection.close();
