/** Debian's Chromium, driven by playwright-core. */
import { existsSync } from "node:fs";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

const PLACES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].flatMap((name) =>
  (process.env.PATH ?? "").split(":").map((folder) => `${folder}/${name}`),
);

// No sandbox: CI is root. The rest keeps Chromium from looking for its maker's servers.
const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export async function launch(): Promise<Browser> {
  const executablePath = PLACES.find((place) => existsSync(place));
  if (executablePath === undefined) throw new Error("Chromium is not installed: apt install chromium");
  return await chromium.launch({ executablePath, args: ARGUMENTS });
}

/** What a page complained about: errors of scripts and of the content security policy, and scripts' dialogs. */
export interface Opened {
  readonly page: Page;
  readonly complaints: readonly string[];
  /** Origins that it asked anything of. */
  readonly origins: ReadonlySet<string>;
}

export async function open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Opened> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints: string[] = [];
  const origins = new Set<string>();
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => origins.add(new URL(request.url()).origin));
  await page.addInitScript(WATCH_SHIFTS);
  await page.goto(url);
  return { page, complaints, origins };
}

/** Adds up what moves without anybody asking for it (Layout Instability API). As text: it runs in the page. */
const WATCH_SHIFTS = `
  globalThis.shifted = 0;
  globalThis.shifts = new PerformanceObserver((list) => {
    for (const { value, hadRecentInput } of list.getEntries()) if (!hadRecentInput) globalThis.shifted += value;
  });
  globalThis.shifts.observe({ type: "layout-shift", buffered: true });
`;

/** The sum so far: 0 where nothing moved, 1 where everything on the screen moved by its height. */
export async function layoutShift(page: Page): Promise<number> {
  return Number(await page.evaluate(`shifted + shifts.takeRecords().reduce((sum, { value }) => sum + value, 0)`));
}

/** Resolves once the page says that its connection is open. */
export async function connected(page: Page): Promise<void> {
  await page.locator('[data-testid="connection"][data-phase="open"]').waitFor();
}

/** Of a chart: how many points it has, and the time of the newest. */
export async function chart(page: Page, metric: string): Promise<{ points: number; newest: number }> {
  const { points, newest } = await page
    .locator(`[data-metric="${metric}"] .chart`)
    .evaluate((element) => ({ ...(element as HTMLElement).dataset }));
  return { points: Number(points ?? 0), newest: Number(newest ?? 0) };
}

/** Resolves once a chart shows something newer than `than`. */
export async function chartMoves(page: Page, metric: string, than: number): Promise<void> {
  await page.waitForFunction(
    ([name, before]) =>
      Number(document.querySelector<HTMLElement>(`[data-metric="${name}"] .chart`)?.dataset.newest ?? 0) >
      Number(before),
    [metric, than] as const,
  );
}
