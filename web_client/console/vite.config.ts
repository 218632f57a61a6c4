import preact from "@preact/preset-vite";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [preact()],
  resolve: { conditions: ["source", "module", "browser", "development|production"] },
  build: {
    target: "es2022",
    // The first releases with light-dark(), @property and popovers; rewriting those for older ones loses the charts' colours.
    cssTarget: ["chrome123", "firefox128", "safari17.5"],
    // A data: address would break the page's content security policy, which allows its own origin only.
    assetsInlineLimit: 0,
    outDir: "../dist",
    emptyOutDir: false,
  },
});
