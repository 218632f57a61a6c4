"""The topics of the journal: which there are, from where to where each reaches, and what goes when. Pure.

Bounds, of all topics together: how many, and nominal bytes. Whatever is full takes from the contract that has most of
it, so that nobody who may publish below one contract takes room from another that has less. Of that contract the
topic goes that has nothing left but its position, else the one that was the longest without an event; of bytes, the
oldest of its largest topics, a sixty-fourth at once. What goes is gone for readers at once; for the store it is a list
of trims, which the ledger takes a few at a time: never a long pause.

A topic without events has no state here: its position is ``birth:0``, with the birth of its contract. When a topic
goes that has its epoch from the birth that its contract has now, the contract gets another birth, so that the
positions of the one that went never come again. Topics that are older than the birth change nothing, so many go
between one birth and the next.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

from hopsack_router.streams.events import Found, Gone, Recoverable, Retention
from hopsack_router.streams.position import Position, epoch_of
from hopsack_router.streams.runs import Growth, Run, Shelf
from hopsack_router.streams.store import Recovered, RunRow, Span, TopicRow

MAX_ID = (1 << 23) - 1


class _Share:
    """What one contract has.

    :ivar topics: the one that was the longest without an event comes first.
    :ivar bare: those without events, and perhaps with newest values, in the order in which they came to that.
    """

    __slots__ = ("bare", "size", "topics")

    def __init__(self) -> None:
        self.topics: dict[str, Shelf] = {}
        self.bare: dict[str, None] = {}
        self.size = 0


class Shelves:
    """:param retention: of a topic that is seen for the first time. :param new_epoch: gives a random epoch.
    :param shows: whether a topic has newest values.

    :ivar birth: what the births of contracts are made of, until they get another.
    :ivar unwritten: topics whose row in the store is not right; ``births``: contracts whose birth is not there.
    :ivar trims: what the store may remove. :ivar size: nominal bytes of all events.
    """

    def __init__(
        self,
        retention: Callable[[str], Retention],
        new_epoch: Callable[[], str],
        max_topics: int,
        max_bytes: int,
        shows: Callable[[str], bool] = lambda topic: False,
    ) -> None:
        self._retention, self._new_epoch, self._shows = retention, new_epoch, shows
        self._max_topics, self._max_bytes = max_topics, max_bytes
        self._by_uri: dict[str, Shelf] = {}  # the one that was the longest without an event comes first
        self._shares: dict[str, _Share] = {}
        self._births: dict[str, str] = {}
        self._ids: set[int] = set()
        self._last_id = 0
        self._expiries: list[tuple[float, str, int]] = []
        self._dropped: deque[tuple[int, int]] = deque()  # topics that have gone, each with the trims that come before
        self._trimmed = 0
        self.birth = new_epoch()
        self.unwritten: dict[str, Shelf] = {}
        self.births: dict[str, str] = {}
        self.trims: deque[Span] = deque()
        self.size = 0

    # ---- what is there ----------------------------------------------------------------------------------------------

    def find(self, topic: str) -> Shelf | None:
        return self._by_uri.get(topic)

    def topics(self) -> list[str]:
        return list(self._by_uri)

    def last_changed(self, most: int) -> list[str]:
        return list(islice(reversed(self._by_uri), most))

    def contract(self, topic: str) -> str:
        """In whose share a topic is."""
        shelf = self._by_uri.get(topic)
        return (shelf.retention if shelf else self._retention(topic)).contract

    def head(self, topic: str) -> Position:
        shelf = self._by_uri.get(topic)
        return Position(shelf.epoch, shelf.head) if shelf else Position(self._birth_of(self.contract(topic)), 0)

    def first(self, topic: str) -> Position | None:
        """The oldest event's position; ``None``: there is none."""
        shelf = self._by_uri.get(topic)
        return Position(shelf.epoch, shelf.first) if shelf and shelf.runs else None

    def where(self, topic: str, after: Position | None) -> Found:
        """Whether reading can go on behind a position. Without one, from the oldest event on."""
        head, first = self.head(topic), self.first(topic)
        begin = first.offset if first else head.offset + 1
        if after is None:
            return Recoverable(head.offset - begin + 1)
        if after.epoch != head.epoch or after.offset > head.offset:
            return Gone("epoch", first, head)
        return Recoverable(head.offset - after.offset) if after.offset >= begin - 1 else Gone("trimmed", first, head)

    def span(self, topic: str, start: int, end: int, max_bytes: int | None = None) -> Span | None:
        """The part of a range that is there, as the store knows it; ``None``: nothing is.

        :param max_bytes: the part ends with the run in which they are reached.
        """
        shelf = self._by_uri.get(topic)
        if shelf is None:
            return None
        start, end = max(start, shelf.first), min(end, shelf.head)
        if start > end:
            return None
        return Span(shelf.id, start, end if max_bytes is None else min(end, shelf.reach(start, max_bytes)))

    def since(self, topic: str, time: float) -> int:
        """An offset before which all events are older than ``time``; behind it less than a run of them is."""
        shelf = self._by_uri.get(topic)
        for run in shelf.runs if shelf else ():
            if run.newest >= time:
                return run.start
        return self.head(topic).offset + 1

    # ---- topics come and grow ---------------------------------------------------------------------------------------

    def open(self, topic: str) -> Shelf:
        """The topic, which is the newest from now on; made if it is new. Room is made by :meth:`make_room`, later."""
        shelf = self._by_uri.pop(topic, None)
        if shelf is None:
            retention = self._retention(topic)
            birth = self._birth_of(retention.contract)
            shelf = Shelf(self._new_id(), topic, birth, retention.contract, retention)
            self.unwritten[topic] = shelf
        share = self._share(shelf)
        share.topics.pop(topic, None)
        self._by_uri[topic] = share.topics[topic] = shelf
        return shelf

    def _share(self, shelf: Shelf) -> _Share:
        contract = shelf.retention.contract
        share = self._shares.get(contract)
        if share is None:
            share = self._shares[contract] = _Share()
        return share

    def _birth_of(self, contract: str) -> str:
        birth = self._births.get(contract)
        if birth is None:
            birth = self._births[contract] = epoch_of(self.birth, contract)
        return birth

    def _new_id(self) -> int:
        self._last_id = self._last_id % MAX_ID + 1
        while self._last_id in self._ids:
            self._last_id = self._last_id % MAX_ID + 1
        self._ids.add(self._last_id)
        return self._last_id

    def grow(self, growth: Growth, steady: float) -> None:
        """What a batch added is committed."""
        shelf, share = growth.shelf, self._share(growth.shelf)
        shelf.grow(growth)
        share.bare.pop(shelf.uri, None)
        share.size += growth.size
        self.size += growth.size
        self._trim(shelf, steady)
        self._expect(shelf)

    # ---- what goes --------------------------------------------------------------------------------------------------

    def make_room(self) -> list[str]:
        """Keep the topics within their number. Not while a batch is under way. :returns: those that had to go."""
        gone: list[str] = []
        while len(self._by_uri) > self._max_topics:
            share = max(self._shares.values(), key=lambda share: len(share.topics))
            gone.append(self._dispensable(share).uri)
            self._evict(self._by_uri[gone[-1]])
        if len(self._expiries) > 2 * len(self._by_uri) + 64:  # most are of topics that have gone
            self._expiries = [one for one in self._expiries if self._is_there(*one[1:])]
            heapq.heapify(self._expiries)
        return gone

    def _is_there(self, topic: str, number: int) -> bool:
        shelf = self._by_uri.get(topic)
        return shelf is not None and shelf.id == number

    def _dispensable(self, share: _Share) -> Shelf:
        while share.bare:
            topic = next(iter(share.bare))
            if not self._shows(topic):
                return share.topics[topic]
            del share.bare[topic]
        return next(iter(share.topics.values()))

    def forget(self, topic: str, is_written: bool = True) -> bool:
        """Let a topic go that has nothing, and never had an event; if it is one.

        :param is_written: the store may know it.
        """
        shelf = self._by_uri.get(topic)
        if shelf is None or shelf.head or self._shows(topic):
            return False
        self._evict(shelf)
        if not is_written:
            self._ids.discard(self._dropped.pop()[0])
        return True

    def _evict(self, shelf: Shelf) -> None:
        if shelf.head and self._birth_of(shelf.origin) == shelf.epoch:
            self._births[shelf.origin] = self.births[shelf.origin] = self._new_epoch()
        while shelf.runs:
            self._drop_run(shelf)
        share = self._share(shelf)
        del self._by_uri[shelf.uri], share.topics[shelf.uri]
        share.bare.pop(shelf.uri, None)
        if not share.topics:
            del self._shares[shelf.retention.contract]
        self.unwritten.pop(shelf.uri, None)
        self._drop(shelf.id)

    def _drop(self, number: int) -> None:
        """The id is not given to another topic before the store has forgotten this one."""
        self._dropped.append((number, self._trimmed + len(self.trims)))

    def to_drop(self, trims: int, limit: int) -> list[int]:
        """Ids of topics that the store may forget, when it has done the first ``trims`` of :attr:`trims`."""
        done = self._trimmed + trims
        dropped: list[int] = []
        for number, before in self._dropped:
            if before > done or len(dropped) >= limit:
                break
            dropped.append(number)
        return dropped

    def have_gone(self, trims: int, dropped: int) -> None:
        """The store has done so many of :attr:`trims`, and of :meth:`to_drop`."""
        self._trimmed += trims
        for _ in range(trims):
            self.trims.popleft()
        for _ in range(dropped):
            self._ids.discard(self._dropped.popleft()[0])

    @property
    def has_chores(self) -> bool:
        return bool(self.unwritten or self.births or self.trims or self._dropped)

    def _trim(self, shelf: Shelf, steady: float) -> None:
        while shelf.runs and shelf.is_over(steady):
            self._drop_run(shelf)

    def _drop_run(self, shelf: Shelf) -> None:
        run, share = shelf.drop(), self._share(shelf)
        self.size -= run.size
        share.size -= run.size
        self.trims.append(Span(shelf.id, run.start, run.end))
        if not shelf.runs:  # the row alone tells the head now
            share.bare[shelf.uri] = None
            self._rewrite(shelf)

    def _rewrite(self, shelf: Shelf) -> None:
        self.unwritten[shelf.uri] = shelf

    def _expect(self, shelf: Shelf) -> None:
        """A topic with an age and events stands in the heap once, at its oldest run's expiry or before."""
        expiry = shelf.expiry()
        if expiry is not None and not shelf.is_expected:
            shelf.is_expected = True
            heapq.heappush(self._expiries, (expiry, shelf.uri, shelf.id))

    def sweep(self, steady: float) -> None:
        """Drop what is past its age. Not while a batch is under way."""
        while self._expiries and self._expiries[0][0] <= steady:
            _, topic, number = heapq.heappop(self._expiries)
            shelf = self._by_uri.get(topic)
            if shelf is not None and shelf.id == number:
                shelf.is_expected = False
                self._trim(shelf, steady)
                self._expect(shelf)

    def shed(self) -> None:
        """Keep all topics together within their bytes."""
        if self.size <= self._max_bytes:
            return
        goal = self._max_bytes - self._max_bytes // 64
        while self.size > goal:
            shares = sorted(self._shares.values(), key=lambda share: share.size)
            largest, next_size = shares[-1], shares[-2].size if len(shares) > 1 else 0
            # Where two are alike, each gives some before the other has to: looking for the largest topics takes long.
            level = min(next_size, largest.size - self._max_bytes // 256 - 1)
            self._shed_from(largest, max(level, largest.size - (self.size - goal)))

    def _shed_from(self, share: _Share, level: int) -> None:
        largest = [(-shelf.size, shelf.id, shelf) for shelf in share.topics.values() if shelf.runs]
        heapq.heapify(largest)
        while share.size > level and largest:
            shelf = heapq.heappop(largest)[2]
            self._drop_run(shelf)
            if shelf.runs:
                heapq.heappush(largest, (-shelf.size, shelf.id, shelf))

    # ---- beginning, and beginning again -----------------------------------------------------------------------------

    def recover(self, found: Recovered, steady: float) -> dict[int, Shelf]:
        """Take over what a store has. :returns: the topics by their ids there."""
        if found.birth is not None and found.doubt is None:
            self.birth = found.birth
            self._births.update(found.births)
        else:  # none of those may be used again
            self.births = {contract: self._new_epoch() for contract, _ in found.births}
            self._births.update(self.births)
        runs: dict[int, list[RunRow]] = {}
        for run in found.runs:
            runs.setdefault(run.topic, []).append(run)
        shelves = {row.id: self._recovered(row, runs.pop(row.id, []), found.doubt is not None) for row in found.topics}
        self.trims.extend(Span(run.topic, run.start, run.end) for left in runs.values() for run in left)
        left_over = dict.fromkeys((*runs, *(row.topic for row in found.latest if row.topic not in shelves)))
        for number in left_over:
            self._drop(number)
        self._ids = {*shelves, *left_over}
        self._last_id = max(self._ids, default=0)
        for shelf in sorted(shelves.values(), key=_last_used):
            self._by_uri[shelf.uri] = self._share(shelf).topics[shelf.uri] = shelf
            if not shelf.runs and shelf.head:
                self._share(shelf).bare[shelf.uri] = None
            self._trim(shelf, steady)
            self._expect(shelf)
        self.shed()
        return shelves

    def _recovered(self, row: TopicRow, runs: list[RunRow], is_doubtful: bool) -> Shelf:
        retention = self._retention(row.uri)
        shelf = Shelf(row.id, row.uri, row.epoch, row.contract, retention, row.head)
        if is_doubtful:
            shelf.epoch, shelf.origin = self._birth_of(retention.contract), retention.contract
            self._rewrite(shelf)
        for run in runs:
            shelf.runs.append(Run(run.start, run.end, run.size, run.newest, run.ended, run.ended, None))
            shelf.size += run.size
        if runs:
            shelf.head, shelf.time = max(row.head, runs[-1].end), runs[-1].newest
        self.size += shelf.size
        self._share(shelf).size += shelf.size
        return shelf

    def begin_again(self, topics: Iterable[str]) -> None:
        """Everything is lost: a new epoch. The topics named stay, without events."""
        self.birth = self._new_epoch()
        for own in (self._by_uri, self._shares, self._births, self.unwritten, self.births):
            own.clear()
        self._ids.clear()
        self._expiries.clear()
        self.trims.clear()
        self._dropped.clear()
        self.size = self._last_id = self._trimmed = 0
        for topic in topics:
            self.open(topic)


def _last_used(shelf: Shelf) -> float:
    return shelf.runs[-1].ended if shelf.runs else 0.0
