"""The topics of the journal: which there are, from where to where each reaches, and what goes when. Pure.

Bounds: topics, of which the one goes that was the longest without an event; nominal bytes of all events, beyond which
the oldest of the largest topics go, a sixty-fourth at once. What goes is gone for readers at once; for the store it
is a list of trims, which the ledger takes a few at a time: never a long pause.

A topic without events has no state here: its position is ``birth:0``. When a topic with events goes, ``birth``
becomes another epoch, so that the positions of the one that went never come again.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Container, Iterable

from hopsack_router.streams.events import Found, Gone, Recoverable, Retention
from hopsack_router.streams.position import Position
from hopsack_router.streams.runs import Growth, Run, Shelf
from hopsack_router.streams.store import Recovered, RunRow, Span, TopicRow

MAX_ID = (1 << 23) - 1


class Shelves:
    """:param retention: of a topic that is seen for the first time. :param new_epoch: gives a random epoch.

    :ivar unwritten: topics whose row in the store is not right. :ivar trims: what the store may remove.
    :ivar dropped: ids of topics that have gone. :ivar size: nominal bytes of all events.
    """

    def __init__(
        self,
        retention: Callable[[str], Retention],
        new_epoch: Callable[[], str],
        max_topics: int,
        max_bytes: int,
    ) -> None:
        self._retention, self._new_epoch = retention, new_epoch
        self._max_topics, self._max_bytes = max_topics, max_bytes
        self._by_uri: dict[str, Shelf] = {}  # the one that was the longest without an event comes first
        self._ids: set[int] = set()
        self._last_id = 0
        self._expiries: list[tuple[float, str, int]] = []
        self.birth = new_epoch()
        self.unwritten: dict[str, Shelf] = {}
        self.trims: deque[Span] = deque()
        self.dropped: list[int] = []
        self.size = 0

    # ---- what is there ----------------------------------------------------------------------------------------------

    def find(self, topic: str) -> Shelf | None:
        return self._by_uri.get(topic)

    def topics(self) -> list[str]:
        return list(self._by_uri)

    def head(self, topic: str) -> Position:
        shelf = self._by_uri.get(topic)
        return Position(shelf.epoch, shelf.head) if shelf else Position(self.birth, 0)

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

    def open(self, topic: str, busy: Container[str]) -> tuple[Shelf, list[str]]:
        """The topic, which is the newest from now on; made if it is new.

        :param busy: topics that may not go now.
        :returns: also the topics that had to go for it.
        """
        gone: list[str] = []
        shelf = self._by_uri.pop(topic, None)
        if shelf is None:
            shelf = Shelf(self._new_id(), topic, self.birth, self._retention(topic))
            self.unwritten[topic] = shelf
            while len(self._by_uri) >= self._max_topics and (oldest := next(iter(self._by_uri))) not in busy:
                self._evict(self._by_uri.pop(oldest))
                gone.append(oldest)
        self._by_uri[topic] = shelf
        return shelf, gone

    def _new_id(self) -> int:
        self._last_id = self._last_id % MAX_ID + 1
        while self._last_id in self._ids:
            self._last_id = self._last_id % MAX_ID + 1
        self._ids.add(self._last_id)
        return self._last_id

    def grow(self, growth: Growth, now: float) -> None:
        """What a batch added is committed."""
        growth.shelf.grow(growth)
        self.size += growth.size
        self._trim(growth.shelf, now)
        self._expect(growth.shelf)

    # ---- what goes --------------------------------------------------------------------------------------------------

    def _evict(self, shelf: Shelf) -> None:
        if shelf.head:
            self.birth = self._new_epoch()
        while shelf.runs:
            self._drop_run(shelf)
        self.unwritten.pop(shelf.uri, None)
        self._ids.discard(shelf.id)
        self.dropped.append(shelf.id)

    def _trim(self, shelf: Shelf, now: float) -> None:
        while shelf.runs and shelf.is_over(now):
            self._drop_run(shelf)

    def _drop_run(self, shelf: Shelf) -> None:
        run = shelf.drop()
        self.size -= run.size
        self.trims.append(Span(shelf.id, run.start, run.end))
        if not shelf.runs:  # the row alone tells the head now
            self._rewrite(shelf)

    def _rewrite(self, shelf: Shelf) -> None:
        self.unwritten[shelf.uri] = shelf

    def _expect(self, shelf: Shelf) -> None:
        """A topic with an age and events stands in the heap once, at its oldest run's expiry or before."""
        expiry = shelf.expiry()
        if expiry is not None and not shelf.is_expected:
            shelf.is_expected = True
            heapq.heappush(self._expiries, (expiry, shelf.uri, shelf.id))

    def sweep(self, now: float) -> None:
        """Drop what is past its age. Not while a batch is under way."""
        while self._expiries and self._expiries[0][0] <= now:
            _, topic, number = heapq.heappop(self._expiries)
            shelf = self._by_uri.get(topic)
            if shelf is not None and shelf.id == number:
                shelf.is_expected = False
                self._trim(shelf, now)
                self._expect(shelf)

    def shed(self) -> None:
        """Keep all topics together within their bytes."""
        if self.size <= self._max_bytes:
            return
        largest = [(-shelf.size, shelf.id, shelf) for shelf in self._by_uri.values() if shelf.runs]
        heapq.heapify(largest)
        while self.size > self._max_bytes - self._max_bytes // 64 and largest:
            shelf = heapq.heappop(largest)[2]
            self._drop_run(shelf)
            if shelf.runs:
                heapq.heappush(largest, (-shelf.size, shelf.id, shelf))

    # ---- beginning, and beginning again -----------------------------------------------------------------------------

    def recover(self, found: Recovered, now: float) -> dict[int, Shelf]:
        """Take over what a store has. :returns: the topics by their ids there."""
        if found.birth is not None and found.doubt is None:
            self.birth = found.birth
        runs: dict[int, list[RunRow]] = {}
        for run in found.runs:
            runs.setdefault(run.topic, []).append(run)
        shelves = {row.id: self._recovered(row, runs.pop(row.id, []), found.doubt is not None) for row in found.topics}
        self.trims.extend(Span(run.topic, run.start, run.end) for left in runs.values() for run in left)
        self._last_id = max((*shelves, *runs), default=0)
        self._ids = set(shelves)
        for shelf in sorted(shelves.values(), key=lambda shelf: shelf.time):
            self._by_uri[shelf.uri] = shelf
            self._trim(shelf, now)
            self._expect(shelf)
        self.shed()
        return shelves

    def _recovered(self, row: TopicRow, runs: list[RunRow], is_doubtful: bool) -> Shelf:
        shelf = Shelf(row.id, row.uri, self.birth if is_doubtful else row.epoch, self._retention(row.uri), row.head)
        for run in runs:
            shelf.runs.append(Run(run.start, run.end, run.size, run.newest, run.newest))
            shelf.size += run.size
        if runs:
            shelf.head, shelf.time = max(row.head, runs[-1].end), runs[-1].newest
        self.size += shelf.size
        if is_doubtful:
            self._rewrite(shelf)
        return shelf

    def begin_again(self, topics: Iterable[str]) -> None:
        """Everything is lost: a new epoch. The topics named stay, without events."""
        self.birth = self._new_epoch()
        self._by_uri.clear()
        self._ids.clear()
        self._expiries.clear()
        self.unwritten.clear()
        self.trims.clear()
        self.dropped.clear()
        self.size = self._last_id = 0
        for topic in topics:
            self.open(topic, ())
