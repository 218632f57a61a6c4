import { expect, test } from "vitest";
import { resolve } from "../src/browser";
import { connect } from "../src/index";

const PAGE = "https://fabric.example/console/?dark#hosts";

test.each([
  [undefined, "wss://fabric.example/raw", "raw"],
  ["/ws", "wss://fabric.example/ws", "wamp"],
  ["../raw", "wss://fabric.example/raw", "raw"],
  ["http://127.0.0.1:8080", "ws://127.0.0.1:8080/raw", "raw"],
  ["https://h/fabric/raw", "wss://h/fabric/raw", "raw"],
  ["ws://h/ws", "ws://h/ws", "wamp"],
])("%s on a page is %s", (address, url, door) => {
  expect(resolve(address, PAGE)).toEqual({ url, door });
});

test.each(["ftp://h/raw", "ws://h/echo", "ws://h/rawx", "http://"])(
  "%s is refused with what would be right",
  (address) => {
    expect(() => resolve(address, PAGE)).toThrow(
      expect.objectContaining({ code: "hopsack.usage", advice: expect.any(String) }),
    );
  },
);

test("outside a page an address has to be whole", () => {
  expect(() => resolve("/raw", undefined)).toThrow(expect.objectContaining({ code: "hopsack.usage" }));
});

test.skipIf(typeof WebSocket !== "undefined")("where there is no WebSocket, the error says how to pass one", () => {
  expect(() => connect({ url: "ws://h/raw" })).toThrow(
    expect.objectContaining({ code: "hopsack.usage", advice: expect.stringContaining("socket") }),
  );
});
