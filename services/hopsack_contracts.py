"""The contracts as Python types. Written by `hopsack generate` from the schemas: do not edit, run it."""

# ruff: noqa
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

import msgspec

from hopsack.contracts.refs import Procedure, Progressive, Topic
from hopsack.errors import DeclaredError


class AccessAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    allowed: bool
    who: AccessWho
    rule: str | None | msgspec.UnsetType = msgspec.UNSET
    """The entry of the list that decides, such as user:{sub}; null where none does."""
    contract: str | None | msgspec.UnsetType = msgspec.UNSET
    """The topic or procedure as declared."""
    place: str | None | msgspec.UnsetType = msgspec.UNSET
    """The file and the line of the list."""
    code: str | None = None
    """The error that it would get."""
    nearest: str | None = None
    """Where no contract declares it, the declared name that looks most like it."""
    why: str
    """One sentence."""


class AccessQuestion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    subject: str
    """Where it has a session, and nothing else is given, that one counts."""
    action: Literal["publish", "subscribe", "register", "call"]
    uri: str
    match: Literal["exact", "prefix", "wildcard"] | None = None
    role: Literal["guest", "user", "service", "operator"] | None = None
    groups: tuple[str, ...] | None = None
    tenant: str | None = None


class AccessRevocation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    subject: str
    since: float
    reason: str | None = None


class AccessRevoked(msgspec.Struct, frozen=True, kw_only=True):
    ended: tuple[int, ...]
    keys: int
    """So many public keys are accepted no longer."""
    since: float
    """Tokens of before this moment are refused: seconds since the Unix epoch."""


class AccessSubject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    subject: str
    reason: str | None = None


class AccessWho(msgspec.Struct, frozen=True, kw_only=True):
    subject: str
    role: str
    groups: tuple[str, ...]
    tenant: str | None


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    """The same from raising to clearing."""
    host: str
    metric: AlertMetric
    value: float
    """Percent, when the alert was raised or cleared."""
    threshold: AlertThreshold
    at: float
    """When it was raised: seconds since the Unix epoch."""
    message: str
    """One sentence for a person."""
    acknowledged_by: str | None
    """Who took it on; null while nobody has."""
    cleared_at: float | None
    """Seconds since the Unix epoch; null while it stands."""


class AlertList(msgspec.Struct, frozen=True, kw_only=True):
    thresholds: tuple[AlertThreshold, ...]
    active: tuple[Alert, ...]


class AlertThreshold(msgspec.Struct, frozen=True, kw_only=True):
    metric: AlertMetric
    raise_at: float
    """Percent. At or above it an alert is raised."""
    clear_at: float
    """Percent. At or below it the alert clears."""
    for_s: float
    """Seconds the value must stay there first."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    choice: str
    """One of the question's choices."""
    by: str
    """Who answered."""


class AnsweringInfo(msgspec.Struct, frozen=True, kw_only=True):
    service: str
    """The name of the service."""
    instance: str
    """What tells it from others of that name."""
    session: int
    """Its WAMP session id."""


class BehindInfo(msgspec.Struct, frozen=True, kw_only=True):
    topic: str
    behind: int
    """Events between it and the newest."""


class CalleeInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    session: int
    """The WAMP session id."""
    authid: str
    in_hand: int
    """Calls that it has not answered."""
    stalled: bool
    """It has calls in hand and has answered nothing for 0.8 s."""
    answers_in: float | None = None
    """Seconds until it answers, a moving average. Left out before its first answer."""
    limit: int | None = None
    """Calls that it takes at once, as it registered."""
    breaker: Literal["closed", "open", "half-open"] | None = None
    """Left out where there is none."""


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True):
    by: str
    """The name the writer gives; not a proof."""
    text: str
    """Plain text, never markup."""


