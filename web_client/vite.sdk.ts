import { defineConfig } from "vite";

// The browser client as ONE ES module: the node serves it at /sdk.js, so a page needs no build of its own.
export default defineConfig({
  publicDir: false,
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: false,
    lib: { entry: "sdk/src/index.ts", formats: ["es"], fileName: () => "sdk.js" },
    minify: true,
  },
});
