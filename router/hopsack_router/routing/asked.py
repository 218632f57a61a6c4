"""What our own doors ask of the router beyond WAMP, and what it answers: WAMP's messages with a little more in them.

    Subscribe   WAMP's, and where to resume, and how fast       -> Subscribed, then snapshot, missed events, live
    Publish     WAMP's, and an idempotency key, or a tombstone  -> Published, with a position where the topic has one
    Rate        another pace for a subscription                 -> Rated

Their subclassing keeps one path: whoever knows WAMP's message alone takes them for that. A Subscribe of ours that
says nothing more still differs from WAMP's in one point: it is shown the snapshot of a ``latest`` topic, for which
stock clients ask with ``get_retained``. An ERROR for a Rate has SUBSCRIBE's type, since WAMP has none for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autobahn.wamp import message

MAX_POSITIONS = 1000
"""Topics that one subscription resumes at once."""


class Subscribe(message.Subscribe):  # type: ignore[misc]
    """A door's SUBSCRIBE.

    :ivar after: resume behind this position (``epoch:offset``) or publication id; for a pattern, positions by topic, at
        most :data:`MAX_POSITIONS`. ``None``: begin with what comes now.
    :ivar max_rate: events per second at most, above 0; the newest value of each key wins. ``None``: all of them.
    """

    __slots__ = ("after", "max_rate")

    def __init__(
        self,
        request: int,
        topic: str,
        match: str = message.Subscribe.MATCH_EXACT,
        after: str | Mapping[str, str] | int | None = None,
        max_rate: float | None = None,
        get_retained: bool | None = None,
    ) -> None:
        super().__init__(request, topic, match=match, get_retained=get_retained)
        self.after = after
        self.max_rate = max_rate


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
    ) -> None:
        super().__init__(request, topic, args=args, kwargs=kwargs, acknowledge=acknowledge, exclude_me=exclude_me)
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
