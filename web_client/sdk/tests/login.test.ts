/** Signing in with a cookie: what is asked of the node, and what its refusals become. */
import { expect, test, vi } from "vitest";
import { HopsackError, login, logout, RateLimited } from "../src/index";

const PROBLEM = {
  ...{ type: "/errors#hopsack.rate_limited", title: "Too often.", status: 429, detail: "Slower." },
  code: "hopsack.rate_limited",
  ...{ retry: "later", data: { retry_after: 30 } },
};

const answering = (response: Response) => vi.fn(async (_: URL | RequestInfo, __?: RequestInit) => response);
const url = "http://node:8080/raw";

test("the token goes to the node once, as JSON", async () => {
  const fetch = answering(new Response(null, { status: 204 }));
  await login("t-1", { url, fetch });
  const [address, asked] = fetch.mock.calls[0] ?? [];

  expect(String(address)).toBe("http://node:8080/login");
  expect(asked).toMatchObject({ method: "POST", body: '{"token":"t-1"}', credentials: "same-origin" });
  expect(asked?.headers).toEqual({ "Content-Type": "application/json" });
});

test("and it is taken back", async () => {
  const fetch = answering(new Response(null, { status: 204 }));
  await logout({ url, fetch });

  expect(String(fetch.mock.calls[0]?.[0])).toBe("http://node:8080/logout");
});

test("a refusal is the error that the node tells", async () => {
  const fetch = answering(new Response(JSON.stringify(PROBLEM), { status: 429 }));
  const error = await login("t-1", { url, fetch }).catch((error: unknown) => error);

  expect(error).toBeInstanceOf(RateLimited);
  expect(error).toMatchObject({ message: "Slower.", retryAfter: 30_000 });
});

test("of what is no error of a node's its status is told", async () => {
  const fetch = answering(new Response("<h1>Bad gateway</h1>", { status: 502 }));
  const error = await logout({ url, fetch }).catch((error: unknown) => error);

  expect(error).toBeInstanceOf(HopsackError);
  expect(String(error)).toBe("hopsack.internal: The node answered 502. [/logout]");
});

test("no answer at all", async () => {
  const fetch = vi.fn(() => Promise.reject(new TypeError("fetch failed")));

  await expect(login("t-1", { url, fetch })).rejects.toMatchObject({ code: "hopsack.disconnected", retry: "later" });
});
