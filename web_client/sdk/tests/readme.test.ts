/** What the README shows is tried: its page runs, its examples compile against the repository's contracts. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Stage, stage } from "./stage";

const SDK = new URL("../", import.meta.url).pathname;
const CONTRACTS = join(SDK, "../console/src/contracts");
const README = readFileSync(join(SDK, "README.md"), "utf8");

const blocks = (language: string): string[] =>
  [...README.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(([, code]) => code ?? "");

test("the page of ten lines shows what it is sent", () => {
  const [page = ""] = blocks("html");
  const script = /import \{ connect \} from "\/sdk.js";(.*)<\/script>/s.exec(page)?.[1] ?? "";
  const cpu = { textContent: "…" };
  const theatre: { on?: Stage } = {};
  const connect = (): Stage["fabric"] => {
    theatre.on = stage();
    return theatre.on.fabric;
  };

  new Function("connect", "cpu", script)(connect, cpu);
  const { wire } = theatre.on as Stage;
  wire.joins();
  wire.says({ id: wire.hears().id, result: { subscription: 1 } });
  wire.says({ method: "event", params: { topic: "host.metrics", data: { cpu: { total: 41.7 } } } });

  expect(page.trim().split("\n").length).toBeLessThanOrEqual(11);
  expect(cpu.textContent).toBe("42 %");
});

test("the examples compile", { timeout: 30_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "hopsack-readme-"));
  const imports: string[] = [];
  const bodies = blocks("ts").map((code) =>
    code.replace(/^import .*$/gm, (line) => {
      imports.push(line.replace("./contracts", CONTRACTS));
      return "";
    }),
  );
  const code = `${imports.join("\n")}\nasync function readme() {\n${bodies.join("\n")}\n}\n`;
  const paths = {
    "@hopsack/client": [join(SDK, "src/index.ts")],
    ws: [join(SDK, "../node_modules/@types/ws/index.d.ts")],
  };
  const typeRoots = [join(SDK, "../node_modules/@types")];
  try {
    writeFileSync(join(folder, "readme.ts"), code);
    const compilerOptions = { paths, typeRoots, types: ["node"], noUnusedLocals: false };
    const config = { extends: join(SDK, "../tsconfig.base.json"), compilerOptions, files: ["readme.ts"] };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    const tsc = join(SDK, "../node_modules/typescript/bin/tsc");

    expect(compile(tsc, folder)).toBe("");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

function compile(tsc: string, folder: string): string {
  try {
    return execFileSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" });
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}
