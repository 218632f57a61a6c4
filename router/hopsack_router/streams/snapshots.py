"""The newest event of each key of each ``latest`` topic. Pure.

Bounds: per topic :attr:`Bounds.keys` and :attr:`Bounds.topic_bytes`, and the key goes that was the longest without a
change; in all :attr:`Bounds.max_bytes`, beyond which the contract gives that has most, and of it that key of the topic
that was the longest without a change. The key that has just changed always stays.
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


class _Share:
    """What one contract has. :ivar boards: in the order of their last change."""

    __slots__ = ("boards", "contract", "size")

    def __init__(self, contract: str) -> None:
        self.contract = contract
        self.boards: dict[str, _Board] = {}
        self.size = 0


class _Board:
    __slots__ = ("keys", "share", "size")

    def __init__(self, share: _Share) -> None:
        self.keys: dict[str, Newest] = {}  # in the order of their last change
        self.share = share
        self.size = 0


class Snapshots:
    """The snapshots of all topics, by URI."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._boards: dict[str, _Board] = {}
        self._shares: dict[str, _Share] = {}
        self._size = 0
        self._changed = 0
        self._told: set[str] = set()  # topics whose lost keys have been logged

    def next_change(self) -> int:
        self._changed += 1
        return self._changed

    def put(self, event: Stored, changed: int, contract: str) -> list[tuple[str, str]]:
        """An event with a ``latest`` key is kept, or takes its key away.

        :param contract: the declared URI of its topic.
        :returns: the keys that had to go for it, with their topics.
        """
        assert event.latest is not None
        self._changed = max(self._changed, changed)
        board = self._boards.get(event.topic)
        if board is None:
            board = _Board(self._shares.get(contract) or _Share(contract))
        self._take(board, event.latest)
        if not event.deleted:
            board.keys[event.latest] = Newest(changed, event)
            self._grow(board, event.size)
        self._place(event.topic, board)
        bounds = self._bounds
        if len(board.keys) <= bounds.keys and board.size <= bounds.topic_bytes and self._size <= bounds.max_bytes:
            return []
        return [*self._cut(event.topic, board), *self._evict((event.topic, event.latest))]

    def find(self, topic: str, key: str) -> Newest | None:
        board = self._boards.get(topic)
        return board.keys.get(key) if board else None

    def shows(self, topic: str) -> bool:
        """Whether a topic has newest values."""
        return topic in self._boards

    def of(self, topic: str) -> tuple[Stored, ...]:
        """The newest event of each key, in the order of their last change."""
        board = self._boards.get(topic)
        return tuple(newest.event for newest in board.keys.values()) if board else ()

    def all_keys(self) -> Iterator[tuple[str, str]]:
        for topic, board in self._boards.items():
            for key in board.keys:
                yield topic, key

    def drop(self, topic: str) -> None:
        board = self._boards.get(topic)
        if board is not None:
            self._grow(board, -board.size)
            board.keys.clear()
            self._place(topic, board)
        self._told.discard(topic)

    def is_first_loss(self, topic: str) -> bool:
        """Whether this is the first time that a topic loses a key for want of room."""
        is_first = topic not in self._told
        self._told.add(topic)
        return is_first

    def _place(self, topic: str, board: _Board) -> None:
        """The board has changed: it is the newest of its contract, or is none any more."""
        share = board.share
        share.boards.pop(topic, None)
        if board.keys:
            self._boards[topic] = share.boards[topic] = board
            self._shares[share.contract] = share
            return
        self._boards.pop(topic, None)
        if not share.boards:
            self._shares.pop(share.contract, None)

    def _take(self, board: _Board, key: str) -> None:
        earlier = board.keys.pop(key, None)
        if earlier is not None:
            self._grow(board, -earlier.event.size)

    def _grow(self, board: _Board, size: int) -> None:
        board.size += size
        board.share.size += size
        self._size += size

    def _cut(self, topic: str, board: _Board) -> Iterator[tuple[str, str]]:
        bounds = self._bounds
        while len(board.keys) > 1 and (len(board.keys) > bounds.keys or board.size > bounds.topic_bytes):
            oldest = next(iter(board.keys))
            self._take(board, oldest)
            yield topic, oldest

    def _evict(self, newest: tuple[str, str]) -> Iterator[tuple[str, str]]:
        """:param newest: what stays."""
        while self._size > self._bounds.max_bytes:
            for share in sorted(self._shares.values(), key=lambda share: -share.size):
                topic, board = next(iter(share.boards.items()))
                oldest = next(iter(board.keys))
                if (topic, oldest) != newest:
                    break
            else:
                return
            self._take(board, oldest)
            if not board.keys:
                self._place(topic, board)
            yield topic, oldest
