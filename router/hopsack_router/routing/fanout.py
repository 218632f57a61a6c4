"""Encode an event once, frame it once, share the bytes, write a connection's all at once.

Theory of operation. The broker turns one PUBLISH into one :class:`Delivery` per matching subscription. Every link
that can read the same bytes has the same :class:`Format` *instance*, so the readers of a subscription fall into groups
of one format (:class:`Audience`, kept until who reads changes), and a group is given one frame in one loop. What waits
for a connection stands at its :class:`Outlet`; the :class:`Outbox` knows which outlets have something and writes them
when the reactor's turn ends. Events that arrive in one turn leave in one write, and a lone event waits for nothing but
the end of its turn. What came of a long RawSocket read is relieved in between: after each ``doors.wamp.SLICE``
messages, 32 (decision 8).

    Broker → Audience → Outbox.share ─→ (straight) Outlet ───────→ Outbox.flush → send_all: one call for all of them
                                     └→ (any other) Link.take ───→ Outbox.flush → Link.flush → the door's write

A connection is straight while its transport is a plain socket with nothing waiting in it: its outlet then holds the
socket. All others, and what the kernel does not take at once, go through the transport with its back-pressure.

This loop is measured per reader in tenths of a microsecond. That is why :meth:`Outbox.share` and :meth:`Outbox.flush`
look into outlets themselves; nobody else may, but the outlet's own link.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from hopsack_router import metrics
from hopsack_router.routing.backlog import Channel, Framed
from hopsack_router.routing.made import Made
from hopsack_router.routing.stalls import Stalls

if TYPE_CHECKING:
    from hopsack_router.routing.asked import Granted
    from hopsack_router.routing.links import Link
    from hopsack_router.routing.session import NodeSession
    from hopsack_router.routing.unread import Carried
    from hopsack_router.streams import Stored

LOG = Logger()

Waiting: TypeAlias = "bytes | tuple[Any, bytes] | None"
"""What waits for a connection: nothing, one frame, or what waited before and one more frame.

Frames are never added to what is there: readers that wait for the same things share one value, which is joined once.
"""

SendAll: TypeAlias = Callable[[list[Any], list[bytes]], Sequence[tuple[int, int]] | None]
"""Sends ``chunks[i]`` to ``sockets[i]``, none of which may block. What was not wholly taken: its index, and how many
bytes were, or minus the error's number."""


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
    :ivar deleted: a key of a ``latest`` topic has no value any more; the payload is the fields of the key alone.
    :ivar stored: the event in the journal, if its topic is kept.
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
    deleted: bool = False
    stored: Stored | None = None


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

    def granted(self, subscription: int, granted: Granted) -> bytes:
        """The frame that tells a reader what its subscription begins with, where the answer has no room for it."""
        return b""

    def channel(self, delivery: Delivery) -> Channel:
        """What an event belongs to, as a reader sees it."""
        if self.per_subscription:
            return Channel(delivery.topic, delivery.subscription, delivery.match)
        return Channel(delivery.topic)

    def gap(self, channel: Channel, dropped: int | None) -> bytes:
        """The frame that tells a reader that events of a channel are gone; empty: it is not told.

        :param channel: its subscription is 0 where :attr:`per_subscription` is not set.
        :param dropped: how many; ``None``: nobody knows.
        """
        return b""


class Outlet:
    """What waits for one connection, and whether it may be sent straight.

    :ivar link: whose it is.
    :ivar outbox: writes it at the end of the turn.
    :ivar most: bytes of the largest frame that the peer takes.
    :ivar socket: the connection's socket object while the connection is straight, else ``None``. Never a descriptor's
        number: a closed socket object knows that it is closed, a number is given to the next connection.
    :ivar waiting: what waits.
    """

    __slots__ = ("link", "most", "outbox", "socket", "waiting")

    def __init__(self, link: Link, outbox: Outbox, most: int = sys.maxsize) -> None:
        self.link = link
        self.outbox = outbox
        self.most = most
        self.socket: Any = None
        self.waiting: Waiting = None


def frames_of(waiting: Waiting) -> list[bytes]:
    """The frames that wait, oldest first."""
    frames: list[bytes] = []
    while type(waiting) is tuple:
        waiting, frame = waiting
        frames.append(frame)
    if waiting is not None:
        frames.append(waiting)  # type: ignore[arg-type]
    frames.reverse()
    return frames


def frame_of(fmt: Format, delivery: Delivery) -> bytes:
    """The frame of an event; that of its notice, where this format cannot write what another one could."""
    try:
        return fmt.event(delivery)
    except Exception:
        LOG.failure("an event of {topic} cannot be written for some of its readers", topic=delivery.topic)
        return fmt.notice(delivery, "unreadable", 0)


