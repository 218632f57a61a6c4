"""What a client's session takes and gives, whatever it speaks: the vocabulary of two machines without I/O.

    connection.py  -- inputs -->   wamp/session.py  (WAMP)         -- effects -->  connection.py
                                   raw.py           (JSON-RPC)

An *input* says what happened: bytes came, the program wants a call. An *effect* says what to do about it. Both are
plain frozen values, so a session can be tested by comparing lists, and the connection does not know which of the two
it drives. A session lives as long as one connection: what belongs to an old connection cannot reach a new one.

A *ticket* is whatever the connection wants to be told the outcome with; sessions only carry it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Generic, Literal, Protocol

import msgspec
from typing_extensions import TypeVar

from hopsack.errors import (
    Denied,
    Disconnected,
    HopsackError,
    OutcomeUnknown,
    RemoteError,
    Unavailable,
    from_details,
)
from hopsack.position import Position

Match = Literal["exact", "prefix", "wildcard"]
Invoke = Literal["single", "roundrobin", "random", "first", "last", "least"]
"""How the sessions that serve one procedure share its calls; ``least``: the fewest in hand, then the fastest."""

Ticket = Hashable
Others = Literal["new", "forgotten"] | None
T = TypeVar("T", default=Any)

UNCOUNTED = 1 << 31
"""What is granted where nobody counts."""


class Payload(Protocol):
    """One value as it came over the wire; nothing is decoded before it is read."""

    def read(self, array: bool = False) -> Any:
        """The value, in plain JSON types.

        :param array: the reader expects an array: positional arguments are its elements.
        :raises hopsack.errors.Invalid: the arguments are not one value.
        """
        ...

    def read_as(self, type_: Any) -> Any:
        """The value, decoded straight into ``type_``: faster, and stricter than :func:`hopsack.values.read`.

        :raises msgspec.MsgspecError: it has another shape, or stands in another place.
        :raises TypeError: msgspec knows no such type.
        """
        ...


class Identity(msgspec.Struct, frozen=True):
    """Who this session is.

    :ivar session: its number, new after every reconnect.
    :ivar authid: the token's ``sub``, or a guest's random name.
    :ivar server: what the node says it is, or ``""``.
    :ivar groups: the groups it is in. :ivar tenant: whose customer it is.
    :ivar expires: when what it logged in with is worth nothing any more, in Unix seconds by the node's clock; ``None``:
        never. :ivar expires_in: seconds until then, when it joined.
    """

    session: int
    authid: str
    role: str
    realm: str
    server: str = ""
    groups: tuple[str, ...] = ()
    tenant: str | None = None
    expires: float | None = None
    expires_in: float | None = None


class Caller(msgspec.Struct, frozen=True):
    """Who calls. A parameter annotated with this class is given it.

    The raw door does not tell: there, everything but ``procedure`` is empty.

    :ivar session: number of the caller's session, ``None`` if the node does not tell.
    :ivar procedure: the procedure as it was called, which a pattern's handler cannot know otherwise.
    """

    session: int | None
    authid: str | None
    role: str | None
    procedure: str


class Publication(msgspec.Struct, frozen=True):
    """The facts of one event. ``publication`` and the publisher are ``None`` where the door does not tell.

    :ivar position: where it stands in its stream: keep it, and go on after it with ``subscribe(…, after=position)``.
        ``None`` for a topic that is no stream, and where the door does not tell.
    :ivar deleted: a key of a ``latest`` topic is gone; the payload holds the key's fields only.
    :ivar retained: the newest value of its key, from before.
    :ivar time: when the node took it, in Unix seconds, where it was read back from a stream.
    """

    topic: str
    publication: int | None = None
    publisher: int | None = None
    publisher_authid: str | None = None
    publisher_role: str | None = None
    position: str | None = None
    deleted: bool = False
    retained: bool = False
    time: float | None = None


class Event(Publication, Generic[T], frozen=True, kw_only=True):
    """One event and its facts. A parameter annotated with this class is given it.

    :ivar topic: the topic it was published on, also where the subscription is a pattern.
    :ivar data: the payload, in the type that the subscriber asked for.
    """

    data: T


# ---- inputs ----------------------------------------------------------------------------------------------------


class Opened(msgspec.Struct, frozen=True):
    """The transport is open. ``limit``: bytes of the longest message that may be sent."""

    limit: int


class Received(msgspec.Struct, frozen=True):
    """One whole message came."""

    data: bytes


class Lost(msgspec.Struct, frozen=True):
    """The transport is gone, or is being closed.

    :ivar retry_after: seconds that a node that stops asked to stay away; it has answered all that it has begun.
    """

    reason: str
    retry_after: float | None = None


class LeaveRequested(msgspec.Struct, frozen=True):
    pass


class Probed(msgspec.Struct, frozen=True):
    """Nothing came for a while, and the transport has no ping: send something that must be answered."""


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one call is to be carried out, where it is not as its contract says.

    :ivar key: names the call: what comes under one name is executed once, and a repeat gets the first one's outcome.
    :ivar wait: milliseconds to wait for a callee, where there is none. :ivar retry: how often to try again.
    :ivar queue: whether to wait where all callees are busy. :ivar breaker: whether to heed those that are open.
    """

    key: str | None = None
    wait: int | None = None
    retry: int | None = None
    queue: bool | None = None
    breaker: bool | None = None


