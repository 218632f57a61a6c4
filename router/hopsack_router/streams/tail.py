"""The newest events of each topic, in memory, so that a storm of reconnecting readers reads no disk. Pure.

Bounds: per topic :attr:`Tails.topic_bytes`, the oldest event goes; in all :attr:`Tails.max_bytes`, the tail goes of
the topic that was the longest without an event or a reader. A tail always ends with the topic's newest event.
"""

from __future__ import annotations

from itertools import islice

from hopsack_router.streams.events import MIB, Stored

TOPIC_BYTES = 1 * MIB
MAX_BYTES = 64 * MIB


class Tail:
    """:ivar start: the offset of its first event."""

    __slots__ = ("_events", "_gone", "size")

    def __init__(self) -> None:
        self._events: list[Stored] = []
        self._gone = 0  # events at the front that are dropped, and not yet cut off: cutting each one off would be slow
        self.size = 0

    @property
    def start(self) -> int:
        return self._events[self._gone].offset

    def add(self, event: Stored, bound: int) -> int:
        """:returns: by how many bytes the tail grew."""
        before = self.size
        self._events.append(event)
        self.size += event.size
        while self.size > bound and self._gone < len(self._events) - 1:
            self.size -= self._events[self._gone].size
            self._gone += 1
        if self._gone > 64 and self._gone > len(self._events) >> 1:
            del self._events[: self._gone]
            self._gone = 0
        return self.size - before

    def after(self, offset: int, limit: int) -> list[Stored]:
        """Events from the one behind ``offset`` on, which must be there."""
        begin = self._gone + offset + 1 - self.start
        return self._events[begin : begin + limit]

    def published(self, publication: int) -> Stored | None:
        """The event with this publication id."""
        there = islice(reversed(self._events), len(self._events) - self._gone)
        return next((event for event in there if event.publication == publication), None)


class Tails:
    """The tails of all topics, by URI."""

    def __init__(self, topic_bytes: int = TOPIC_BYTES, max_bytes: int = MAX_BYTES) -> None:
        self.topic_bytes, self.max_bytes = topic_bytes, max_bytes
        self._tails: dict[str, Tail] = {}  # in the order in which they were used
        self.size = 0

    def add(self, event: Stored) -> None:
        tail = self._tails.pop(event.topic, None) or Tail()
        self._tails[event.topic] = tail
        self.size += tail.add(event, self.topic_bytes)
        while self.size > self.max_bytes and len(self._tails) > 1:
            self.drop(next(iter(self._tails)))

    def of(self, topic: str) -> Tail | None:
        tail = self._tails.pop(topic, None)
        if tail is not None:
            self._tails[topic] = tail
        return tail

    def drop(self, topic: str) -> None:
        tail = self._tails.pop(topic, None)
        if tail is not None:
            self.size -= tail.size

    def clear(self) -> None:
        self._tails.clear()
        self.size = 0