class Audience:
    """Who reads a subscription, in groups that take the same bytes from the same outbox.

    :ivar groups: the outlets of each format.
    :ivar components: sessions inside the node, which take the message itself.
    """

    __slots__ = ("components", "groups")

    def __init__(self, sessions: Iterable[NodeSession]) -> None:
        grouped: dict[tuple[Format, Outbox], list[Outlet]] = {}
        self.components: list[NodeSession] = []
        for session in sessions:
            link = session._transport
            outlet: Outlet | None = getattr(link, "outlet", None)
            if link is None:
                continue
            if outlet is not None:
                grouped.setdefault((link.format, outlet.outbox), []).append(outlet)
            else:
                self.components.append(session)
        self.groups = [(fmt, outbox, outlets) for (fmt, outbox), outlets in grouped.items()]


def _none_sent(sockets: list[Any], chunks: list[bytes]) -> Sequence[tuple[int, int]]:
    """For an outbox whose links have no sockets."""
    return [(index, 0) for index in range(len(chunks))]


class Outbox:
    """The outlets that have something to write, written when the reactor's turn ends, or when it is relieved before.

    :param clock: schedules what is done at the end of a turn.
    :param send_all: writes to sockets.
    :ivar stalls: who looks after those whose transport is full.
    :ivar made: the frames of events that were read back.
    """

    def __init__(self, clock: IReactorTime, send_all: SendAll = _none_sent) -> None:
        self._later = partial(clock.callLater, 0)
        self.stalls = Stalls(clock)
        self.made = Made()
        self._send_all = send_all
        self._dirty: list[Outlet] = []
        self._due = False

    def mark(self, outlet: Outlet) -> None:
        """Called when what waits at an outlet goes from nothing to something."""
        if not self._due:
            self._due = True
            self._later(self.flush)
        self._dirty.append(outlet)

    def share(
        self, frame: bytes, delivery: Delivery, outlets: Sequence[Outlet], skip: Outlet | None = None
    ) -> Sequence[Outlet]:
        """Queue one frame at many outlets: the inner loop, its body runs once per reader.

        :param delivery: what it is the frame of; links that are not straight ask.
        :param skip: the outlet that does not get it.
        :returns: those whose peers do not take a frame so large; it is not queued there.
        """
        if not self._due:
            self._due = True
            self._later(self.flush)
        dirty, size = self._dirty, len(frame)
        too_small: list[Outlet] = []
        skipped = apart = 0
        before: Waiting = None
        after: Waiting = None
        framed: Framed | None = None
        for outlet in outlets:
            if outlet is skip:
                skipped = 1
                continue
            if outlet.socket is None:
                if framed is None:  # one for all: a group has one format
                    framed = Framed(outlet.link.format.channel(delivery), frame)
                apart += not outlet.link.take(framed, delivery)
            elif size > outlet.most:
                too_small.append(outlet)
            elif (waiting := outlet.waiting) is None:
                outlet.waiting = frame
                dirty.append(outlet)
            elif waiting is before:
                outlet.waiting = after
            else:
                before = waiting
                outlet.waiting = after = (waiting, frame)
        metrics.deliveries.inc(len(outlets) - skipped - apart - len(too_small))
        return too_small

    def flush(self) -> None:
        """Write everything: the turn ends."""
        self._due = False
        self.relieve()

    def relieve(self) -> None:
        """Write everything that waits now. A connection that fails at it does not keep the others from their bytes."""
        dirty, self._dirty = self._dirty, []
        straight: list[Outlet] = []
        sockets: list[Any] = []
        chunks: list[bytes] = []
        others: list[Outlet] = []
        last: Waiting = None
        chunk = b""
        for outlet in dirty:
            socket, waiting = outlet.socket, outlet.waiting
            if socket is None:
                others.append(outlet)
            elif waiting is not None:  # nothing waits at an outlet that was flushed before its time
                outlet.waiting = None
                if waiting is not last:
                    last = waiting
                    chunk = waiting if type(waiting) is bytes else b"".join(frames_of(waiting))
                straight.append(outlet)
                sockets.append(socket)
                chunks.append(chunk)
        # No code of anybody's may run between here and the last byte: it might close one of these sockets.
        unsent = self._send_all(sockets, chunks) if chunks else None
        for index, sent in unsent or ():
            self._guarded(straight[index].link, chunks[index][max(sent, 0) :])
        for outlet in others:
            self._guarded(outlet.link)

    def _guarded(self, link: Link, rest: bytes = b"") -> None:
        try:
            if rest:
                link.outlet.socket = None
                link.put([rest])
            link.flush()
        except Exception:
            LOG.failure("{peer} cannot be written to", peer=link.peer)
