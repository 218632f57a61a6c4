// The contracts as TypeScript types. Written by `hopsack generate` from the schemas: run it again, do not edit.

export interface AccessAnswer {
  readonly allowed: boolean;
  readonly who: AccessWho;
  /** The entry of the list that decides, such as user:{sub}; null where none does. */
  readonly rule?: string | null;
  /** The topic or procedure as declared. */
  readonly contract?: string | null;
  /** The file and the line of the list. */
  readonly place?: string | null;
  /** The error that it would get. */
  readonly code?: string;
  /** Where no contract declares it, the declared name that looks most like it. */
  readonly nearest?: string;
  /** One sentence. */
  readonly why: string;
}

export interface AccessQuestion {
  /** Where it has a session, and nothing else is given, that one counts. */
  readonly subject: string;
  readonly action: "publish" | "subscribe" | "register" | "call";
  readonly uri: string;
  readonly match?: "exact" | "prefix" | "wildcard";
  readonly role?: "guest" | "user" | "service" | "operator";
  readonly groups?: readonly string[];
  readonly tenant?: string;
}

export interface AccessRevocation {
  readonly subject: string;
  readonly since: number;
  readonly reason?: string;
}

export interface AccessRevoked {
  readonly ended: readonly number[];
  /** So many public keys are accepted no longer. */
  readonly keys: number;
  /** Tokens of before this moment are refused: seconds since the Unix epoch. */
  readonly since: number;
}

export interface AccessSubject {
  readonly subject: string;
  readonly reason?: string;
}

export interface AccessWho {
  readonly subject: string;
  readonly role: string;
  readonly groups: readonly string[];
  readonly tenant: string | null;
}

export interface Alert {
  /** The same from raising to clearing. */
  readonly id: string;
  readonly host: string;
  readonly metric: AlertMetric;
  /** Percent, when the alert was raised or cleared. */
  readonly value: number;
  readonly threshold: AlertThreshold;
  /** When it was raised: seconds since the Unix epoch. */
  readonly at: number;
  /** One sentence for a person. */
  readonly message: string;
  /** Who took it on; null while nobody has. */
  readonly acknowledged_by: string | null;
  /** Seconds since the Unix epoch; null while it stands. */
  readonly cleared_at: number | null;
}

export interface AlertList {
  readonly thresholds: readonly AlertThreshold[];
  readonly active: readonly Alert[];
}

/** Percent: busy time of all cores, memory used, space used on the root file system. */
export type AlertMetric = "cpu" | "memory" | "disk";

export interface AlertThreshold {
  readonly metric: AlertMetric;
  /** Percent. At or above it an alert is raised. */
  readonly raise_at: number;
  /** Percent. At or below it the alert clears. */
  readonly clear_at: number;
  /** Seconds the value must stay there first. */
  readonly for_s: number;
}

export interface Answer {
  /** One of the question's choices. */
  readonly choice: string;
  /** Who answered. */
  readonly by: string;
}

export interface AnsweringInfo {
  /** The name of the service. */
  readonly service: string;
  /** What tells it from others of that name. */
  readonly instance: string;
  /** Its WAMP session id. */
  readonly session: number;
}

export interface BehindInfo {
  readonly topic: string;
  /** Events between it and the newest. */
  readonly behind: number;
}

export interface CalleeInfo {
  /** The WAMP session id. */
  readonly session: number;
  readonly authid: string;
  /** Calls that it has not answered. */
  readonly in_hand: number;
  /** It has calls in hand and has answered nothing for 0.8 s. */
  readonly stalled: boolean;
  /** Seconds until it answers, a moving average. Left out before its first answer. */
  readonly answers_in?: number;
  /** Calls that it takes at once, as it registered. */
  readonly limit?: number;
  /** Left out where there is none. */
  readonly breaker?: "closed" | "open" | "half-open";
}

export interface ChatMessage {
  /** The name the writer gives; not a proof. */
  readonly by: string;
  /** Plain text, never markup. */
  readonly text: string;
}

