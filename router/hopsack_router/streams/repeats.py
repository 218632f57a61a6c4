"""Which idempotency keys were used lately, so that an event that is sent twice is kept once. Pure.

A key counts for :data:`WINDOW` seconds from the moment its event was taken, on its topic, also across a restart.
Bound: :attr:`Repeats.max_keys` at a time; beyond, an event with a new key is refused (``hopsack.overloaded``): to
forget a key early would break the promise silently.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

WINDOW = 120.0
MAX_KEYS = 500_000

Waiting = TypeVar("Waiting")


@dataclass(frozen=True, slots=True)
class Seen:
    """The event that used a key first.

    :ivar number: of the key. :ivar batch: the number of the batch that committed it.
    """

    number: int
    epoch: str
    offset: int
    publication: int
    time: float
    batch: int


class Repeats(Generic[Waiting]):
    """The keys of all topics. A key is waiting until its event is committed, then seen."""

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._keys: dict[tuple[str, str], Waiting | Seen] = {}
        self._order: deque[tuple[float, int, tuple[str, str]]] = deque()  # when, number, key
        self._max_keys = max_keys
        self.number = 0  # of the newest key
        self.forgotten = 0  # the newest number that the store may forget

    def find(self, topic: str, key: str) -> Waiting | Seen | None:
        return self._keys.get((topic, key))

    @property
    def is_full(self) -> bool:
        return len(self._keys) >= self._max_keys

    def wait(self, topic: str, key: str, waiting: Waiting) -> None:
        self._keys[topic, key] = waiting

    def give_up(self, topic: str, key: str) -> None:
        """The event was not kept: it may be sent again."""
        self._keys.pop((topic, key), None)

    def saw(self, topic: str, key: str, seen: Seen) -> None:
        self.number = max(self.number, seen.number)
        self._keys[topic, key] = seen
        self._order.append((seen.time, seen.number, (topic, key)))

    def expire(self, now: float) -> None:
        """Forget what is older than the window."""
        while self._order and self._order[0][0] <= now - WINDOW:
            _, self.forgotten, name = self._order.popleft()
            self._forget(name, self.forgotten)

    def clear(self) -> None:
        """Forget all that was seen; who waits goes on waiting."""
        for _, number, name in self._order:
            self._forget(name, number)
        self._order.clear()
        self.forgotten = self.number

    def _forget(self, name: tuple[str, str], number: int) -> None:
        found = self._keys.get(name)
        if isinstance(found, Seen) and found.number == number:  # else it was used again, for another event
            del self._keys[name]
