/** Signing in and out, who one is, the end of a session, and asking who may do what. */
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createConsole } from "../src/console";
import { Refusal } from "../src/link";
import { ClosedView } from "../src/views/ClosedView";
import { ConnectionsView } from "../src/views/ConnectionsView";
import { IdentityButton } from "../src/views/Identity";
import { RefusalNote } from "../src/views/Panel";
import { SignInForm } from "../src/views/SignIn";
import { questionOf } from "../src/views/WhyPanel";
import { FakeLink } from "./fakeLink";
import { FakePage } from "./fakePage";
import { member } from "./samples";

let root: HTMLElement;
let link: FakeLink;
let page: FakePage;

beforeEach(() => {
  root = document.body.appendChild(document.createElement("div"));
  link = new FakeLink();
  page = new FakePage();
});

afterEach(() => {
  render(null, root);
  root.remove();
});

const show = (what: preact.ComponentChild) => act(() => render(what, root));
const settled = async () => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
};
const one = <E extends Element = HTMLElement>(selector: string): E => {
  const found = root.querySelector<E>(selector);
  if (found === null) throw new Error(`there is no ${selector} in ${root.innerHTML}`);
  return found;
};

function fill(selector: string, value: string): void {
  const field = one<HTMLInputElement>(selector);
  field.value = value;
  act(() => void field.dispatchEvent(new Event("input", { bubbles: true })));
}

async function submit(selector = "form"): Promise<void> {
  await act(async () => {
    one(selector).dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
    await settled();
  });
}

function button(words: string): HTMLButtonElement {
  const found = [...root.querySelectorAll("button")].find(({ textContent }) => textContent?.startsWith(words));
  if (found === undefined) throw new Error(`there is no button "${words}"`);
  return found;
}

async function click(words: string): Promise<void> {
  await act(async () => {
    button(words).click();
    await settled();
  });
}

describe("signing in", () => {
  test("hands the token over, without what was pasted around it, and forgets it", async () => {
    show(<SignInForm link={link} />);

    expect(button("Sign in").disabled).toBe(true);
    fill("input", "  t-1\n");
    await submit();

    expect(link.token).toBe("t-1");
    expect(one<HTMLInputElement>("input").value).toBe("");
  });

  test("a refusal is told beside the field, in the node's words, until somebody types", async () => {
    const facts = { advice: "get a new one", retry: "after_login" } as const;
    link.loginRefusal = new Refusal("the token has expired", "hopsack.expired", facts);
    show(<SignInForm link={link} />);
    fill("input", "old");
    await submit();
    const said = one('[role="alert"]').textContent;
    fill("input", "old2");

    expect(said).toBe("The token has expired. Get a new one.");
    expect(root.querySelector('[role="alert"]')).toBeNull();
    expect(one<HTMLInputElement>("input").value).toBe("old2");
  });
});

describe("who one is", () => {
  test("a guest is asked to sign in", () => {
    link.open();
    show(<IdentityButton link={link} page={page} />);

    expect(one('[data-testid="whoami"]').textContent).toBe("Nameguest-7f3aRoleguestSession4711");
    expect(button("Sign in")).toBeDefined();
  });

  test("somebody sees groups, tenant and until when, and signs out", async () => {
    link.token = "t-1";
    link.open({ authid: "ann", role: "user", groups: ["press", "web"], tenant: "acme", expires: page.now() + 7_200 });
    show(<IdentityButton link={link} page={page} />);
    const facts = one('[data-testid="whoami"]').textContent;
    await click("Sign out");

    expect(facts).toContain("Groupspress, webTenantacme");
    expect(facts).toContain("Until");
    expect(root.querySelector('[data-testid="ending"]')).toBeNull();
    expect(link.token).toBeUndefined();
  });

  test("the last minutes are counted down in the header", () => {
    link.open({ authid: "ann", role: "user", expires: page.now() + 61 });
    show(<IdentityButton link={link} page={page} />);

    expect(one('[data-testid="ending"]').textContent).toBe("1:01");
  });
});