export interface ConsoleNotice {
  /** Plain text, never markup. */
  readonly text: string;
  /** The name the writer gives; not a proof. */
  readonly by: string;
}

export interface DemoClock {
  /** Seconds since the Unix epoch. */
  readonly at: number;
  /** The same for people. */
  readonly text?: string;
}

export interface DemoName {
  readonly name: string;
}

/** The way in that a session took. */
export type Door = "wamp-websocket" | "wamp-rawsocket" | "raw" | "sse" | "http" | "node";

export type DrainOrder = DrainOrderValue | null;

export interface DrainOrderValue {
  /** For what is in hand, in place of what the service was started with. */
  readonly seconds?: number;
}

export interface Draining {
  readonly name: string;
  readonly id: string;
  /** Calls that are finished first. */
  readonly in_hand: number;
  /** How long they may take. */
  readonly seconds: number;
}

export interface EndedUse {
  readonly kind: "subscription" | "registration";
  readonly uri: string;
  readonly match: "exact" | "prefix" | "wildcard";
  readonly reason: string;
}

export interface EndpointDescription {
  /** Of the handler. */
  readonly name: string;
  /** The procedure; an empty component is any. */
  readonly subject: string;
  /** Who share the calls; empty where it serves alone. */
  readonly queue_group: string;
  readonly metadata: { readonly [key: string]: string };
}

export interface EndpointStats {
  readonly name: string;
  readonly subject: string;
  readonly queue_group: string;
  /** Calls that were answered. */
  readonly num_requests: number;
  /** Of these, with an error, declared or not. */
  readonly num_errors: number;
  /** Code and message, 500 characters at most; empty where there was none. */
  readonly last_error: string;
  /** Nanoseconds, of all together. */
  readonly processing_time: number;
  /** Nanoseconds. */
  readonly average_processing_time: number;
}

export interface HostDescription {
  /** The host's name. */
  readonly host: string;
  /** The operating system, such as `Linux`. */
  readonly system: string;
  /** The kernel's release. */
  readonly release: string;
  /** The instruction set, such as `x86_64`. */
  readonly machine: string;
  /** Logical cores. */
  readonly cpus: number;
  /** Left out where the system does not say. */
  readonly cpu_model?: string;
  /** Bytes. */
  readonly memory_total: number;
  /** Seconds since the Unix epoch. */
  readonly boot_time: number;
  /** Version of the Python that runs the service. */
  readonly python: string;
}

export interface HostName {
  /** The host's name. */
  readonly host: string;
}

/** The load of one host at one moment. Rates are means over the time since the sample before. */
export interface HostSample {
  /** The host's name. */
  readonly host: string;
  /** When the sample was taken: seconds since the Unix epoch. */
  readonly at: number;
  readonly cpu: HostSampleCpu;
  readonly memory: HostSampleMemory;
  readonly disk: HostSampleDisk;
  readonly network: HostSampleNetwork;
  /** Mean number of runnable tasks over the last 1, 5 and 15 minutes. */
  readonly load: readonly [number, number, number];
}

export interface HostSampleCpu {
  /** Busy time of all cores together, percent. */
  readonly total: number;
  /** Busy time of each core, percent. */
  readonly per_core: readonly number[];
}

export interface HostSampleDisk {
  readonly read_bytes_per_s: number;
  readonly write_bytes_per_s: number;
  /** Of the root file system. */
  readonly used_percent: number;
}

export interface HostSampleMemory {
  /** Bytes. */
  readonly total: number;
  /** Bytes. */
  readonly used: number;
  /** Bytes that programs can get without swapping. */
  readonly available: number;
  readonly percent: number;
}

export interface HostSampleNetwork {
  readonly sent_bytes_per_s: number;
  readonly received_bytes_per_s: number;
}

/** What the journal has of a topic that is a stream, or keeps newest values. */
export interface KeptInfo {
  /** Concrete topics. */
  readonly topics: number;
  /** Of streams. */
  readonly events: number;
  /** Of those events. */
  readonly bytes: number;
  /** Newest values. */
  readonly keys: number;
  /** The position of the oldest event. This and `head` only where there is one topic. */
  readonly first?: string;
  /** The position of the newest event. */
  readonly head?: string;
}

