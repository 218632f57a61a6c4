"""A subscription as its reader holds it: a bounded queue with one reader, which is a handler or an ``async for``.

Bound and policy: at most ``limit`` events (10,000) wait for the reader, in the order they came. When one more comes,
the oldest is dropped, counted in :attr:`Subscription.dropped` and logged when the count reaches 1, 10, 100, … A slow
reader so has the newest events and knows how many it lost; the connection and other readers do not notice.

The subscription outlives its connection: it is made again after every reconnect. Events published in between are lost,
unless the topic is a stream that the reader resumes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

from hopsack.binding import event_of
from hopsack.errors import HopsackError
from hopsack.session import Event, Match, Payload, Publication
from hopsack.values import read

__all__ = ["QUEUE", "Subscription"]

T = TypeVar("T")
log = logging.getLogger("hopsack")

QUEUE = 10_000
"""Events that may wait for one reader."""


class Subscription(Generic[T]):
    """One reader of one topic or pattern.

    ``async for event in subscription`` gives :class:`~hopsack.session.Event` values until :meth:`close`; leaving an
    ``async with`` block closes too.

    :ivar topic: as it was asked for.
    :ivar dropped: events that were dropped because the reader was too slow.
    """

    def __init__(
        self,
        topic: str,
        match: Match,
        type_: Any,
        leave: Callable[[Subscription[T]], Awaitable[None]],
        *,
        limit: int = QUEUE,
    ) -> None:
        self.topic = topic
        self.match: Match = match
        self.dropped = 0
        self._type = type_
        self._leave = leave
        self._queue: deque[tuple[Publication, Payload]] = deque(maxlen=limit)
        self._wake: asyncio.Future[None] | None = None
        self._error: HopsackError | None = None
        self._is_closed = False
        self.task: asyncio.Task[None] | None = None

    # ---- called by the connection ------------------------------------------------------------------------------------

    def offer(self, publication: Publication, payload: Payload) -> None:
        """An event came."""
        if self._is_closed:
            return
        if len(self._queue) == self._queue.maxlen:
            self._count_dropped()
        self._queue.append((publication, payload))
        self._rouse()

    def end(self, error: HopsackError | None = None) -> None:
        """Nothing more comes. What waits is still read; then the reader ends, with ``error`` if there is one."""
        self._is_closed = True
        self._error = error
        self._rouse()

    def _count_dropped(self) -> None:
        self.dropped += 1
        if set(str(self.dropped)[1:]) <= {"0"} and str(self.dropped)[0] == "1":
            log.warning(
                "a subscriber of %s is too slow: %d events dropped, the oldest of %d that wait",
                self.topic,
                self.dropped,
                len(self._queue),
            )

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # ---- called by the reader ----------------------------------------------------------------------------------------

    async def take(self) -> tuple[Publication, Payload] | None:
        """The next event as it came, or ``None`` at the end.

        :raises HopsackError: the node does not let this session subscribe any more.
        """
        while not self._queue:
            if self._is_closed:
                if self._error is not None:
                    raise self._error
                return None
            self._wake = asyncio.get_running_loop().create_future()
            try:
                await self._wake
            finally:
                self._wake = None
        return self._queue.popleft()

    @property
    def waiting(self) -> int:
        """Events that wait for the reader."""
        return len(self._queue)

    async def __aiter__(self) -> AsyncIterator[Event[T]]:
        while (item := await self.take()) is not None:
            publication, payload = item
            data = read(payload, self._type, where=publication.topic)
            yield event_of(publication, data)

    async def close(self) -> None:
        """Unsubscribe. What waits for the reader is dropped."""
        self._queue.clear()
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
