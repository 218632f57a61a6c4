"""A store that forgets when the process ends. It never waits, so events are answered before ``append`` returns.

Bounds are the ledger's: it says what goes.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter

from hopsack_router.streams.events import Stored
from hopsack_router.streams.store import Batch, Recovered, Span

_offset = attrgetter("offset")


class MemoryStore:
    """Implements :class:`~hopsack_router.streams.store.Store`."""

    is_local = True

    def __init__(self) -> None:
        self._events: dict[int, list[Stored]] = {}
        self._offsets: dict[int, dict[int, int]] = {}  # by topic and publication id

    def open(self) -> Recovered:
        return Recovered()

    def commit(self, batch: Batch) -> None:
        for topic, event in batch.events:
            self._events.setdefault(topic, []).append(event)
            self._offsets.setdefault(topic, {})[event.publication] = event.offset
        for span in batch.trimmed:
            self._trim(span)

    def _trim(self, span: Span) -> None:
        events, offsets = self._events.get(span.topic, []), self._offsets.get(span.topic, {})
        begin, end = _index(events, span.start), _index(events, span.end + 1)
        for event in events[begin:end]:
            if offsets.get(event.publication) == event.offset:
                del offsets[event.publication]
        del events[begin:end]
        if not events:
            self._events.pop(span.topic, None)
            self._offsets.pop(span.topic, None)

    def read(self, span: Span, uri: str, epoch: str) -> list[Stored]:
        events = self._events.get(span.topic, [])
        return events[_index(events, span.start) : _index(events, span.end + 1)]

    def find(self, span: Span, publication: int) -> int | None:
        offset = self._offsets.get(span.topic, {}).get(publication)
        return offset if offset is not None and span.start <= offset <= span.end else None

    def replace(self) -> str:
        self._events.clear()
        self._offsets.clear()
        return "the journal in memory was begun afresh"

    def close(self) -> None:
        self._events.clear()
        self._offsets.clear()


def _index(events: list[Stored], offset: int) -> int:
    return bisect_left(events, offset, key=_offset)