/** How far a session is behind that reads more slowly than is sent. Left out where it is not. */
export interface LagInfo {
  /** Bytes that wait for it. */
  readonly unsent: number;
  /** The worst that has happened since: events wait; streams are read from the journal; values were replaced by newer ones; events were dropped, and it was told. */
  readonly policy: "holding" | "following" | "newest" | "dropping";
  /** When it fell behind: seconds since the Unix epoch. */
  readonly since: number | null;
  /** Since when it takes nothing; null where it does. */
  readonly stalled_since: number | null;
  /** Events whose loss it has not been told yet. */
  readonly dropped: number;
  readonly following: readonly BehindInfo[];
}

export interface LimitInfo {
  /** What is limited and of whom, such as messages.connection. */
  readonly name: string;
  /** The role that it holds for; null for all that have none of their own. */
  readonly role?: string | null;
  /** A second; null: there is no limit, or it is a level. */
  readonly rate?: number | null;
  /** What may come at once, or the level. */
  readonly burst?: number | null;
  /** How often more was wanted. */
  readonly refused: number;
  /** Where it comes from. */
  readonly given: "default" | "configuration" | "live";
}

export interface LimitName {
  /** All of them where it is left out. */
  readonly name?: string;
}

export interface LockHolder {
  readonly session: number;
  readonly authid: string;
  readonly token: number;
  readonly since: number;
}

export interface LockInfo {
  readonly name: string;
  readonly slots: number;
  readonly waiting: number;
  readonly holders: readonly LockHolder[];
}

export interface LockReleased {
  readonly name: string;
  readonly token?: number;
  readonly attempt?: string;
}

export interface LockToken {
  /** The fencing token: greater than that of every grant before. */
  readonly token: number | null;
}

export interface LockWanted {
  readonly name: string;
  /** So many may hold it at once; 1 where it is left out. */
  readonly slots?: number;
  /** A name of your own: the same asks for the same grant, and gives it back. */
  readonly attempt?: string;
  /** false: the token is null at once where there is no room. */
  readonly wait?: boolean;
}

export interface NewLimit {
  readonly name: string;
  readonly role?: "guest" | "user" | "service" | "operator";
  /** A second; null: no limit. */
  readonly rate?: number | null;
  readonly burst?: number;
}

export interface NewPublicKey {
  readonly subject: string;
  readonly role: "user" | "service" | "operator";
  /** Ed25519, 32 bytes in base64url or hex. */
  readonly public: string;
  readonly note?: string;
}

export interface PresenceCount {
  /** All sessions. */
  readonly count: number;
  /** Sessions of each role. */
  readonly roles: { readonly [key: string]: number };
}

export interface PresenceList {
  /** All sessions. */
  readonly count: number;
  /** Sessions of each role. */
  readonly roles: { readonly [key: string]: number };
  /** In the order they joined. */
  readonly members: readonly PresenceMember[];
}

export interface PresenceMember {
  /** The WAMP session id. */
  readonly session: number;
  /** Whose session it is; guests have `guest-…`. */
  readonly authid: string;
  readonly role: string;
  readonly door: Door;
  /** When it joined: seconds since the Unix epoch. */
  readonly since: number;
}

export interface ProcedureInfo {
  /** As declared, with `{name}` components. */
  readonly uri: string;
  readonly summary: string;
  /** Sessions. */
  readonly callees: number;
  /** Roles. */
  readonly register?: readonly string[];
  /** Roles. */
  readonly call?: readonly string[];
  /** Codes. */
  readonly errors?: readonly string[];
  /** Seconds. Left out where the contract gives none. */
  readonly timeout?: number;
  /** How its callees share it. */
  readonly invoke?: string;
  /** So far. This and the next three are left out where there are none. */
  readonly calls?: number;
  /** Calls that wait now, for a callee or for room. */
  readonly waiting?: number;
  /** Further tries so far. */
  readonly retries?: number;
  /** How often a breaker has opened. */
  readonly opened?: number;
  /** Each callee. */
  readonly load?: readonly CalleeInfo[];
}

