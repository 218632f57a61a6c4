"""The journal's book-keeping: what waits, which offset it gets, and what the store is told. A core without I/O.

    take(event)   -> a place in the queue, or the answer at once if it is here already
    keep(value)   -> the newest of its key, written behind
    plan()        -> the next batch: what waits, and chores (topics, trims, values); ``None``: nothing to do
    done()        -> the answers, in the order of offsets: only now is anything visible to readers
    failed()      -> who must be refused: no offset is used up, and chores stay to be done

One batch is under way at a time, so offsets need no lock and a batch that fails leaves no hole. Readers see what is
committed: none of it can vanish when the process is killed, so nobody sees a position twice.

Bounds (:class:`Bounds`): events and bytes that wait, beyond which events are refused (``hopsack.overloaded``); events
and bytes of a batch; repetitions that wait for one event. Topics, tails, keys and snapshots have theirs in files of
their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msgspec.structs import replace

from hopsack.errors import BadRequest, Overloaded
from hopsack_router.streams import snapshots, tail
from hopsack_router.streams.events import MAX_KEY, MIB, Draft, Retention, Stored, stored
from hopsack_router.streams.repeats import MAX_KEYS, WINDOW, Repeats, Seen
from hopsack_router.streams.runs import RUN_EVENTS, Growth, Shelf
from hopsack_router.streams.shelves import Shelves
from hopsack_router.streams.store import Batch, KeyRow, LatestRow, Recovered, RunRow, Span, TopicRow

RETRY_AFTER = 1.0
"""Seconds after which who was refused may try again."""

MAX_REPETITIONS = 1000
"""Repetitions of one event that wait with it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """:ivar max_bytes: nominal bytes of all events in the store."""

    queue_events: int = 50_000
    queue_bytes: int = 32 * MIB
    batch_events: int = 4096
    batch_bytes: int = 8 * MIB
    topics: int = 100_000
    max_bytes: int = 1024 * MIB
    keys: int = MAX_KEYS
    tail_topic_bytes: int = tail.TOPIC_BYTES
    tail_bytes: int = tail.MAX_BYTES
    snapshots: snapshots.Bounds = field(default_factory=snapshots.Bounds)


class Answer(NamedTuple):
    """Something that waited is committed. :ivar ticket: what :meth:`Ledger.take` was given."""

    ticket: Any
    event: Stored


class _Pending:
    """An event that waits for a batch.

    :ivar repetitions: who waits besides, each with a draft of the same key.
    :ivar event: what it will be, once its batch is under way.
    :ivar behind: repetitions that want to be on disk, and came when a batch was under way that does not go there.
    """

    __slots__ = ("behind", "draft", "durable", "event", "repetitions", "size", "ticket", "topic")

    def __init__(self, topic: str, draft: Draft, durable: bool, ticket: Any, size: int) -> None:
        self.topic, self.draft, self.durable, self.ticket, self.size = topic, draft, durable, ticket, size
        self.event: Stored | None = None
        self.repetitions: list[tuple[Any, Draft]] = []
        self.behind: list[_Barrier] = []


class _Barrier(NamedTuple):
    """A repetition of an event that is committed and may not be on disk: it waits until it is."""

    ticket: Any
    event: Stored


class _Flight:
    """The batch under way."""

    def __init__(self) -> None:
        self.pending: list[_Pending] = []
        self.barriers: list[_Barrier] = []
        self.growths: dict[str, Growth] = {}
        self.events: list[tuple[int, Stored]] = []
        self.changes: list[LatestRow] = []
        self.keys: list[KeyRow] = []
        self.written: dict[str, Shelf] = {}
        self.behind: dict[tuple[str, str], None] = {}
        self.trims = 0
        self.dropped = 0
        self.forgotten = 0
        self.size = 0
        self.durable = False

    def __len__(self) -> int:
        return len(self.pending) + len(self.barriers)

    def __contains__(self, topic: object) -> bool:
        return topic in self.growths or topic in self.written


