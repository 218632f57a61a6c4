"""The newest value of each key of a topic, as a mapping that keeps itself up to date.

A node of Hopsack sends all keys when the subscription is granted, and then what changes. When all keys are in, what
came since takes the place of what was there, so that keys which vanished meanwhile vanish here. Until then the old
values stay. Where events are gone, all keys are asked for again.

Bound: :data:`KEYS` keys, as on the node; the key that was longest without a change makes room. Nothing waits here: a
value takes the place of the one before at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator, Mapping
from types import TracebackType
from typing import Any

from hopsack.errors import HopsackError, UsageError
from hopsack.keeper import settle, settle_error
from hopsack.position import Position
from hopsack.resuming import Recovery
from hopsack.session import Grant, Payload, Publication
from hopsack.subscription import Subscription
from hopsack.values import typed

__all__ = ["KEYS", "LatestMap", "Sink"]

log = logging.getLogger("hopsack")

KEYS = 10_000


class LatestMap(Mapping[Any, Any]):
    """Key to newest value. The key is the value of its field, or the tuple of them where there are several.

    ``async for _ in latest.changes()`` runs after each change; leaving an ``async with`` block closes.

    :ivar topic: whose values these are.
    :ivar is_complete: all keys are in. After a reconnect what is there stays, until the node has told what is new.
    :ivar filled: is done when all keys are in for the first time.
    """

    def __init__(
        self,
        topic: str,
        fields: tuple[str, ...],
        type_: Any,
        renew: Callable[[Sink], None],
        leave: Callable[[Subscription[Any]], Awaitable[None]],
        *,
        limited: Callable[[Subscription[Any]], Awaitable[None]],
        max_rate: float | None = None,
    ) -> None:
        self.topic = topic
        self.is_complete = False
        self._fields = fields
        self._type = type_
        self._loop = asyncio.get_running_loop()
        self.filled: asyncio.Future[None] = self._loop.create_future()
        self._values: dict[Hashable, Any] = {}
        self._next: dict[Hashable, Any] | None = None
        self._left = 0
        self._turned: asyncio.Future[None] = self._loop.create_future()
        self._error: HopsackError | None = None
        self._is_closed = False
        self.sink = Sink(self, topic, leave, renew, limited, max_rate)

    # ---- the mapping -------------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    async def changes(self) -> AsyncIterator[LatestMap]:
        """This mapping, now and whenever it has changed, to the end. A slow reader misses what lay between.

        :raises HopsackError: the node does not let this session read it any more.
        """
        while not self._is_closed:
            turned = self._turned
            yield self
            if not self._is_closed:
                await asyncio.shield(turned)
        if self._error is not None:
            raise self._error

    async def rate(self, max_rate: float | None) -> None:
        """From now on at most so many events a second; ``None``: all of them.

        :raises UsageError: this door has no rates.
        """
        await self.sink.rate(max_rate)

    async def close(self) -> None:
        """Keep it up to date no more. The values stay."""
        await self.sink.close()

    async def __aenter__(self) -> LatestMap:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # ---- called by the sink ------------------------------------------------------------------------------------------

    def begin(self, snapshot: int | None) -> None:
        """The node has granted it, and sends so many newest values; ``None``: it keeps none."""
        self.is_complete = False
        if snapshot is None:
            settle_error(self.filled, UsageError(f"{self.topic}: the node keeps no newest values of this topic"))
            return
        self._next, self._left = {}, snapshot
        if snapshot == 0:
            self._fill()

    def put(self, publication: Publication, payload: Payload) -> None:
        """A value, or the end of one."""
        try:
            plain = payload.read()
            key = self._key_of(plain)
            value = plain if publication.deleted else typed(plain, self._type, where=publication.topic)
        except Exception:
            log.exception("a value of %s does not fit", publication.topic)
        else:
            values = self._values if self._next is None else self._next
            values.pop(key, None)
            if not publication.deleted:
                values[key] = value
            if len(values) > KEYS:
                del values[next(iter(values))]
        if self._next is None:
            self._turn()
        elif publication.retained:
            self._left -= 1
            if self._left == 0:
                self._fill()

    def end(self, error: HopsackError | None) -> None:
        """Nothing more comes."""
        self._is_closed = True
        self._error = error
        self.is_complete = False
        settle_error(self.filled, error or UsageError(f"{self.topic}: closed before all keys were in"))
        self._turn()

    @property
    def awaited(self) -> int:
        """Newest values that are still to come."""
        return 0 if self._next is None else self._left

    def _fill(self) -> None:
        self._values, self._next = self._next or {}, None
        self.is_complete = True
        settle(self.filled, None)
        self._turn()

    def _turn(self) -> None:
        turned, self._turned = self._turned, self._loop.create_future()
        turned.set_result(None)

    def _key_of(self, value: Any) -> Hashable:
        if not self._fields:
            return self.topic
        parts = tuple(value[name] for name in self._fields)
        return parts if len(parts) > 1 else parts[0]


class Sink(Subscription[Any]):
    """What feeds a map: a subscription whose events are taken at once."""

    def __init__(
        self,
        latest: LatestMap,
        topic: str,
        leave: Callable[[Subscription[Any]], Awaitable[None]],
        renew: Callable[[Sink], None],
        limited: Callable[[Subscription[Any]], Awaitable[None]],
        max_rate: float | None,
    ) -> None:
        super().__init__(
            topic,
            "exact",
            None,
            leave,
            is_keen=True,
            max_rate=max_rate,
            limited=limited,
            # The newest values do for what was missed.
            read_back=lambda _reader, _read: renew(self),
        )
        self._latest = latest
        self._renew = renew
        self._awaited = 0
        self._stuck = 0

    def granted(self, grant: Grant | None, asked: Mapping[str, Position]) -> None:
        super().granted(grant, asked)
        self._latest.begin(None if grant is None else grant.snapshot)

    def skipped(self, topic: str, count: int | None) -> None:
        super().skipped(topic, count)
        self._renew(self)

    def quiet(self, known: Mapping[str, Position], most: int) -> dict[str, Position]:
        """Newest values that have stopped coming before they were all there are asked for again."""
        awaited = self._latest.awaited
        self._stuck = self._stuck + 1 if awaited and awaited == self._awaited else 0
        self._awaited = awaited
        if self._stuck > 1:
            self._stuck = 0
            self._renew(self)
        return {} if awaited else super().quiet(known, most)

    def end(self, error: HopsackError | None = None) -> None:
        super().end(error)
        self._latest.end(error)

    def _put(self, publication: Publication, payload: Payload) -> None:
        self._latest.put(publication, payload)

    def _tell(self, recovery: Recovery) -> None:
        self.recoveries.append(recovery)
        if not recovery.recovered and recovery.reason not in ("live", "snapshot"):
            self._renew(self)