export interface PublicKey {
  /** The name of its file. */
  readonly name: string;
  readonly subject: string;
  readonly role: string;
  /** Ed25519, 32 bytes in base64url. */
  readonly public: string;
  readonly fingerprint: string;
  /** Seconds since the Unix epoch. */
  readonly added: number;
  readonly note?: string;
  /** Sessions that logged in with it. */
  readonly sessions?: number;
}

export interface PublicKeyName {
  /** Its name or its fingerprint. */
  readonly key: string;
}

export interface Question {
  readonly id: string;
  /** Plain text, never markup. */
  readonly text: string;
  readonly choices: readonly string[];
  /** Seconds that the asker waits. */
  readonly timeout_s: number;
}

export interface ServiceDescription {
  readonly type: string;
  readonly name: string;
  readonly id: string;
  readonly version: string;
  readonly metadata: { readonly [key: string]: string };
  readonly description: string;
  readonly endpoints: readonly EndpointDescription[];
}

export interface ServiceInfo {
  readonly name: string;
  readonly instances: number;
  /** URIs. */
  readonly procedures: readonly string[];
  /** WAMP session ids. */
  readonly sessions: readonly number[];
  /** Instances that tell of themselves: hopsack.service. */
  readonly answering?: readonly AnsweringInfo[];
}

export interface ServicePing {
  /** The name that ADR-32 gives this shape. */
  readonly type: string;
  /** Of the service; its instances share it. */
  readonly name: string;
  /** Of the instance. */
  readonly id: string;
  /** Of the service. */
  readonly version: string;
  readonly metadata: { readonly [key: string]: string };
}

export interface ServiceStats {
  readonly type: string;
  readonly name: string;
  readonly id: string;
  readonly version: string;
  readonly metadata: { readonly [key: string]: string };
  /** RFC 3339, in UTC. */
  readonly started: string;
  readonly endpoints: readonly EndpointStats[];
}

export interface SessionIdentity {
  readonly session: number;
  readonly subject: string;
  readonly role: string;
  readonly groups: readonly string[];
  readonly tenant: string | null;
  /** What it showed to be let in. */
  readonly proof: "guest" | "token" | "cookie" | "key" | "ticket" | "scram" | "tls" | "node";
  /** When that is worth nothing any more: seconds since the Unix epoch. */
  readonly expires: number | null;
  readonly door: string;
}

export interface SessionInfo {
  /** The WAMP session id. */
  readonly session: number;
  readonly authid: string;
  readonly role: string;
  readonly door: Door;
  /** When it joined: seconds since the Unix epoch. */
  readonly since: number;
  /** The address it came from. */
  readonly peer: string | null;
  /** The name its software gave. */
  readonly agent: string | null;
  readonly lag?: LagInfo;
}

export interface SessionRefreshed {
  /** Seconds since the Unix epoch. */
  readonly expires: number | null;
  /** Subscriptions and registrations that go on. */
  readonly kept: number;
  readonly ended: readonly EndedUse[];
}

export interface SessionToken {
  readonly token: string;
}

export interface SessionsEnded {
  readonly ended: readonly number[];
}

/** One of `session` and `subject`. */
export interface SessionsToEnd {
  readonly session?: number;
  readonly subject?: string;
  readonly reason?: string;
}

export interface StreamEvent {
  readonly position: string;
  /** The WAMP publication id. */
  readonly publication: number;
  /** Seconds since the Unix epoch. */
  readonly time: number;
  /** The payload; of a deleted key only its fields. */
  readonly data: unknown;
  /** A key has no value any more. */
  readonly deleted?: boolean;
}

/** Topic to the position of its newest event, where it is another one; usually nothing. 1000 topics at most. */
export type StreamHeads = { readonly [key: string]: string };

