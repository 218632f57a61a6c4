import { defineConfig } from "vite";

// The browser client as ONE ES module: the node serves it at /sdk.js, so a page needs no build of its own.
// Not Vite's library mode: that leaves ES modules half minified.
export default defineConfig({
  publicDir: false,
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: false,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: "sdk/src/index.ts",
      preserveEntrySignatures: "strict",
      output: { entryFileNames: "sdk.js", format: "es" },
    },
  },
});
