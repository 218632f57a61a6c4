"""What our own doors ask of the router beyond WAMP, and what it answers: WAMP's messages with a little more in them.

    Subscribe   WAMP's, and where to resume, and how fast       -> Subscribed, then snapshot, missed events, live
    Publish     WAMP's, and an idempotency key, or a tombstone  -> Published, with a position where the topic has one
    Rate        another pace for a subscription                 -> Rated
    Call        WAMP's, and its Terms                           -> Invocation, with a window and whether inputs follow
    More        a consumer of progressive results, or of progressive inputs, takes so many more

Their subclassing keeps one path: whoever knows WAMP's message alone takes them for that. A Subscribe of ours that
says nothing more still differs from WAMP's in one point: it is shown the snapshot of a ``latest`` topic, for which
stock clients ask with ``get_retained``. An ERROR for a Rate has SUBSCRIBE's type, since WAMP has none for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Annotated, Any

import msgspec
from autobahn.wamp import message
from autobahn.wamp.exception import ProtocolError

from hopsack.errors import BadRequest, RemoteError

MAX_POSITIONS = 1000
"""Topics that one subscription resumes at once."""


class Subscribe(message.Subscribe):  # type: ignore[misc]
    """A door's SUBSCRIBE.

    :ivar after: resume behind this position (``epoch:offset``) or publication id; for a pattern, positions by topic, at
        most :data:`MAX_POSITIONS`. ``None``: begin with what comes now.
    :ivar max_rate: events per second at most, above 0; the newest value of each key wins. ``None``: all of them.
    :ivar newest: begin with the newest values of ``latest`` topics unasked; else only with ``get_retained``.
    :ivar told: a WAMP client wants to know what it begins with: :meth:`Format.granted` follows SUBSCRIBED.
    """

    __slots__ = ("after", "max_rate", "newest", "told")

    def __init__(
        self,
        request: int,
        topic: str,
        match: str = message.Subscribe.MATCH_EXACT,
        after: str | Mapping[str, str] | int | None = None,
        max_rate: float | None = None,
        get_retained: bool | None = None,
        newest: bool = True,
        told: bool = False,
    ) -> None:
        super().__init__(request, topic, match=match, get_retained=get_retained)
        self.after = after
        self.max_rate = max_rate
        self.newest = newest
        self.told = told


def check(subscribe: Subscribe) -> RemoteError | None:
    """What is wrong with the options that came as a client wrote them; what positions must be is said elsewhere."""
    rate, after, where = subscribe.max_rate, subscribe.after, subscribe.topic
    if rate is not None and (type(rate) not in (int, float) or not 0 < rate < inf):
        return BadRequest("a rate is a number of events per second, above 0", where=where, path="/x_hopsack_max_rate")
    if isinstance(after, dict):
        is_whole = all(type(one) is str for pair in after.items() for one in pair) and len(after) <= MAX_POSITIONS
    else:
        is_whole = after is None or type(after) is str
    if is_whole:
        return None
    told = f"one resumes from a position, or from positions by topic, {MAX_POSITIONS} at most"
    return BadRequest(told, where=where, path="/x_hopsack_after", advice="such as abcdefgh:41")


class Publish(message.Publish):  # type: ignore[misc]
    """A door's PUBLISH.

    :ivar key: the publisher's idempotency key, 1 to 64 characters: the same on the same stream is not kept twice.
    :ivar delete: the payload names a key of a ``latest`` topic that has no value any more.
    """

    __slots__ = ("delete", "key")

    def __init__(
        self,
        request: int,
        topic: str,
        args: list[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        acknowledge: bool | None = None,
        exclude_me: bool | None = None,
        key: str | None = None,
        delete: bool = False,
        **more: Any,
    ) -> None:
        """:param more: whatever else WAMP's has."""
        super().__init__(
            request, topic, args=args, kwargs=kwargs, acknowledge=acknowledge, exclude_me=exclude_me, **more
        )
        self.key = key
        self.delete = delete


@dataclass(frozen=True, slots=True)
class Granted:
    """What a subscription begins with.

    :ivar position: the first event that follows is the one after this; ``None``: a pattern, or no stream.
    :ivar positions: the same by topic, for a pattern: its streams that have events. ``None``: not a pattern, or more
        than :data:`MAX_POSITIONS`.
    :ivar recovered: ``after`` was given, and everything that was missed follows.
    :ivar reason: ``epoch`` or ``trimmed``: why not.
    :ivar snapshot: so many newest values come first; ``None``: nothing here keeps any, or they are not needed.
    """

    position: str | None = None
    positions: Mapping[str, str] | None = None
    recovered: bool = False
    reason: str | None = None
    snapshot: int | None = None


class Subscribed(message.Subscribed):  # type: ignore[misc]
    """SUBSCRIBED; ``granted`` is not on the wire of stock WAMP."""

    __slots__ = ("granted",)

    def __init__(self, request: int, subscription: int, granted: Granted) -> None:
        super().__init__(request, subscription)
        self.granted = granted


