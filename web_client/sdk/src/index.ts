/** `@hopsack/client`: subscribe, publish, call and serve on a Hopsack node. The public surface, names only. */
export type { Clock, SocketFactory, WebSocketLike } from "./browser";
export type { FabricState } from "./connection";
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
} from "./contract";
export { DeclaredError, type ErrorCode, HopsackError, LocalError, RemoteError, type Retry } from "./errors";
export { type ConnectOptions, connect, VERSION } from "./fabric";
export type { Observable } from "./observable";
export type { Identity, Match } from "./session";
