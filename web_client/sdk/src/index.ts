/** `@hopsack/client`: subscribe, publish, call and serve on a Hopsack node. The public surface, names only. */
export type { Clock, SocketFactory, WebSocketLike } from "./browser.js";
export type { FabricState } from "./connection.js";
export type {
  AnyProcedures,
  AnyTopics,
  CallOptions,
  Events,
  EventsOptions,
  Fabric,
  FabricEvent,
  InputOf,
  Invocation,
  OutputOf,
  PublishOptions,
  Registration,
  SubscribeOptions,
  Subscription,
} from "./contract.js";
export { DeclaredError, type ErrorCode, HopsackError, LocalError, RemoteError, type Retry } from "./errors.js";
export { type ConnectOptions, connect, VERSION } from "./fabric.js";
export type { Observable } from "./observable.js";
export type { Identity, Match } from "./session.js";
