/**
 * What a reader does with the pages of the documents, in Chromium:  node pages.mjs SCENARIO FOLDER HTTP
 *
 * Files are opened as a double click opens them. A scenario that needs something done outside the browser asks for it
 * by a line on stdout, `ask WHAT`, and goes on when a line comes back. It ends with exit code 0, or with an error.
 */
import { existsSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [scenario, folder, http] = process.argv.slice(2);
const require = createRequire(new URL("../../../web_client/package.json", import.meta.url));
const { chromium } = require("playwright-core");

const PLACES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].flatMap((name) =>
  (process.env.PATH ?? "").split(":").map((place) => `${place}/${name}`),
);
// No sandbox: CI is root. The rest keeps Chromium from looking for its maker's servers.
const ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"].concat(
  ["--disable-background-networking", "--disable-component-update", "--disable-sync"],
  ["--host-resolver-rules=MAP evil.example 127.0.0.1"],
);
const FOREIGN = "evil.example";
const SECONDS = 20_000;

const answers = createInterface(process.stdin)[Symbol.asyncIterator]();
const browser = await chromium.launch({ executablePath: PLACES.find((place) => existsSync(place)), args: ARGUMENTS });
const complaints = [];

/**
 * Opens a page of the documents, or one of the node. What it complains about in its console fails the scenario.
 *
 * `granted`: waits until the node has granted that, a "subscription" or a "registration".
 */
async function open(name, { dialog, granted } = {}) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(SECONDS);
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    const isIcon = message.location().url.endsWith("/favicon.ico");
    if (message.type() === "error" && !isIcon) complaints.push(message.text());
  });
  if (dialog !== undefined) page.on("dialog", (asked) => asked.accept(dialog));
  const grant = new Promise((resolve) => {
    const look = ({ payload }) => String(payload).includes(`"result":{"${granted}":`) && resolve();
    page.on("websocket", (socket) => socket.on("framereceived", look));
  });
  await page.goto(/^https?:/.test(name) ? name : pathToFileURL(`${folder}/${name}`).href);
  if (granted !== undefined) await grant;
  return page;
}

/** Waits until an element's text is, or matches, what is expected. */
async function reads(page, selector, expected) {
  const [source, flags] = expected instanceof RegExp ? [expected.source, expected.flags] : [null, expected];
  const matches = ([where, pattern, rest]) => {
    const text = document.querySelector(where)?.innerText ?? "";
    return pattern === null ? text === rest : new RegExp(pattern, rest).test(text);
  };
  await page.waitForFunction(matches, [selector, source, flags]).catch(async (error) => {
    const text = await page.locator("body").innerText();
    throw new Error(`${selector} should read ${expected}; the page reads ${JSON.stringify(text)}`, { cause: error });
  });
}

async function ask(what) {
  console.log(`ask ${what}`);
  await answers.next();
}

/** What the console prints for a snippet that is pasted into it, up to the first line that matches. */
async function paste(page, code, expected) {
  const printed = page.waitForEvent("console", (message) => expected.test(message.text()));
  await page.evaluate(`(async () => {${code}\n})()`);
  await printed;
}