test("a session that ended says why, and offers to sign in or to go on as a guest", async () => {
  link.token = "t-1";
  show(<ClosedView link={link} reason="the token has expired" code="hopsack.expired" />);

  expect(one('[role="alert"]').textContent).toBe("Your sign-in has expiredThe token has expired.");
  fill("input", "t-2");
  await submit();
  expect(link.token).toBe("t-2");
  await click("Go on as a guest");
  expect(link.token).toBeUndefined();
});

test("a refusal names its rule, where the node tells it", () => {
  const facts = { where: "chat.room.hall", data: { rule: "schemas/chat.yaml:12 publish: [user, service]" } };
  show(<RefusalNote why={new Refusal("guest may not publish here", "hopsack.denied", facts)} />);

  expect(root.textContent).toContain("Ruleschemas/chat.yaml:12 publish: [user, service]");
});

describe("an operator", () => {
  const nothing = { get: () => "", set: () => {} };

  async function looks(): Promise<void> {
    const list = [1, 2].map((id) => ({ ...member(id), since: 1, peer: null, agent: null }));
    link.answers.set("hopsack.sessions.list", () => list);
    const model = createConsole(link, page, { name: nothing, duty: nothing });
    link.open({ authid: "ada", role: "operator", session: 2 });
    show(<ConnectionsView model={model} />);
    await act(settled);
  }

  const ended = () => link.calls.filter(([procedure]) => procedure === "hopsack.sessions.end");

  test("ends a session, when asked once more; the page's own cannot be ended", async () => {
    link.answers.set("hopsack.sessions.end", () => ({ ended: [1] }));
    await looks();
    await click("End");

    expect(ended()).toEqual([]);
    await click("Really?");

    expect(ended()).toEqual([["hopsack.sessions.end", { session: 1, reason: "An operator ended this session." }]]);
    expect([...root.querySelectorAll(".cell-end")].map(({ textContent }) => textContent)).toContain("this page");
  });

  test("is told when that is refused", async () => {
    link.answers.set("hopsack.sessions.end", () => {
      throw new Refusal("operator may not do that", "hopsack.denied");
    });
    await looks();
    await click("End");
    await click("Really?");

    expect(one(".refusal").textContent).toContain("operator may not do that");
  });

  test("asks who may do what, and sees the rule", async () => {
    link.answers.set("hopsack.access.why", () => ({
      ...{ allowed: false, who: { subject: "ann", role: "user", groups: ["press"], tenant: null } },
      ...{ rule: null, contract: "inbox.{name}", place: "schemas/inbox.yaml:7", code: "hopsack.denied" },
      why: "inbox.bob is for user:{name}, and ann is not bob",
    }));
    await looks();
    fill("#why input", "ann");
    const [, uri] = root.querySelectorAll<HTMLInputElement>("#why input");
    if (uri) uri.value = "inbox.bob";
    act(() => void uri?.dispatchEvent(new Event("input", { bubbles: true })));
    await submit("#why form");
    const answer = one('[data-testid="why-answer"]').textContent;

    expect(link.calls.at(-1)).toEqual([
      "hopsack.access.why",
      { subject: "ann", action: "subscribe", uri: "inbox.bob" },
    ]);
    expect(answer).toContain("Not allowed");
    expect(answer).toContain("inbox.bob is for user:{name}, and ann is not bob.");
    expect(answer).toContain("ann, user · group press");
    expect(answer).toContain("schemas/inbox.yaml:7");
  });
});

test("a question says only what was chosen", () => {
  const form = { subject: " ann ", role: "", action: "call", uri: "a.b", match: "exact" } as const;

  expect(questionOf(form)).toEqual({ subject: "ann", action: "call", uri: "a.b" });
  expect(questionOf({ ...form, role: "user", match: "prefix" })).toEqual({
    ...{ subject: "ann", action: "call", uri: "a.b" },
    ...{ role: "user", match: "prefix" },
  });
});