export interface StreamPage {
  readonly events: readonly StreamEvent[];
  /** Where to read on. */
  readonly position: string;
  /** `after` was given, and these are the events behind it, without a gap. */
  readonly recovered: boolean;
  /** Why not: the stream has begun anew, or keeps no longer what came behind `after`. The events are the oldest there are. */
  readonly reason?: "epoch" | "trimmed";
  /** There is nothing more now. */
  readonly end: boolean;
}

export interface StreamPattern {
  readonly topic: string;
  readonly match: "exact" | "prefix" | "wildcard";
}

export interface StreamPlaces {
  /** Topic to the position of the last event that was read of it. */
  readonly positions: { readonly [key: string]: string };
  /** All streams that these cover and `positions` does not name are told, too. */
  readonly patterns?: readonly StreamPattern[];
}

export interface StreamQuery {
  /** A concrete topic. At most one of `after`, `last` and `since` is given. */
  readonly topic: string;
  /** A position, or the publication id of an event: what came behind it. */
  readonly after?: string | number;
  /** So many of the newest events. */
  readonly last?: number;
  /** Events of this time and later: seconds since the Unix epoch. */
  readonly since?: number;
  /** Events at most; 500 where it is left out. */
  readonly limit?: number;
}

export interface TopicInfo {
  /** As declared, with `{name}` components. */
  readonly uri: string;
  readonly summary: string;
  /** Sessions. */
  readonly subscribers: number;
  /** Roles. */
  readonly publish?: readonly string[];
  /** Roles. */
  readonly subscribe?: readonly string[];
  readonly kept?: KeptInfo;
}

/** Somebody who reads a topic, in however many sessions. What is there beside these two is said by the topic's contract. */
export interface TopicMember {
  readonly authid: string;
  /** When it began to read: seconds since the Unix epoch. */
  readonly since: number;
  readonly role?: string;
  readonly door?: Door;
  /** The name its software gave. */
  readonly agent?: string | null;
}

export interface WatchChange {
  readonly root: WatchRoot;
  /** Below the root, parted by `/`; empty for the root itself. */
  readonly path: string;
  /** `moved` comes for the old path; the new one comes as `created`. `rescanned` comes for the root, after events were lost: read `watch.list` again. */
  readonly kind: "created" | "modified" | "deleted" | "moved" | "rescanned";
  readonly is_dir: boolean;
  /** Bytes; null where the file is gone or a folder. */
  readonly size: number | null;
  /** Seconds since the Unix epoch; null where the file is gone. */
  readonly modified: number | null;
  /** When the change was seen: seconds since the Unix epoch. */
  readonly at: number;
}

/** Some of them. What is deeper comes later. */
export type WatchEntries = readonly WatchEntry[];

export interface WatchEntry {
  /** Below the root, parted by `/`. */
  readonly path: string;
  readonly is_dir: boolean;
  /** Bytes; null for a folder. */
  readonly size: number | null;
  /** Seconds since the Unix epoch. */
  readonly modified: number;
}

export interface WatchListing {
  readonly root: WatchRoot;
  /** When the folder was read: seconds since the Unix epoch. */
  readonly at: number;
  /** True where there was more than one listing holds. */
  readonly truncated: boolean;
  /** Sorted by path. */
  readonly entries: readonly WatchEntry[];
}

export interface WatchQuery {
  readonly root: WatchRoot;
}

/** The name a watched folder is configured under. It is a component of the topic. */
export type WatchRoot = string;

export interface WatchWalk {
  readonly root: WatchRoot;
  /** When the folder was read: seconds since the Unix epoch. */
  readonly at: number;
  /** True where there is more than is known. */
  readonly truncated: boolean;
  /** How many there were. */
  readonly entries: number;
}

