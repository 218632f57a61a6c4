"""The journal's book-keeping: what waits, which offset it gets, and what the store is told. A core without I/O.

    take(event)   -> a place in the queue, or the answer at once if it is here already
    keep(value)   -> the same for a newest value of a topic that is no stream
    keep_at_once  -> it is the newest already, and written behind: for one that nobody waits for, with nothing before it
    plan()        -> the next batch: what waits, and chores (topics, trims, values); ``None``: nothing to do
    done()        -> the answers, in the order in which it came in: only now is any of it visible to readers
    show(answer)  -> it is given now: a value is the newest from now on
    failed()      -> who must be refused: no offset is used up, and chores stay to be done. Values that nobody waits
                     for are the newest now, written behind, and answered

One batch is under way at a time, so offsets need no lock and a batch that fails leaves no hole. Readers of streams see
what is committed: none of it can vanish when the process is killed, so nobody sees a position twice. What one
publisher has kept is told in its order, on whatever topics.

Bounds (:class:`Bounds`): events and bytes that wait, beyond which events are refused (``hopsack.overloaded``); events
and bytes of a batch; repetitions that wait for one event; values written behind, which wait where the store fails.
Topics, tails, keys and snapshots have theirs in files of their own. Nothing goes for the sake of a batch that fails:
room is made when it is committed, so there may be as many topics more as a batch has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from msgspec.structs import replace

from hopsack.errors import BadRequest, Overloaded
from hopsack_router.streams import snapshots, tail
from hopsack_router.streams.events import MAX_KEY, MIB, Draft, Retention, Stored, stored
from hopsack_router.streams.moments import Moment
from hopsack_router.streams.repeats import MAX_KEYS, WINDOW, Owner, Repeats, Seen
from hopsack_router.streams.runs import RUN_EVENTS, Growth, Shelf
from hopsack_router.streams.shelves import Shelves
from hopsack_router.streams.store import Batch, KeyRow, LatestRow, Recovered, RunRow, Span, TopicRow

RETRY_AFTER = 1.0
"""Seconds after which who was refused may try again."""

MAX_REPETITIONS = 1000
"""Repetitions of one event that wait with it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """:ivar max_bytes: nominal bytes of all events in the store. :ivar behind: values written behind."""

    queue_events: int = 50_000
    queue_bytes: int = 32 * MIB
    batch_events: int = 4096
    batch_bytes: int = 8 * MIB
    behind: int = 50_000
    topics: int = 100_000
    max_bytes: int = 1024 * MIB
    keys: int = MAX_KEYS
    tail_topic_bytes: int = tail.TOPIC_BYTES
    tail_bytes: int = tail.MAX_BYTES
    snapshots: snapshots.Bounds = field(default_factory=snapshots.Bounds)


class Answer(NamedTuple):
    """Something that waited is committed.

    :ivar ticket: what :meth:`Ledger.take` was given. :ivar changed: of a value: the number of that change of its key.
    """

    ticket: Any
    event: Stored
    changed: int = 0


class _Pending:
    """An event that waits for a batch.

    :ivar owner: of its key. :ivar is_value: its topic is no stream.
    :ivar repetitions: who waits besides, each with a draft of the same key.
    :ivar event: what it will be, once its batch is under way; ``changed``: the number of that change of its key.
    :ivar repeated: bytes of ``repetitions``, which count as waiting until they are answered.
    :ivar behind: repetitions that want to be on disk, and came when a batch was under way that does not go there.
    """

    __slots__ = (
        "behind",
        "changed",
        "draft",
        "durable",
        "event",
        "is_value",
        "owner",
        "repeated",
        "repetitions",
        "size",
        "ticket",
        "topic",
    )

    def __init__(
        self, topic: str, draft: Draft, durable: bool, ticket: Any, owner: Owner | None = None, is_value: bool = False
    ) -> None:
        self.topic, self.draft, self.durable, self.ticket = topic, draft, durable, ticket
        self.owner, self.is_value = owner, is_value
        self.size = draft.size
        self.repeated = 0
        self.event: Stored | None = None
        self.changed = 0
        self.repetitions: list[tuple[Any, Draft]] = []
        self.behind: list[_Barrier] = []


class _Barrier(NamedTuple):
    """A repetition of an event that is committed and may not be on disk: it waits until it is."""

    ticket: Any
    event: Stored


