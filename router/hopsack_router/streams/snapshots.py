"""The newest event of each key of each ``latest`` topic. Pure.

Bounds: per topic :attr:`Bounds.keys` and :attr:`Bounds.topic_bytes`, and the key goes that was the longest without a
change; in all :attr:`Bounds.max_bytes`, and that key goes of the topic that was the longest without one. The newest
key always stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from hopsack_router.streams.events import MIB, Stored


@dataclass(frozen=True, slots=True)
class Bounds:
    keys: int = 10_000
    topic_bytes: int = 16 * MIB
    max_bytes: int = 128 * MIB


class Newest(NamedTuple):
    """:ivar changed: a number that grows with each change of any key."""

    changed: int
    event: Stored


class _Board:
    __slots__ = ("keys", "size")

    def __init__(self) -> None:
        self.keys: dict[str, Newest] = {}  # in the order of their last change
        self.size = 0


class Snapshots:
    """The snapshots of all topics, by URI."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._boards: dict[str, _Board] = {}  # in the order of their last change
        self._size = 0
        self._changed = 0
        self._told: set[str] = set()  # topics whose lost keys have been logged

    def next_change(self) -> int:
        self._changed += 1
        return self._changed

    def put(self, event: Stored, changed: int) -> list[tuple[str, str]]:
        """An event with a ``latest`` key is kept, or takes its key away.

        :returns: the keys that had to go for it, with their topics.
        """
        assert event.latest is not None
        self._changed = max(self._changed, changed)
        board = self._boards.pop(event.topic, None) or _Board()
        self._take(board, event.latest)
        if not event.deleted:
            board.keys[event.latest] = Newest(changed, event)
            board.size += event.size
            self._size += event.size
        if board.keys:
            self._boards[event.topic] = board
        return list(self._evict(event.topic, board))

    def find(self, topic: str, key: str) -> Newest | None:
        board = self._boards.get(topic)
        return board.keys.get(key) if board else None

    def of(self, topic: str) -> tuple[Stored, ...]:
        """The newest event of each key, in the order of their last change."""
        board = self._boards.get(topic)
        return tuple(newest.event for newest in board.keys.values()) if board else ()

    def all_keys(self) -> Iterator[tuple[str, str]]:
        for topic, board in self._boards.items():
            for key in board.keys:
                yield topic, key

    def drop(self, topic: str) -> None:
        board = self._boards.pop(topic, None)
        if board is not None:
            self._size -= board.size
        self._told.discard(topic)

    def is_first_loss(self, topic: str) -> bool:
        """Whether this is the first time that a topic loses a key for want of room."""
        is_first = topic not in self._told
        self._told.add(topic)
        return is_first

    def _take(self, board: _Board, key: str) -> None:
        earlier = board.keys.pop(key, None)
        if earlier is not None:
            board.size -= earlier.event.size
            self._size -= earlier.event.size

    def _evict(self, topic: str, board: _Board) -> Iterator[tuple[str, str]]:
        bounds = self._bounds
        while len(board.keys) > 1 and (len(board.keys) > bounds.keys or board.size > bounds.topic_bytes):
            oldest = next(iter(board.keys))
            self._take(board, oldest)
            yield topic, oldest
        while self._size > bounds.max_bytes:
            other, its = next(iter(self._boards.items()))
            if len(self._boards) == 1 and len(its.keys) == 1:
                return
            oldest = next(iter(its.keys))
            self._take(its, oldest)
            if not its.keys:
                del self._boards[other]
            yield other, oldest
