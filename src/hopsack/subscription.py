"""A subscription as its reader holds it: a bounded queue with one reader, which is a handler or an ``async for``.

Bound and policy: at most ``limit`` events (10,000) wait for the reader, in the order they came.

- An event of a stream that finds the queue full is left to the journal, and read back from there when the reader has
  caught up: nothing is lost, and nobody else notices (:mod:`hopsack.resuming`). Where the node refuses that for good,
  it is dropped and counted, and the gap is told in its place.
- Of other events the oldest is dropped, counted in :attr:`Subscription.dropped`, and logged when the count reaches 1,
  10, 100, … Where the oldest that waits belongs to a stream, the new one is dropped instead.

The subscription outlives its connection: it is made again after every reconnect. A stream goes on where its reader was;
what else was published in between is lost, and told.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hopsack.binding import event_of
from hopsack.errors import HopsackError
from hopsack.position import Position
from hopsack.raw import matches
from hopsack.resuming import Deliver, Dropped, Effect, Page, Read, Recovery, Resuming
from hopsack.session import Event, Grant, Match, Payload, Publication
from hopsack.values import read

if TYPE_CHECKING:
    from hopsack.privacy import KeyRing

__all__ = ["QUEUE", "RECOVERIES", "Subscription"]

T = TypeVar("T")
log = logging.getLogger("hopsack")

QUEUE = 10_000
"""Events that may wait for one reader."""

RECOVERIES = 100
"""Recoveries that are remembered, and that may wait for one reader."""


class Subscription(Generic[T]):
    """One reader of one topic or pattern.

    ``async for event in subscription`` gives :class:`~hopsack.session.Event` values until :meth:`close`; leaving an
    ``async with`` block closes too.

    :ivar topic: as it was asked for.
    :ivar dropped: events that were dropped because the reader, or this program, was too slow.
    :ivar max_rate: events a second that it asked for at most; ``None``: all of them.
    :ivar keyring: opens what is sealed; ``None``: it is read as it comes.
    :ivar recoveries: how it went on after each interruption, the newest last.
    :ivar rounds: since the node was asked whether streams have begun (:mod:`hopsack.abreast`).
    """

    def __init__(
        self,
        topic: str,
        match: Match,
        type_: Any,
        leave: Callable[[Subscription[T]], Awaitable[None]],
        *,
        limit: int = QUEUE,
        places: Mapping[str, Position] | None = None,
        max_rate: float | None = None,
        is_keen: bool = False,
        read_back: Callable[[Subscription[T], Read], None] | None = None,
        limited: Callable[[Subscription[T]], Awaitable[None]] | None = None,
        on_recovery: Callable[[Recovery], object] | None = None,
    ) -> None:
        self.topic = topic
        self.match: Match = match
        self.dropped = 0
        self.max_rate = max_rate
        self.rounds = 0
        self.recoveries: deque[Recovery] = deque(maxlen=RECOVERIES)
        self.task: asyncio.Task[None] | None = None
        self.keyring: KeyRing | None = None
        self._type = type_
        self._leave = leave
        self._limit = limit
        self._resuming = Resuming(topic, places, is_keen=is_keen, limit=limit)
        self._read_back = read_back
        self._limited = limited
        self._on_recovery = on_recovery
        self._queue: deque[tuple[Publication, Payload] | Recovery] = deque()
        self._recoveries_waiting = 0
        self._wake: asyncio.Future[None] | None = None
        self._error: HopsackError | None = None
        self._is_closed = False

    # ---- called by the connection ------------------------------------------------------------------------------------

    def offer(self, publication: Publication, payload: Payload) -> None:
        """An event came."""
        if self._is_closed:
            return
        if publication.position is not None:
            self._obey(self._resuming.came(publication, payload, self._room))
        elif not publication.retained or self._resuming.takes_newest:
            self._put(publication, self._opened(publication, payload))
            self._rouse()

    def granted(self, grant: Grant | None, asked: Mapping[str, Position]) -> None:
        """The node has granted it on a new link, or again."""
        self._obey(self._resuming.granted(grant, asked, self._room))

    def paged(self, wanted: Read, page: Page | HopsackError) -> None:
        """What the journal has, or why it was not to be had."""
        if not self._is_closed:
            self._obey(self._resuming.paged(wanted, page, self._room))

    def skipped(self, topic: str, count: int | None) -> None:
        """The node has dropped events, because this program reads too slowly."""
        self.dropped += count or 0
        log.warning("%s events of %s were dropped by the node: this program reads too slowly", count or "some", topic)
        self._resuming.skipped(topic)

    def withheld(self, topic: str) -> None:
        """An event came without its payload, and that was told."""
        self._resuming.skipped(topic)

    def lost(self) -> None:
        """The link is gone."""
        self._resuming.lost()

    def thin(self, is_thinned: bool) -> None:
        """A rate limit begins or has ended."""
        if is_thinned:
            self._resuming.is_thinned = True
        elif self._resuming.is_thinned:
            self._resuming.loosen()

    def quiet(self, known: Mapping[str, Position], most: int) -> dict[str, Position]:
        """What the node is to be asked about, because nothing was heard of it for a while."""
        return {} if self._is_closed else self._resuming.quiet(known, most)

    @property
    def is_curious(self) -> bool:
        """Whether the node has not said where the streams stand."""
        return self._resuming.is_curious and not self._is_closed

    @property
    def is_expecting(self) -> bool:
        """Whether a stream may begin, and all of its events be lost."""
        return self.match != "exact" and self._resuming.is_expecting and not self._is_closed

    @property
    def places(self) -> Mapping[str, Position]:
        """The last event of each topic."""
        return self._resuming.places

    def checked(
        self, asked: Mapping[str, Position], heads: Mapping[str, Position], is_all: bool, *, is_whole: bool
    ) -> None:
        """Where the node says that streams stand, also those of other subscriptions."""
        if self._is_closed:
            return
        known = self._resuming.places
        own = {topic: at for topic, at in heads.items() if topic in known or matches(topic, self.topic, self.match)}
        self._obey(self._resuming.checked(asked, own, is_all, self._room, is_whole=is_whole))

    @property
    def knows_all(self) -> bool:
        """Whether a topic that ``after`` does not name is new."""
        return self._resuming.knows_all

    @property
    def has_forgotten(self) -> bool:
        """Whether there are topics that ``after`` does not name any more."""
        return self._resuming.has_forgotten

    @property
    def after(self) -> Mapping[str, Position]:
        """What a door may resume from by itself."""
        return self._resuming.after

    @property
    def wants_newest(self) -> bool:
        return self._resuming.wants_newest

    @property
    def is_keen(self) -> bool:
        """Whether the newest values are all it wants."""
        return self._resuming.is_keen

    def end(self, error: HopsackError | None = None) -> None:
        """Nothing more comes. What waits is still read; then the reader ends, with ``error`` if there is one."""
        self._is_closed = True
        self._error = error
        self._rouse()

    @property
    def _room(self) -> int:
        return self._limit - self.waiting

    def _obey(self, effects: list[Effect]) -> None:
        for effect in effects:
            if type(effect) is Deliver:
                self._put(effect.publication, self._opened(effect.publication, effect.payload))
            elif type(effect) is Read:
                if self._read_back is not None:
                    self._read_back(self, effect)
            elif type(effect) is Recovery:
                self._tell(effect)
            elif type(effect) is Dropped:
                self._count_dropped(effect.count)
        if effects:
            self._rouse()

    def _opened(self, publication: Publication, payload: Payload) -> Payload:
        return payload if self.keyring is None else self.keyring.opened(publication.topic, payload)

    def _put(self, publication: Publication, payload: Payload) -> None:
        if len(self._queue) - self._recoveries_waiting >= self._limit:
            self._count_dropped()
            if _is_kept(self._queue[0]):
                return
            self._queue.popleft()
        self._queue.append((publication, payload))

    def _tell(self, recovery: Recovery) -> None:
        """At once in the log, where it is a loss; to the program in the order of the events."""
        if not recovery.recovered and recovery.reason not in ("live", "snapshot"):
            missed = "an unknown number of" if recovery.missed is None else recovery.missed
            log.warning("%s events of %s are gone: %s", missed, recovery.topic, recovery.reason)
        if self._recoveries_waiting < RECOVERIES:
            self._recoveries_waiting += 1
            self._queue.append(recovery)

    def _count_dropped(self, count: int = 1) -> None:
        before, self.dropped = self.dropped, self.dropped + count
        if not before or len(str(before)) < len(str(self.dropped)):
            log.warning(
                "a subscriber of %s is too slow: %d events dropped while %d wait",
                self.topic,
                self.dropped,
                self.waiting,
            )

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # ---- called by the reader ----------------------------------------------------------------------------------------

    async def take(self) -> tuple[Publication, Payload] | None:
        """The next event as it came, or ``None`` at the end.

        :raises HopsackError: the node does not let this session subscribe any more.
        """
        while True:
            if not self._queue:
                if self._is_closed:
                    if self._error is not None:
                        raise self._error
                    return None
                await self._woken()
                continue
            item = self._queue.popleft()
            if self._resuming.due and not self._is_closed:
                self._obey(self._resuming.drained(self._room))
            if type(item) is tuple:
                return item
            assert isinstance(item, Recovery)
            self._recovered(item)

    async def _woken(self) -> None:
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def _recovered(self, recovery: Recovery) -> None:
        self._recoveries_waiting -= 1
        self.recoveries.append(recovery)
        if self._on_recovery is None:
            return
        try:
            self._on_recovery(recovery)
        except Exception:
            log.exception("on_recovery of %s failed", self.topic)

    @property
    def waiting(self) -> int:
        """Events that wait for the reader."""
        return len(self._queue) - self._recoveries_waiting

    async def rate(self, max_rate: float | None) -> None:
        """From now on at most so many events a second, the newest of each key; ``None``: all of them.

        :raises UsageError: this door has no rates.
        """
        before, self.max_rate = self.max_rate, max_rate
        try:
            if self._limited is not None:
                await self._limited(self)
        except HopsackError:
            self.max_rate = before
            raise

    async def __aiter__(self) -> AsyncIterator[Event[T]]:
        while (item := await self.take()) is not None:
            publication, payload = item
            data = read(payload, None if publication.deleted else self._type, where=publication.topic)
            yield event_of(publication, data)

    async def close(self) -> None:
        """Unsubscribe. What waits for the reader is dropped."""
        self._queue.clear()
        self._recoveries_waiting = 0
        self.end()
        if self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()
        await self._leave(self)

    async def __aenter__(self) -> Subscription[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _is_kept(item: tuple[Publication, Payload] | Recovery) -> bool:
    """Whether it belongs to a stream, and must not be dropped."""
    return isinstance(item, Recovery) or item[0].position is not None
