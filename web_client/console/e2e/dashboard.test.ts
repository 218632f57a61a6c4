/** The dashboard over a real node and the real services. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { chart, chartMoves, connected, launch, layoutShift, type Opened, open } from "./chromium";
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

let opened: Opened;
let page: Page;

beforeEach(async () => {
  opened = await open(browser, stack.url);
  page = opened.page;
  await connected(page);
  return () => page.context().close();
});

test("charts move by what the host service pushes", async () => {
  await chartMoves(page, "cpu", 0);
  const before = await chart(page, "cpu");
  await chartMoves(page, "cpu", before.newest);
  await chartMoves(page, "network", (await chart(page, "network")).newest);

  expect((await chart(page, "cpu")).points).toBeGreaterThan(before.points);
  expect(await page.getByTestId("cpu-total").textContent()).toMatch(/^\d+(\.\d)?%$/);
  expect(await page.getByTestId("freshness").textContent()).toBe("live");
  expect(await coloursOf(page, "memory")).toBeGreaterThan(2);
  expect(opened.complaints).toEqual([]);
});

test("a page that is opened begins with what was", async () => {
  await chartMoves(page, "cpu", 0);
  await chartMoves(page, "cpu", (await chart(page, "cpu")).newest);
  const { points } = await chart(page, "cpu");

  const { page: later } = await open(browser, stack.url);
  await chartMoves(later, "cpu", 0);

  expect((await chart(later, "cpu")).points).toBeGreaterThanOrEqual(points);
  await later.context().close();
});

test("the host is described", async () => {
  await page.locator(".host-facts", { hasText: "Python" }).waitFor();

  expect(await page.locator(".host-facts").textContent()).toMatch(/Linux .*core.* memory.*up /);
});

describe("the watched folder", () => {
  test("shows a file that is created, and forgets one that is deleted", async () => {
    const file = join(stack.watched, "made-by-a-test.txt");
    const row = page.getByTestId("tree").getByText("made-by-a-test.txt");

    await writeFile(file, "twelve bytes");
    await row.waitFor();

    expect(await page.getByTestId("tree").textContent()).toContain("12 B");
    expect(await page.getByTestId("changes").textContent()).toContain("made-by-a-test.txt");

    await rm(file);
    await row.waitFor({ state: "detached" });
  });

  test("shows hostile names as the text they are", async () => {
    const markup = "<img src=x onerror=alert(1)>.txt";
    const turned = "photo\u202Egpj.exe";

    await writeFile(join(stack.watched, markup), "");
    await writeFile(join(stack.watched, turned), "");
    await page.getByTestId("tree").getByText(markup).waitFor();
    await page.getByTestId("tree").getByText("U+202E").waitFor();

    expect(await page.locator("#watch img").count()).toBe(0);
    expect(opened.complaints).toEqual([]);
  });

  test("is listed for a page that comes later", async () => {
    await writeFile(join(stack.watched, "was-there-before.txt"), "");
    await page.getByTestId("tree").getByText("was-there-before.txt").waitFor();

    await page.reload();

    await page.getByTestId("tree").getByText("was-there-before.txt").waitFor();
  });
});

test("who is connected is listed and counted live", async () => {
  const visitor = await open(browser, stack.url);
  await connected(visitor.page);
  const name = String(await visitor.page.getByTestId("authid").textContent());
  const listed = page.getByTestId("members").getByText(name);

  await listed.waitFor();
  await countAgrees(page);
  await visitor.page.context().close();
  await listed.waitFor({ state: "detached" });
  await countAgrees(page);

  expect(await page.getByTestId("moves").textContent()).toContain(name);
});

test("several pages of one person are one at the console", async () => {
  await signIn(page, "user", "amira");
  const { page: second } = await open(browser, stack.url);
  await signIn(second, "user", "amira");
  const here = page.getByTestId("here");
  await second.getByTestId("here").getByText("amira").waitFor();
  await page.locator('[data-testid="members"] .member-name', { hasText: "amira" }).nth(1).waitFor();

  expect(await here.getByText("amira").count()).toBe(1);
  await second.context().close();
});

test("a line for everybody is shown until it is closed", async () => {
  const publishing = `publish-${Date.now()}`;
  await stack.publish("console.notice", { text: publishing, by: "ops" });
  await page.getByTestId("notice").getByText(publishing).waitFor();
  await page.getByTestId("notice").getByRole("button", { name: "Close" }).click();

  expect(await page.getByTestId("notice").count()).toBe(0);
});

test("connections are for operators, and a guest is told how to become one", async () => {
  await page.goto(`${stack.url}/#/connections`);
  await page.getByTestId("needs-operator").getByText("--role operator").waitFor();
  await page.getByTestId("needs-operator").getByRole("button", { name: "Sign in" }).click();
  await page.getByLabel("Token").fill(await stack.token("operator", "ada"));
  await page.locator("#identity").getByRole("button", { name: "Sign in" }).click();

  await page.getByTestId("sessions").getByText("host", { exact: true }).waitFor();
  await page.getByText("Everybody keeps up").waitFor();
});

test("a guest may read thresholds; a user may set them", async () => {
  await page.getByText("Thresholds").click();
  await page.locator(".threshold").first().waitFor();

  expect(await page.locator(".threshold input").first().isDisabled()).toBe(true);

  await signIn(page, "user", "amira");
  await setThreshold(page, "cpu", { raise: 97, clear: 90, held: 10 });
  await page.reload();

  await page.locator(".thresholds summary").getByText("CPU 97 %").waitFor();
});

test("an alert is raised, the person on duty is asked and takes it on, and it ends", async () => {
  await signIn(page, "user", "amira");
  await page.getByLabel("Your name on duty").fill("duty");
  await page.getByRole("button", { name: "I am on duty" }).click();
  await page.getByTestId("on-duty").waitFor();

  await setThreshold(page, "memory", { raise: 1, clear: 0.5, held: 0 });
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  await dialog.locator(".button-choice").first().click();

  const active = page.getByTestId("alerts-active");
  await active.getByText("took it on").waitFor();
  expect(await active.textContent()).toMatch(/Memory .* threshold 1 %/);

  await setThreshold(page, "memory", { raise: 99, clear: 98, held: 0 });
  await page.getByTestId("alerts-ended").getByText("Memory on").waitFor();
});

test("a topic can be read and a procedure called by hand", async () => {
  await page.goto(`${stack.url}/#/tools`);
  await page.getByRole("button", { name: "Subscribe" }).click();
  await page.getByTestId("events").getByText("host.metrics").first().waitFor();

  await page.getByRole("textbox", { name: "Procedure" }).fill("host.describe");
  await page.getByLabel("Input, as JSON").fill('{"hast": "loom"}');
  await page.getByRole("button", { name: "Call" }).click();
  await page.locator('[data-testid="outcome"][data-phase="refused"]').waitFor();

  expect(await page.getByTestId("outcome").textContent()).toContain("hopsack.invalid");

  await page.getByRole("textbox", { name: "Procedure" }).fill("presence.list");
  await page.getByLabel("Input, as JSON").fill("");
  await page.getByRole("button", { name: "Call" }).click();
  await page.locator('[data-testid="outcome"][data-phase="returned"]').waitFor();

  expect(await page.getByTestId("outcome").textContent()).toContain('"members"');
});

describe("the page", () => {
  test("asks nothing of anybody but its node", async () => {
    await chartMoves(page, "cpu", 0);

    expect([...opened.origins]).toEqual([stack.url]);
  });

  test.each([360, 390])("fits a width of %d pixels, in all views", async (width) => {
    await page.setViewportSize({ width, height: 800 });
    await chartMoves(page, "cpu", 0);

    expect(await overflow(page)).toBe(0);
    await page.getByRole("link", { name: "Connections" }).click();
    await page.getByTestId("needs-operator").waitFor();
    expect(await overflow(page)).toBe(0);
    expect(await overlaps(page)).toBe(false);
    await page.getByRole("link", { name: "Tools" }).click();
    await page.getByRole("textbox", { name: "Procedure" }).waitFor();
    expect(await overflow(page)).toBe(0);
  });

  test("does not jump when data arrives", async () => {
    await chartMoves(page, "cpu", 0);
    await page.getByTestId("members").getByText("this page").waitFor();

    await page.locator(".host-facts", { hasText: "Python" }).waitFor();
    await chartMoves(page, "cpu", (await chart(page, "cpu")).newest);

    expect(await layoutShift(page)).toBeLessThan(0.05);
  });

  test("remembers the theme, and draws charts in it", async () => {
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();

    await page.getByTitle("Dark").click();
    await page.reload();
    await connected(page);

    expect(await ground()).not.toBe(light);
    expect(await page.evaluate(() => document.documentElement.dataset.theme)).toBe("dark");
  });
});

/** Colours on a chart's canvas: an empty one has one, its axes and lines are more. */
async function coloursOf(on: Page, metric: string): Promise<number> {
  return await on.locator(`[data-metric="${metric}"] canvas`).evaluate((element) => {
    const canvas = element as HTMLCanvasElement;
    const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  });
}

