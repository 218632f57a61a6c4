"""The journal: events of streams in order, kept, and read back; the newest values of ``latest`` topics.

    append  -> Deferred: the event with its position, when it is committed (and on disk, if it was to be acknowledged)
    keep    -> Deferred: the newest value of a key, when it is on disk; or at once and written behind, where nobody
               asked for an acknowledgement and nothing waits that came before
    read    -> Deferred: a page of events behind a position, or that reading cannot go on from there
    where   -> whether it can
    newest  -> the snapshot

The shell round :mod:`~hopsack_router.streams.ledger`: it runs the store in its lanes and turns answers into
Deferreds. They fire in the order of the calls, a whole batch in one turn, and never before the store has the events:
deliver from there. What the memory tail covers, and everything of a store that never waits, fires before the call
returns.

Failure: a batch that the store refuses (full disk) refuses its events (``hopsack.store_failed``), and the next batch
tries afresh. A store that turns out to be torn is put aside; topics then have new epochs. Each is told once in the
log. Bounds: those of the ledger, and of :mod:`~hopsack_router.streams.reading`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from hopsack import errors
from hopsack_router.streams.events import Draft, Extent, Found, Gone, Page, Retention, Stored
from hopsack_router.streams.lanes import Lane, OnTheSpot
from hopsack_router.streams.ledger import Answer, Bounds, Ledger
from hopsack_router.streams.moments import Hours
from hopsack_router.streams.position import Position, Randomness, new_epoch
from hopsack_router.streams.reading import PAGE_BYTES, PAGE_EVENTS, Reading, refusal
from hopsack_router.streams.store import Recovered, Store, StoreError, StoreTorn

LOG = Logger()

TICK_SECONDS = 1.0
"""How often the age of events is looked at when none comes, and a store that failed is tried for chores."""


class Journal:
    """The journal of one realm.

    :param store: is used by this journal alone.
    :param retention: says how much of a topic is kept; asked when the topic gets its first event after the start.
    :param clock: ``IReactorTime``, whose ``seconds()`` are Unix time.
    :param random: for epochs.
    :param lane: makes a lane by its name, for a store that waits: :class:`~hopsack_router.streams.lanes.OnThread`.
    :param counted: seconds that never jump (:func:`~hopsack_router.streams.moments.since_start`); ``None``: those of
        ``clock``.
    """

    def __init__(
        self,
        store: Store,
        retention: Callable[[str], Retention],
        *,
        clock: Any,
        random: Randomness,
        lane: Callable[[str], Lane] | None = None,
        bounds: Bounds | None = None,
        counted: Callable[[], float] | None = None,
    ) -> None:
        self._store, self._clock = store, clock
        self._hours = Hours(clock.seconds, counted or clock.seconds)
        self._ledger = Ledger(retention, partial(new_epoch, random), bounds)
        make: Callable[[str], Lane] = lane if lane and not store.is_local else lambda name: OnTheSpot()
        self._writer = make("journal-writer")
        self._reading = Reading(
            self._ledger, store, make("journal-reader"), self._found_torn, lambda: self._close_when_idle()
        )
        self._is_busy = self._is_pumping = self._is_failing = False
        self._torn: StoreTorn | None = None
        self._timer: Any = None
        self._started: Deferred[None] | None = None
        self._closed: Deferred[None] | None = None

    # ---- life -------------------------------------------------------------------------------------------------------

    def start(self) -> Deferred[None]:
        """Open the store and take over what it has. Use the journal when this has fired.

        :raises StoreRefused: another process has the store, or it is of a newer version.
        :raises StoreFailed: it cannot be read or written.
        """
        started = self._started = Deferred()
        self._is_busy = True
        self._writer.run(self._store.open, self._opened)
        return started

    def _opened(self, found: Recovered, error: Exception | None) -> None:
        self._is_busy = False
        if error is not None:
            self._tell_started(error)
            return
        if found.lost:
            LOG.error("the journal was lost, all streams begin anew: {lost}", lost=found.lost)
        if found.doubt:
            LOG.error("readers of streams cannot resume where they were: {doubt}", doubt=found.doubt)
        self._hours.go_on(found.at, found.same_start)
        self._ledger.recover(found, self._hours.steady())
        self._timer = self._clock.callLater(TICK_SECONDS, self._tick)
        if self._ledger.is_begun:  # though the disk be full: there is something to read
            self._tell_started(None)
        self._pump()

    def _tell_started(self, error: Exception | None) -> None:
        started, self._started = self._started, None
        if started is not None and error is None:
            started.callback(None)
        elif started is not None:
            self._writer.run(self._store.close, lambda _, error: None)
            self._stop()
            started.errback(Failure(error))

    def close(self) -> Deferred[None]:
        """Write what waits, close the store and end its threads. What comes after this is refused.

        What the store does not take is tried once more, and given up.
        """
        assert self._closed is None, "a journal is closed once"
        self._closed = Deferred()
        closed = self._closed
        self._ledger.tick()
        self._pump()
        return closed

    def _close_when_idle(self) -> None:
        if self._closed is not None and not self._is_busy and self._ledger.is_idle and not self._reading.waiting:
            self._is_busy = True
            if self._ledger.behind:
                LOG.error("{count} newest values could not be written, and are lost", count=self._ledger.behind)
            self._reading.stop()
            self._writer.run(self._store.close, self._store_closed)

    def _store_closed(self, _: None, error: Exception | None) -> None:
        if error is not None:
            LOG.error("the journal could not be closed: {error}", error=error)
        self._stop()
        assert self._closed is not None
        self._closed.callback(None)

    def _stop(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._reading.stop()
        self._writer.stop()

    def _tick(self) -> None:
        self._timer = self._clock.callLater(TICK_SECONDS, self._tick)
        self._ledger.tick()
        jump = self._hours.jumped()
        if jump:
            LOG.warn("the clock jumped by {jump:+.0f} s; ages and windows are counted as if it had not", jump=jump)
            self._ledger.write_time()
        self._pump()

    # ---- writing ----------------------------------------------------------------------------------------------------

    def append(self, topic: str, draft: Draft, durable: bool = True, publisher: str | None = None) -> Deferred[Stored]:
        """Keep an event. The order of calls is the order of offsets, and of what fires.

        :param durable: fire when it is on disk; else when it is safe from the end of this process.
        :param publisher: who is one among those who share the idempotency keys; ``None``: nobody knows.
        :returns: the event; ``repeated`` if its key was used on this topic in the last 120 s: do not deliver it again.
        :raises Overloaded: too much waits; ``retry_after`` in its data.
        :raises hopsack.errors.StoreFailed: it is not kept.
        """
        if self._closed is not None:
            return fail(refusal(topic, "it is closed"))
        kept: Deferred[Stored] = Deferred()
        try:
            earlier = self._ledger.take(topic, draft, durable, (topic, kept), self._hours.steady(), publisher)
        except errors.RemoteError as error:
            return fail(error)
        if earlier is not None:
            return succeed(earlier)
        self._pump()
        return kept

    def keep(self, topic: str, draft: Draft, durable: bool = False) -> Deferred[Stored]:
        """Make an event the newest of ``draft.latest``, or take that key away, on a topic that is no stream.

        :param durable: fire when it is on disk. Else it fires in its turn, whatever becomes of the store.
        :raises Overloaded: too much waits. :raises hopsack.errors.StoreFailed: it is not kept.
        """
        kept: Deferred[Stored] = Deferred()
        try:
            event = None if durable else self.keep_at_once(topic, draft)
            if event is not None:
                return succeed(event)
            if self._closed is not None:
                raise refusal(topic, "it is closed")
            self._ledger.keep(topic, draft, durable, (topic, kept))
        except errors.RemoteError as error:
            return fail(error)
        self._pump()
        return kept

    def keep_at_once(self, topic: str, draft: Draft) -> Stored | None:
        """The same for one that nobody waits for, without a Deferred.

        :returns: ``None``: it cannot be at once, because something waits that came before; :meth:`keep` it.
        :raises Overloaded: too much waits. :raises hopsack.errors.StoreFailed: it is not kept.
        """
        if self._closed is not None:
            raise refusal(topic, "it is closed")
        event = self._ledger.keep_at_once(topic, draft, self._hours.now())
        if event is not None:
            self._tell_losses()
            self._pump()
        return event

    def _pump(self) -> None:
        """Commit until nothing waits, one batch at a time."""
        if self._is_pumping:
            return
        self._is_pumping = True
        try:
            if self._torn is not None and not self._is_busy:
                self._replace(self._torn)
            while not self._is_busy and (batch := self._ledger.plan(self._hours.now())) is not None:
                self._is_busy = True
                self._writer.run(partial(self._store.commit, batch), self._committed)
        finally:
            self._is_pumping = False
        self._close_when_idle()

    def _committed(self, _: None, error: Exception | None) -> None:
        if error is not None:
            self._refuse(error)
        else:
            if self._is_failing:
                self._is_failing = False
                LOG.info("the journal can be written again")
            answers = self._ledger.done()
            self._tell_started(None)
            self._answer(answers)
        self._is_busy = False
        self._pump()

    def _refuse(self, error: Exception) -> None:
        if isinstance(error, StoreTorn):
            self._torn = error
        elif not isinstance(error, StoreError):
            LOG.failure("the store failed in a way it should not", Failure(error))
        elif not self._is_failing:
            LOG.error("the journal cannot be written, publishes to streams are refused: {error}", error=error)
        self._is_failing = True
        refused, answers = self._ledger.failed()
        self._tell_started(error)
        self._answer(answers)
        for topic, kept in refused:
            kept.errback(refusal(topic, str(error)))

    def _answer(self, answers: Sequence[Answer]) -> None:
        self._ledger.is_telling = True
        for answer in answers:
            (_topic, kept), event, changed = answer
            if changed:
                self._ledger.show(answer)
            kept.callback(event)
        self._ledger.is_telling = False
        self._tell_losses()

    def _tell_losses(self) -> None:
        for topic in self._ledger.losses:
            LOG.warn("{topic} has more keys than its snapshot takes: the longest unchanged are dropped", topic=topic)
        self._ledger.losses.clear()

    # ---- a store that is torn ---------------------------------------------------------------------------------------

    def _replace(self, error: StoreTorn) -> None:
        """Put it aside, between two batches. The writer is busy with that until it is done, and who reads meanwhile
        finds the same damage.
        """
        LOG.error("the journal is damaged, all streams begin anew: {error}", error=error)
        self._torn = None
        self._is_busy = True
        self._writer.run(self._store.replace, self._replaced)

    def _replaced(self, what: str, error: Exception | None) -> None:
        self._torn = None
        for topic, kept in self._ledger.begin_again():
            kept.errback(refusal(topic, "it is damaged and was begun afresh"))
        if error is not None:
            LOG.error("the damaged journal cannot be replaced: {error}", error=error)
        else:
            LOG.error("{what}", what=what)
        self._is_busy = False
        self._pump()

    # ---- reading ----------------------------------------------------------------------------------------------------

    def head(self, topic: str) -> Position:
        """The newest event's position; offset 0 before the first."""
        return self._ledger.shelves.head(topic)

    def where(self, topic: str, after: Position | None) -> Found:
        """Whether reading can go on behind a position; ``None``: from the oldest event on."""
        return self._ledger.shelves.where(topic, after)

    def newest(self, topic: str) -> tuple[Stored, ...]:
        """The newest event of each key, in the order of their last change."""
        return self._ledger.newest(topic)

    def extent(self, topic: str) -> Extent:
        """How much there is of a topic."""
        shelf, head, first = self._ledger.shelves.find(topic), self.head(topic), self._ledger.shelves.first(topic)
        events = head.offset - first.offset + 1 if first else 0
        return Extent(first, head, events, shelf.size if shelf else 0, len(self.newest(topic)))

    def topics(self) -> list[str]:
        """Topics that have, or had, events or values here; the longest unchanged first."""
        return self._ledger.shelves.topics()

    def last_changed(self, most: int) -> list[str]:
        """So many of these, the last to change first."""
        return self._ledger.shelves.last_changed(most)

    def read(
        self, topic: str, after: Position | None, limit: int = PAGE_EVENTS, max_bytes: int = PAGE_BYTES
    ) -> Deferred[Page | Gone]:
        """Events behind a position, in order, without a gap.

        :param after: ``None``: from the oldest event on. :param max_bytes: of payloads, about; one event always comes.
        :raises Overloaded: too many reads wait. :raises hopsack.errors.StoreFailed: the store cannot be read now.
        """
        return self._reading.read(topic, after, limit, max_bytes)

    def read_back(
        self,
        topic: str,
        *,
        last: int | None = None,
        since: float | None = None,
        limit: int = PAGE_EVENTS,
        max_bytes: int = PAGE_BYTES,
    ) -> Deferred[Page | Gone]:
        """History for its own sake: the first page of the ``last`` events, or of those ``since`` then (Unix seconds).

        Read on with :meth:`read` behind the page's ``last``.
        """
        return self._reading.read_back(topic, last, since, limit, max_bytes)

    def position_of(self, topic: str, publication: int) -> Deferred[Position | None]:
        """The position of the event with this publication id; ``None``: it is not there."""
        return self._reading.position_of(topic, publication)

    def _found_torn(self, error: StoreTorn) -> None:
        self._torn = error
        self._pump()
