"""Publishers, a store that fails, kills and clocks that are set, by chance and for long: what the journal said holds.

Every publisher numbers its events on each topic, and sends again, in order and under its keys, what it had no answer
for when the node was killed. What is learnt of a position, from an answer or by reading, must stay so for ever.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from hopsack import errors
from hopsack_router.streams.events import Draft, Page, Retention, Stored
from hopsack_router.streams.journal import Journal
from hopsack_router.streams.lanes import Lane
from hopsack_router.streams.ledger import Bounds
from hopsack_router.streams.memory import MemoryStore
from hopsack_router.streams.moments import Moment
from hopsack_router.streams.store import (
    Batch,
    KeyRow,
    LatestRow,
    Recovered,
    RunRow,
    StoreFailed,
    TopicRow,
)
from tests.unit.streams.stage import Held, clock, now, random

STEPS = 6_000
SEEDS = (1, 2, 3, 4)
KEEP = 150
STREAMS = ("kept.a", "kept.b", "kept.c")
STATES = ("state.a", "state.b")
FLOOD = 40
BOUNDS = Bounds(topics=12, tail_topic_bytes=2000, batch_events=8)


class Disk(MemoryStore):
    """What is committed is there when the process has been killed. :ivar is_broken: nothing can be committed."""

    is_local = False

    def __init__(self) -> None:
        super().__init__()
        self.is_broken = False
        self.meta: tuple[str, int, Moment] | None = None
        self.births: dict[str, str] = {}
        self.topics: dict[int, TopicRow] = {}
        self.runs: dict[tuple[int, int], RunRow] = {}
        self.keys: dict[int, KeyRow] = {}
        self.newest: dict[tuple[int, str], LatestRow] = {}

    def open(self) -> Recovered:
        if self.meta is None:
            return Recovered()
        birth, number, at = self.meta
        return Recovered(
            birth=birth,
            number=number,
            at=at,
            same_start=True,
            births=list(self.births.items()),
            topics=list(self.topics.values()),
            runs=[self.runs[name] for name in sorted(self.runs)],
            keys=[self.keys[number] for number in sorted(self.keys)],
            latest=list(self.newest.values()),
        )

    def commit(self, batch: Batch) -> None:
        if self.is_broken:
            raise StoreFailed("no space left on device")
        assert self.meta is None or batch.number == self.meta[1] + 1
        self.meta = (batch.birth, batch.number, batch.at)
        self.births |= dict(batch.births)
        for topic in batch.dropped:
            self.topics.pop(topic, None)
            self.newest = {name: row for name, row in self.newest.items() if name[0] != topic}
        for span in batch.trimmed:
            self.runs.pop((span.topic, span.start))
        for row in batch.topics:
            self.topics = {id: one for id, one in self.topics.items() if one.uri != row.uri}
            self.topics[row.id] = row
        self.runs |= {(row.topic, row.start): row for row in batch.runs}
        self.keys = {number: row for number, row in self.keys.items() if number > batch.keys_upto}
        self.keys |= {row.number: row for row in batch.keys}
        for value in batch.latest:
            if value.event is None:
                self.newest.pop((value.topic, value.key), None)
            else:
                self.newest[value.topic, value.key] = value
        super().commit(batch)

    def close(self) -> None:
        pass


@dataclass
class Sent:
    """Something that a publisher has sent. :ivar order: of all that was sent."""

    order: int
    topic: str
    draft: Draft
    durable: bool
    outcome: Stored | Failure | None = None


@dataclass
class Publisher:
    name: str
    numbers: dict[str, int] = field(default_factory=dict)
    unanswered: deque[Sent] = field(default_factory=deque)


class World:
    """:ivar truth: what is known to stand at a position; it is never another."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.timers = clock()
        self.ahead = 0.0
        self.disk = Disk()
        self.publishers = [Publisher(name) for name in ("ann", "bob", "eve")]
        self.sent = 0
        self.lives = seed * 100
        self.kills = self.refusals = self.repetitions = 0
        self.truth: dict[tuple[str, str, int], bytes] = {}
        self.placed: dict[tuple[str, bytes], tuple[str, int]] = {}
        self.heads: dict[tuple[str, str], int] = {}  # acknowledged, by topic and epoch
        self.refused: set[tuple[str, bytes]] = set()
        self.epochs: dict[str, str] = {}
        self.shown: dict[tuple[str, str], Sent] = {}
        self.safe: dict[tuple[str, str], int] = {}  # the newest value or removal that was acknowledged
        self.removals: dict[tuple[str, str], int] = {}  # the newest that was sent
        self.told: dict[str, int] = {}
        self.begin()

    # ---- the node ----

    def seconds(self) -> float:
        return self.timers.seconds() + self.ahead

    def callLater(self, *call: object) -> object:
        return self.timers.callLater(*call)  # type: ignore[arg-type]

    def begin(self) -> None:
        self.lives += 1
        self.lanes: list[Held] = []

        def lane(name: str) -> Lane:
            self.lanes.append(Held())
            return self.lanes[-1]

        self.journal = Journal(
            self.disk, _of, clock=self, random=random(self.lives), lane=lane, bounds=BOUNDS, counted=self.timers.seconds
        )
        self.disk.is_broken = False
        started = self.journal.start()
        self.settle()
        now(started)

    def settle(self) -> None:
        while any(lane.jobs for lane in self.lanes):
            for lane in self.lanes:
                while lane.jobs:
                    lane.turn()

    # ---- what happens ----

    def step(self) -> None:
        does = self.chance.choices(
            (self.publish, self.work, self.read, self.wait, self.set_the_clock, self.fail, self.kill, self.reopen),
            (50, 30, 10, 3, 1, 2, 2, 1),
        )[0]
        does()
        self.check_newest()

    def publish(self) -> None:
        for _ in range(self.chance.choice((1, 1, 1, 3, 12))):
            publisher = self.chance.choice(self.publishers)
            topic = self.chance.choice((*STREAMS, *STREAMS, *STATES, f"flood.{self.chance.randrange(FLOOD)}"))
            number = publisher.numbers[topic] = publisher.numbers.get(topic, 0) + 1
            self.sent += 1
            is_stream = not topic.startswith("state")
            draft = Draft(
                data=f"{publisher.name} {number}".encode(),
                publication=self.sent,
                key=f"{publisher.name}-{number}" if is_stream else None,
                latest=None if is_stream else self.chance.choice(("k1", "k2", "k3")),
                deleted=not is_stream and self.chance.random() < 0.3,
            )
            sent = Sent(self.sent, topic, draft, self.chance.random() < 0.7)
            if is_stream:
                publisher.unanswered.append(sent)
            self.hand_over(publisher, sent)
            if is_stream and self.chance.random() < 0.1:
                self.hand_over(publisher, sent)

    def hand_over(self, publisher: Publisher, sent: Sent) -> None:
        kept: Deferred[Stored]
        if sent.draft.key is None:
            if sent.draft.deleted:
                self.removals[sent.topic, sent.draft.latest or ""] = sent.order
            kept = self.journal.keep(sent.topic, sent.draft, sent.durable)
        else:
            kept = self.journal.append(sent.topic, sent.draft, sent.durable, publisher.name)
        kept.addCallbacks(
            self.kept, self.was_refused, callbackArgs=(publisher, sent, self.lives), errbackArgs=(publisher, sent)
        )

    def kept(self, event: Stored, publisher: Publisher, sent: Sent, life: int) -> None:
        assert life == self.lives
        if sent in publisher.unanswered:
            publisher.unanswered.remove(sent)
        if not event.repeated:  # on whatever topics, kept or acknowledged or not
            assert self.told.get(publisher.name, 0) < sent.order
            self.told[publisher.name] = sent.order
        sent.outcome = event
        if event.offset:
            self.repetitions += event.repeated
            self.learn(event)
            heads = self.heads
            heads[event.topic, event.epoch] = max(heads.get((event.topic, event.epoch), 0), event.offset)
            return
        slot = (sent.topic, sent.draft.latest or "")
        self.shown[slot] = sent
        if sent.durable:
            self.safe[slot] = sent.order

    def was_refused(self, failure: Failure, publisher: Publisher, sent: Sent) -> None:
        failure.trap(errors.StoreFailed)
        self.refusals += 1
        if sent in publisher.unanswered:
            publisher.unanswered.remove(sent)
        if sent.outcome is None:
            sent.outcome = failure
            self.refused.add((sent.topic, sent.draft.data))

    def work(self) -> None:
        for lane in self.lanes:
            for _ in range(self.chance.randrange(4)):
                if lane.jobs:
                    lane.turn()

    def wait(self) -> None:
        self.settle()  # else an event may be older than the window of its key before its publisher has an answer
        self.timers.advance(self.chance.choice((1, 1, 20, 130)))
        self.settle()

    def set_the_clock(self) -> None:
        self.ahead += self.chance.choice((3600.0, -3600.0))

    def fail(self) -> None:
        self.disk.is_broken = not self.disk.is_broken

    def kill(self) -> None:
        self.kills += 1
        self.told.clear()
        if self.lanes[0].jobs and self.chance.random() < 0.5:
            job, _ = self.lanes[0].jobs.popleft()  # it is committed, and nobody is told
            with suppress(StoreFailed):
                job()
        self.begin()
        self.come_back()

    def reopen(self) -> None:
        self.disk.is_broken = False
        closed = self.journal.close()
        self.settle()
        now(closed)
        assert not any(publisher.unanswered for publisher in self.publishers)
        self.begin()
        self.check_streams()

    def come_back(self) -> None:
        self.check_streams()
        for (topic, key), order in self.safe.items():
            newest = {event.latest: event.publication for event in self.journal.newest(topic)}
            assert newest.get(key, self.removals.get((topic, key), 0)) >= order
        self.shown = {
            (topic, event.latest or ""): Sent(event.publication, topic, event_draft(event), False)
            for topic in STATES
            for event in self.journal.newest(topic)
        }
        self.safe = {slot: sent.order for slot, sent in self.shown.items()}
        for publisher in self.publishers:
            for sent in list(publisher.unanswered):
                self.hand_over(publisher, sent)
        self.settle()
        assert not any(publisher.unanswered for publisher in self.publishers)

    # ---- what must hold ----

    def read(self) -> None:
        self.settle()
        self.check_stream(self.chance.choice(STREAMS))

    def learn(self, event: Stored) -> None:
        """Nothing else stands at this position, this event at no other, and nobody was told that it is not kept."""
        assert self.truth.setdefault((event.topic, event.epoch, event.offset), event.data) == event.data
        name, place = (event.topic, event.data), (event.epoch, event.offset)
        assert self.placed.setdefault(name, place) == place
        assert name not in self.refused

    def check_streams(self) -> None:
        for topic in STREAMS:
            self.check_stream(topic)

    def check_stream(self, topic: str) -> None:
        """It goes on in its epoch, without a hole; what was acknowledged is there, each publisher's in its order."""
        head = self.journal.head(topic)
        assert self.epochs.setdefault(topic, head.epoch) == head.epoch
        assert head.offset >= self.heads.get((topic, head.epoch), 0)
        events: list[Stored] = []
        after = None
        while True:
            answer = self.journal.read(topic, after, 40)
            self.settle()
            page = now(answer)
            assert isinstance(page, Page)
            events += page.events
            after = page.last
            if page.end:
                break
        offsets = [event.offset for event in events]
        assert offsets == list(range(max(head.offset - KEEP, 0) + 1, head.offset + 1))
        last: dict[bytes, int] = {}
        for event in events:
            self.learn(event)
            name, _, number = event.data.partition(b" ")
            assert last.get(name, 0) < int(number)
            last[name] = int(number)
        if events:
            event = self.chance.choice(events)
            place = self.journal.position_of(topic, event.publication)
            self.settle()
            assert now(place) == event.position

    def check_newest(self) -> None:
        """Who comes now sees exactly what was told."""
        for topic in STATES:
            shown = {slot[1]: sent.draft.data for slot, sent in self.shown.items() if slot[0] == topic}
            deleted = {slot[1] for slot, sent in self.shown.items() if slot[0] == topic and sent.draft.deleted}
            newest = {event.latest or "": event.data for event in self.journal.newest(topic)}
            assert newest == {key: data for key, data in shown.items() if key not in deleted}


def event_draft(event: Stored) -> Draft:
    return Draft(data=event.data, publication=event.publication, latest=event.latest)


def _of(topic: str) -> Retention:
    return Retention(keep=KEEP, contract=topic.partition(".")[0])


@pytest.mark.parametrize("seed", SEEDS)
def test_what_the_journal_said_holds(seed: int) -> None:
    world = World(seed)

    for _ in range(STEPS):
        world.step()

    world.disk.is_broken = False
    world.settle()
    world.check_streams()
    assert world.kills > 50
    assert world.refusals > 50
    assert world.repetitions > 50
    assert len(world.truth) > STEPS / 2
    assert len({epoch for topic, epoch, _ in world.truth if topic.startswith("flood")}) > 10
