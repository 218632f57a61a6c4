"""What a reader has read: every event once, in order, or told as gone, whatever happens on the way.

The model is a journal, a link that a test delivers message by message, and a reader that takes when the test says so.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hopsack.errors import Denied, Disconnected, HopsackError, NoCallee, Overloaded
from hopsack.position import Position, parse, places_of
from hopsack.resuming import ATTEMPTS, HELD, TOPICS, Deliver, Dropped, Effect, Page, Read, Recovery, Resuming
from hopsack.session import Grant, Publication

from .plain import Plain

ROOM = 10_000


def event(offset: int, topic: str = "t", epoch: str = "e", **facts: Any) -> tuple[Publication, Plain]:
    return Publication(topic, position=f"{epoch}:{offset}", **facts), Plain(offset)


def page(*offsets: int, end: bool = True, recovered: bool = True, reason: str | None = None, epoch: str = "e") -> Page:
    events = tuple(event(offset, epoch=epoch) for offset in offsets)
    return Page(events, Position(epoch, offsets[-1]) if offsets else None, recovered, reason, end)


def seen(effects: list[Effect]) -> list[Any]:
    """Offsets for events, (after, limit) for reads, and recoveries as they are."""
    shown: list[Any] = []
    for effect in effects:
        match effect:
            case Deliver(publication):
                shown.append(parse(publication.position).offset)  # type: ignore[union-attr]
            case Read(_, after, limit):
                shown.append((str(after), limit))
            case _:
                shown.append(effect)
    return shown


def reads(effects: list[Effect]) -> list[Read]:
    return [effect for effect in effects if isinstance(effect, Read)]


def live(at: int = 4) -> Resuming:
    """A reader of ``t`` that has read up to ``e:at``, over a door that does not resume by itself."""
    machine = Resuming("t", limit=ROOM)
    assert machine.granted(None, {}, ROOM) == []
    assert seen(machine.came(*event(at), ROOM)) == [at]
    return machine


def behind(at: int = 4) -> tuple[Resuming, Read]:
    """The same after a reconnect; its first page is asked for."""
    machine = live(at)
    machine.lost()
    [read] = machine.granted(None, {}, ROOM)
    assert isinstance(read, Read)
    return machine, read


def test_positions_are_read_strictly() -> None:
    assert parse("7qk2vd4x:41") == Position("7qk2vd4x", 41)
    assert [parse(text) for text in ("", "e", "e:", ":4", "e:-1", "e:4x", "e:²", 4, None)] == [None] * 9
    assert str(Position("e", 4)) == "e:4"
    assert places_of("t", "exact", "e:4") == {"t": Position("e", 4)}
    assert places_of("t.", "prefix", {"t.a": "e:4"}) == {"t.a": Position("e", 4)}
    with pytest.raises(HopsackError, match="a mapping from each topic"):
        places_of("t.", "prefix", "e:4")
    with pytest.raises(HopsackError, match="'4' is no position"):
        places_of("t", "exact", "4")


def test_an_event_comes_once_and_in_order() -> None:
    machine = live(4)

    assert seen(machine.came(*event(5), ROOM)) == [5]
    assert machine.came(*event(5), ROOM) == []
    assert machine.came(*event(3), ROOM) == []
    assert seen(machine.came(*event(6), ROOM)) == [6]


def test_after_a_reconnect_pages_come_first_and_what_is_live_behind_them() -> None:
    machine, read = behind(4)
    assert (read.topic, str(read.after)) == ("t", "e:4")
    assert machine.came(*event(8), ROOM) == []
    assert machine.came(*event(9), ROOM) == []

    first = machine.paged(read, page(5, 6, end=False), ROOM)
    assert seen(first) == [Recovery("t", True, None, 0), 5, 6, ("e:6", 500)]
    assert machine.came(*event(10), ROOM) == []
    second = machine.paged(reads(first)[0], page(7, 8, 9), ROOM)

    assert seen(second) == [7, 8, 9, 10]
    assert seen(machine.came(*event(11), ROOM)) == [11]


def test_where_the_door_resumes_by_itself_nothing_is_read() -> None:
    machine = Resuming("t", {"t": Position("e", 4)}, limit=ROOM)
    grant = Grant(recovered=True, positions={"t": Position("e", 3)})

    told = machine.granted(grant, {"t": Position("e", 3)}, ROOM)

    assert told == [Recovery("t", True, None, 0)]
    assert machine.came(*event(4), ROOM) == []
    assert seen(machine.came(*event(5), ROOM)) == [5]


@pytest.mark.parametrize(
    ("grant", "recovery"),
    [
        (Grant(False, "trimmed", {"t": Position("e", 9)}), Recovery("t", False, "trimmed", 5)),
        (Grant(False, "epoch", {"t": Position("f", 9)}), Recovery("t", False, "epoch", None)),
        (Grant(False), Recovery("t", False, "live", None)),
        (Grant(False, "trimmed", {"t": Position("e", 4)}), Recovery("t", True, None, 0)),
    ],
)
def test_what_the_door_cannot_bring_is_told(grant: Grant, recovery: Recovery) -> None:
    machine = live(4)
    machine.lost()

    assert machine.granted(grant, machine.after, ROOM) == [recovery]
    [*_, delivered] = machine.came(*event(10, epoch="f" if recovery.reason == "epoch" else "e"), ROOM)
    assert isinstance(delivered, Deliver) or recovery.recovered


def test_what_the_journal_no_longer_has_is_told_with_its_number() -> None:
    machine, read = behind(4)

    assert seen(machine.paged(read, page(9, 10, recovered=False, reason="trimmed"), ROOM)) == [
        Recovery("t", False, "trimmed", 4),
        9,
        10,
    ]
    assert seen(machine.came(*event(11), ROOM)) == [11]


def test_a_journal_that_began_anew_is_read_from_its_beginning() -> None:
    machine, read = behind(4)

    told = machine.paged(read, page(1, 2, recovered=False, reason="epoch", epoch="f"), ROOM)

    assert seen(told) == [Recovery("t", False, "epoch", None), 1, 2]


def test_a_jump_is_healed_by_reading_back() -> None:
    machine = live(4)

    [read] = machine.came(*event(7), ROOM)

    assert isinstance(read, Read)
    assert str(read.after) == "e:4"
    assert seen(machine.paged(read, page(5, 6, 7), ROOM)) == [5, 6, 7]


def test_a_hole_that_stays_is_told_in_the_end() -> None:
    machine = live(4)
    effects = machine.came(*event(7), ROOM)
    waits = []
    while found := reads(effects):
        waits.append(found[0].attempt)
        effects = machine.paged(found[0], page(), ROOM)
        effects = effects or machine.came(*event(7), ROOM)

    assert waits == list(range(ATTEMPTS))
    assert seen(effects) == [Recovery("t", False, "gap", 2), 7]
    assert seen(machine.came(*event(8), ROOM)) == [8]


def test_a_full_reader_is_read_to_from_the_journal_when_it_has_caught_up() -> None:
    machine = Resuming("t", limit=3)
    machine.granted(Grant(positions={"t": Position("e", 0)}), {}, 3)
    assert [seen(machine.came(*event(n), 4 - n)) for n in (1, 2, 3)] == [[1], [2], [3]]

    assert machine.came(*event(4), 0) == []
    assert machine.due
    assert machine.came(*event(5), 2) == []
    assert machine.drained(2) == []

    [read] = machine.drained(3)
    assert isinstance(read, Read)
    assert (str(read.after), read.limit) == ("e:3", 3)
    assert seen(machine.paged(read, page(4, 5), 3)) == [4, 5]
    assert seen(machine.came(*event(6), 1)) == [6]


def test_a_page_that_finds_no_room_any_more_is_read_again_later() -> None:
    machine, read = behind(4)

    assert seen(machine.paged(read, page(5, 6, 7), 1)) == [Recovery("t", True, None, 0), 5]

    assert [str(one.after) for one in reads(machine.drained(ROOM))] == ["e:5"]


def test_who_is_behind_is_not_resumed_by_the_door() -> None:
    machine = live(4)
    machine.came(*event(5), 0)
    machine.lost()

    assert machine.after == {}
    assert machine.places == {"t": Position("e", 4)}
    assert [str(one.after) for one in reads(machine.granted(Grant(True), {}, ROOM))] == ["e:4"]


def test_what_cannot_be_held_is_read_again() -> None:
    machine, read = behind(0)
    for offset in range(1, HELD + 3):
        assert machine.came(*event(offset), ROOM) == []

    effects = machine.paged(read, page(), ROOM)

    assert seen(effects) == [Recovery("t", True, None, 0), *range(1, HELD + 1), (f"e:{HELD}", 500)]


def test_a_page_of_an_old_link_is_nobodys() -> None:
    machine, read = behind(4)
    machine.lost()
    machine.granted(None, {}, ROOM)

    assert machine.paged(read, page(5), ROOM) == []


def test_a_node_that_is_busy_is_asked_again_and_one_without_journals_is_not() -> None:
    machine, read = behind(4)
    [again] = machine.paged(read, Overloaded("later"), ROOM)
    assert isinstance(again, Read)
    assert again.attempt == 1
    [again] = machine.paged(again, Overloaded("later"), ROOM)
    assert isinstance(again, Read)
    assert again.attempt == 2
    assert machine.came(*event(9), ROOM) == []

    told = machine.paged(again, NoCallee("no such procedure"), ROOM)

    assert seen(told) == [Recovery("t", False, "hopsack.no_callee", None), 9]
    assert seen(machine.came(*event(12), ROOM)) == [Recovery("t", False, "gap", 2), 12]


def test_a_reader_that_may_not_read_back_is_told_and_goes_on() -> None:
    machine, read = behind(4)

    assert machine.paged(read, Denied("no"), ROOM) == [Recovery("t", False, "hopsack.denied", None)]
    assert seen(machine.came(*event(9), ROOM)) == [9]


def test_what_has_no_room_and_may_not_be_read_back_is_told_as_a_gap_when_there_is_room() -> None:
    machine = Resuming("t", {"t": Position("e", 0)}, limit=2)
    [read] = reads(machine.granted(None, {}, 2))
    for offset in (3, 4, 5, 6):
        assert machine.came(*event(offset), 2) == []

    told = machine.paged(read, Denied("no"), 2)

    assert seen(told) == [Recovery("t", False, "hopsack.denied", None), 3, 4, Dropped(1), Dropped(1)]
    assert machine.came(*event(7), 0) == [Dropped(1)]
    assert machine.drained(1) == []
    assert machine.drained(2) == [Recovery("t", False, "gap", 3)]
    assert seen(machine.came(*event(8), 2)) == [8]


def test_what_cannot_be_held_and_may_not_be_read_back_is_told_as_a_gap() -> None:
    machine, read = behind(0)
    for offset in range(1, HELD + 3):
        assert machine.came(*event(offset), ROOM) == []

    told = seen(machine.paged(read, Denied("no"), ROOM))

    assert told[:2] == [Recovery("t", False, "hopsack.denied", None), 1]
    assert told[-3:] == [HELD, Dropped(2), Recovery("t", False, "gap", 2)]


def test_where_a_topic_stands_that_may_not_be_read_back_is_not_asked() -> None:
    machine, read = behind(4)
    asked = machine.places
    machine.paged(read, Denied("no"), ROOM)

    assert [machine.quiet({}, TOPICS), machine.quiet({}, TOPICS)] == [{}, {}]
    assert machine.checked(asked, {"t": Position("e", 9)}, False, ROOM) == []
    machine.lost()
    assert [str(one.after) for one in reads(machine.granted(None, {}, ROOM))] == ["e:4"]


def test_a_read_that_was_lost_with_its_link_is_left_to_the_next() -> None:
    machine, read = behind(4)

    assert machine.paged(read, Disconnected("gone"), ROOM) == []
    machine.lost()

    assert [str(one.after) for one in reads(machine.granted(None, {}, ROOM))] == ["e:4"]


def test_a_topic_without_positions_is_told_as_live_after_a_reconnect() -> None:
    machine = Resuming("t", limit=ROOM)
    assert machine.granted(None, {}, ROOM) == []
    machine.lost()

    assert machine.granted(None, {}, ROOM) == [Recovery("t", False, "live", None)]


def test_the_newest_values_come_to_a_new_reader_and_not_twice() -> None:
    machine = Resuming("t", limit=ROOM)
    machine.granted(Grant(positions={"t": Position("e", 9)}, snapshot=2), {}, ROOM)
    assert seen(machine.came(*event(3, retained=True), ROOM)) == [3]
    assert seen(machine.came(*event(9, retained=True), ROOM)) == [9]
    assert seen(machine.came(*event(10), ROOM)) == [10]

    machine.lost()
    trimmed = Grant(False, "trimmed", {"t": Position("e", 14)}, 2)

    assert machine.granted(trimmed, {"t": Position("e", 10)}, ROOM) == [Recovery("t", False, "trimmed", 4)]
    assert machine.came(*event(9, retained=True), ROOM) == []
    assert seen(machine.came(*event(12, retained=True), ROOM)) == [12]
    assert seen(machine.came(*event(15), ROOM)) == [15]


def test_a_rate_limit_leaves_events_out_until_it_is_lifted() -> None:
    machine = live(4)
    machine.is_thinned = True
    assert seen(machine.came(*event(9), ROOM)) == [9]

    machine.loosen()

    assert seen(machine.came(*event(12), ROOM)) == [12]
    assert seen(machine.came(*event(14), ROOM)) == [("e:12", 500)]


def test_a_gap_that_the_node_tells_is_not_read_again() -> None:
    machine = live(4)

    machine.skipped("t")
    machine.skipped("unknown")

    assert seen(machine.came(*event(9), ROOM)) == [9]


def test_a_stream_that_began_while_a_pattern_was_away_is_read_from_its_beginning() -> None:
    machine = Resuming("t.", limit=ROOM)
    machine.granted(Grant(positions={"t.a": Position("e", 3)}), {}, ROOM)
    machine.lost()

    positions = {"t.a": Position("e", 3), "t.b": Position("f", 2)}
    told = machine.granted(Grant(True, None, positions), machine.after, ROOM)

    assert [(one.topic, str(one.after)) for one in reads(told)] == [("t.b", "f:0")]


def test_the_topic_that_was_silent_for_longest_is_forgotten() -> None:
    machine = Resuming("t.", limit=ROOM)
    machine.granted(None, {}, ROOM)
    for number in range(TOPICS):
        machine.came(*event(1, topic=f"t.{number}"), ROOM)
    machine.came(*event(2, topic="t.0"), ROOM)

    machine.came(*event(1, topic="t.new"), ROOM)

    assert len(machine.places) == TOPICS
    assert "t.0" in machine.places
    assert "t.1" not in machine.places


# ---- whatever happens ------------------------------------------------------------------------------------------------


@dataclass
class Journal:
    epoch: str = "e0"
    head: int = 0
    oldest: int = 1

    def page(self, topic: str, after: Position, limit: int) -> Page:
        recovered, start = True, after.offset
        if after.epoch != self.epoch or after.offset > self.head or after.offset < self.oldest - 1:
            recovered, start = False, self.oldest - 1
        offsets = range(start + 1, min(start + limit, self.head) + 1)
        events = tuple(event(offset, topic, self.epoch) for offset in offsets)
        last = Position(self.epoch, offsets[-1] if offsets else start)
        reason = None if recovered else "trimmed" if after.epoch == self.epoch else "epoch"
        return Page(events, last, recovered, reason, last.offset == self.head)


@dataclass
class Link:
    """What the node sends, in order; ``is_granted``: as the node sees it. ``missing``: topics that lost an event."""

    out: deque[tuple[str, Any]] = field(default_factory=deque)
    is_granted: bool = False
    missing: set[str] = field(default_factory=set)


TOPIC = st.sampled_from(["t.a", "t.b", "t.c"])


class Life(RuleBasedStateMachine):
    """One reader of a pattern, with a queue of four, over a link that fails in every way that a link can."""

    LIMIT = 4

    @initialize(resumes=st.booleans(), after=st.booleans())
    def begin(self, resumes: bool, after: bool) -> None:
        self.resumes = resumes
        self.journals = {"t.a": Journal(), "t.b": Journal()}  # the third begins when somebody publishes
        self.is_known = False
        places = {topic: Position("e0", 0) for topic in self.journals} if after else {}
        self.machine = Resuming("t.", places, limit=self.LIMIT)
        self.reads: list[Read] = []
        self.queue: list[Effect] = []
        self.last = dict(places)
        self.told: dict[str, list[int | None]] = {topic: [] for topic in ("t.a", "t.b", "t.c")}
        self.epochs = 0
        self.refused: set[str] = set()
        """May not be read back over this link, which the reader was told."""
        self.link = Link()
        self.subscribe()

    # ---- the node ------------------------------------------------------------------------------------------------

    def subscribe(self) -> None:
        """The node has read the subscription; its answer and what it resumes are on their way."""
        asked = self.machine.after if self.resumes else {}
        self.link.is_granted = True
        if not self.resumes:
            self.link.out.append(("grant", (None, {})))
            return
        positions: dict[str, Position] = {}
        follow: list[tuple[Publication, Plain]] = []
        reason = None
        for topic, journal in self.journals.items():
            positions[topic] = Position(journal.epoch, journal.head)
            if topic in asked:
                found = journal.page(topic, asked[topic], 1 << 30)
                first = found.events[0][0].position if found.events else None
                offset = parse(first).offset - 1 if first else journal.head  # type: ignore[union-attr]
                positions[topic] = asked[topic] if found.recovered else Position(journal.epoch, offset)
                follow += [event(parse(one.position).offset, topic, journal.epoch) for one, _ in found.events]  # type: ignore[union-attr]
                reason = reason or found.reason
        grant = Grant(bool(asked) and reason is None, reason, positions)
        self.link.out.append(("grant", (grant, asked)))
        self.link.out.extend(("event", one) for one in follow)

    @rule(topic=TOPIC, count=st.integers(1, 6))
    def publish(self, topic: str, count: int) -> None:
        if topic not in self.journals:
            self.journals[topic] = Journal()
            if self.is_known:
                self.last[topic] = Position("e0", 0)
        journal = self.journals[topic]
        for _ in range(count):
            journal.head += 1
            if self.link.is_granted:
                self.link.out.append(("event", event(journal.head, topic, journal.epoch)))

    @rule(topic=TOPIC, count=st.integers(1, 6))
    def publish_in_vain(self, topic: str, count: int) -> None:
        """All of it is lost on the way."""
        before = len(self.link.out)
        self.publish(topic, count)
        if len(self.link.out) > before:
            self.link.missing.add(topic)
            while len(self.link.out) > before:
                self.link.out.pop()

    @rule(topic=TOPIC, keep=st.integers(0, 3))
    def trim(self, topic: str, keep: int) -> None:
        journal = self.journals.get(topic, Journal())
        journal.oldest = max(journal.oldest, journal.head - keep + 1)

    @rule(topic=TOPIC)
    def lose_the_journal(self, topic: str) -> None:
        self.disconnect()
        if topic in self.journals:
            self.epochs += 1
            self.journals[topic] = Journal(f"e{self.epochs}")
            if topic not in self.machine.places:
                self.last.pop(topic, None)  # it came and went unseen

    @precondition(lambda self: self.reads)
    @rule(data=st.data(), limit=st.integers(1, 3))
    def read(self, data: st.DataObject, limit: int) -> None:
        read = self.reads.pop(data.draw(st.integers(0, len(self.reads) - 1)))
        found = self.journals[read.topic].page(read.topic, read.after, min(limit, read.limit))
        self.link.out.append(("page", (read, found)))

    @precondition(lambda self: self.reads)
    @rule(for_good=st.sampled_from([False, False, True]))
    def refuse_to_read(self, for_good: bool) -> None:
        self.link.out.append(("page", (self.reads.pop(), Denied("no") if for_good else Overloaded("later"))))

    @precondition(lambda self: self.link.is_granted)
    @rule()
    def ask(self) -> None:
        """Where the streams stand that were silent since this was done last, and those that may have begun."""
        is_all = self.machine.is_curious or self.machine.is_expecting
        asked = self.machine.places if self.machine.is_expecting else {}
        asked = {**asked, **self.machine.quiet(asked, TOPICS)}
        heads = {
            topic: Position(one.epoch, one.head)
            for topic, one in self.journals.items()
            if (is_all and topic not in asked) or (topic in asked and asked[topic] != Position(one.epoch, one.head))
        }
        self.link.out.append(("heads", (asked, heads, is_all)))

    # ---- the link ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.link.out)
    @rule(count=st.integers(1, 9))
    def deliver(self, count: int) -> None:
        for _ in range(min(count, len(self.link.out))):
            kind, what = self.link.out.popleft()
            self.is_known = self.is_known or (self.resumes and kind == "grant")
            tell: Any = {
                "grant": self.machine.granted,
                "event": self.machine.came,
                "page": self.machine.paged,
                "heads": self.machine.checked,
            }[kind]
            if kind == "page" and isinstance(what[1], Denied):
                self.refused.add(what[0].topic)
            self.obey(tell(*what, self.LIMIT - sum(isinstance(one, Deliver) for one in self.queue)))
            self.is_known = self.is_known or (kind == "heads" and what[2] and self.machine.knows_all)

    @precondition(lambda self: any(kind == "event" for kind, _ in self.link.out))
    @rule(data=st.data(), twice=st.booleans())
    def miscarry(self, data: st.DataObject, twice: bool) -> None:
        """An event comes twice, or not at all."""
        events = [at for at, (kind, _) in enumerate(self.link.out) if kind == "event"]
        at = data.draw(st.sampled_from(events))
        if twice:
            self.link.out.append(self.link.out[at])
        else:
            self.link.missing.add(self.link.out[at][1][0].topic)
            del self.link.out[at]

    @rule()
    def disconnect(self) -> None:
        """With whatever was on its way; a new link follows at once, where nothing has come yet."""
        self.reads.clear()
        self.refused.clear()
        self.machine.lost()
        self.link = Link()

    @precondition(lambda self: not self.link.is_granted)
    @rule()
    def reconnect(self) -> None:
        self.subscribe()

    # ---- the reader ----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.queue)
    @rule(count=st.integers(1, 6))
    def take(self, count: int) -> None:
        for effect in self.queue[:count]:
            self.check(effect)
        del self.queue[:count]
        self.obey(self.machine.drained(self.LIMIT - sum(isinstance(one, Deliver) for one in self.queue)))

    def obey(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Read):
                assert effect.topic not in self.refused, "it was refused for good"
                self.reads.append(effect)
            elif not isinstance(effect, Dropped):
                self.queue.append(effect)

    def check(self, effect: Effect) -> None:
        match effect:
            case Recovery(topic, recovered, _, missed):
                if not recovered:
                    for one in [topic] if topic in self.told else self.told:
                        self.told[one].append(missed)
            case Deliver(publication):
                self.follows(publication.topic, parse(publication.position))

    def follows(self, topic: str, position: Position | None) -> None:
        assert position is not None
        last, told = self.last.get(topic), self.told[topic]
        if last is not None and last.epoch == position.epoch:
            gone = position.offset - last.offset - 1
            assert gone >= 0, f"{position} again after {last}"
            if None not in told:
                assert gone == sum(one or 0 for one in told), f"{gone} events before {position} are gone, told: {told}"
        elif last is not None:
            assert told, f"a new epoch at {position} was not told"
        self.last[topic] = position
        told.clear()

    @invariant()
    def holds_no_more_than_it_may(self) -> None:
        assert sum(isinstance(one, Deliver) for one in getattr(self, "queue", ())) <= self.LIMIT

    def teardown(self) -> None:
        """When everything has come, the reader has the last event of each topic, although none comes after it.

        Of a topic that may not be read back it has what came, or knows that something is gone; but a last event that
        was lost on the way shows with the next.
        """
        if not hasattr(self, "machine"):
            return
        if not self.link.is_granted:
            self.reconnect()
        self.settle()
        for _ in range(3):
            self.ask()
            self.settle()
        heads = {topic: Position(one.epoch, one.head) for topic, one in self.journals.items()}
        places = {topic: at for topic, at in self.machine.places.items() if topic not in self.refused}
        assert {topic: heads[topic] for topic in places} == places
        assert set(heads) == set(self.machine.places)
        for topic, at in self.last.items():
            is_hidden = topic in self.refused & self.link.missing
            assert at == heads[topic] or self.told[topic] or at.offset == 0 or is_hidden, (topic, at)
        for topic in self.journals:
            self.publish(topic, 1)
        self.settle()
        assert self.last == {topic: Position(one.epoch, one.head) for topic, one in self.journals.items()}

    def settle(self) -> None:
        while self.queue or self.reads or self.link.out:
            while self.reads:
                read = self.reads.pop(0)
                self.link.out.append(("page", (read, self.journals[read.topic].page(read.topic, read.after, 3))))
            if self.link.out:
                self.deliver(9)
            if self.queue:
                self.take(6)


Life.TestCase.settings = settings(
    max_examples=350, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLife = Life.TestCase