/** Topic → what it carries. */
export interface Topics {
  /** A value that had raised an alert fell below the level that clears it. */
  readonly "alerts.cleared": Alert;
  /** The alerts that stand. */
  readonly "alerts.raised": Alert;
  /** Somebody said something in a room. */
  readonly [topic: `chat.room.${string}`]: ChatMessage;
  /** A line for everybody who has the console open. */
  readonly "console.notice": ConsoleNotice;
  /** Who reads console.notice. */
  readonly "console.notice.members": TopicMember;
  /** The time, as often as a program likes to tell it. */
  readonly "demo.clock": DemoClock;
  /** The names in a folder. */
  readonly "demo.listing": readonly string[];
  /** Any text. */
  readonly "demo.text": string;
  /** A lock was taken, given back or asked for. */
  readonly "hopsack.locks.changed": LockInfo;
  /** One sample of a host's load. */
  readonly "host.metrics": HostSample;
  /** How many sessions there are. */
  readonly "presence.count": PresenceCount;
  /** A session joined. */
  readonly "presence.joined": PresenceMember;
  /** A session left. */
  readonly "presence.left": PresenceMember;
  /** Something below a watched root changed. A folder that is deleted or moved takes its contents along. */
  readonly [topic: `watch.${string}.changed`]: WatchChange;
}