class Flow(msgspec.Struct, frozen=True):
    """What of a call comes piece by piece.

    :ivar progress: its caller takes progressive results.
    :ivar window: so many, before more are taken; ``None``: nobody counts.
    :ivar inputs: others follow its first input.
    """

    progress: bool = False
    window: int | None = None
    inputs: bool = False


class CallRequested(msgspec.Struct, frozen=True):
    """``timeout``: seconds that the call may take; ``None``: what its contract gives."""

    ticket: Ticket
    procedure: str
    value: Any
    timeout: float | None = None
    terms: Terms | None = None
    flow: Flow | None = None


class CallAbandoned(msgspec.Struct, frozen=True):
    """Nobody waits for this call any more. Its ticket still gets an outcome, if the node gives one."""

    ticket: Ticket


class MoreWanted(msgspec.Struct, frozen=True):
    """So many more progressive results of this call are taken."""

    ticket: Ticket
    items: int


class InputGiven(msgspec.Struct, frozen=True):
    """A further input of this call. Not before :class:`InputsGranted`."""

    ticket: Ticket
    value: Any


class InputsEnded(msgspec.Struct, frozen=True):
    """No further inputs of this call."""

    ticket: Ticket


class PublishRequested(msgspec.Struct, frozen=True):
    """``ticket`` is ``None`` for a publication that is not acknowledged.

    :ivar key: names the event: of several with one name, the stream takes the first.
    :ivar delete: ``value`` holds the fields of a key that is to be deleted.
    """

    ticket: Ticket | None
    topic: str
    value: Any
    key: str | None = None
    delete: bool = False


class SubscribeRequested(msgspec.Struct, frozen=True):
    """
    :ivar after: the last event of each topic, for a door that resumes by itself.
    :ivar rate: events a second at most.
    :ivar snapshot: the newest values are wanted; the raw door gives them unasked.
    :ivar others: what the topics of a pattern are that ``after`` does not name: ``new`` since it was read, or
        ``forgotten``. ``None``: nobody knows.
    """

    ticket: Ticket
    topic: str
    match: Match
    after: Mapping[str, Position] = {}
    rate: float | None = None
    snapshot: bool = False
    others: Others = None


class RateRequested(msgspec.Struct, frozen=True):
    """``rate``: events a second from now on; ``None``: all of them."""

    ticket: Ticket
    subscription: int
    rate: float | None


class UnsubscribeRequested(msgspec.Struct, frozen=True):
    ticket: Ticket
    subscription: int


class RegisterRequested(msgspec.Struct, frozen=True):
    ticket: Ticket
    procedure: str
    match: Match
    invoke: Invoke


class UnregisterRequested(msgspec.Struct, frozen=True):
    ticket: Ticket
    registration: int


class Answered(msgspec.Struct, frozen=True):
    """A handler returned ``value``."""

    invocation: int
    value: Any


class Failed(msgspec.Struct, frozen=True):
    """A handler ended with ``error``."""

    invocation: int
    error: RemoteError


class Progressed(msgspec.Struct, frozen=True):
    """A handler gives a progressive result. Not before it was granted."""

    invocation: int
    value: Any


class InputsWanted(msgspec.Struct, frozen=True):
    """A handler takes so many more inputs."""

    invocation: int
    items: int


Input = (
    Opened
    | Received
    | Lost
    | LeaveRequested
    | Probed
    | CallRequested
    | CallAbandoned
    | MoreWanted
    | InputGiven
    | InputsEnded
    | PublishRequested
    | SubscribeRequested
    | RateRequested
    | UnsubscribeRequested
    | RegisterRequested
    | UnregisterRequested
    | Answered
    | Failed
    | Progressed
    | InputsWanted
)


# ---- effects ----------------------------------------------------------------------------------------------------


class Send(msgspec.Struct, frozen=True):
    """Send this message."""

    data: bytes


class Join(msgspec.Struct, frozen=True):
    """The session is in the realm: requests may be made."""

    identity: Identity


class Refuse(msgspec.Struct, frozen=True):
    """The session may not join. ``final``: trying again with the same token cannot help."""

    error: RemoteError
    final: bool


class Close(msgspec.Struct, frozen=True):
    """The session is over: close the transport.

    :ivar retry_after: seconds that the node asks to stay away, if it asked.
    """

    reason: str
    retry_after: float | None = None


class Resolve(msgspec.Struct, frozen=True):
    """A call has a result."""

    ticket: Ticket
    payload: Payload


class Grant(msgspec.Struct, frozen=True):
    """What a node says about the streams of a subscription that it gives.

    :ivar recovered: everything after what it was asked to resume from follows.
    :ivar reason: why not.
    :ivar positions: where reading begins, by topic; ``None`` where it does not say.
    :ivar snapshot: how many newest values follow; ``None`` where the topic keeps none.
    """

    recovered: bool = False
    reason: str | None = None
    positions: Mapping[str, Position] | None = None
    snapshot: int | None = None


