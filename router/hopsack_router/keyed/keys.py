"""Which keyed calls there were, and how they ended. A core without I/O.

    ask(call)  -> Run        nobody knows its key: write that it begins, then have it executed
               -> Wait       the same one runs already: it gets the same outcome
               -> an Outcome the same one has ended
    ended      -> who waits, and what the store is told
    unasked    -> who waits: it never ran, and the key is free again

A key belongs to a procedure and to a user; guests, who have no lasting name, share one space and must choose keys that
nobody guesses. The input belongs to it too: the same key with another input is a mistake, and is told as one.

What was written as begun and has no outcome when a node starts may have run. It is never executed again while its key
is known: a repeat is told that nobody knows.

Bounds: :data:`MAX_KEYS` keys in all, :data:`OF_ONE` of one user, :data:`MAX_BYTES` of outcomes, of which one larger
than :data:`MAX_OUTCOME` is not kept. A key is remembered for as long as its contract says, whatever else comes: where
there is no room for another, the call is refused.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from hopsack.errors import BadRequest, OutcomeUnknown, Overloaded, to_wamp

MAX_KEYS = 100_000
OF_ONE = 10_000
MAX_BYTES = 64 << 20
MAX_OUTCOME = 256 << 10
_SLACK = 1000

Waiter = Hashable


class Key(NamedTuple):
    """:ivar user: role and authid; ``""`` for guests."""

    procedure: str
    user: str
    name: str


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """How a call ended: with a result, or with the error ``uri``, and what came with it."""

    uri: str | None
    args: list[Any] | None
    kwargs: dict[str, Any] | None


class Row(NamedTuple):
    """A key in the store.

    :ivar digest: of the input. :ivar until: Unix time after which it is forgotten.
    :ivar outcome: encoded; ``None``: it was begun.
    """

    key: Key
    digest: bytes
    until: float
    outcome: bytes | None


class Run(NamedTuple):
    """It is new. :ivar row: what is to be written first."""

    row: Row


class Wait(NamedTuple):
    """The same one runs."""


@dataclass(slots=True)
class _Entry:
    digest: bytes
    ends: float
    until: float
    outcome: bytes | None = None
    is_over: bool = False
    waiting: dict[Waiter, None] = field(default_factory=dict)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Outcome).decode


class Keys:
    """The keys of one realm. Times are seconds of a clock that does not jump, ``wall`` is Unix time."""

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry] = {}
        self._ends: list[tuple[float, Key]] = []
        self._of: Counter[str] = Counter()
        self._size = 0

    def recover(self, rows: Iterable[Row], now: float, wall: float, longest: float) -> None:
        """Take over what a store knows.

        :param longest: seconds for which any key is remembered: a clock that was set back does not make it longer.
        """
        for row in rows:
            left = min(row.until - wall, longest)
            entry = _Entry(row.digest, now + left, row.until, row.outcome, is_over=True)
            self._add(row.key, entry)
            self._size += len(row.outcome or b"")

    def ask(
        self, key: Key, digest: bytes, waiter: Waiter, window: float, now: float, wall: float
    ) -> Run | Wait | Outcome:
        """
        :param window: seconds for which the key is remembered.
        :raises BadRequest: another input has this key. :raises Overloaded: no room for another key.
        """
        entry = self._entries.get(key)
        if entry is not None:
            if entry.digest != digest:
                raise BadRequest(
                    "this key was used with another input",
                    where=key.procedure,
                    advice="use another key for another call",
                )
            if entry.is_over:
                return _told(key, entry.outcome)
            entry.waiting[waiter] = None
            return Wait()
        self._check_room(key, now)
        entry = _Entry(digest, now + window, wall + window)
        entry.waiting[waiter] = None
        self._add(key, entry)
        return Run(Row(key, digest, entry.until, None))

    def _check_room(self, key: Key, now: float) -> None:
        bounds = ((len(self._entries), MAX_KEYS), (self._of[key.user], OF_ONE), (self._size, MAX_BYTES))
        if all(there < most for there, most in bounds):
            return
        raise Overloaded(
            "the node remembers as many keyed calls as it can",
            where=key.procedure,
            advice="try again later, or call without a key",
            data={"retry_after": max(self._ends[0][0] - now, 0.0) if self._ends else 1.0},
        )

    def _add(self, key: Key, entry: _Entry) -> None:
        self._entries[key] = entry
        self._of[key.user] += 1
        heapq.heappush(self._ends, (entry.ends, key))
        if len(self._ends) > 2 * len(self._entries) + _SLACK:  # of keys that were free again before their time
            self._ends = [(one.ends, key) for key, one in self._entries.items()]
            heapq.heapify(self._ends)

    def ended(self, key: Key, outcome: Outcome | None) -> Row | None:
        """It is over.

        :param outcome: ``None``: nobody knows.
        :returns: what the store is told; ``None``: its key is forgotten already.
        """
        entry = self._entries.get(key)
        if entry is None:
            return None
        encoded = None if outcome is None else _encode(outcome)
        if encoded is not None and len(encoded) <= MAX_OUTCOME:
            entry.outcome = encoded
            self._size += len(encoded)
        entry.is_over = True
        return Row(key, entry.digest, entry.until, entry.outcome)

    def take_waiting(self, key: Key) -> list[Waiter]:
        """Who waits for it; they wait no more."""
        entry = self._entries.get(key)
        if entry is None:
            return []
        waiting, entry.waiting = list(entry.waiting), {}
        return waiting

    def unasked(self, key: Key) -> list[Waiter]:
        """It was never executed: the key is free. :returns: who waits."""
        waiting = self.take_waiting(key)
        self._remove(key)
        return waiting

    def leave(self, key: Key, waiter: Waiter) -> bool:
        """This one waits no more. :returns: whether nobody does, and the call still runs."""
        entry = self._entries.get(key)
        if entry is None:
            return False
        entry.waiting.pop(waiter, None)
        return not entry.waiting and not entry.is_over

    def is_awaited(self, key: Key) -> bool:
        """Whether anybody waits for it."""
        entry = self._entries.get(key)
        return entry is not None and bool(entry.waiting)

    def sweep(self, now: float) -> list[Key]:
        """Forget what is past its time. What runs is remembered until it has ended."""
        gone: list[Key] = []
        running: list[tuple[float, Key]] = []
        while self._ends and self._ends[0][0] <= now:
            ends, key = heapq.heappop(self._ends)
            entry = self._entries.get(key)
            if entry is None or entry.ends != ends:
                continue
            if entry.is_over:
                self._remove(key)
                gone.append(key)
            else:
                running.append((ends, key))
        for one in running:
            heapq.heappush(self._ends, one)
        return gone

    def _remove(self, key: Key) -> None:
        entry = self._entries.pop(key)
        self._size -= len(entry.outcome or b"")
        self._of[key.user] -= 1
        if not self._of[key.user]:
            del self._of[key.user]

    def __len__(self) -> int:
        return len(self._entries)


def _told(key: Key, outcome: bytes | None) -> Outcome:
    if outcome is not None:
        return _decode(outcome)
    unknown = OutcomeUnknown(
        "a call with this key began, and nobody knows how it ended",
        where=key.procedure,
        advice="look whether it was done; with another key it is done again",
        data={"ran": "maybe"},
    )
    return Outcome(*to_wamp(unknown))