/** Procedure → what it takes, gives and may refuse with. `null` where it takes or gives nothing. */
export interface Procedures {
  /** The thresholds, and the alerts that stand. */
  readonly "alerts.list": { input: null; output: AlertList; errors: never };
  /** Set when a metric raises and clears an alert. */
  readonly "alerts.set": { input: AlertThreshold; output: AlertThreshold; errors: "alerts.bad_hysteresis" };
  /** The sum of some numbers. */
  readonly "demo.add": { input: readonly number[]; output: number; errors: never };
  /** The same text again. */
  readonly "demo.echo": { input: string; output: string; errors: never };
  /** A greeting. */
  readonly "demo.greet": { input: DemoName; output: string; errors: "demo.no_manners" };
  /** A greeting, by one page of many. */
  readonly [procedure: `demo.page.${string}.greet`]: { input: DemoName; output: string; errors: "demo.no_manners" };
  /** Take a revocation back. Keys that were revoked with it stay so. */
  readonly "hopsack.access.restore": { input: AccessSubject; output: null; errors: never };
  /** Refuse whatever a subject has logged in with until now, and end its sessions. */
  readonly "hopsack.access.revoke": { input: AccessSubject; output: AccessRevoked; errors: never };
  /** The subjects whose tokens of before a moment are refused. */
  readonly "hopsack.access.revoked": { input: null; output: readonly AccessRevocation[]; errors: never };
  /** Whether somebody may do something, and the rule that decides. */
  readonly "hopsack.access.why": { input: AccessQuestion; output: AccessAnswer; errors: never };
  /** Accept a public key. */
  readonly "hopsack.keys.add": { input: NewPublicKey; output: PublicKey; errors: never };
  /** The public keys that are accepted. */
  readonly "hopsack.keys.list": { input: null; output: readonly PublicKey[]; errors: never };
  /** Accept a public key no longer, and end the sessions that logged in with it. */
  readonly "hopsack.keys.revoke": { input: PublicKeyName; output: SessionsEnded; errors: never };
  /** How much clients may do, and how often they wanted more. */
  readonly "hopsack.limits.list": { input: null; output: readonly LimitInfo[]; errors: never };
  /** Give limits back the values that the node was started with. */
  readonly "hopsack.limits.reset": { input: LimitName; output: readonly LimitInfo[]; errors: never };
  /** Change a limit, from now on and over restarts. */
  readonly "hopsack.limits.set": { input: NewLimit; output: LimitInfo; errors: never };
  /** Take a lock of the whole fabric, or wait for it. Waiting ends with the call. */
  readonly "hopsack.locks.acquire": { input: LockWanted; output: LockToken; errors: never };
  /** The locks that are held or awaited. */
  readonly "hopsack.locks.list": { input: null; output: readonly LockInfo[]; errors: never };
  /** Give a lock back, by the token of its grant or by the name of the attempt. */
  readonly "hopsack.locks.release": { input: LockReleased; output: null; errors: never };
  /** The declared procedures, and how many sessions serve each. */
  readonly "hopsack.procedures.list": { input: null; output: readonly ProcedureInfo[]; errors: never };
  /** It takes nothing new, finishes what it has in hand, and ends. */
  readonly [procedure: `hopsack.service.${string}.${string}.drain`]: { input: DrainOrder; output: Draining; errors: never };
  /** What it serves. */
  readonly [procedure: `hopsack.service.${string}.${string}.info`]: { input: null; output: ServiceDescription; errors: never };
  /** Whether it is there. */
  readonly [procedure: `hopsack.service.${string}.${string}.ping`]: { input: null; output: ServicePing; errors: never };
  /** How it is doing. */
  readonly [procedure: `hopsack.service.${string}.${string}.stats`]: { input: null; output: ServiceStats; errors: never };
  /** The services that serve procedures. */
  readonly "hopsack.services.list": { input: null; output: readonly ServiceInfo[]; errors: never };
  /** Go on with a newer token of the same subject. What it no longer allows ends, one by one. */
  readonly "hopsack.session.refresh": { input: SessionToken; output: SessionRefreshed; errors: never };
  /** Who the node takes the caller for. */
  readonly "hopsack.session.whoami": { input: null; output: SessionIdentity; errors: never };
  /** End a session, or all of a subject. */
  readonly "hopsack.sessions.end": { input: SessionsToEnd; output: SessionsEnded; errors: never };
  /** The sessions of the realm. */
  readonly "hopsack.sessions.list": { input: null; output: readonly SessionInfo[]; errors: never };
  /** Which streams stand elsewhere than the caller has read. Whoever may subscribe to the topics may ask. */
  readonly "hopsack.stream.behind": { input: StreamPlaces; output: StreamHeads; errors: never };
  /** Events of a stream, read back. Whoever may subscribe to the topic may read it. */
  readonly "hopsack.stream.read": { input: StreamQuery; output: StreamPage; errors: never };
  /** The declared topics, and how many sessions subscribe to each. */
  readonly "hopsack.topics.list": { input: null; output: readonly TopicInfo[]; errors: never };
  /** What a host is made of. */
  readonly "host.describe": { input: HostName; output: HostDescription; errors: "host.unknown" };
  /** Ask the person at this page. */
  readonly [procedure: `operator.${string}.ask`]: { input: Question; output: Answer; errors: "operator.declined" | "operator.busy" };
  /** Who is connected now. */
  readonly "presence.list": { input: null; output: PresenceList; errors: never };
  /** What is below a watched root now. Changes with a later time apply on top. */
  readonly "watch.list": { input: WatchQuery; output: WatchListing; errors: "watch.unknown_root" };
  /** The names of the watched roots. */
  readonly "watch.roots": { input: null; output: readonly WatchRoot[]; errors: never };
  /** Everything that is known below a watched root, however much. Changes with a later time apply on top. */
  readonly "watch.walk": { input: WatchQuery; output: WatchWalk; progress: WatchEntries; errors: "watch.unknown_root" };
}

/** Code of a declared error → its `data`. */
export interface DeclaredErrors {
  /** An alert must clear below the value that raises it. */
  readonly "alerts.bad_hysteresis": { readonly [key: string]: unknown };
  /** Whoever greets does not want to greet you. */
  readonly "demo.no_manners": { readonly [key: string]: unknown };
  /** No service reports on a host of that name. */
  readonly "host.unknown": { readonly [key: string]: unknown };
  /** The person is answering another question. */
  readonly "operator.busy": { readonly [key: string]: unknown };
  /** The person closed the question without answering it. */
  readonly "operator.declined": { readonly [key: string]: unknown };
  /** No folder is watched under that name. */
  readonly "watch.unknown_root": { readonly [key: string]: unknown };
}

/** Topic that keeps newest values → the fields that tell them apart: `connect({ latest: LATEST })`. */
export const LATEST = {
  "alerts.raised": ["id"],
  "console.notice": [],
  "console.notice.members": ["authid"],
  "demo.clock": [],
  "demo.listing": [],
  "host.metrics": ["host"],
  "presence.count": [],
} as const;
