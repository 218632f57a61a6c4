/** What the node serves at /sdk.js: one small ES module that a page of ten lines can import. */
import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { build, type Rolldown } from "vite";
import { beforeAll, expect, test } from "vitest";

/**
 * Bytes, with gzip. Raise it knowingly: it was 11,000 before streams. Resuming on both doors, the map of newest values,
 * rates and keys of publications made it 16,000. Since then: asking where silent streams stand, resuming that waits for a
 * busy node, and a slow loop that reads back from the journal: 20,000, with the outbox. Calls that give their results and
 * take their inputs piece by piece, on both doors and from both sides, made it 23,000. Tokens that are renewed on the
 * connection that stands, what is ended one by one by them, and signing in with a cookie: 25,500.
 */
const LARGEST = 25_500;

const ROOT = new URL("../../", import.meta.url).pathname;

let chunks: readonly (Rolldown.OutputChunk | Rolldown.OutputAsset)[];
let code: string;

beforeAll(async () => {
  const built = await build({
    root: ROOT,
    configFile: join(ROOT, "vite.sdk.ts"),
    mode: "production",
    logLevel: "silent",
    build: { write: false },
  });
  chunks = (Array.isArray(built) ? built : [built]).flatMap((one) => ("output" in one ? one.output : []));
  const [chunk] = chunks;
  code = chunk?.type === "chunk" ? chunk.code : "";
});

test("it is one module that imports nothing", () => {
  expect(chunks.map(({ fileName }) => fileName)).toEqual(["sdk.js"]);
  expect(code).not.toMatch(/\bimport\b/);
  expect(code).not.toMatch(/https?:\/\//);
});

test("it is small", () => {
  expect(gzipSync(code, { level: 9 }).length).toBeLessThanOrEqual(LARGEST);
});

test("it exports the public names, and connect() works", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hopsack-sdk-"));
  try {
    const file = join(folder, "sdk.mjs");
    writeFileSync(file, code);
    const sdk = await import(/* @vite-ignore */ pathToFileURL(file).href);
    const sent: string[] = [];
    const socket = { bufferedAmount: 0, send: (text: string) => sent.push(text), close: () => {}, onopen: () => {} };
    const fabric = sdk.connect({ url: "ws://node/raw", socket: () => socket });
    socket.onopen();
    fabric.close();

    expect(Object.keys(sdk).sort()).toEqual([
      "DeclaredError",
      "Expired",
      "HopsackError",
      "LocalError",
      "RateLimited",
      "RemoteError",
      "Revoked",
      "VERSION",
      "connect",
      "login",
      "logout",
      "outbox",
    ]);
    expect(sent.map((text) => JSON.parse(text).method)).toEqual(["hopsack.hello"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
