import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      {
        root: "sdk",
        resolve: { conditions: ["source"] },
        test: { name: "sdk", include: ["tests/**/*.test.ts"], environment: "node" },
      },
      {
        extends: "console/vite.config.ts",
        root: "console",
        test: {
          name: "console",
          include: ["tests/**/*.test.{ts,tsx}"],
          environment: "happy-dom",
        },
      },
    ],
    passWithNoTests: true,
  },
});
