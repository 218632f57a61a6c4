/** The ways in to a node, as people call them. */
import type { Door } from "../contracts";

export const DOORS: Readonly<Record<Door, string>> = {
  "wamp-websocket": "WAMP WebSocket",
  "wamp-rawsocket": "WAMP RawSocket",
  raw: "raw WebSocket",
  sse: "SSE",
  http: "HTTP",
  node: "node",
};