/** Resolves once the count in the header is that of the members in the list: they come by different topics. */
async function countAgrees(on: Page): Promise<void> {
  await on.waitForFunction(
    () =>
      Number(document.querySelector('[data-testid="headcount"]')?.textContent) ===
      document.querySelectorAll('[data-testid="members"] li').length,
  );
}

/** Whether what stands at the right of the header lies over its tabs. */
async function overlaps(on: Page): Promise<boolean> {
  return await on.evaluate(() => {
    const right = document.querySelector(".tabs a:last-child")?.getBoundingClientRect().right ?? 0;
    return right > (document.querySelector(".top-who > :first-child")?.getBoundingClientRect().left ?? 0);
  });
}

async function overflow(on: Page): Promise<number> {
  return await on.evaluate(() =>
    Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth),
  );
}

/** As a person does, through the header; the page comes back as that person. */
async function signIn(on: Page, role: string, name: string): Promise<void> {
  await on.getByTestId("authid").click();
  await on.getByLabel("Token").fill(await stack.token(role, name));
  await on.getByRole("button", { name: "Sign in" }).click();
  await on.getByTestId("role").getByText(role, { exact: true }).waitFor();
}

interface Limits {
  readonly raise: number;
  readonly clear: number;
  readonly held: number;
}

async function setThreshold(on: Page, metric: string, { raise, clear, held }: Limits): Promise<void> {
  const form = on.locator(`.threshold[data-metric="${metric}"]`);
  if (!(await form.isVisible())) await on.locator(".thresholds summary").click();
  await form.getByLabel("Raise at").fill(String(raise));
  await form.getByLabel("Clear at").fill(String(clear));
  await form.getByLabel("Held for").fill(String(held));
  await form.getByRole("button", { name: "Save" }).click();
  await on.locator(".thresholds summary").getByText(`${raise} %`).waitFor();
}