class Ledger:
    """:param retention: of a topic that is seen for the first time. :param new_epoch: gives a random epoch.

    :ivar shelves: what is committed. :ivar is_begun: whether the store knows the epochs.
    :ivar losses: topics whose snapshot had no room for a key, each once; who tells them clears it.
    """

    def __init__(
        self, retention: Callable[[str], Retention], new_epoch: Callable[[], str], bounds: Bounds | None = None
    ) -> None:
        self.bounds = bounds or Bounds()
        self.shelves = Shelves(retention, new_epoch, self.bounds.topics, self.bounds.max_bytes)
        self._number = self._synced = 0
        self._queue: deque[_Pending | _Barrier] = deque()
        self._queued = 0
        self._flight: _Flight | None = None
        self._behind: dict[tuple[str, str], None] = {}  # keys whose newest event the store does not have yet
        self.losses: list[str] = []
        self._forgotten = 0
        self.is_begun = self._is_resting = False
        self._repeats: Repeats[_Pending] = Repeats(self.bounds.keys)
        self._tails = tail.Tails(self.bounds.tail_topic_bytes, self.bounds.tail_bytes)
        self._snapshots = snapshots.Snapshots(self.bounds.snapshots)

    # ---- what comes in ----------------------------------------------------------------------------------------------

    def take(self, topic: str, draft: Draft, durable: bool, ticket: Any, now: float) -> Stored | None:
        """Queue an event.

        :param durable: answer when it is on disk. :param ticket: comes back in the answer.
        :returns: the event, if it is here already; else ``None``, and the answer comes later.
        :raises Overloaded: too much waits. :raises BadRequest: the key is too long.
        """
        if draft.key is None:
            self._enqueue(topic, draft, durable, ticket)
            return None
        if not 0 < len(draft.key) <= MAX_KEY:
            raise BadRequest(f"an idempotency key has 1 to {MAX_KEY} characters, not {len(draft.key)}", where=topic)
        self._repeats.expire(now)
        match self._repeats.find(topic, draft.key):
            case _Pending() as waiting:
                self._join(waiting, draft, durable, ticket)
                return None
            case Seen() as seen if seen.epoch == self.shelves.head(topic).epoch:
                return self._answer_again(topic, seen, draft, durable, ticket)
        if self._repeats.is_full:
            number = f"{self.bounds.keys:,}"
            raise _overloaded(topic, f"{number} events with an idempotency key within {WINDOW:g} s are remembered")
        self._repeats.wait(topic, draft.key, self._enqueue(topic, draft, durable, ticket))
        return None

    def _enqueue(self, topic: str, draft: Draft, durable: bool, ticket: Any) -> _Pending:
        size = draft.size
        self._check_room(topic, size)
        pending = _Pending(topic, draft, durable, ticket, size)
        self._queue.append(pending)
        self._queued += size
        return pending

    def _join(self, waiting: _Pending, draft: Draft, durable: bool, ticket: Any) -> None:
        """The same event waits already, or is under way."""
        if len(waiting.repetitions) + len(waiting.behind) >= MAX_REPETITIONS:
            raise _overloaded(waiting.topic, f"{MAX_REPETITIONS:,} repetitions of one event wait")
        if waiting.event is None:
            waiting.durable |= durable
        elif durable and self._flight is not None and not self._flight.durable:
            barrier = _Barrier(ticket, _repetition(waiting.event, draft))
            waiting.behind.append(barrier)
            self._queue.append(barrier)
            return
        waiting.repetitions.append((ticket, draft))

    def _answer_again(self, topic: str, seen: Seen, draft: Draft, durable: bool, ticket: Any) -> Stored | None:
        """The same event is committed."""
        event = replace(
            stored(topic, seen.epoch, seen.offset, seen.time, draft, repeated=True), publication=seen.publication
        )
        if not durable or seen.batch <= self._synced:
            return event
        self._check_room(topic, draft.size)
        self._queue.append(_Barrier(ticket, event))
        return None

    def _check_room(self, topic: str, size: int) -> None:
        if len(self._queue) >= self.bounds.queue_events or self._queued + size > self.bounds.queue_bytes:
            waiting, mib = len(self._queue), self._queued / MIB
            raise _overloaded(topic, f"{waiting:,} events of {mib:.1f} MiB wait for the journal")

    def keep(self, topic: str, draft: Draft, now: float) -> Stored:
        """Make an event the newest of its ``latest`` key, on a topic that is no stream."""
        assert draft.latest is not None
        shelf = self._open(topic, self._flight)
        shelf.time = max(shelf.time, now)
        event = stored(topic, shelf.epoch, 0, shelf.time, draft)
        self._show_newest(event, self._snapshots.next_change())
        self._behind[topic, draft.latest] = None
        return event

    def _open(self, topic: str, flight: _Flight | None) -> Shelf:
        shelf, gone = self.shelves.open(topic, flight if flight is not None else ())
        for one in gone:
            self._tails.drop(one)
            self._snapshots.drop(one)
        return shelf

    # ---- batches ----------------------------------------------------------------------------------------------------

    def plan(self, now: float) -> Batch | None:
        """What to commit next, if anything."""
        assert self._flight is None, "one batch at a time"
        self.shelves.sweep(now)
        self._repeats.expire(now)
        flight = _Flight()
        bounds = self.bounds
        while self._queue and len(flight) < bounds.batch_events and flight.size < bounds.batch_bytes:
            match self._queue.popleft():
                case _Pending() as pending:
                    self._place(flight, pending, now)
                case _Barrier() as barrier:
                    flight.barriers.append(barrier)
        if not flight and (self._is_resting or not self._has_chores()):
            return None
        self._flight = flight
        flight.durable |= bool(flight.barriers) or not self.is_begun
        return self._batch(flight)

    def _has_chores(self) -> bool:
        shelves = self.shelves
        written = not (shelves.unwritten or shelves.trims or shelves.dropped or self._behind)
        return not written or not self.is_begun or self._repeats.forgotten > self._forgotten

    def _place(self, flight: _Flight, pending: _Pending, now: float) -> None:
        draft, topic = pending.draft, pending.topic
        self._queued -= pending.size
        flight.pending.append(pending)
        flight.durable |= pending.durable
        flight.size += pending.size
        growth = flight.growths.get(topic)
        if growth is None:
            growth = flight.growths[topic] = Growth(self._open(topic, flight))
        shelf = growth.shelf
        offset = growth.add(pending.size, now)
        event = pending.event = stored(topic, shelf.epoch, offset, growth.time, draft)
        flight.events.append((shelf.id, event))
        if draft.latest is not None:
            shown = None if draft.deleted else event
            flight.changes.append(LatestRow(shelf.id, draft.latest, self._snapshots.next_change(), shown))
        if draft.key is not None:
            self._repeats.number += 1
            number = self._repeats.number
            flight.keys.append(KeyRow(number, shelf.id, draft.key, offset, draft.publication, event.time))

    def _batch(self, flight: _Flight) -> Batch:
        shelves = self.shelves
        flight.behind, self._behind = self._behind, {}
        flight.written, shelves.unwritten = shelves.unwritten, {}
        flight.dropped, flight.forgotten = len(shelves.dropped), self._repeats.forgotten
        # Twice as many go as come, so that what goes never piles up, and a few more.
        flight.trims = min(len(shelves.trims), 32 + 2 * len(flight.growths) + 2 * len(flight.events) // RUN_EVENTS)
        latest = {(row.topic, row.key): row for row in (*self._rows_behind(flight.behind), *flight.changes)}
        return Batch(
            number=self._number + 1,
            durable=flight.durable,
            birth=shelves.birth,
            events=flight.events,
            topics=[TopicRow(shelf.id, shelf.uri, shelf.epoch, shelf.head) for shelf in flight.written.values()],
            runs=[row for growth in flight.growths.values() for row in _rows(growth)],
            keys=flight.keys,
            latest=list(latest.values()),
            dropped=tuple(shelves.dropped),
            trimmed=[shelves.trims[index] for index in range(flight.trims)],
            keys_upto=flight.forgotten,
        )

    def _rows_behind(self, keys: dict[tuple[str, str], None]) -> Iterator[LatestRow]:
        for topic, key in keys:
            shelf = self.shelves.find(topic)
            if shelf is not None:
                yield LatestRow(shelf.id, key, *(self._snapshots.find(topic, key) or (0, None)))

    def done(self, now: float) -> list[Answer]:
        """The batch is committed."""
        flight = self._end_flight()
        self._number += 1
        if flight.durable:
            self._synced = self._number
        self.is_begun, self._is_resting = True, False
        self._forgotten = flight.forgotten
        for _ in range(flight.trims):
            self.shelves.trims.popleft()
        del self.shelves.dropped[: flight.dropped]
        self._show(flight)
        for growth in flight.growths.values():
            self.shelves.grow(growth, now)
        self.shelves.shed()
        answers: list[Answer] = []
        for pending in flight.pending:
            assert pending.event is not None
            answers.append(Answer(pending.ticket, pending.event))
            for ticket, draft in pending.repetitions:
                answers.append(Answer(ticket, _repetition(pending.event, draft)))
        return answers + [Answer(*barrier) for barrier in flight.barriers]

    def _show(self, flight: _Flight) -> None:
        keys, changes = iter(flight.keys), iter(flight.changes)
        for _, event in flight.events:
            self._tails.add(event)
            if event.latest is not None:
                self._show_newest(event, next(changes).changed)
            if event.key is not None:
                number = next(keys).number
                seen = Seen(number, event.epoch, event.offset, event.publication, event.time, self._number)
                self._repeats.saw(event.topic, event.key, seen)

    def _show_newest(self, event: Stored, changed: int) -> None:
        for lost in self._snapshots.put(event, changed):
            self._behind[lost] = None
            if self._snapshots.is_first_loss(lost[0]):
                self.losses.append(lost[0])

    def failed(self) -> list[Any]:
        """The batch was not committed, and nothing of it. :returns: the tickets of who waited."""
        flight = self._end_flight()
        self._is_resting = True
        self._behind = flight.behind | self._behind
        self.shelves.unwritten = flight.written | self.shelves.unwritten
        tickets = [barrier.ticket for barrier in flight.barriers]
        for pending in flight.pending:
            tickets += [pending.ticket, *(ticket for ticket, _ in pending.repetitions)]
            if pending.draft.key is not None:
                self._repeats.give_up(pending.topic, pending.draft.key)
            for barrier in pending.behind:
                self._queue.remove(barrier)
                tickets.append(barrier.ticket)
        return tickets

    def tick(self) -> None:
        """Some time has passed: chores that failed may be tried again."""
        self._is_resting = False

    def _end_flight(self) -> _Flight:
        flight, self._flight = self._flight, None
        assert flight is not None, "no batch is under way"
        return flight

    @property
    def is_idle(self) -> bool:
        return self._flight is None and not self._queue

    # ---- what is there ----------------------------------------------------------------------------------------------

    def in_memory(self, topic: str, span: Span) -> list[Stored] | None:
        """The events of a range, if all are in memory."""
        tail = self._tails.of(topic)
        if tail is None or tail.start > span.start:
            return None
        return tail.after(span.start - 1, span.end - span.start + 1)

    def published(self, topic: str, publication: int) -> Stored | None:
        """The event with this publication id, if it is in memory."""
        tail = self._tails.of(topic)
        return tail.published(publication) if tail is not None else None

    def newest(self, topic: str) -> tuple[Stored, ...]:
        return self._snapshots.of(topic)

    # ---- beginning, and beginning again -----------------------------------------------------------------------------

    def recover(self, found: Recovered, now: float) -> None:
        """Take over what a store has. New epochs are on disk before anybody sees them: the first batch has them."""
        self._number = self._synced = found.number
        self.is_begun = found.birth is not None and found.doubt is None
        shelves = self.shelves.recover(found, now)
        for row in found.keys:
            shelf = shelves.get(row.topic)
            if shelf is not None:
                seen = Seen(row.number, shelf.epoch, row.offset, row.publication, row.time, found.number)
                self._repeats.saw(shelf.uri, row.key, seen)
        for latest in sorted(found.latest, key=lambda row: row.changed):
            if latest.topic in shelves and latest.event is not None:
                self._show_newest(latest.event, latest.changed)

    def begin_again(self) -> list[Any]:
        """The store has lost everything. Snapshots are still known, and are written again; events that wait, wait.

        :returns: the tickets of who waited for what is lost.
        """
        assert self._flight is None
        lost = [waiting.ticket for waiting in self._queue if isinstance(waiting, _Barrier)]
        self._queue = deque(waiting for waiting in self._queue if isinstance(waiting, _Pending))
        keys = list(self._snapshots.all_keys())
        self.shelves.begin_again(dict.fromkeys(topic for topic, _ in keys))
        self._tails.clear()
        self._repeats.clear()
        self._behind = dict.fromkeys(keys)
        self.is_begun = self._is_resting = False
        return lost


def _rows(growth: Growth) -> Iterator[RunRow]:
    for run in growth.runs:
        yield RunRow(growth.shelf.id, run.start, run.end, run.size, run.newest)


def _repetition(event: Stored, draft: Draft) -> Stored:
    again = stored(event.topic, event.epoch, event.offset, event.time, draft, repeated=True)
    return replace(again, publication=event.publication)


def _overloaded(topic: str, message: str) -> Overloaded:
    return Overloaded(message, where=topic, data={"retry_after": RETRY_AFTER})
