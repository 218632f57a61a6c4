/** Pages that serve: two that call each other, and one whose person answers a service. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connected, launch, open } from "./chromium";
import { Stack } from "./stack";

let stack: Stack;
let browser: Browser;

beforeAll(async () => {
  [stack, browser] = await Promise.all([Stack.start(), launch()]);
});

afterAll(async () => {
  await browser?.close();
  await stack?.end();
});

/** A page of ten lines: the client as the node serves it, and a global to reach it by. */
async function client(token = ""): Promise<Page> {
  const { page } = await open(browser, stack.url);
  // As text: the test runner would rewrite the import of a function.
  await page.evaluate(`import("/sdk.js").then(({ connect }) => {
    globalThis.fabric = connect({ token: ${JSON.stringify(token)} });
    return globalThis.fabric.ready();
  })`);
  return page;
}

interface Fabric {
  register(procedure: string, serve: (input: { name: string }) => string): { readonly ready: Promise<void> };
  call(procedure: string, input: unknown): Promise<unknown>;
}

declare const fabric: Fabric;

async function serve(on: Page, name: string): Promise<void> {
  await on.evaluate(
    (name) => fabric.register(`demo.page.${name}.greet`, (input) => `${name} greets ${input.name}`).ready,
    name,
  );
}

async function greet(on: Page, whom: string, as: string): Promise<unknown> {
  return await on.evaluate(([whom, as]) => fabric.call(`demo.page.${whom}.greet`, { name: as }), [whom, as] as const);
}

test("two pages call each other", async () => {
  const [ada, ben] = await Promise.all([client(), client()]);

  await Promise.all([serve(ada, "ada"), serve(ben, "ben")]);

  await expect(greet(ada, "ben", "Ada")).resolves.toBe("ben greets Ada");
  await expect(greet(ben, "ada", "Ben")).resolves.toBe("ada greets Ben");
});

/** Asks the person on duty; resolves with the answer, or with the code of the "no". */
function ask(service: Page, name: string, text: string): Promise<unknown> {
  return service.evaluate(
    ([name, text]) =>
      fabric
        .call(`operator.${name}.ask`, { id: text, text, choices: ["I take it on", "Ignore it"], timeout_s: 60 })
        .catch((error: { code: string }) => error.code),
    [name, text] as const,
  );
}

test("a person on duty answers a service's question, or declines, by keyboard", async () => {
  const { page, complaints } = await open(browser, stack.url);
  await connected(page);
  await page.getByLabel("Your name on duty").fill("ops");
  await page.getByRole("button", { name: "I am on duty" }).click();
  await page.getByTestId("on-duty").waitFor();
  const service = await client(await stack.token("service", "asker"));
  const dialog = page.getByRole("dialog");

  const answered = ask(service, "ops", "Is <b>this</b> yours?");
  await dialog.waitFor();

  expect(await dialog.getByRole("heading").textContent()).toBe("Is <b>this</b> yours?");
  expect(await page.evaluate(() => document.activeElement?.tagName)).toBe("H2");
  expect(await page.title()).toContain("Is <b>this</b> yours?");

  const busy = await ask(service, "ops", "And this?");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");

  expect(busy).toBe("operator.busy");
  await expect(answered).resolves.toEqual({ choice: "I take it on", by: "ops" });

  await dialog.waitFor({ state: "hidden" });
  const declined = ask(service, "ops", "Once more?");
  await dialog.waitFor();
  await page.keyboard.press("Escape");

  await expect(declined).resolves.toBe("operator.declined");
  await dialog.waitFor({ state: "hidden" });
  expect(await page.getByTestId("past-questions").locator("li").count()).toBe(2);
  expect(complaints).toEqual([]);
});

test("who went off duty cannot be asked", async () => {
  const { page } = await open(browser, stack.url);
  await connected(page);
  await page.getByLabel("Your name on duty").fill("night");
  await page.getByRole("button", { name: "I am on duty" }).click();
  await page.getByTestId("on-duty").waitFor();
  await page.getByRole("button", { name: "Go off duty" }).click();
  await page.getByLabel("Your name on duty").waitFor();
  const service = await client(await stack.token("service", "asker"));

  // The page's "unregister" and our call take different connections: ask until the node has taken the first.
  await service.evaluate(async () => {
    const question = { id: "q", text: "Anybody?", choices: ["yes"], timeout_s: 1 };
    for (;;) {
      const code = await fabric.call("operator.night.ask", question).catch((error: { code: string }) => error.code);
      if (code === "hopsack.no_callee") return;
    }
  });
});