class Published(message.Published):  # type: ignore[misc]
    """PUBLISHED; ``position`` (``epoch:offset``) is not on the wire of stock WAMP. ``None``: the topic is no stream."""

    __slots__ = ("position",)

    def __init__(self, request: int, publication: int, position: str | None) -> None:
        super().__init__(request, publication)
        self.position = position


class Rate(message.Message):  # type: ignore[misc]
    """Change the pace of a subscription.

    :ivar max_rate: as in :class:`Subscribe`.
    """

    MESSAGE_TYPE = message.Subscribe.MESSAGE_TYPE
    """What its ERROR is about."""

    __slots__ = ("max_rate", "request", "subscription")

    def __init__(self, request: int, subscription: int, max_rate: float | None) -> None:
        super().__init__()
        self.request = request
        self.subscription = subscription
        self.max_rate = max_rate


class Rated(message.Message):  # type: ignore[misc]
    """The pace is changed."""

    __slots__ = ("request",)

    def __init__(self, request: int) -> None:
        super().__init__()
        self.request = request


# ---- calls ----------------------------------------------------------------------------------------------------------


_OURS = "x_hopsack_"
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]


def _option(name: str) -> str:
    return name if name == "progress" else _OURS + name


class Terms(msgspec.Struct, frozen=True, omit_defaults=True, rename=_option):
    """What the options of a CALL say that Autobahn's does not know. Nothing is ``None``.

    :ivar progress: another CALL with the same request id follows: progressive input (WAMP advanced profile).
    :ivar window: progressive results that the caller takes before it says MORE.
    :ivar key: idempotency key.
    :ivar wait: milliseconds to wait for a callee.
    :ivar retry: further tries. :ivar queue: whether to wait in a queue. :ivar breaker: whether breakers count.
    """

    progress: bool = False
    window: Count | None = None
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    wait: Count | None = None
    retry: Count | None = None
    queue: bool | None = None
    breaker: bool | None = None


TERMS = frozenset(Terms.__struct_encode_fields__)


def terms_of(options: Mapping[str, Any]) -> Terms | BadRequest | None:
    """The terms in the options of a CALL; ``None``: there are none. Or what is wrong with them."""
    if options.keys().isdisjoint(TERMS):
        return None
    try:
        return msgspec.convert({name: options[name] for name in TERMS & options.keys()}, Terms)
    except msgspec.ValidationError as error:
        return BadRequest(str(error).replace("`$.", "`Options."))


class Call(message.Call):  # type: ignore[misc]
    """A CALL with terms."""

    __slots__ = ("terms",)

    def __init__(self, *args: Any, terms: Terms | BadRequest | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.terms = terms

    def marshal(self) -> list[Any]:
        marshalled: list[Any] = super().marshal()
        if isinstance(self.terms, Terms):
            marshalled[2] = {**marshalled[2], **msgspec.to_builtins(self.terms)}
        return marshalled


class Invocation(message.Invocation):  # type: ignore[misc]
    """An INVOCATION, with what Autobahn's does not know.

    :ivar progress: inputs follow, under the same request id. :ivar x_hopsack_window: progressive results that may be
        sent before MORE comes.
    """

    __slots__ = ("progress", "x_hopsack_window")

    def __init__(
        self, *args: Any, progress: bool | None = None, x_hopsack_window: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.progress = progress
        self.x_hopsack_window = x_hopsack_window

    def marshal(self) -> list[Any]:
        marshalled: list[Any] = super().marshal()
        details = {"progress": self.progress, "x_hopsack_window": self.x_hopsack_window}
        marshalled[3] = {**marshalled[3], **{name: value for name, value in details.items() if value is not None}}
        return marshalled


class More(message.Message):  # type: ignore[misc]
    """``[MORE, REQUEST.Type|int, REQUEST.Request|id, n]``: its sender takes ``n`` more, about this CALL or INVOCATION.

    WAMP has no such message; it leaves the numbers from 256 to 1023 to implementations. The type of the request stands
    in it as in ERROR: one session may be caller and callee, and its calls and invocations are numbered apart.
    """

    MESSAGE_TYPE = 513

    __slots__ = ("items", "kind", "request")

    def __init__(self, kind: int, request: int, items: int) -> None:
        super().__init__()
        self.kind = kind
        self.request = request
        self.items = items

    @staticmethod
    def parse(raw: list[Any]) -> More:
        """:raises ProtocolError: this is none."""
        kinds = message.Call.MESSAGE_TYPE, message.Invocation.MESSAGE_TYPE
        numbers = raw[1:4]
        if len(raw) < 4 or any(type(one) is not int for one in numbers) or numbers[0] not in kinds or numbers[2] < 1:
            raise ProtocolError("MORE is [513, the type of the request, its id, a number above 0]")
        return More(*numbers)

    def marshal(self) -> list[Any]:
        return [More.MESSAGE_TYPE, self.kind, self.request, self.items]
