import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      {
        resolve: { conditions: ["source"] },
        test: { name: "sdk", root: "sdk", include: ["tests/**/*.test.ts"], environment: "node" },
      },
      {
        extends: "console/vite.config.ts",
        test: {
          name: "console",
          root: "console",
          include: ["tests/**/*.test.{ts,tsx}"],
          environment: "happy-dom",
        },
      },
    ],
    passWithNoTests: true,
  },
});
