/** Clicks that are made while the node is gone: each is carried out once, when it is back, also if the page was reloaded. */
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { connect, type Fabric } from "@hopsack/client";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { launch } from "./chromium";
import { Stack } from "./stack";

const PROCEDURE = "demo.page.shop.greet";

/** What the person sees: the connection, what waits, and what has been answered. */
const PAGE = `<!doctype html>
<title>Outbox</title>
<input id="name"><button id="order">Order</button>
<p id="state"></p>
<p id="waiting"></p>
<ol id="answered"></ol>
<script type="module">
  import { connect, outbox } from "/sdk.js";

  const at = (id) => document.getElementById(id);
  const tell = (text) => at("answered").append(Object.assign(document.createElement("li"), { textContent: text }));
  const say = (settled) => tell("error" in settled ? settled.error.code : settled.output);

  const fabric = connect({ url: decodeURIComponent(location.search.slice(1)) });
  fabric.state.subscribe(({ name }) => { at("state").textContent = name; });
  const box = await outbox(fabric, { onSettled: (_, settled) => say(settled) });
  box.waiting.subscribe((calls) => { at("waiting").textContent = calls.map(({ input }) => input.name).join(", "); });
  at("order").onclick = () => {
    box.call("${PROCEDURE}", { name: at("name").value }).then((output) => say({ output }), (error) => say({ error }));
  };
  document.title = "Ready";
</script>`;

let stack: Stack;
let site: Server;
let browser: Browser;
let context: BrowserContext;
let shop: Shop;

/** Who carries the orders out, and counts them. */
class Shop {
  readonly served: string[] = [];
  readonly #fabric: Fabric;
  /** Until it is opened, nothing is answered. */
  gate: Promise<void> = Promise.resolve();
  #began: (() => void)[] = [];

  constructor(url: string) {
    this.#fabric = connect({ url: `${url}/raw`, socket: (url, protocols) => new WebSocket(url, protocols) });
    this.#fabric.register(PROCEDURE, async ({ name }: { name: string }) => {
      this.served.push(name);
      for (const tell of this.#began.splice(0)) tell();
      await this.gate;
      return `one ${name}`;
    });
  }

  /** Resolves when it is asked for something. */
  asked(): Promise<void> {
    return new Promise((resolve) => this.#began.push(resolve));
  }

  /** @returns what opens it. */
  closes(): () => void {
    let open: () => void = () => {};
    this.gate = new Promise((resolve) => {
      open = resolve;
    });
    return open;
  }

  end(): void {
    this.#fabric.close();
  }
}

beforeAll(async () => {
  [stack, browser] = await Promise.all([Stack.start(), launch()]);
  shop = new Shop(stack.url);
  context = await browser.newContext();
  site = await serve();
});

/** The page comes from elsewhere: it is there while the node is not, as with a service worker. */
async function serve(): Promise<Server> {
  const module = await readFile(join(import.meta.dirname, "../../dist/sdk.js"), "utf8");
  const server = createServer(({ url }, response) => {
    const [type, body] = url === "/sdk.js" ? ["text/javascript", module] : ["text/html", PAGE];
    response.writeHead(200, { "Content-Type": type }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

afterEach(async () => {
  shop.served.length = 0;
  await Promise.all(context.pages().map((page) => page.close()));
});

afterAll(async () => {
  shop?.end();
  await browser?.close();
  await stack?.end();
  site?.close();
});

async function visit(): Promise<Page> {
  const page = await context.newPage();
  const { port } = site.address() as AddressInfo;
  await page.goto(`http://127.0.0.1:${port}/?${encodeURIComponent(`${stack.url}/raw`)}`);
  await ready(page);
  return page;
}

async function ready(page: Page): Promise<void> {
  await page.waitForFunction(() => document.title === "Ready");
}

async function orders(page: Page, name: string): Promise<void> {
  await page.locator("#name").fill(name);
  await page.locator("#order").click();
}

/** What waits, when it is that. */
async function waits(page: Page, names: string): Promise<void> {
  await page.waitForFunction((names) => document.getElementById("waiting")?.textContent === names, names);
}

async function answered(page: Page, count: number): Promise<string[]> {
  await page.locator(`#answered li:nth-child(${count})`).waitFor();
  return page.locator("#answered li").allTextContents();
}

test("what is clicked while the node is gone is carried out once, after a reload, in its order", async () => {
  const page = await visit();
  await orders(page, "tea");
  expect(await answered(page, 1)).toEqual(["one tea"]);

  await stack.endNode("SIGKILL");
  await page.locator("#state", { hasText: "waiting" }).waitFor();
  for (const name of ["milk", "honey"]) await orders(page, name);
  await waits(page, "milk, honey");
  await page.reload();
  await ready(page);
  await waits(page, "milk, honey");
  expect(shop.served).toEqual(["tea"]);

  await stack.startNode();
  expect(await answered(page, 2)).toEqual(["one milk", "one honey"]);
  await waits(page, "");
  expect(shop.served).toEqual(["tea", "milk", "honey"]);
});

test("what is under way when the page is reloaded is carried out once, and the new page is told", async () => {
  const page = await visit();
  const [asked, open] = [shop.asked(), shop.closes()];
  await orders(page, "cake");
  await asked;
  await page.reload();
  await ready(page);
  await waits(page, "cake");
  await page.locator("#state", { hasText: "open" }).waitFor();
  open();

  expect(await answered(page, 1)).toEqual(["one cake"]);
  await waits(page, "");
  expect(shop.served).toEqual(["cake"]);
});

test("of two pages one sends, and when it is closed the other one does", async () => {
  const [first, second] = [await visit(), await visit()];
  await stack.endNode("SIGTERM");
  for (const page of [first, second]) await page.locator("#state", { hasText: "waiting" }).waitFor();
  await orders(first, "jam");
  await orders(second, "bread");
  await waits(first, "jam, bread");
  await first.close();
  await stack.startNode();

  expect(await answered(second, 2)).toEqual(["one jam", "one bread"]);
  expect(shop.served).toEqual(["jam", "bread"]);
});
