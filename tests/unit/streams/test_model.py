"""The journal against a model that anybody can read: a list for each topic. Random calls, ends and restarts."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.internet.defer import Deferred

from hopsack import errors
from hopsack_router.streams.events import Gone, Page, Retention, Stored
from hopsack_router.streams.journal import Journal
from hopsack_router.streams.lanes import Lane
from hopsack_router.streams.ledger import Bounds
from hopsack_router.streams.memory import MemoryStore
from hopsack_router.streams.position import Position
from hopsack_router.streams.repeats import WINDOW
from tests.unit.streams.stage import Held, clock, draft, now, random, sqlite

RETENTIONS = {
    "a.few": Retention(keep=3),
    "a.aged": Retention(keep=1000, seconds=320.0),
    "a.small": Retention(keep=1000, max_bytes=8000),
    "a.long": Retention(keep=1000),
}
TOPICS = st.sampled_from(sorted(RETENTIONS))


@dataclass
class Topic:
    """What a topic must have: every event it ever had, the newest value of each key, and keys with their events."""

    epoch: str
    events: list[tuple[bytes, float]] = field(default_factory=list)
    newest: dict[str, bytes] = field(default_factory=dict)
    keys: dict[str, tuple[int, float]] = field(default_factory=dict)


class Waits:
    """An event that was handed over and not answered."""

    def __init__(self, topic: str, data: bytes, key: str | None, latest: str | None, answer: Deferred[Stored]) -> None:
        self.topic, self.data, self.key, self.latest = topic, data, key, latest
        self.kept: Stored | None = None
        answer.addCallbacks(self._keep, lambda failure: failure.trap(errors.RemoteError) and None)

    def _keep(self, event: Stored) -> None:
        self.kept = event


class JournalMachine(RuleBasedStateMachine):
    """Rules common to both stores; nothing waits when a rule ends, but where it says so."""

    def __init__(self) -> None:
        super().__init__()
        self.time = clock()
        self.numbers = count(1)
        self.seeds = count()
        self.topics: dict[str, Topic] = {}
        self.lanes: list[Held] = []
        self.journal: Journal

    # ---- the journal, and what is done with it ----

    def start(self, store: object, bounds: Bounds) -> None:
        self.lanes = []

        def lane(name: str) -> Lane:
            self.lanes.append(Held())
            return self.lanes[-1]

        self.journal = Journal(
            store,  # type: ignore[arg-type]
            RETENTIONS.__getitem__,
            clock=self.time,
            random=random(next(self.seeds)),
            lane=lane,
            bounds=bounds,
        )
        started = self.journal.start()
        self.work()
        now(started)

    def work(self) -> None:
        while any(lane.jobs for lane in self.lanes):
            for lane in self.lanes:
                if lane.jobs:
                    lane.turn()

    def topic(self, name: str) -> Topic:
        if name not in self.topics:
            self.topics[name] = Topic(self.journal.head(name).epoch)
        return self.topics[name]

    def expect(self, waits: Waits) -> None:
        """The event was answered: it is the next one, or the one that had its key."""
        topic, event = self.topic(waits.topic), waits.kept
        assert event is not None
        seen = topic.keys.get(waits.key) if waits.key else None
        if seen is not None and self.time.seconds() < seen[1] + WINDOW:
            assert (event.repeated, event.offset) == (True, seen[0])
            return
        topic.events.append((waits.data, self.time.seconds()))
        assert (event.repeated, event.epoch, event.offset) == (False, topic.epoch, len(topic.events))
        if waits.key:
            topic.keys[waits.key] = (event.offset, self.time.seconds())
        if waits.latest:
            topic.newest.pop(waits.latest, None)
            topic.newest[waits.latest] = waits.data

    def hand_over(self, name: str, key: str | None, latest: str | None, durable: bool) -> Waits:
        self.topic(name)
        number = next(self.numbers)
        event = draft(f"{number}" + "x" * (number % 7 * 50), number, key=key, latest=latest)
        return Waits(name, event.data, key, latest, self.journal.append(name, event, durable))

    @rule(
        name=TOPICS,
        keys=st.lists(st.sampled_from([None, None, "k1", "k2"]), min_size=1, max_size=80),
        latest=st.sampled_from([None, "l1", "l2", "l3"]),
        durable=st.booleans(),
    )
    def append(self, name: str, keys: list[str | None], latest: str | None, durable: bool) -> None:
        waiting = [self.hand_over(name, key, latest, durable) for key in keys]
        self.work()
        for waits in waiting:
            self.expect(waits)
        self.read_whole(name)

    @rule(name=TOPICS, back=st.integers(0, 200), limit=st.integers(1, 50))
    def read(self, name: str, back: int, limit: int) -> None:
        topic = self.topic(name)
        offset = max(0, len(topic.events) - back)
        answer = self.journal.read(name, Position(topic.epoch, offset), limit)
        self.work()
        found = now(answer)
        if isinstance(found, Gone):
            assert found.reason == "trimmed"
            assert found.oldest is None or found.oldest.offset > offset + 1
            assert not self.must_be_there(name, offset + 1)
            return
        assert isinstance(found, Page)
        expected = topic.events[offset : offset + limit]
        assert [(event.data, event.time) for event in found.events] == expected
        assert [event.offset for event in found.events] == list(range(offset + 1, offset + 1 + len(expected)))
        assert found.end == (offset + len(expected) == len(topic.events))

    def read_whole(self, name: str) -> None:
        """From the oldest event to the newest: nothing is missing that must be there."""
        topic = self.topic(name)
        events: list[Stored] = []
        after = None
        while True:
            answer = self.journal.read(name, after)
            self.work()
            page = now(answer)
            assert isinstance(page, Page)
            events += page.events
            after = page.last
            if page.end:
                break
        first = len(topic.events) - len(events) + 1
        assert [event.offset for event in events] == list(range(first, len(topic.events) + 1))
        assert [event.data for event in events] == [data for data, _ in topic.events[first - 1 :]]
        assert first == 1 or not self.must_be_there(name, first - 1)

    def must_be_there(self, name: str, offset: int) -> bool:
        """Whether the bounds allow the event to have gone."""
        topic, retention = self.topics[name], RETENTIONS[name]
        if offset <= len(topic.events) - retention.keep:
            return False
        if retention.seconds is not None:
            return topic.events[offset - 1][1] + retention.seconds > self.time.seconds()
        size = sum(len(data) + 130 for data, _ in topic.events[offset - 1 :])
        return size < retention.max_bytes * 3 // 4

    @rule(seconds=st.sampled_from([1.0, 30.0, 119.0, 120.0, 200.0, 400.0]))
    def turn_the_clock(self, seconds: float) -> None:
        self.time.advance(seconds)
        self.work()
        for name in list(self.topics):
            self.read_whole(name)

    @invariant()
    def heads_and_snapshots_are_right(self) -> None:
        for name, topic in self.topics.items():
            assert self.journal.head(name) == Position(topic.epoch, len(topic.events))
            assert [event.data for event in self.journal.newest(name)] == list(topic.newest.values())

    @invariant()
    def bounds_hold(self) -> None:
        for name, topic in self.topics.items():
            first = self.journal.where(name, Position(topic.epoch, max(0, len(topic.events) - 3)))
            if name == "a.few" and len(topic.events) > 3:
                assert isinstance(self.journal.where(name, Position(topic.epoch, len(topic.events) - 4)), Gone)
                assert not isinstance(first, Gone)
            if name == "a.aged":
                old = [time for _, time in topic.events if time + 320.0 + 320.0 / 32 < self.time.seconds()]
                if old:
                    assert isinstance(self.journal.where(name, Position(topic.epoch, len(old) - 1)), Gone)


class MemoryMachine(JournalMachine):
    @initialize()
    def begin(self) -> None:
        self.start(MemoryStore(), Bounds(tail_topic_bytes=500))


class SqliteMachine(JournalMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="hopsack-journal-"))
        self.folder = self.root / "0"
        self.lives = count(1)

    @initialize(tail=st.sampled_from([0, 500, 1 << 20]))
    def begin(self, tail: int) -> None:
        self.bounds = Bounds(tail_topic_bytes=tail)
        self.start(sqlite(self.folder, self.time), self.bounds)

    @rule()
    def close_and_open(self) -> None:
        closed = self.journal.close()
        self.work()
        now(closed)
        self.start(sqlite(self.folder, self.time), self.bounds)

    @rule(
        names=st.lists(st.tuples(TOPICS, st.sampled_from([None, "k1", "k3"])), max_size=12),
        turns=st.integers(0, 3),
        durable=st.booleans(),
        committed=st.booleans(),
    )
    def kill(self, names: list[tuple[str, str | None]], turns: int, durable: bool, committed: bool) -> None:
        """Amid appends, perhaps between a commit and its answers: what was answered is there, and what else is there
        was handed over behind it, in that order."""
        waiting = [self.hand_over(name, key, None, durable) for name, key in names]
        for _ in range(turns):
            if self.lanes[0].jobs:
                self.lanes[0].turn()
        if committed and self.lanes[0].jobs:
            self.lanes[0].jobs.popleft()[0]()
        before, self.folder = self.folder, self.root / str(next(self.lives))
        shutil.copytree(before, self.folder)
        self.journal._store.close()  # its files are of no interest any more
        for waits in waiting:
            if waits.kept is not None:
                self.expect(waits)
        self.start(sqlite(self.folder, self.time), self.bounds)
        unanswered = [waits for waits in waiting if waits.kept is None]
        for name, topic in self.topics.items():
            self.take_over(name, topic, [waits for waits in unanswered if waits.topic == name])

    def take_over(self, name: str, topic: Topic, unanswered: list[Waits]) -> None:
        head = self.journal.head(name)
        more = head.offset - len(topic.events)
        assert head.epoch == topic.epoch
        assert more >= 0
        for waits in unanswered:
            seen = topic.keys.get(waits.key) if waits.key else None
            if more and (seen is None or self.time.seconds() >= seen[1] + WINDOW):
                more -= 1
                topic.events.append((waits.data, self.time.seconds()))
                if waits.key:
                    topic.keys[waits.key] = (len(topic.events), self.time.seconds())
        assert more == 0

    @precondition(lambda self: any(topic.keys for topic in self.topics.values()))
    @rule(name=TOPICS, key=st.sampled_from(["k1", "k2", "k3"]))
    def send_again(self, name: str, key: str) -> None:
        waits = self.hand_over(name, key, None, durable=True)
        self.work()
        self.expect(waits)

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal._store.close()
        shutil.rmtree(self.root)


BUSY = [HealthCheck.too_slow, HealthCheck.data_too_large]
TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=BUSY)
TestSqlite = SqliteMachine.TestCase
TestSqlite.settings = settings(max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=BUSY)
