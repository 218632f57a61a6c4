// Writes package-lock.json so that `npm ci` works everywhere and the file names no download address.
// Run it (`npm run lock`) instead of committing what `npm install` wrote after a change of dependencies.
//
// Two repairs of npm's own output:
//  1. "resolved" addresses are dropped: each machine asks the registry it is configured for; integrity hashes stay.
//  2. An optional package for another platform that the registry of this machine does not serve is left out by npm,
//     and `npm ci` then calls the lock out of step. It is listed here, without a hash, with its platform read from its name.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const FILE = "package-lock.json";
const OS = ["android", "darwin", "freebsd", "linux", "win32"];
const CPU = ["arm64", "arm", "x64"];

execFileSync("npm", ["install", "--package-lock-only", "--ignore-scripts"], { stdio: "inherit" });
const lock = JSON.parse(readFileSync(FILE, "utf8"));
const packages = lock.packages;
for (const entry of Object.values(packages)) {
  if (/^\w+:\/\//.test(entry.resolved ?? "")) delete entry.resolved;
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    packages[`node_modules/${name}`] ??= { version, ...platform(name) };
  }
}
lock.packages = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(FILE, `${JSON.stringify(lock, null, 2)}\n`);

function platform(name) {
  const words = name.split(/[/-]/);
  const os = OS.filter((known) => words.includes(known));
  const cpu = CPU.filter((known) => words.includes(known));
  if (os.length !== 1 || cpu.length !== 1) throw new Error(`cannot read the platform of ${name} from its name`);
  const libc = words.includes("musl") ? { libc: ["musl"] } : {};
  return { cpu, dev: true, ...libc, optional: true, os };
}
