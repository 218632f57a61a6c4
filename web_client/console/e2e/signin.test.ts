/** Signing in and out, what an operator may do to others, and that nothing of it breaks the page's content security policy. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { connected, launch, type Opened, open } from "./chromium";
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

let opened: Opened;
let page: Page;

beforeEach(async () => {
  opened = await open(browser, stack.url);
  page = opened.page;
  await connected(page);
  return () => page.context().close();
});

/** As a person does. The page comes back as that person. */
async function signIn(on: Page, role: string, name: string): Promise<void> {
  await on.getByTestId("authid").click();
  await paste(on, await stack.token(role, name));
  await on.getByTestId("authid").getByText(name, { exact: true }).waitFor();
  await connected(on);
}

async function paste(on: Page, token: string): Promise<void> {
  const card = on.locator("#identity");
  await card.getByLabel("Token").fill(token);
  await card.getByRole("button", { name: "Sign in" }).click();
}

const cookies = async () => await page.context().cookies();

/** What any script of the page could get hold of. */
const readable = (on: Page): Promise<string> =>
  on.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }, location.href]));

describe("a person", () => {
  test("signs in, is somebody in every tab, and signs out", async () => {
    const token = await stack.token("user", "amira");
    await page.getByTestId("authid").click();
    await paste(page, token);
    await page.getByTestId("authid").getByText("amira", { exact: true }).waitFor();
    await connected(page);

    expect(await cookies()).toMatchObject([{ name: "hopsack", value: token, httpOnly: true, sameSite: "Strict" }]);
    expect(await readable(page)).not.toContain(token);

    // On the other door, too.
    const other = await page.evaluate(`import("/sdk.js").then(({ connect }) => {
      const fabric = connect({ url: "/ws" });
      return fabric.ready().then(({ authid, role }) => (fabric.close(), authid + " " + role));
    })`);
    expect(other).toBe("amira user");

    const second = await page.context().newPage();
    await second.goto(stack.url);
    await second.getByTestId("authid").getByText("amira", { exact: true }).waitFor();
    await page.getByTestId("authid").click();
    await page.getByTestId("whoami").getByText("this browser's cookie").waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByTestId("role").getByText("guest", { exact: true }).waitFor();

    expect(await cookies()).toEqual([]);
    expect(opened.complaints).toEqual([]);
  });

  test("is told at once that a token is not good, and stays who they were", async () => {
    const before = await page.getByTestId("authid").textContent();
    await page.getByTestId("authid").click();
    await paste(page, "nonsense");
    await page.getByTestId("sign-in-problem").getByText("The token is not one this node accepts.").waitFor();

    expect(await page.getByTestId("authid").textContent()).toBe(before);
    expect(await cookies()).toEqual([]);
  });

  test("whose sign-in is revoked is told so, and goes on as a guest", async () => {
    await signIn(page, "user", "ben");
    await stack.call("hopsack.access.revoke", { subject: "ben" });
    const closed = page.getByTestId("closed");
    await closed.getByText("Your sign-in was revoked").waitFor();
    await page.reload();
    await closed.getByText("Your sign-in was revoked").waitFor();
    await closed.getByRole("button", { name: "Go on as a guest" }).click();

    await page.getByTestId("role").getByText("guest", { exact: true }).waitFor();
    await connected(page);
  });
});

describe("an operator", () => {
  test("ends somebody's session, who is told", async () => {
    await signIn(page, "operator", "ada");
    const { page: other } = await open(browser, stack.url);
    await connected(other);
    const name = String(await other.getByTestId("authid").textContent());
    await page.getByRole("link", { name: "Connections" }).click();
    const end = page.getByTestId("sessions").getByRole("button", { name: `End the session of ${name}` });
    await end.click();
    await page.getByRole("button", { name: `Really? the session of ${name}` }).click();

    await other.getByTestId("closed").getByText("An operator ended this session", { exact: true }).waitFor();
    await end.waitFor({ state: "detached" });
    await other.getByTestId("closed").getByRole("button", { name: "Try again" }).click();
    await connected(other);
    await other.context().close();
  });

  test("asks who may do what, and sees where that is written", async () => {
    await signIn(page, "operator", "ada");
    await page.getByRole("link", { name: "Connections" }).click();
    const form = page.locator("#why");
    const ask = async (role: string): Promise<string> => {
      await form.getByLabel("Who", { exact: true }).fill("zoe");
      await form.getByLabel("Role").selectOption(role);
      await form.getByLabel("Wants to").selectOption("publish");
      await form.getByLabel("Topic or procedure").fill("host.metrics");
      await form.getByRole("button", { name: "Ask" }).click();
      return (await form.locator(".verdict").textContent()) ?? "";
    };

    expect(await ask("guest")).toMatch(/^Not allowed.*host\.yaml:\d+.*hopsack\.denied$/);
    expect(await ask("service")).toMatch(/^Allowed/);
  });
});

test("nothing breaks the content security policy, in any view, in either theme", async () => {
  await page.addInitScript(`
    globalThis.broken = [];
    addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
      globalThis.broken.push(violatedDirective + " " + blockedURI));
  `);
  await signIn(page, "operator", "ada");
  for (const theme of ["Dark", "Light"]) {
    await page.getByTitle(theme).click();
    for (const view of ["Connections", "Tools", "Dashboard"]) {
      await page.getByRole("link", { name: view, exact: true }).click();
      await page.getByRole("heading", { level: 2 }).first().waitFor();
      expect(await page.evaluate("globalThis.broken")).toEqual([]);
    }
  }
  const policy = (await page.request.get(stack.url)).headers()["content-security-policy"];

  expect(opened.complaints).toEqual([]);
  expect(policy).toContain("default-src 'self'");
  expect(policy).not.toContain("unsafe");

  // And it is looked at: a script that somebody smuggles in does not run, and is told.
  await page.evaluate(`
    document.body.append(Object.assign(document.createElement("script"), { text: "globalThis.smuggled = 1" }))
  `);

  expect(await page.evaluate("globalThis.smuggled")).toBeUndefined();
  await page.waitForFunction("globalThis.broken.includes('script-src-elem inline')");
});
