/** A real node and real services on free ports, started and ended by these tests. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const ROOT = resolve(import.meta.dirname, "../../..");
const PYTHON = process.env.HOPSACK_TEST_PYTHON ?? join(ROOT, ".venv/bin/python");

/** Of what a program says to stderr, kept for the case that it fails: characters. */
const SAID_KEPT = 20_000;

type Facts = Readonly<Record<string, unknown>>;

export interface Program {
  /** Its ready line. */
  readonly facts: Facts;
  /** Ends it and waits for its end. */
  end(signal?: NodeJS.Signals): Promise<void>;
}

/** The environment of a program: ours without any HOPSACK_* of the person who runs the tests. */
function environ(more: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("HOPSACK_"));
  return { ...Object.fromEntries(kept), PYTHONUNBUFFERED: "1", ...more };
}

/** Starts a verb of the CLI and resolves with its first line, which is JSON. Rejects with what it said if it ends before. */
async function start(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Program> {
  const child = spawn(PYTHON, ["-P", "-m", "hopsack.cli", ...args], {
    cwd: ROOT,
    env: environ(env),
    stdio: ["pipe", "pipe", "pipe"],
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-SAID_KEPT);
  });
  const ended = once(child, "exit");
  for await (const line of createInterface(child.stdout)) {
    child.stdout.resume();
    return { facts: JSON.parse(line) as Facts, end: (signal = "SIGTERM") => end(child, ended, signal) };
  }
  await ended;
  throw new Error(`hopsack ${args.join(" ")} ended with ${child.exitCode}:\n${said}`);
}

async function end(child: ChildProcess, ended: Promise<unknown>, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill(signal);
  await ended;
}

export class Stack {
  readonly #programs: Program[] = [];
  #node: Program | undefined;

  private constructor(
    readonly folder: string,
    /** Folder that the watch service observes, under the name `data`. */
    readonly watched: string,
  ) {}

  static async start(...services: readonly string[]): Promise<Stack> {
    const folder = await mkdtemp(join(tmpdir(), "hopsack-browser-"));
    const stack = new Stack(folder, join(folder, "watched"));
    await mkdir(stack.watched);
    try {
      await stack.startNode();
      // All of them, also when one fails: what was started must be known to be ended.
      const started = await Promise.allSettled(services.map((service) => stack.startService(service)));
      for (const one of started) if (one.status === "rejected") throw one.reason;
    } catch (error) {
      await stack.end();
      throw error;
    }
    return stack;
  }

  /** Of the node and, below it, of the services: nothing outlives the test. */
  get #data(): string {
    return join(this.folder, "node");
  }

  get url(): string {
    return String(this.#node?.facts.http);
  }

  /** On free ports at first, on the same ports again afterwards. */
  async startNode(): Promise<void> {
    const port = (name: string) => (this.#node === undefined ? "0" : new URL(String(this.#node.facts[name])).port);
    const ports = ["--port", port("http"), "--rawsocket-port", port("rawsocket")];
    this.#node = await start(["node", "--json", "--data", this.#data, ...ports], {});
  }

  async endNode(signal: NodeJS.Signals): Promise<void> {
    await this.#node?.end(signal);
  }

  async startService(name: string): Promise<void> {
    const env = {
      HOPSACK_URL: String(this.#node?.facts.rawsocket),
      HOPSACK_DATA: this.#data,
      HOPSACK_TOKEN: await this.token("service", name),
      WATCH_ROOTS: `data=${this.watched}`,
    };
    this.#programs.push(await start(["run", join("services", name)], env));
  }

  /** A token of this node, of somebody in a role. */
  async token(role: string, sub: string): Promise<string> {
    const made = await start(["token", "--json", "--role", role, "--sub", sub, "--data", this.#data], {});
    await made.end();
    return String(made.facts.token);
  }

  /** Publishes an event as an operator. */
  async publish(topic: string, data: unknown): Promise<void> {
    const headers = {
      Authorization: `Bearer ${await this.token("operator", "ops")}`,
      "Content-Type": "application/json",
    };
    const answer = await fetch(`${this.url}/publish/${topic}`, { method: "POST", headers, body: JSON.stringify(data) });
    if (!answer.ok) throw new Error(await answer.text());
  }

  /** Calls a procedure as an operator, on the command line; a service that is on its way back is waited for. */
  async call(procedure: string, input: unknown): Promise<Facts> {
    const words = ["call", "--json", procedure, JSON.stringify(input), "--wait", "20", "--timeout", "30"];
    const made = await start([...words, "--url", String(this.#node?.facts.rawsocket), "--data", this.#data], {});
    await made.end();
    return made.facts;
  }

  async end(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.end()));
    await this.#node?.end();
    await rm(this.folder, { recursive: true, force: true });
  }
}
