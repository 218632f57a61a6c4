/** The node is killed and comes back at the same address: nobody reloads anything. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { chart, chartMoves, connected, launch, open } from "./chromium";
import { Stack } from "./stack";

let stack: Stack;
let browser: Browser;

beforeAll(async () => {
  [stack, browser] = await Promise.all([Stack.start("host", "watch", "alerts"), launch()]);
});

afterAll(async () => {
  await browser?.close();
  await stack?.end();
});

test.each(["SIGKILL", "SIGTERM"] as const)("a page survives a node that ends by %s", async (signal) => {
  const { page } = await open(browser, stack.url);
  await connected(page);
  await chartMoves(page, "cpu", 0);
  await stack.call("alerts.set", { metric: "memory", raise_at: 0.2, clear_at: 0.1, for_s: 0 });
  await page.getByTestId("alerts-active").getByText("Memory").first().waitFor();
  await page.evaluate(() => Object.assign(globalThis, { notReloaded: true }));
  const before = await chart(page, "cpu");

  await stack.endNode(signal);
  await page.locator('[data-testid="connection"]:not([data-phase="open"])').waitFor();
  await page.locator("#host").getByText("last known").waitFor();
  // What happens meanwhile is in the snapshot that the page asks for when it is back.
  await writeFile(join(stack.watched, `meanwhile-${signal}.txt`), "");
  await stack.startNode();

  await connected(page);
  await chartMoves(page, "cpu", before.newest);
  await page.getByTestId("tree").getByText(`meanwhile-${signal}.txt`).waitFor();
  await page
    .getByTestId("course")
    .getByText(/^resumed, \d+ events? caught up$/)
    .waitFor();
  expect((await chart(page, "cpu")).points).toBeGreaterThan(before.points);
  expect(await page.locator("#host").getByText("last known").count()).toBe(0);
  expect(await page.evaluate(() => "notReloaded" in globalThis)).toBe(true);

  // What the page shows, what a new page is given and what the service says are the same, before and after the end.
  const { page: other } = await open(browser, stack.url);
  await other.getByTestId("alerts-active").getByText("Memory").first().waitFor();
  const { active } = (await stack.call("alerts.list", null)) as { active: readonly { readonly message: string }[] };
  for (const shown of [page, other]) {
    const messages = await shown.locator(".alert-message").allTextContents();
    expect(messages.filter((text) => text.includes("memory"))).toEqual(
      active.map(({ message }) => message).filter((text) => text.includes("memory")),
    );
  }
  await stack.call("alerts.set", { metric: "memory", raise_at: 99.9, clear_at: 99.8, for_s: 0 });
  for (const shown of [page, other]) {
    await shown.locator(".alert", { hasText: "Memory" }).waitFor({ state: "detached" });
    await shown.getByTestId("alerts-ended").getByText("Memory on").first().waitFor();
    await shown.context().close();
  }
});
