import preact from "@preact/preset-vite";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [preact()],
  resolve: { conditions: ["source", "module", "browser", "development|production"] },
  build: { target: "es2022", outDir: "../dist", emptyOutDir: false },
});