const scenarios = {
  async readme() {
    await reads(await open("page.html"), "#cpu", /^\d+ %$/);
  },

  async counter() {
    const one = await open("docs/tutorial/counter.html");
    await reads(one, "#guests", "1");
    const two = await open("docs/tutorial/counter.html");
    await reads(one, "#guests", "2");
    await reads(two, "#guests", "2");
    await ask("restart");
    await reads(one, "#guests", "2");
    await reads(two, "#guests", "2");
    await two.close();
    await reads(one, "#guests", "1");
    complaints.length = 0; // of the sockets that the restart closed
  },

  async call() {
    const greeter = await open("docs/tutorial/greeter.html", { granted: "registration" });
    const caller = await open("docs/tutorial/caller.html");
    const greet = async (name, answer) => {
      await caller.locator("#who").fill(name);
      await caller.locator("button").click();
      await reads(caller, "#answer", answer);
    };
    await greet("Ada", "Hello, Ada!");
    await reads(greeter, "#greeted", "Ada");
    await greet("nobody", "demo.no_manners: I do not greet nobody.");
    await greet("", /^hopsack\.invalid: /);
    await reads(greeter, "#greeted", "Ada");
    await greeter.close();
    await greet("Ada", /^hopsack\.no_callee: /);
  },

  async listing() {
    const pages = [await open("docs/tutorial/listing.html"), await open("docs/tutorial/listing.html")];
    for (const page of pages) await reads(page, "#names", /README\.md/);
    const name = "<img onerror=alert(1) src=x>";
    writeFileSync(`${folder}/${name}`, "");
    for (const page of pages) await reads(page, "#names", /^<img onerror=alert\(1\) src=x>$/m);
  },

  async changes() {
    const page = await open("docs/tutorial/changes.html", { granted: "subscription" });
    writeFileSync(`${folder}/hello.txt`, "");
    await reads(page, "#changes", /^created hello\.txt$/m);
  },

  async served() {
    await reads(await open(`${http}/`), "#cpu", /^\d+ %$/);
  },

  async login() {
    const page = await open(`${http}/login.html`);
    await reads(page, "#who", /^guest-\w+, guest$/);
    await page.locator("#token").fill("nonsense");
    await page.getByText("Sign in").click();
    await reads(page, "#who", /^hopsack\.login_required: /);
    complaints.length = 0; // the refusal, which the page shows
    await page.locator("#token").fill(process.env.TOKEN);
    await page.getByText("Sign in").click();
    await reads(page, "#who", "ann, user");
    await page.getByText("Sign out").click();
    await reads(page, "#who", /^guest-\w+, guest$/);
  },

  async elsewhere() {
    const page = await open(`${process.env.ELSEWHERE}/page.html`);
    await reads(page, "#cpu", /^\d+ %$/);
    const call = (url) => fetch(url, { method: "POST" }).then(({ status }) => status, String);
    const answer = await page.evaluate(call, `${http}/call/watch.roots`);
    if (answer !== 200) throw new Error(`a page of this machine may not call: ${answer}`);

    // The same, of a site whose name has come to mean this machine; and the node, called by that name.
    const foreign = await open(`${process.env.ELSEWHERE.replace("127.0.0.1", FOREIGN)}/page.html`);
    const refused = await foreign.evaluate(call, `${http}/call/watch.roots`);
    if (refused !== "TypeError: Failed to fetch") throw new Error(`a page of another site may call: ${refused}`);
    const dial = (url) =>
      new Promise((resolve) => {
        const socket = new WebSocket(url);
        socket.onopen = () => resolve("open");
        socket.onerror = () => resolve("refused");
      });
    for (const door of ["raw", "echo"]) {
      const heard = await foreign.evaluate(dial, `${http.replace("http", "ws")}/${door}`);
      if (heard !== "refused") throw new Error(`a page of another site may connect to /${door}`);
    }
    const rebound = await foreign.context().newPage();
    const loaded = await rebound.goto(`${http.replace("127.0.0.1", FOREIGN)}/healthz`);
    if (loaded.status() !== 421) throw new Error(`the node answers to another's name: ${loaded.status()}`);
    complaints.length = 0; // the refusals
  },

  async me() {
    const token = process.env.TOKEN;
    await reads(await open("pages/me.html", { dialog: token }), "#state", "ann, user");
    await reads(await open("pages/me.html", { dialog: "" }), "#state", /^guest-\w+, guest$/);
    await reads(await open("pages/me.html", { dialog: "x" }), "#state", /^closed: hopsack\.login_required: /);
    complaints.length = 0; // the refusal, which the page shows
  },

  async console() {
    const page = await open(`${http}/`);
    for (const code of JSON.parse(process.env.SNIPPETS)) await paste(page, code, /^\d+(\.\d+)?$/);
  },
};

try {
  await scenarios[scenario]();
  if (complaints.length > 0) throw new Error(`the pages complained: ${complaints.join("; ")}`);
} finally {
  await browser.close();
  process.stdin.destroy();
}
