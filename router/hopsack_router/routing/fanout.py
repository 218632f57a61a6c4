"""Encode an event once, frame it once, share the bytes, write once per connection and reactor turn.

Theory of operation. The broker turns one PUBLISH into one :class:`Delivery` per matching subscription. Every link
that can read the same bytes has the same :class:`Format` *instance*, so the bytes of a delivery are looked up by that
instance: one encoding per format and event, however many readers there are. A link that is offered a frame puts it
on its own queue and marks itself dirty at the :class:`Outbox`; the outbox flushes all dirty links once per reactor
turn. Events that arrive in one turn leave in one write, and a lone event waits for nothing but the end of its turn.

Who calls: ``Broker.processPublish`` → ``Format.event`` → ``Link.offer`` → ``Outbox`` → ``Link.flush``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from hopsack_router.routing.links import Link
    from hopsack_router.routing.unread import Carried


class Delivery(msgspec.Struct, frozen=True):
    """One event under one subscription, before any encoding.

    :ivar topic: the concrete topic that was published to.
    :ivar subscription: the subscription's id.
    :ivar match: the subscription's matching policy: ``exact``, ``prefix`` or ``wildcard``.
    :ivar publication: the event's id, the same under every subscription.
    :ivar carried: the arguments of the event; a Hopsack payload is the first positional one.
    :ivar payload: opaque bytes instead of args and kwargs (WAMP payload passthrough mode), with its three attributes.
    :ivar publisher: session id of the publisher, where it is disclosed.
    :ivar retained: whether the event is an old one, shown to a late subscriber.
    :ivar position: ``epoch:offset`` in the topic's stream, if the topic has one.
    """

    topic: str
    subscription: int
    match: str
    publication: int
    carried: Carried
    payload: bytes | None = None
    enc_algo: str | None = None
    enc_key: str | None = None
    enc_serializer: str | None = None
    publisher: int | None = None
    publisher_authid: str | None = None
    publisher_authrole: str | None = None
    forward_for: list[Any] | None = None
    retained: bool = False
    position: str | None = None


class Format(ABC):
    """The bytes that many readers share: one instance per distinct encoding on the wire."""

    per_subscription: bool = True
    """Whether the bytes of one event differ between its subscriptions (WAMP: yes; raw and SSE: no)."""

    @abstractmethod
    def event(self, delivery: Delivery) -> bytes:
        """The whole frame of an event, ready to write."""

    def notice(self, delivery: Delivery, why: str, size: int) -> bytes:
        """The frame that a reader gets in place of an event that it cannot have; empty: it gets nothing.

        :param why: ``too_large`` or ``unreadable``.
        :param size: bytes of the event's frame.
        """
        return b""


class Outbox:
    """The links that have something to write, flushed once per reactor turn.

    :param later: schedules a function for the end of this turn (``partial(reactor.callLater, 0)``).
    """

    def __init__(self, later: Callable[[Callable[[], None]], object]) -> None:
        self._later = later
        self._dirty: list[Link] = []

    def mark(self, link: Link) -> None:
        """Called by a link when its queue goes from empty to not empty."""
        if not self._dirty:
            self._later(self.flush)
        self._dirty.append(link)

    def flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for link in dirty:
            link.flush()
