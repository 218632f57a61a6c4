"""Reading the journal: from memory where the tail covers it, else from the store, in its own lane.

    read(topic, after)   -> a page, or that reading cannot go on from there
    what went meanwhile  -> told as gone, or read from where it begins now
    what is missing      -> the store is torn: that is told, and the read is refused

Bound: :data:`MAX_READS` reads wait for the store, beyond which reads are refused (``hopsack.overloaded``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from hopsack import errors
from hopsack_router.streams.events import MIB, Gone, Page, Stored
from hopsack_router.streams.lanes import Lane
from hopsack_router.streams.ledger import RETRY_AFTER, Ledger
from hopsack_router.streams.position import Position
from hopsack_router.streams.store import Span, Store, StoreFailed, StoreTorn

LOG = Logger()

MAX_READS = 10_000
PAGE_EVENTS = 500
PAGE_BYTES = 1 * MIB

T = TypeVar("T")


class Reading:
    """:param on_torn: is told that the store has lost something. :param on_idle: is called when no read waits.

    :ivar waiting: reads that wait for the store.
    """

    def __init__(
        self,
        ledger: Ledger,
        store: Store,
        lane: Lane,
        on_torn: Callable[[StoreTorn], object],
        on_idle: Callable[[], object],
    ) -> None:
        self._ledger, self._store, self._lane = ledger, store, lane
        self._on_torn, self._on_idle = on_torn, on_idle
        self._is_stopped = False
        self.waiting = 0

    def stop(self) -> None:
        """What is in memory can still be read."""
        self._is_stopped = True
        self._lane.stop()

    # ---- what is asked ----------------------------------------------------------------------------------------------

    def read(self, topic: str, after: Position | None, limit: int, max_bytes: int) -> Deferred[Page | Gone]:
        shelves = self._ledger.shelves
        found = shelves.where(topic, after)
        if isinstance(found, Gone):
            return succeed(found)
        head = shelves.head(topic)
        begin = after or Position(head.epoch, head.offset - found.missed)
        span = shelves.span(topic, begin.offset + 1, begin.offset + limit, max_bytes)
        if span is None:
            return succeed(self._page(topic, [], begin))
        events = self._ledger.in_memory(topic, span)
        if events is not None:
            return succeed(self._page(topic, _cut(events, max_bytes), begin))

        def check(events: list[Stored]) -> Page | Gone | Deferred[Page | Gone]:
            if self._ledger.shelves.head(topic).epoch == begin.epoch and events and events[0].offset == span.start:
                return self._page(topic, _cut(events, max_bytes), begin)
            self._check_loss(topic, begin, span)
            return self.read(topic, after, limit, max_bytes)  # fewer are there each time, so this ends

        asked = self._ask(topic, partial(self._store.read, span, topic, begin.epoch))
        return asked.addCallback(check)

    def read_back(
        self, topic: str, last: int | None, since: float | None, limit: int, max_bytes: int
    ) -> Deferred[Page | Gone]:
        shelves = self._ledger.shelves
        head, first = shelves.head(topic), shelves.first(topic)
        begin = 0
        if since is not None:
            begin = shelves.since(topic, since) - 1
        elif last is not None:
            begin = head.offset - min(last, head.offset)
        begin = max(begin, first.offset - 1 if first else head.offset)
        page = self.read(topic, Position(head.epoch, begin), limit, max_bytes)
        return page.addCallback(_not_before, since) if since is not None else page

    def position_of(self, topic: str, publication: int) -> Deferred[Position | None]:
        event = self._ledger.published(topic, publication)
        if event is not None:
            return succeed(event.position)
        head = self._ledger.shelves.head(topic)
        span = self._ledger.shelves.span(topic, 1, head.offset)
        if span is None:
            return succeed(None)
        asked = self._ask(topic, partial(self._store.find, span, publication))
        return asked.addCallback(lambda offset: None if offset is None else Position(head.epoch, offset))

    # ---- the store --------------------------------------------------------------------------------------------------

    def _ask(self, topic: str, job: Callable[[], T]) -> Deferred[T]:
        if self._is_stopped:
            return fail(refusal(topic, "it is closed", "read"))
        if self.waiting >= MAX_READS:
            message = f"{self.waiting:,} reads wait for the journal"
            return fail(errors.Overloaded(message, where=topic, data={"retry_after": RETRY_AFTER}))
        answer: Deferred[T] = Deferred()
        birth = self._ledger.shelves.birth

        def done(value: T, error: Exception | None) -> None:
            self.waiting -= 1
            if error is None:
                answer.callback(value)
            else:
                if birth == self._ledger.shelves.birth:  # else the store that failed may be another by now
                    self._note(error)
                answer.errback(refusal(topic, str(error), "read"))
            if not self.waiting:
                self._on_idle()

        self.waiting += 1
        self._lane.run(job, done)
        return answer

    def _note(self, error: Exception) -> None:
        if isinstance(error, StoreTorn):
            self._on_torn(error)
        elif not isinstance(error, StoreFailed):
            LOG.failure("the store failed in a way it should not", Failure(error))

    def _check_loss(self, topic: str, begin: Position, span: Span) -> None:
        """Events did not come. Either they went meanwhile, or they should be there.

        :raises hopsack.errors.StoreFailed: they should.
        """
        shelves = self._ledger.shelves
        now = shelves.span(topic, span.start, span.end)
        if shelves.head(topic).epoch == begin.epoch and now is not None and now.start == span.start:
            torn = StoreTorn(f"{topic} {begin.epoch}:{span.start} is missing")
            self._on_torn(torn)
            raise refusal(topic, str(torn), "read")

    def _page(self, topic: str, events: list[Stored], begin: Position) -> Page:
        last = Position(begin.epoch, events[-1].offset) if events else begin
        shelves = self._ledger.shelves
        return Page(tuple(events), last.offset >= shelves.head(topic).offset, shelves.first(topic), last)


def _cut(events: list[Stored], max_bytes: int) -> list[Stored]:
    """As many as the bytes allow, but one."""
    for index, event in enumerate(events):
        max_bytes -= event.size
        if max_bytes < 0 and index:
            return events[:index]
    return events


def _not_before(page: Page | Gone, time: float) -> Page | Gone:
    if isinstance(page, Gone):
        return page
    return Page(tuple(event for event in page.events if event.time >= time), page.end, page.first, page.last)


def refusal(topic: str, why: str, verb: str = "written") -> errors.StoreFailed:
    """What a publisher or a reader is told."""
    return errors.StoreFailed(
        f"the journal cannot be {verb}: {why}",
        where=topic,
        advice="try again later; the event was not kept" if verb == "written" else "try again later",
        data={"retry_after": RETRY_AFTER},
    )
