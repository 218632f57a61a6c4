/**
 * What flows piece by piece between pages, through a real node and over both doors. Run by
 * tests/node/test_typescript_sdk.py, which sets HOPSACK_TEST_FLOW_URL (http://host:port, with contracts of its own).
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import type { Fabric } from "../src/index";
import { page as pageOf } from "./pages";

const NODE = process.env.HOPSACK_TEST_FLOW_URL ?? "";

const PIECE = 64 * 1024;
/** By hand as many as you like: FLOW_MIB=1024. */
const MIBS = Number(process.env.FLOW_MIB ?? 64);
const PIECES = (MIBS * 1024 * 1024) / PIECE;
const MIB = 1024 * 1024;
const WINDOW = 16;

interface Procedures {
  readonly "page.long": { input: number; output: number; progress: string; errors: never };
  readonly "page.taken": { input: null; output: number; inputs: string; errors: never };
}

const page = (path: string) => pageOf<object, Procedures>(NODE + path);

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

/** Bytes that are held when everything is thrown away that can be. */
function held(): number {
  gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Serves `page.long`: so many pieces. `sent`: those that its caller has taken over. */
async function long(fabric: Fabric<object, Procedures>): Promise<{ sent: number; closed: Promise<void> }> {
  let close: () => void = () => {};
  const told = {
    sent: 0,
    closed: new Promise<void>((resolve) => {
      close = resolve;
    }),
  };
  const registration = fabric.register("page.long", async function* (pieces) {
    const text = "x".repeat(PIECE);
    try {
      for (let n = 0; n < pieces; n += 1) {
        yield text;
        told.sent += 1;
      }
      return pieces;
    } finally {
      close();
    }
  });
  await registration.ready;
  return told;
}

describe.skipIf(!NODE).each([
  ["/raw", "/raw"],
  ["/ws", "/raw"],
  ["/raw", "/ws"],
  ["/ws", "/ws"],
])("from %s to %s", (from, to) => {
  test("a long answer needs little memory, and no more than a window is ever on its way", {
    timeout: 20_000 * Math.ceil(MIBS / 64),
  }, async () => {
    const served = await long(page(from));
    const it = page(to).iterate("page.long", PIECES, { window: WINDOW });
    let [read, ahead, most] = [0, 0, 0];
    const before = held();
    for await (const piece of it) {
      read += piece.length === PIECE ? 1 : 0;
      ahead = Math.max(ahead, served.sent - read);
      if (read % 128 === 0) most = Math.max(most, held());
    }

    if (process.env.FLOW_MIB)
      process.stderr.write(`${MIBS} MiB: ${((most - before) / MIB).toFixed(1)} MiB held at most\n`);
    expect([read, await it.result]).toEqual([PIECES, PIECES]);
    expect(ahead).toBeLessThanOrEqual(WINDOW);
    expect(most - before).toBeLessThan(16 * MIB);
  });

  test("a loop that stops stops its callee; leaving it closes the callee's generator", async () => {
    const served = await long(page(from));
    const it = page(to).iterate("page.long", PIECES, { window: 4 });
    await it.next();
    const quick = page(to);
    // Other calls pass meanwhile.
    const other = quick.iterate("page.long", 40);
    for await (const _ of other);
    expect(served.sent).toBeLessThanOrEqual(40 + 4 + 1);
    await it.return();
    await served.closed;
  });

  test("inputs flow as their callee takes them", async () => {
    const server = page(from);
    let [pulled, taken, ahead] = [0, 0, 0];
    const registration = server.register("page.taken", async (_, { inputs }) => {
      let length = 0;
      for await (const piece of inputs) {
        taken += 1;
        ahead = Math.max(ahead, pulled - taken);
        length += piece.length;
      }
      return length;
    });
    await registration.ready;
    const pieces = (function* () {
      for (; pulled < 128; pulled += 1) yield "y".repeat(PIECE);
    })();

    expect(await page(to).iterate("page.taken", null, { inputs: pieces }).result).toBe(128 * PIECE);
    expect(ahead).toBeLessThanOrEqual(WINDOW + 1);
  });

  test("a callee that is lost ends the loop, behind what had come", async () => {
    const server = page(from);
    await long(server);
    const it = page(to).iterate("page.long", PIECES, { window: 4 });
    await it.next();
    server.close();
    const ended = (async () => {
      for await (const _ of it);
    })();

    await expect(ended).rejects.toMatchObject({ code: "hopsack.outcome_unknown" });
  });
});
