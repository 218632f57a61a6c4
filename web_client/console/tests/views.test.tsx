/** Views where what they must not do matters more than how they look. The whole page is tested in Chromium (../e2e). */
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createConsole } from "../src/console";
import { ConnectedPanel } from "../src/views/ConnectedPanel";
import { FileName } from "../src/views/FileName";
import { OperatorPanel } from "../src/views/OperatorPanel";
import { WatchPanel } from "../src/views/WatchPanel";
import { FakeLink } from "./fakeLink";
import { FakePage, settled } from "./fakePage";
import { entry, member } from "./samples";

let root: HTMLElement;

beforeEach(() => {
  root = document.body.appendChild(document.createElement("div"));
});

afterEach(() => {
  render(null, root);
  root.remove();
});

function setting() {
  const link = new FakeLink();
  const page = new FakePage();
  const nothing = { get: () => "", set: () => {} };
  return { link, page, model: createConsole(link, page, { name: nothing, duty: nothing }) };
}

const HOSTILE = '<img src=x onerror="alert(1)">';

describe("text from elsewhere stays text", () => {
  test("a file's name", () => {
    act(() => render(<FileName name={`${HOSTILE}\u202E`} />, root));

    expect(root.querySelector("img")).toBeNull();
    expect(root.textContent).toBe(`${HOSTILE}U+202E`);
  });

  test("a folder's contents and a session's name", async () => {
    const { link, model } = setting();
    link.answers.set("watch.roots", () => ["data"]);
    link.answers.set("watch.list", () => ({ root: "data", at: 1, truncated: false, entries: [entry(HOSTILE)] }));
    link.answers.set("presence.list", () => ({
      count: 1,
      roles: { guest: 1 },
      members: [member(1, "guest", HOSTILE)],
    }));
    link.open();
    await settled();

    act(() =>
      render(
        <>
          <WatchPanel model={model} />
          <ConnectedPanel model={model} />
        </>,
        root,
      ),
    );

    expect(root.querySelector("img")).toBeNull();
    expect(root.textContent?.split(HOSTILE).length).toBe(3);
  });
});

describe("the watched folder's panel", () => {
  test("waits, then says that the service is missing, then shows the folder", async () => {
    const { link, page, model } = setting();
    act(() => render(<WatchPanel model={model} />, root));

    expect(root.querySelector(".skeleton")).not.toBeNull();

    link.open();
    await act(settled);

    expect(root.textContent).toContain("The watch service is not running");

    link.answers.set("watch.roots", () => ["data"]);
    link.answers.set("watch.list", () => ({ root: "data", at: 1, truncated: true, entries: [entry("a.txt")] }));
    await act(() => page.pass(1));

    expect(root.textContent).toContain("a.txt");
    expect(root.textContent).toContain("1 entry, cut short");
  });

  test("keeps what it knows when the connection is lost, and says that it is old", async () => {
    const { link, model } = setting();
    link.answers.set("watch.roots", () => ["data"]);
    link.answers.set("watch.list", () => ({ root: "data", at: 1, truncated: false, entries: [entry("a.txt")] }));
    act(() => render(<WatchPanel model={model} />, root));
    link.open();
    await act(settled);

    act(() => link.lose(2_000));

    expect(root.textContent).toContain("last known");
    expect(root.textContent).toContain("a.txt");
  });
});

test("nobody is on duty without saying so", () => {
  const { link, model } = setting();
  link.open();

  act(() => render(<OperatorPanel model={model} />, root));

  expect(root.textContent).toContain("off duty");
  expect(link.served.size).toBe(0);
});