class Published(msgspec.Struct, frozen=True):
    """What the node says of an event that it took.

    :ivar publication: its number. :ivar position: in its stream. Both are ``None`` where the door does not tell.
    """

    publication: int | None = None
    position: str | None = None


class Confirm(msgspec.Struct, frozen=True):
    """Any other request was granted. ``id``: of the subscription, registration or publication; 0 if it has none."""

    ticket: Ticket
    id: int
    told: Grant | Published | None = None


class Reject(msgspec.Struct, frozen=True):
    """A request failed, here or there."""

    ticket: Ticket
    error: HopsackError


class Deliver(msgspec.Struct, frozen=True):
    """An event came for this subscription."""

    subscription: int
    publication: Publication
    payload: Payload


class Withheld(msgspec.Struct, frozen=True):
    """An event came without its payload, which the node could not send.

    :ivar reason: the node's word for why.
    :ivar size: bytes of the event, if it says.
    """

    topic: str
    reason: str
    size: int | None
    subscription: int


class Skipped(msgspec.Struct, frozen=True):
    """Events of a topic were dropped on their way to this session, because it read too slowly.

    :ivar count: how many, if the node says.
    """

    subscription: int
    topic: str
    count: int | None


class Serve(msgspec.Struct, frozen=True):
    """Somebody calls a procedure of ours: answer with :class:`Answered` or :class:`Failed`.

    :ivar timeout: seconds that are left for it, if the node says.
    """

    invocation: int
    registration: int
    caller: Caller
    payload: Payload
    timeout: float | None = None
    flow: Flow | None = None


class Advance(msgspec.Struct, frozen=True):
    """A call has a progressive result."""

    ticket: Ticket
    payload: Payload


class InputsGranted(msgspec.Struct, frozen=True):
    """So many more inputs of a call may be given."""

    ticket: Ticket
    items: int


class ProgressGranted(msgspec.Struct, frozen=True):
    """So many more progressive results may be given for an invocation."""

    invocation: int
    items: int


class InputCame(msgspec.Struct, frozen=True):
    """A further input of an invocation."""

    invocation: int
    payload: Payload


class InputsOver(msgspec.Struct, frozen=True):
    """No further inputs of an invocation will come."""

    invocation: int


class Interrupt(msgspec.Struct, frozen=True):
    """The caller gave up: stop working on this invocation."""

    invocation: int


Kind = Literal["subscription", "registration"]


class Revoke(msgspec.Struct, frozen=True):
    """The node took a subscription or registration away.

    :ivar error: why, as far as it says.
    """

    kind: Kind
    id: int
    error: RemoteError


class Report(msgspec.Struct, frozen=True):
    """An answer of ours, a result or an error, broke its contract, and its caller did not get it: say so loudly."""

    error: RemoteError


Effect = (
    Send
    | Join
    | Refuse
    | Close
    | Resolve
    | Confirm
    | Reject
    | Deliver
    | Withheld
    | Skipped
    | Serve
    | Advance
    | InputsGranted
    | ProgressGranted
    | InputCame
    | InputsOver
    | Interrupt
    | Revoke
    | Report
)


def revoke(kind: Kind, number: int, where: str, reason: object, told: object) -> Revoke:
    """
    :param reason: a URI or a sentence. :param told: the error, as a node of Hopsack tells it.
    """
    if isinstance(told, Mapping):
        return Revoke(kind, number, from_details({"where": where, **told}))
    return Revoke(kind, number, Denied(f"the node took it away: {reason}" if reason else TAKEN, where=where))


TAKEN = "the node took it away"


def personal(facts: object) -> dict[str, Any]:
    """What a node of Hopsack tells of a login, on every door; other routers tell nothing."""
    known: Mapping[str, Any] = facts if isinstance(facts, Mapping) else {}
    groups, tenant = known.get("groups"), known.get("tenant")
    told: dict[str, Any] = {
        "groups": tuple(map(str, groups)) if isinstance(groups, list) else (),
        "tenant": tenant if isinstance(tenant, str) else None,
    }
    for name in ("expires", "expires_in"):
        value = known.get(name)
        told[name] = float(value) if isinstance(value, (int, float)) else None
    return told


def gone(where: str | None) -> RemoteError:
    """The answer to a call that came after its procedure was given back: somebody else may serve it."""
    return Unavailable("this session does not serve that any more", where=where, data={"ran": "no"})


def unanswered(where: str | None, reason: str) -> HopsackError:
    """What became of a request whose connection was lost.

    :param where: what may have run all the same; ``None`` if the request changed nothing that lasts.
    """
    if where is None:
        return Disconnected(f"the connection was lost: {reason}")
    return OutcomeUnknown(f"the connection was lost before the answer: {reason}", where=where, data={"ran": "maybe"})


class Session(Protocol):
    """A client's session: one per connection, fed and obeyed by :mod:`hopsack.connection`."""

    def take(self, event: Input) -> list[Effect]:
        """Take one input.

        :raises hopsack.errors.UsageError: this input has no place in the session's state.
        """
        ...
