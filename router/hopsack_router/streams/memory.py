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

    def open(self) -> Recovered:
        return Recovered()

    def commit(self, batch: Batch) -> None:
        for topic, event in batch.events:
            self._events.setdefault(topic, []).append(event)
        for span in batch.trimmed:
            events = self._events.get(span.topic, [])
            del events[_index(events, span.start) : _index(events, span.end + 1)]
            if not events:
                self._events.pop(span.topic, None)

    def read(self, span: Span, uri: str, epoch: str) -> list[Stored]:
        events = self._events.get(span.topic, [])
        return events[_index(events, span.start) : _index(events, span.end + 1)]

    def find(self, span: Span, publication: int) -> int | None:
        for event in self._events.get(span.topic, []):
            if event.publication == publication and span.start <= event.offset <= span.end:
                return event.offset
        return None

    def replace(self) -> str:
        self._events.clear()
        return "the journal in memory was begun afresh"

    def close(self) -> None:
        self._events.clear()


def _index(events: list[Stored], offset: int) -> int:
    return bisect_left(events, offset, key=_offset)
