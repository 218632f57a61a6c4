"""Which idempotency keys were used lately, so that an event that is sent twice is kept once. Pure.

A key counts for :data:`WINDOW` seconds from the moment its event was taken, on its topic, also across a restart, and
whatever becomes of the wall clock.

Bound: :attr:`Repeats.max_keys` at a time. Nobody can use them up: a contract may have :data:`MORE` times as many as
are free, and a publisher that many times what its contract may still take. So one that takes all it can leaves a ninth
for the others; n that do are equal. Beyond, an event with a new key is refused (``hopsack.overloaded``): to forget a
key early would break the promise silently. After a restart, keys of before count for their contracts alone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

WINDOW = 120.0
MAX_KEYS = 500_000
MORE = 8

Waiting = TypeVar("Waiting")


class Owner(NamedTuple):
    """Whose a key is. :ivar publisher: ``None``: nobody knows."""

    contract: str
    publisher: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """The event that used a key first.

    :ivar number: of the key. :ivar time: the event's stamp. :ivar batch: the number of the batch that committed it.
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
        self._order: deque[tuple[float, int, tuple[str, str], Owner]] = deque()  # when, number, key
        self._counts: dict[Owner, int] = {}
        self._contracts: dict[str, int] = {}
        self._used = 0
        self._max_keys = max_keys
        self.number = 0  # of the newest key
        self.forgotten = 0  # the newest number that the store may forget

    def find(self, topic: str, key: str) -> Waiting | Seen | None:
        return self._keys.get((topic, key))

    def has_room(self, owner: Owner) -> bool:
        """Whether the owner may use one more key."""
        free = self._max_keys - self._used
        has = self._contracts.get(owner.contract, 0)
        if has >= MORE * free:
            return False
        may_take = (MORE * free - has) / (MORE + 1)  # what is free becomes less with each
        return owner.publisher is None or self._counts.get(owner, 0) < MORE * may_take

    def has(self, owner: Owner) -> int:
        """How many keys a contract has."""
        return self._contracts.get(owner.contract, 0)

    def wait(self, topic: str, key: str, waiting: Waiting, owner: Owner) -> None:
        self._keys[topic, key] = waiting
        self._count(owner, 1)

    def give_up(self, topic: str, key: str, owner: Owner) -> None:
        """The event was not kept: it may be sent again."""
        self._keys.pop((topic, key), None)
        self._count(owner, -1)

    def saw(self, topic: str, key: str, seen: Seen, taken: float, owner: Owner) -> None:
        """The event that waited is committed. :param taken: when it was taken, in steady time."""
        self.number = max(self.number, seen.number)
        self._keys[topic, key] = seen
        self._order.append((taken, seen.number, (topic, key), owner))

    def recover(self, topic: str, key: str, seen: Seen, taken: float, contract: str) -> None:
        """A key of before a restart."""
        owner = Owner(contract, None)
        self._count(owner, 1)
        self.saw(topic, key, seen, taken, owner)

    def expire(self, steady: float) -> None:
        """Forget what is older than the window."""
        while self._order and self._order[0][0] <= steady - WINDOW:
            _, self.forgotten, name, owner = self._order.popleft()
            self._forget(name, self.forgotten, owner)

    def clear(self) -> None:
        """Forget all that was seen; who waits goes on waiting."""
        for _, number, name, owner in self._order:
            self._forget(name, number, owner)
        self._order.clear()
        self.forgotten = self.number

    def _forget(self, name: tuple[str, str], number: int, owner: Owner) -> None:
        found = self._keys.get(name)
        if isinstance(found, Seen) and found.number == number:  # else it was used again, for another event
            del self._keys[name]
        self._count(owner, -1)

    def _count(self, owner: Owner, change: int) -> None:
        self._used += change
        _add(self._counts, owner, change)
        _add(self._contracts, owner.contract, change)


Name = TypeVar("Name")


def _add(counts: dict[Name, int], name: Name, change: int) -> None:
    count = counts.get(name, 0) + change
    if count:
        counts[name] = count
    else:
        del counts[name]
