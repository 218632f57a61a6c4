import { defineConfig } from "vitest/config";

// Started by tests/browser/test_browser.py, one file at a time: every file has a fabric and a browser of its own.
export default defineConfig({
  ssr: { resolve: { conditions: ["source", "module", "node", "development|production"] } },
  test: {
    name: "browser",
    root: import.meta.dirname,
    include: ["*.test.ts"],
    environment: "node",
    testTimeout: 60_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