class _Flight:
    """The batch under way."""

    def __init__(self, at: Moment) -> None:
        self.at = at
        self.pending: list[_Pending] = []
        self.barriers: list[_Barrier] = []
        self.opened: list[str] = []
        self.growths: dict[str, Growth] = {}
        self.events: list[tuple[int, Stored]] = []
        self.changes: list[LatestRow] = []
        self.keys: list[KeyRow] = []
        self.written: dict[str, Shelf] = {}
        self.births: dict[str, str] = {}
        self.behind: dict[tuple[str, str], None] = {}
        self.trims = 0
        self.dropped: list[int] = []
        self.forgotten = 0
        self.size = 0
        self.durable = False

    def __len__(self) -> int:
        return len(self.pending) + len(self.barriers)


class Ledger:
    """:param retention: of a topic that is seen for the first time. :param new_epoch: gives a random epoch.

    :ivar shelves: what is committed. :ivar is_begun: whether the store knows the epochs.
    :ivar is_telling: whether answers are being given, and more will be in this turn: what comes now waits behind them.
    :ivar losses: topics whose snapshot had no room for a key, each once; who tells them clears it.
    """

    def __init__(
        self, retention: Callable[[str], Retention], new_epoch: Callable[[], str], bounds: Bounds | None = None
    ) -> None:
        self.bounds = bounds or Bounds()
        self._snapshots = snapshots.Snapshots(self.bounds.snapshots)
        bounds = self.bounds
        self.shelves = Shelves(retention, new_epoch, bounds.topics, bounds.max_bytes, self._snapshots.shows)
        self._number = self._synced = 0
        self._queue: deque[_Pending | _Barrier] = deque()
        self._queued = 0
        self._flight: _Flight | None = None
        self._behind: dict[tuple[str, str], None] = {}  # keys whose newest event the store does not have yet
        self._changed: dict[str, None] = {}  # topics that may have no values any more
        self.losses: list[str] = []
        self._forgotten = 0
        self.is_begun = self.is_telling = self._is_resting = False
        self._is_time_written = True
        self._repeats: Repeats[_Pending] = Repeats(bounds.keys)
        self._tails = tail.Tails(bounds.tail_topic_bytes, bounds.tail_bytes)

    # ---- what comes in ----------------------------------------------------------------------------------------------

    def take(
        self, topic: str, draft: Draft, durable: bool, ticket: Any, steady: float, publisher: str | None = None
    ) -> Stored | None:
        """Queue an event.

        :param durable: answer when it is on disk. :param ticket: comes back in the answer.
        :param publisher: whose share of the idempotency keys its key is from.
        :returns: the event, if it is here already; else ``None``, and the answer comes later.
        :raises Overloaded: too much waits. :raises BadRequest: the key is too long.
        """
        if draft.key is None:
            self._enqueue(_Pending(topic, draft, durable, ticket))
            return None
        if not 0 < len(draft.key) <= MAX_KEY:
            raise BadRequest(f"an idempotency key has 1 to {MAX_KEY} characters, not {len(draft.key)}", where=topic)
        self._repeats.expire(steady)
        match self._repeats.find(topic, draft.key):
            case _Pending() as waiting:
                self._join(waiting, draft, durable, ticket)
                return None
            case Seen() as seen:
                return self._answer_again(topic, seen, draft, durable, ticket)
        owner = Owner(self.shelves.contract(topic), publisher)
        if not self._repeats.has_room(owner):
            many = f"{self._repeats.has(owner):,} events with an idempotency key within {WINDOW:g} s are remembered"
            raise _overloaded(topic, f"{many} of topics under this contract, as many as it may have now")
        pending = _Pending(topic, draft, durable, ticket, owner)
        self._enqueue(pending)
        self._repeats.wait(topic, draft.key, pending, owner)
        return None

    def _enqueue(self, pending: _Pending) -> None:
        self._check_room(pending.topic, pending.size)
        self._queue.append(pending)
        self._queued += pending.size

    def _join(self, waiting: _Pending, draft: Draft, durable: bool, ticket: Any) -> None:
        """The same event waits already, or is under way."""
        if len(waiting.repetitions) + len(waiting.behind) >= MAX_REPETITIONS:
            raise _overloaded(waiting.topic, f"{MAX_REPETITIONS:,} repetitions of one event wait")
        self._check_room(waiting.topic, draft.size)
        if waiting.event is None:
            waiting.durable |= durable
        elif durable and self._flight is not None and not self._flight.durable:
            barrier = _Barrier(ticket, _repetition(waiting.event, draft))
            waiting.behind.append(barrier)
            self._wait_behind(barrier)
            return
        waiting.repetitions.append((ticket, draft))
        waiting.repeated += draft.size
        self._queued += draft.size

    def _wait_behind(self, barrier: _Barrier) -> None:
        self._queue.append(barrier)
        self._queued += barrier.event.size

    def _answer_again(self, topic: str, seen: Seen, draft: Draft, durable: bool, ticket: Any) -> Stored | None:
        """The same event is committed."""
        event = replace(
            stored(topic, seen.epoch, seen.offset, seen.time, draft, repeated=True), publication=seen.publication
        )
        if not durable or seen.batch <= self._synced:
            return event
        self._check_room(topic, draft.size)
        self._wait_behind(_Barrier(ticket, event))
        return None

    def _check_room(self, topic: str, size: int) -> None:
        if len(self._queue) >= self.bounds.queue_events or self._queued + size > self.bounds.queue_bytes:
            waiting, mib = len(self._queue), self._queued / MIB
            raise _overloaded(topic, f"{waiting:,} events of {mib:.1f} MiB wait for the journal")

    def keep(self, topic: str, draft: Draft, durable: bool, ticket: Any) -> None:
        """Make an event the newest of its ``latest`` key, on a topic that is no stream.

        :param durable: answer when it is on disk. :param ticket: comes back in the answer.
        :raises Overloaded: too much waits.
        """
        self._enqueue(_Pending(topic, draft, durable, ticket, is_value=True))

    def keep_at_once(self, topic: str, draft: Draft, now: Moment) -> Stored | None:
        """The same, written behind. :returns: ``None``: it has to wait, for something came before it."""
        if self._queue or self._flight or self.is_telling:
            return None
        return self._keep_behind(topic, draft, now)

    def _keep_behind(self, topic: str, draft: Draft, now: Moment) -> Stored:
        assert draft.latest is not None
        if len(self._behind) >= self.bounds.behind and (topic, draft.latest) not in self._behind:
            raise _overloaded(topic, f"{len(self._behind):,} newest values wait for the journal")
        event = self._value(self.shelves.open(topic), draft, now)
        self._show_newest(event, self._snapshots.next_change())
        self._behind[topic, draft.latest] = None
        return event

    def _value(self, shelf: Shelf, draft: Draft, now: Moment) -> Stored:
        shelf.time = max(shelf.time, now.wall)
        return stored(shelf.uri, shelf.epoch, 0, shelf.time, draft)

    # ---- batches ----------------------------------------------------------------------------------------------------

    def plan(self, now: Moment) -> Batch | None:
        """What to commit next, if anything."""
        assert self._flight is None, "one batch at a time"
        self.shelves.sweep(now.steady)
        self._repeats.expire(now.steady)
        for topic in self._changed:
            self._forget(topic)
        self._changed.clear()
        flight = _Flight(now)
        bounds = self.bounds
        while self._queue and len(flight) < bounds.batch_events and flight.size < bounds.batch_bytes:
            match self._queue.popleft():
                case _Pending() as pending:
                    self._place(flight, pending)
                case _Barrier() as barrier:
                    flight.barriers.append(barrier)
                    self._queued -= barrier.event.size
        if not flight and (self._is_resting or not self._has_chores()):
            return None
        self._flight = flight
        flight.durable |= bool(flight.barriers) or not self.is_begun
        return self._batch(flight)

    def _forget(self, topic: str, is_written: bool = True) -> None:
        """Let a topic go that has nothing."""
        if self.shelves.forget(topic, is_written):
            self._snapshots.drop(topic)

    def _has_chores(self) -> bool:
        is_written = not (self.shelves.has_chores or self._behind) and self._is_time_written
        return not is_written or not self.is_begun or self._repeats.forgotten > self._forgotten

    def _place(self, flight: _Flight, pending: _Pending) -> None:
        draft, topic = pending.draft, pending.topic
        self._queued -= pending.size
        flight.pending.append(pending)
        flight.durable |= pending.durable
        flight.size += pending.size
        growth = flight.growths.get(topic)
        if growth is None:
            if self.shelves.find(topic) is None:
                flight.opened.append(topic)
            shelf = self.shelves.open(topic)
        else:
            shelf = growth.shelf
        if pending.is_value:
            event = self._value(shelf, draft, flight.at)
        else:
            if growth is None:
                growth = flight.growths[topic] = Growth(shelf)
            offset = growth.add(pending.size, draft.publication, flight.at)
            event = stored(topic, shelf.epoch, offset, growth.time, draft)
            flight.events.append((shelf.id, event))
        pending.event = event
        if draft.latest is not None:
            pending.changed = self._snapshots.next_change()
            shown = None if draft.deleted else event
            flight.changes.append(LatestRow(shelf.id, draft.latest, pending.changed, shown))
        if pending.owner is not None:
            flight.keys.append(self._key_row(shelf, event, flight.at.steady))

    def _key_row(self, shelf: Shelf, event: Stored, taken: float) -> KeyRow:
        assert event.key is not None
        self._repeats.number += 1
        number = self._repeats.number
        return KeyRow(number, shelf.id, event.key, event.offset, event.publication, event.time, taken)

    def _batch(self, flight: _Flight) -> Batch:
        shelves = self.shelves
        flight.behind = dict(islice(self._behind.items(), self.bounds.batch_events))
        for key in flight.behind:
            del self._behind[key]
        flight.written, shelves.unwritten = shelves.unwritten, {}
        flight.births, shelves.births = shelves.births, {}
        flight.forgotten = self._repeats.forgotten
        # Twice as many go as come, so that what goes never piles up, and a few more.
        flight.trims = min(len(shelves.trims), 32 + 2 * len(flight.growths) + 2 * len(flight.events) // RUN_EVENTS)
        flight.dropped = shelves.to_drop(flight.trims, 32 + 2 * len(flight.opened))
        latest = {(row.topic, row.key): row for row in (*self._rows_behind(flight.behind), *flight.changes)}
        return Batch(
            number=self._number + 1,
            durable=flight.durable,
            birth=shelves.birth,
            at=flight.at,
            births=list(flight.births.items()),
            events=flight.events,
            topics=[
                TopicRow(shelf.id, shelf.uri, shelf.epoch, shelf.head, shelf.origin)
                for shelf in flight.written.values()
            ],
            runs=[row for growth in flight.growths.values() for row in _rows(growth)],
            keys=flight.keys,
            latest=list(latest.values()),
            dropped=flight.dropped,
            trimmed=[shelves.trims[index] for index in range(flight.trims)],
            keys_upto=flight.forgotten,
        )

    def _rows_behind(self, keys: dict[tuple[str, str], None]) -> Iterator[LatestRow]:
        for topic, key in keys:
            shelf = self.shelves.find(topic)
            if shelf is not None:
                yield LatestRow(shelf.id, key, *(self._snapshots.find(topic, key) or (0, None)))

    def done(self) -> list[Answer]:
        """The batch is committed."""
        flight = self._end_flight()
        self._number += 1
        if flight.durable:
            self._synced = self._number
        self.is_begun, self._is_resting = True, False
        self._is_time_written = True
        self._forgotten = flight.forgotten
        self.shelves.have_gone(flight.trims, len(flight.dropped))
        self._note(flight)
        for growth in flight.growths.values():
            self.shelves.grow(growth, flight.at.steady)
        self.shelves.shed()
        self._make_room(flight)
        answers: list[Answer] = []
        for pending in flight.pending:
            assert pending.event is not None
            answers.append(Answer(pending.ticket, pending.event, pending.changed if pending.is_value else 0))
            self._queued -= pending.repeated
            for ticket, draft in pending.repetitions:
                answers.append(Answer(ticket, _repetition(pending.event, draft)))
        return answers + [Answer(*barrier) for barrier in flight.barriers]

    def _note(self, flight: _Flight) -> None:
        """What is committed can be read, and sent again."""
        keys = iter(flight.keys)
        for pending in flight.pending:
            event = pending.event
            assert event is not None
            if pending.is_value:
                continue
            self._tails.add(event)
            if event.latest is not None:
                self._show_newest(event, pending.changed)
            if pending.owner is not None and event.key is not None:
                row = next(keys)
                seen = Seen(row.number, event.epoch, event.offset, event.publication, event.time, self._number)
                self._repeats.saw(event.topic, event.key, seen, row.taken, pending.owner)

    def _make_room(self, flight: _Flight) -> None:
        for topic in self.shelves.make_room():
            self._tails.drop(topic)
            self._snapshots.drop(topic)
        self._changed.update((pending.topic, None) for pending in flight.pending if pending.is_value)
        self._changed.update((topic, None) for topic, _ in flight.behind)

    def show(self, answer: Answer) -> None:
        """The answer is given now: if it is a value, it is the newest of its key."""
        if answer.changed and self.shelves.find(answer.event.topic) is not None:
            self._show_newest(answer.event, answer.changed)

    def _show_newest(self, event: Stored, changed: int) -> None:
        for lost in self._snapshots.put(event, changed, self.shelves.contract(event.topic)):
            self._behind[lost] = None
            if self._snapshots.is_first_loss(lost[0]):
                self.losses.append(lost[0])

    def failed(self) -> tuple[list[Any], list[Answer]]:
        """The batch was not committed, and nothing of it.

        :returns: the tickets of who is refused, and answers for who is not.
        """
        flight = self._end_flight()
        self._is_resting = True
        self._behind = flight.behind | self._behind
        self.shelves.unwritten = flight.written | self.shelves.unwritten
        self.shelves.births = flight.births | self.shelves.births
        for topic in flight.opened:
            self._forget(topic, is_written=False)
        refused = [barrier.ticket for barrier in flight.barriers]
        answers: list[Answer] = []
        for pending in flight.pending:
            if pending.is_value and not pending.durable:
                with suppress(Overloaded):
                    answers.append(Answer(pending.ticket, self._keep_behind(pending.topic, pending.draft, flight.at)))
                    continue
            refused += self._refused(pending)
        return refused, answers

    def _refused(self, pending: _Pending) -> list[Any]:
        if pending.owner is not None and pending.draft.key is not None:
            self._repeats.give_up(pending.topic, pending.draft.key, pending.owner)
        self._queued -= pending.repeated
        for barrier in pending.behind:
            self._queue.remove(barrier)
            self._queued -= barrier.event.size
        return [
            pending.ticket,
            *(ticket for ticket, _ in pending.repetitions),
            *(barrier.ticket for barrier in pending.behind),
        ]

    def tick(self) -> None:
        """Some time has passed: chores that failed may be tried again."""
        self._is_resting = False

    def write_time(self) -> None:
        """The wall clock has jumped: the store is to know what time it is, though nothing else happens."""
        self._is_time_written = False

    def _end_flight(self) -> _Flight:
        flight, self._flight = self._flight, None
        assert flight is not None, "no batch is under way"
        return flight

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, or only what the store has refused just now."""
        return self._flight is None and not self._queue and (self._is_resting or not self._behind)

    @property
    def behind(self) -> int:
        """How many newest values the store does not have."""
        return len(self._behind)

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

    def recover(self, found: Recovered, steady: float) -> None:
        """Take over what a store has. New epochs are on disk before anybody sees them: the first batch has them."""
        self._number = self._synced = found.number
        self.is_begun = found.birth is not None and found.doubt is None
        shelves = self.shelves.recover(found, steady)
        for row in found.keys:
            shelf = shelves.get(row.topic)
            if shelf is not None:
                seen = Seen(row.number, shelf.epoch, row.offset, row.publication, row.time, found.number)
                self._repeats.recover(shelf.uri, row.key, seen, row.taken, shelf.retention.contract)
        for latest in sorted(found.latest, key=lambda row: row.changed):
            shelf = shelves.get(latest.topic)
            if shelf is not None and latest.event is not None:
                shelf.time = max(shelf.time, latest.event.time)
                if not shelf.runs:
                    self.shelves.open(shelf.uri)  # it is the newest
                self._show_newest(latest.event, latest.changed)
        self._changed = dict.fromkeys(shelf.uri for shelf in shelves.values() if not shelf.head)
        for topic in self.shelves.make_room():
            self._snapshots.drop(topic)

    def begin_again(self) -> list[Any]:
        """The store has lost everything. Snapshots are still known, and are written again; events that wait, wait.

        :returns: the tickets of who waited for what is lost.
        """
        assert self._flight is None
        barriers = [waiting for waiting in self._queue if isinstance(waiting, _Barrier)]
        self._queued -= sum(barrier.event.size for barrier in barriers)
        self._queue = deque(waiting for waiting in self._queue if isinstance(waiting, _Pending))
        keys = list(self._snapshots.all_keys())
        self.shelves.begin_again(dict.fromkeys(topic for topic, _ in keys))
        self._tails.clear()
        self._repeats.clear()
        self._behind = dict.fromkeys(keys)
        self.is_begun = self._is_resting = False
        return [barrier.ticket for barrier in barriers]


def _rows(growth: Growth) -> Iterator[RunRow]:
    for run in growth.runs:
        assert run.marks is not None
        yield RunRow(growth.shelf.id, run.start, run.end, run.size, run.newest, run.ended, run.marks)


def _repetition(event: Stored, draft: Draft) -> Stored:
    again = stored(event.topic, event.epoch, event.offset, event.time, draft, repeated=True)
    return replace(again, publication=event.publication)


def _overloaded(topic: str, message: str) -> Overloaded:
    return Overloaded(message, where=topic, data={"retry_after": RETRY_AFTER})