class ConsoleNotice(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    """Plain text, never markup."""
    by: str
    """The name the writer gives; not a proof."""


class DemoClock(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    at: float
    """Seconds since the Unix epoch."""
    text: str | None = None
    """The same for people."""


class DemoName(msgspec.Struct, frozen=True, kw_only=True):
    name: str


class DrainOrderValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    seconds: float | None = None
    """For what is in hand, in place of what the service was started with."""


class Draining(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    id: str
    in_hand: int
    """Calls that are finished first."""
    seconds: float
    """How long they may take."""


class EndedUse(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["subscription", "registration"]
    uri: str
    match: Literal["exact", "prefix", "wildcard"]
    reason: str


class EndpointDescription(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """Of the handler."""
    subject: str
    """The procedure; an empty component is any."""
    queue_group: str
    """Who share the calls; empty where it serves alone."""
    metadata: Mapping[str, str]


class EndpointStats(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    subject: str
    queue_group: str
    num_requests: int
    """Calls that were answered."""
    num_errors: int
    """Of these, with an error, declared or not."""
    last_error: str
    """Code and message, 500 characters at most; empty where there was none."""
    processing_time: int
    """Nanoseconds, of all together."""
    average_processing_time: int
    """Nanoseconds."""


class HostDescription(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    host: str
    """The host's name."""
    system: str
    """The operating system, such as `Linux`."""
    release: str
    """The kernel's release."""
    machine: str
    """The instruction set, such as `x86_64`."""
    cpus: int
    """Logical cores."""
    cpu_model: str | None = None
    """Left out where the system does not say."""
    memory_total: int
    """Bytes."""
    boot_time: float
    """Seconds since the Unix epoch."""
    python: str
    """Version of the Python that runs the service."""


class HostName(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    """The host's name."""


class HostSample(msgspec.Struct, frozen=True, kw_only=True):
    """The load of one host at one moment. Rates are means over the time since the sample before."""

    host: str
    """The host's name."""
    at: float
    """When the sample was taken: seconds since the Unix epoch."""
    cpu: HostSampleCpu
    memory: HostSampleMemory
    disk: HostSampleDisk
    network: HostSampleNetwork
    load: tuple[float, float, float]
    """Mean number of runnable tasks over the last 1, 5 and 15 minutes."""


class HostSampleCpu(msgspec.Struct, frozen=True, kw_only=True):
    total: float
    """Busy time of all cores together, percent."""
    per_core: tuple[float, ...]
    """Busy time of each core, percent."""


class HostSampleDisk(msgspec.Struct, frozen=True, kw_only=True):
    read_bytes_per_s: float
    write_bytes_per_s: float
    used_percent: float
    """Of the root file system."""


class HostSampleMemory(msgspec.Struct, frozen=True, kw_only=True):
    total: int
    """Bytes."""
    used: int
    """Bytes."""
    available: int
    """Bytes that programs can get without swapping."""
    percent: float


class HostSampleNetwork(msgspec.Struct, frozen=True, kw_only=True):
    sent_bytes_per_s: float
    received_bytes_per_s: float


class KeptInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the journal has of a topic that is a stream, or keeps newest values."""

    topics: int
    """Concrete topics."""
    events: int
    """Of streams."""
    bytes: int
    """Of those events."""
    keys: int
    """Newest values."""
    first: str | None = None
    """The position of the oldest event. This and `head` only where there is one topic."""
    head: str | None = None
    """The position of the newest event."""


class LagInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How far a session is behind that reads more slowly than is sent. Left out where it is not."""

    unsent: int
    """Bytes that wait for it."""
    policy: Literal["holding", "following", "newest", "dropping"]
    """The worst that has happened since: events wait; streams are read from the journal; values were replaced by
    newer ones; events were dropped, and it was told.
    """
    since: float | None
    """When it fell behind: seconds since the Unix epoch."""
    stalled_since: float | None
    """Since when it takes nothing; null where it does."""
    dropped: int
    """Events whose loss it has not been told yet."""
    following: tuple[BehindInfo, ...]


class LimitInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    """What is limited and of whom, such as messages.connection."""
    role: str | None | msgspec.UnsetType = msgspec.UNSET
    """The role that it holds for; null for all that have none of their own."""
    rate: float | None | msgspec.UnsetType = msgspec.UNSET
    """A second; null: there is no limit, or it is a level."""
    burst: float | None | msgspec.UnsetType = msgspec.UNSET
    """What may come at once, or the level."""
    refused: int
    """How often more was wanted."""
    given: Literal["default", "configuration", "live"]
    """Where it comes from."""


class LimitName(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str | None = None
    """All of them where it is left out."""


class LockHolder(msgspec.Struct, frozen=True, kw_only=True):
    session: int
    authid: str
    token: int
    since: float


class LockInfo(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    slots: int
    waiting: int
    holders: tuple[LockHolder, ...]


class LockReleased(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    token: int | None = None
    attempt: str | None = None


class LockToken(msgspec.Struct, frozen=True, kw_only=True):
    token: int | None
    """The fencing token: greater than that of every grant before."""


class LockWanted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    slots: int | None = None
    """So many may hold it at once; 1 where it is left out."""
    attempt: str | None = None
    """A name of your own: the same asks for the same grant, and gives it back."""
    wait: bool | None = None
    """false: the token is null at once where there is no room."""


class NewLimit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    role: Literal["guest", "user", "service", "operator"] | None = None
    rate: float | None | msgspec.UnsetType = msgspec.UNSET
    """A second; null: no limit."""
    burst: float | None = None


class NewPublicKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    subject: str
    role: Literal["user", "service", "operator"]
    public: str
    """Ed25519, 32 bytes in base64url or hex."""
    note: str | None = None


class PresenceCount(msgspec.Struct, frozen=True, kw_only=True):
    count: int
    """All sessions."""
    roles: Mapping[str, int]
    """Sessions of each role."""


class PresenceList(msgspec.Struct, frozen=True, kw_only=True):
    count: int
    """All sessions."""
    roles: Mapping[str, int]
    """Sessions of each role."""
    members: tuple[PresenceMember, ...]
    """In the order they joined."""


class PresenceMember(msgspec.Struct, frozen=True, kw_only=True):
    session: int
    """The WAMP session id."""
    authid: str
    """Whose session it is; guests have `guest-…`."""
    role: str
    door: Door
    since: float
    """When it joined: seconds since the Unix epoch."""


class ProcedureInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    uri: str
    """As declared, with `{name}` components."""
    summary: str
    callees: int
    """Sessions."""
    register: tuple[str, ...] | None = None
    """Roles."""
    call: tuple[str, ...] | None = None
    """Roles."""
    errors: tuple[str, ...] | None = None
    """Codes."""
    timeout: float | None = None
    """Seconds. Left out where the contract gives none."""
    invoke: str | None = None
    """How its callees share it."""
    calls: int | None = None
    """So far. This and the next three are left out where there are none."""
    waiting: int | None = None
    """Calls that wait now, for a callee or for room."""
    retries: int | None = None
    """Further tries so far."""
    opened: int | None = None
    """How often a breaker has opened."""
    load: tuple[CalleeInfo, ...] | None = None
    """Each callee."""


class PublicKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    """The name of its file."""
    subject: str
    role: str
    public: str
    """Ed25519, 32 bytes in base64url."""
    fingerprint: str
    added: float
    """Seconds since the Unix epoch."""
    note: str | None = None
    sessions: int | None = None
    """Sessions that logged in with it."""


class PublicKeyName(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    """Its name or its fingerprint."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    text: str
    """Plain text, never markup."""
    choices: tuple[str, ...]
    timeout_s: float
    """Seconds that the asker waits."""


class ServiceDescription(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    name: str
    id: str
    version: str
    metadata: Mapping[str, str]
    description: str
    endpoints: tuple[EndpointDescription, ...]


class ServiceInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    instances: int
    procedures: tuple[str, ...]
    """URIs."""
    sessions: tuple[int, ...]
    """WAMP session ids."""
    answering: tuple[AnsweringInfo, ...] | None = None
    """Instances that tell of themselves: hopsack.service."""


class ServicePing(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    """The name that ADR-32 gives this shape."""
    name: str
    """Of the service; its instances share it."""
    id: str
    """Of the instance."""
    version: str
    """Of the service."""
    metadata: Mapping[str, str]


class ServiceStats(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    name: str
    id: str
    version: str
    metadata: Mapping[str, str]
    started: str
    """RFC 3339, in UTC."""
    endpoints: tuple[EndpointStats, ...]


class SessionIdentity(msgspec.Struct, frozen=True, kw_only=True):
    session: int
    subject: str
    role: str
    groups: tuple[str, ...]
    tenant: str | None
    proof: Literal["guest", "token", "cookie", "key", "ticket", "scram", "tls", "node"]
    """What it showed to be let in."""
    expires: float | None
    """When that is worth nothing any more: seconds since the Unix epoch."""
    door: str


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    session: int
    """The WAMP session id."""
    authid: str
    role: str
    door: Door
    since: float
    """When it joined: seconds since the Unix epoch."""
    peer: str | None
    """The address it came from."""
    agent: str | None
    """The name its software gave."""
    lag: LagInfo | None = None


class SessionRefreshed(msgspec.Struct, frozen=True, kw_only=True):
    expires: float | None
    """Seconds since the Unix epoch."""
    kept: int
    """Subscriptions and registrations that go on."""
    ended: tuple[EndedUse, ...]


class SessionToken(msgspec.Struct, frozen=True, kw_only=True):
    token: str


class SessionsEnded(msgspec.Struct, frozen=True, kw_only=True):
    ended: tuple[int, ...]


class SessionsToEnd(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of `session` and `subject`."""

    session: int | None = None
    subject: str | None = None
    reason: str | None = None


class StreamEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    position: str
    publication: int
    """The WAMP publication id."""
    time: float
    """Seconds since the Unix epoch."""
    data: Any
    """The payload; of a deleted key only its fields."""
    deleted: bool | None = None
    """A key has no value any more."""


class StreamPage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    events: tuple[StreamEvent, ...]
    position: str
    """Where to read on."""
    recovered: bool
    """`after` was given, and these are the events behind it, without a gap."""
    reason: Literal["epoch", "trimmed"] | None = None
    """Why not: the stream has begun anew, or keeps no longer what came behind `after`. The events are the oldest
    there are.
    """
    end: bool
    """There is nothing more now."""


class StreamPattern(msgspec.Struct, frozen=True, kw_only=True):
    topic: str
    match: Literal["exact", "prefix", "wildcard"]


class StreamPlaces(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    positions: Mapping[str, str]
    """Topic to the position of the last event that was read of it."""
    patterns: tuple[StreamPattern, ...] | None = None
    """All streams that these cover and `positions` does not name are told, too."""


class StreamQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    topic: str
    """A concrete topic. At most one of `after`, `last` and `since` is given."""
    after: str | int | None = None
    """A position, or the publication id of an event: what came behind it."""
    last: int | None = None
    """So many of the newest events."""
    since: float | None = None
    """Events of this time and later: seconds since the Unix epoch."""
    limit: int | None = None
    """Events at most; 500 where it is left out."""


class TopicInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    uri: str
    """As declared, with `{name}` components."""
    summary: str
    subscribers: int
    """Sessions."""
    publish: tuple[str, ...] | None = None
    """Roles."""
    subscribe: tuple[str, ...] | None = None
    """Roles."""
    kept: KeptInfo | None = None


class TopicMember(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody who reads a topic, in however many sessions. What is there beside these two is said by the topic's
    contract.
    """

    authid: str
    since: float
    """When it began to read: seconds since the Unix epoch."""
    role: str | None = None
    door: Door | None = None
    agent: str | None | msgspec.UnsetType = msgspec.UNSET
    """The name its software gave."""


class WatchChange(msgspec.Struct, frozen=True, kw_only=True):
    root: WatchRoot
    path: str
    """Below the root, parted by `/`; empty for the root itself."""
    kind: Literal["created", "modified", "deleted", "moved", "rescanned"]
    """`moved` comes for the old path; the new one comes as `created`. `rescanned` comes for the root, after events
    were lost: read `watch.list` again.
    """
    is_dir: bool
    size: int | None
    """Bytes; null where the file is gone or a folder."""
    modified: float | None
    """Seconds since the Unix epoch; null where the file is gone."""
    at: float
    """When the change was seen: seconds since the Unix epoch."""


class WatchEntry(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    """Below the root, parted by `/`."""
    is_dir: bool
    size: int | None
    """Bytes; null for a folder."""
    modified: float
    """Seconds since the Unix epoch."""


class WatchListing(msgspec.Struct, frozen=True, kw_only=True):
    root: WatchRoot
    at: float
    """When the folder was read: seconds since the Unix epoch."""
    truncated: bool
    """True where there was more than one listing holds."""
    entries: tuple[WatchEntry, ...]
    """Sorted by path."""


class WatchQuery(msgspec.Struct, frozen=True, kw_only=True):
    root: WatchRoot


class WatchWalk(msgspec.Struct, frozen=True, kw_only=True):
    root: WatchRoot
    at: float
    """When the folder was read: seconds since the Unix epoch."""
    truncated: bool
    """True where there is more than is known."""
    entries: int
    """How many there were."""


AlertMetric: TypeAlias = Literal["cpu", "memory", "disk"]
"""Percent: busy time of all cores, memory used, space used on the root file system."""


Door: TypeAlias = Literal["wamp-websocket", "wamp-rawsocket", "raw", "sse", "http", "node"]
"""The way in that a session took."""


DrainOrder: TypeAlias = DrainOrderValue | None


StreamHeads: TypeAlias = Mapping[str, str]
"""Topic to the position of its newest event, where it is another one; usually nothing. 1000 topics at most."""


WatchEntries: TypeAlias = tuple[WatchEntry, ...]
"""Some of them. What is deeper comes later."""


WatchRoot: TypeAlias = str
"""The name a watched folder is configured under. It is a component of the topic."""


class AlertsBadHysteresis(DeclaredError):
    """An alert must clear below the value that raises it."""

    CODE: ClassVar[str] = "alerts.bad_hysteresis"


class DemoNoManners(DeclaredError):
    """Whoever greets does not want to greet you."""

    CODE: ClassVar[str] = "demo.no_manners"


class HostUnknown(DeclaredError):
    """No service reports on a host of that name."""

    CODE: ClassVar[str] = "host.unknown"


class OperatorBusy(DeclaredError):
    """The person is answering another question."""

    CODE: ClassVar[str] = "operator.busy"


class OperatorDeclined(DeclaredError):
    """The person closed the question without answering it."""

    CODE: ClassVar[str] = "operator.declined"


class WatchUnknownRoot(DeclaredError):
    """No folder is watched under that name."""

    CODE: ClassVar[str] = "watch.unknown_root"


ALERTS_CLEARED: Topic[Alert] = Topic("alerts.cleared", Alert)
"""A value that had raised an alert fell below the level that clears it."""
ALERTS_RAISED: Topic[Alert] = Topic("alerts.raised", Alert, latest=("id",))
"""The alerts that stand."""
CHAT_ROOM_ROOM: Topic[ChatMessage] = Topic("chat.room.{room}", ChatMessage)
"""Somebody said something in a room."""
CONSOLE_NOTICE: Topic[ConsoleNotice] = Topic("console.notice", ConsoleNotice, latest=())
"""A line for everybody who has the console open."""
CONSOLE_NOTICE_MEMBERS: Topic[TopicMember] = Topic("console.notice.members", TopicMember, latest=("authid",))
"""Who reads console.notice."""
DEMO_CLOCK: Topic[DemoClock] = Topic("demo.clock", DemoClock, latest=())
"""The time, as often as a program likes to tell it."""
DEMO_LISTING: Topic[tuple[str, ...]] = Topic("demo.listing", tuple[str, ...], latest=())
"""The names in a folder."""
DEMO_TEXT: Topic[str] = Topic("demo.text", str)
"""Any text."""
HOPSACK_LOCKS_CHANGED: Topic[LockInfo] = Topic("hopsack.locks.changed", LockInfo)
"""A lock was taken, given back or asked for."""
HOST_METRICS: Topic[HostSample] = Topic("host.metrics", HostSample, latest=("host",))
"""One sample of a host's load."""
PRESENCE_COUNT: Topic[PresenceCount] = Topic("presence.count", PresenceCount, latest=())
"""How many sessions there are."""
PRESENCE_JOINED: Topic[PresenceMember] = Topic("presence.joined", PresenceMember)
"""A session joined."""
PRESENCE_LEFT: Topic[PresenceMember] = Topic("presence.left", PresenceMember)
"""A session left."""
WATCH_ROOT_CHANGED: Topic[WatchChange] = Topic("watch.{root}.changed", WatchChange)
"""Something below a watched root changed. A folder that is deleted or moved takes its contents along."""
ALERTS_LIST: Procedure[None, AlertList] = Procedure("alerts.list", None, AlertList, idempotent=True)
"""The thresholds, and the alerts that stand."""
ALERTS_SET: Procedure[AlertThreshold, AlertThreshold] = (
    Procedure("alerts.set", AlertThreshold, AlertThreshold, (AlertsBadHysteresis,), idempotent=True)
)
"""Set when a metric raises and clears an alert."""
DEMO_ADD: Procedure[tuple[float, ...], float] = Procedure("demo.add", tuple[float, ...], float, idempotent=True)
"""The sum of some numbers."""
DEMO_ECHO: Procedure[str, str] = Procedure("demo.echo", str, str, idempotent=True)
"""The same text again."""
DEMO_GREET: Procedure[DemoName, str] = Procedure("demo.greet", DemoName, str, (DemoNoManners,), idempotent=True)
"""A greeting."""
DEMO_PAGE_PAGE_GREET: Procedure[DemoName, str] = Procedure("demo.page.{page}.greet", DemoName, str, (DemoNoManners,))
"""A greeting, by one page of many."""
HOPSACK_ACCESS_RESTORE: Procedure[AccessSubject, None] = (
    Procedure("hopsack.access.restore", AccessSubject, None, idempotent=True)
)
"""Take a revocation back. Keys that were revoked with it stay so."""
HOPSACK_ACCESS_REVOKE: Procedure[AccessSubject, AccessRevoked] = (
    Procedure("hopsack.access.revoke", AccessSubject, AccessRevoked, idempotent=True)
)
"""Refuse whatever a subject has logged in with until now, and end its sessions."""
HOPSACK_ACCESS_REVOKED: Procedure[None, tuple[AccessRevocation, ...]] = (
    Procedure("hopsack.access.revoked", None, tuple[AccessRevocation, ...], idempotent=True)
)
"""The subjects whose tokens of before a moment are refused."""
HOPSACK_ACCESS_WHY: Procedure[AccessQuestion, AccessAnswer] = (
    Procedure("hopsack.access.why", AccessQuestion, AccessAnswer, idempotent=True)
)
"""Whether somebody may do something, and the rule that decides."""
HOPSACK_KEYS_ADD: Procedure[NewPublicKey, PublicKey] = (
    Procedure("hopsack.keys.add", NewPublicKey, PublicKey, idempotent=True)
)
"""Accept a public key."""
HOPSACK_KEYS_LIST: Procedure[None, tuple[PublicKey, ...]] = (
    Procedure("hopsack.keys.list", None, tuple[PublicKey, ...], idempotent=True)
)
"""The public keys that are accepted."""
HOPSACK_KEYS_REVOKE: Procedure[PublicKeyName, SessionsEnded] = (
    Procedure("hopsack.keys.revoke", PublicKeyName, SessionsEnded, idempotent=True)
)
"""Accept a public key no longer, and end the sessions that logged in with it."""
HOPSACK_LIMITS_LIST: Procedure[None, tuple[LimitInfo, ...]] = (
    Procedure("hopsack.limits.list", None, tuple[LimitInfo, ...], idempotent=True)
)
"""How much clients may do, and how often they wanted more."""
HOPSACK_LIMITS_RESET: Procedure[LimitName, tuple[LimitInfo, ...]] = (
    Procedure("hopsack.limits.reset", LimitName, tuple[LimitInfo, ...], idempotent=True)
)
"""Give limits back the values that the node was started with."""
HOPSACK_LIMITS_SET: Procedure[NewLimit, LimitInfo] = (
    Procedure("hopsack.limits.set", NewLimit, LimitInfo, idempotent=True)
)
"""Change a limit, from now on and over restarts."""
HOPSACK_LOCKS_ACQUIRE: Procedure[LockWanted, LockToken] = Procedure("hopsack.locks.acquire", LockWanted, LockToken)
"""Take a lock of the whole fabric, or wait for it. Waiting ends with the call."""
HOPSACK_LOCKS_LIST: Procedure[None, tuple[LockInfo, ...]] = (
    Procedure("hopsack.locks.list", None, tuple[LockInfo, ...], idempotent=True)
)
"""The locks that are held or awaited."""
HOPSACK_LOCKS_RELEASE: Procedure[LockReleased, None] = Procedure("hopsack.locks.release", LockReleased, None)
"""Give a lock back, by the token of its grant or by the name of the attempt."""
HOPSACK_PROCEDURES_LIST: Procedure[None, tuple[ProcedureInfo, ...]] = (
    Procedure("hopsack.procedures.list", None, tuple[ProcedureInfo, ...], idempotent=True)
)
"""The declared procedures, and how many sessions serve each."""
HOPSACK_SERVICE_SERVICE_INSTANCE_DRAIN: Procedure[DrainOrder, Draining] = (
    Procedure("hopsack.service.{service}.{instance}.drain", DrainOrder, Draining, idempotent=True)
)
"""It takes nothing new, finishes what it has in hand, and ends."""
HOPSACK_SERVICE_SERVICE_INSTANCE_INFO: Procedure[None, ServiceDescription] = (
    Procedure("hopsack.service.{service}.{instance}.info", None, ServiceDescription, idempotent=True)
)
"""What it serves."""
HOPSACK_SERVICE_SERVICE_INSTANCE_PING: Procedure[None, ServicePing] = (
    Procedure("hopsack.service.{service}.{instance}.ping", None, ServicePing, idempotent=True)
)
"""Whether it is there."""
HOPSACK_SERVICE_SERVICE_INSTANCE_STATS: Procedure[None, ServiceStats] = (
    Procedure("hopsack.service.{service}.{instance}.stats", None, ServiceStats, idempotent=True)
)
"""How it is doing."""
HOPSACK_SERVICES_LIST: Procedure[None, tuple[ServiceInfo, ...]] = (
    Procedure("hopsack.services.list", None, tuple[ServiceInfo, ...], idempotent=True)
)
"""The services that serve procedures."""
HOPSACK_SESSION_REFRESH: Procedure[SessionToken, SessionRefreshed] = (
    Procedure("hopsack.session.refresh", SessionToken, SessionRefreshed, idempotent=True)
)
"""Go on with a newer token of the same subject. What it no longer allows ends, one by one."""
HOPSACK_SESSION_WHOAMI: Procedure[None, SessionIdentity] = (
    Procedure("hopsack.session.whoami", None, SessionIdentity, idempotent=True)
)
"""Who the node takes the caller for."""
HOPSACK_SESSIONS_END: Procedure[SessionsToEnd, SessionsEnded] = (
    Procedure("hopsack.sessions.end", SessionsToEnd, SessionsEnded, idempotent=True)
)
"""End a session, or all of a subject."""
HOPSACK_SESSIONS_LIST: Procedure[None, tuple[SessionInfo, ...]] = (
    Procedure("hopsack.sessions.list", None, tuple[SessionInfo, ...], idempotent=True)
)
"""The sessions of the realm."""
HOPSACK_STREAM_BEHIND: Procedure[StreamPlaces, StreamHeads] = (
    Procedure("hopsack.stream.behind", StreamPlaces, StreamHeads, idempotent=True)
)
"""Which streams stand elsewhere than the caller has read. Whoever may subscribe to the topics may ask."""
HOPSACK_STREAM_READ: Procedure[StreamQuery, StreamPage] = (
    Procedure("hopsack.stream.read", StreamQuery, StreamPage, idempotent=True)
)
"""Events of a stream, read back. Whoever may subscribe to the topic may read it."""
HOPSACK_TOPICS_LIST: Procedure[None, tuple[TopicInfo, ...]] = (
    Procedure("hopsack.topics.list", None, tuple[TopicInfo, ...], idempotent=True)
)
"""The declared topics, and how many sessions subscribe to each."""
HOST_DESCRIBE: Procedure[HostName, HostDescription] = (
    Procedure("host.describe", HostName, HostDescription, (HostUnknown,), idempotent=True)
)
"""What a host is made of."""
OPERATOR_NAME_ASK: Procedure[Question, Answer] = (
    Procedure("operator.{name}.ask", Question, Answer, (OperatorDeclined, OperatorBusy))
)
"""Ask the person at this page."""
PRESENCE_LIST: Procedure[None, PresenceList] = Procedure("presence.list", None, PresenceList, idempotent=True)
"""Who is connected now."""
WATCH_LIST: Procedure[WatchQuery, WatchListing] = (
    Procedure("watch.list", WatchQuery, WatchListing, (WatchUnknownRoot,), idempotent=True)
)
"""What is below a watched root now. Changes with a later time apply on top."""
WATCH_ROOTS: Procedure[None, tuple[WatchRoot, ...]] = (
    Procedure("watch.roots", None, tuple[WatchRoot, ...], idempotent=True)
)
"""The names of the watched roots."""
WATCH_WALK: Progressive[WatchQuery, WatchEntries, WatchWalk] = (
    Progressive("watch.walk", WatchQuery, WatchWalk, (WatchUnknownRoot,), progress=WatchEntries)
)
"""Everything that is known below a watched root, however much. Changes with a later time apply on top."""

ERRORS: Mapping[str, type[DeclaredError]] = {
    "alerts.bad_hysteresis": AlertsBadHysteresis,
    "demo.no_manners": DemoNoManners,
    "host.unknown": HostUnknown,
    "operator.busy": OperatorBusy,
    "operator.declined": OperatorDeclined,
    "watch.unknown_root": WatchUnknownRoot,
}
"""Code → exception class, of every error that a contract declares."""


__all__ = [
    "ALERTS_CLEARED",
    "ALERTS_LIST",
    "ALERTS_RAISED",
    "ALERTS_SET",
    "AccessAnswer",
    "AccessQuestion",
    "AccessRevocation",
    "AccessRevoked",
    "AccessSubject",
    "AccessWho",
    "Alert",
    "AlertList",
    "AlertMetric",
    "AlertThreshold",
    "AlertsBadHysteresis",
    "Answer",
    "AnsweringInfo",
    "BehindInfo",
    "CHAT_ROOM_ROOM",
    "CONSOLE_NOTICE",
    "CONSOLE_NOTICE_MEMBERS",
    "CalleeInfo",
    "ChatMessage",
    "ConsoleNotice",
    "DEMO_ADD",
    "DEMO_CLOCK",
    "DEMO_ECHO",
    "DEMO_GREET",
    "DEMO_LISTING",
    "DEMO_PAGE_PAGE_GREET",
    "DEMO_TEXT",
    "DemoClock",
    "DemoName",
    "DemoNoManners",
    "Door",
    "DrainOrder",
    "DrainOrderValue",
    "Draining",
    "ERRORS",
    "EndedUse",
    "EndpointDescription",
    "EndpointStats",
    "HOPSACK_ACCESS_RESTORE",
    "HOPSACK_ACCESS_REVOKE",
    "HOPSACK_ACCESS_REVOKED",
    "HOPSACK_ACCESS_WHY",
    "HOPSACK_KEYS_ADD",
    "HOPSACK_KEYS_LIST",
    "HOPSACK_KEYS_REVOKE",
    "HOPSACK_LIMITS_LIST",
    "HOPSACK_LIMITS_RESET",
    "HOPSACK_LIMITS_SET",
    "HOPSACK_LOCKS_ACQUIRE",
    "HOPSACK_LOCKS_CHANGED",
    "HOPSACK_LOCKS_LIST",
    "HOPSACK_LOCKS_RELEASE",
    "HOPSACK_PROCEDURES_LIST",
    "HOPSACK_SERVICES_LIST",
    "HOPSACK_SERVICE_SERVICE_INSTANCE_DRAIN",
    "HOPSACK_SERVICE_SERVICE_INSTANCE_INFO",
    "HOPSACK_SERVICE_SERVICE_INSTANCE_PING",
    "HOPSACK_SERVICE_SERVICE_INSTANCE_STATS",
    "HOPSACK_SESSIONS_END",
    "HOPSACK_SESSIONS_LIST",
    "HOPSACK_SESSION_REFRESH",
    "HOPSACK_SESSION_WHOAMI",
    "HOPSACK_STREAM_BEHIND",
    "HOPSACK_STREAM_READ",
    "HOPSACK_TOPICS_LIST",
    "HOST_DESCRIBE",
    "HOST_METRICS",
    "HostDescription",
    "HostName",
    "HostSample",
    "HostSampleCpu",
    "HostSampleDisk",
    "HostSampleMemory",
    "HostSampleNetwork",
    "HostUnknown",
    "KeptInfo",
    "LagInfo",
    "LimitInfo",
    "LimitName",
    "LockHolder",
    "LockInfo",
    "LockReleased",
    "LockToken",
    "LockWanted",
    "NewLimit",
    "NewPublicKey",
    "OPERATOR_NAME_ASK",
    "OperatorBusy",
    "OperatorDeclined",
    "PRESENCE_COUNT",
    "PRESENCE_JOINED",
    "PRESENCE_LEFT",
    "PRESENCE_LIST",
    "PresenceCount",
    "PresenceList",
    "PresenceMember",
    "ProcedureInfo",
    "PublicKey",
    "PublicKeyName",
    "Question",
    "ServiceDescription",
    "ServiceInfo",
    "ServicePing",
    "ServiceStats",
    "SessionIdentity",
    "SessionInfo",
    "SessionRefreshed",
    "SessionToken",
    "SessionsEnded",
    "SessionsToEnd",
    "StreamEvent",
    "StreamHeads",
    "StreamPage",
    "StreamPattern",
    "StreamPlaces",
    "StreamQuery",
    "TopicInfo",
    "TopicMember",
    "WATCH_LIST",
    "WATCH_ROOTS",
    "WATCH_ROOT_CHANGED",
    "WATCH_WALK",
    "WatchChange",
    "WatchEntries",
    "WatchEntry",
    "WatchListing",
    "WatchQuery",
    "WatchRoot",
    "WatchUnknownRoot",
    "WatchWalk",
]
