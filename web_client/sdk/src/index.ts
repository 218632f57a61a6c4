/** `@hopsack/client`: subscribe, publish, call and serve on a Hopsack node. The public surface, names only. */
export type { Clock, DocumentLike, SocketFactory, WebSocketLike } from "./browser.js";
export type { FabricState } from "./connection.js";
export type {
  Answer,
  AnyProcedures,
  AnyTopics,
  CallOptions,
  Deletion,
  Events,
  EventsOptions,
  Fabric,
  FabricEvent,
  History,
  HistoryOptions,
  HoldOptions,
  InputOf,
  InputsOf,
  Invocation,
  IterateOptions,
  Iteration,
  KeyOf,
  LatestMap,
  MapOptions,
  OutputOf,
  PastEvent,
  ProgressOf,
  PublishOptions,
  Recovery,
  Registration,
  SubscribeOptions,
  Subscription,
} from "./contract.js";
export {
  DeclaredError,
  type ErrorCode,
  Expired,
  HopsackError,
  LocalError,
  RateLimited,
  RemoteError,
  type Retry,
  Revoked,
} from "./errors.js";
export { type ConnectOptions, connect, type TokenSource, VERSION } from "./fabric.js";
export { type LoginOptions, login, logout } from "./login.js";
export type { Observable } from "./observable.js";
export { type Outbox, type OutboxOptions, outbox, type Posted, type Settled } from "./outbox.js";
export type { After, Gap, Identity, Match } from "./session.js";
