"""A reader of a stream gets every event once and in order, or is told which it cannot have; and it ends live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hopsack_router.routing.following import (
    PAGE_BYTES,
    PAGE_EVENTS,
    Answer,
    Deliver,
    Effect,
    Following,
    GiveUp,
    GoLive,
    Read,
    State,
    TellGap,
)
from hopsack_router.streams.events import Found, Gone, Page, Recoverable, Stored
from hopsack_router.streams.position import Position


def at(offset: int, epoch: str = "e") -> Position:
    return Position(epoch, offset)


def event(offset: int, epoch: str = "e", size: int = 1) -> Stored:
    return Stored(topic="log.lines", epoch=epoch, offset=offset, time=0.0, publication=offset, data=b"1" * size)


def events(first: int, last: int, epoch: str = "e") -> tuple[Stored, ...]:
    return tuple(event(offset, epoch) for offset in range(first, last + 1))


def page(*content: Stored) -> Page:
    return Page(content, end=True, first=None, last=Position(content[-1].epoch, content[-1].offset))


# ---- how it begins ---------------------------------------------------------------------------------------------------


def test_a_new_reader_begins_with_what_comes_now() -> None:
    following = Following(at(7))

    assert following.asked(None, None, None) == [Answer(at(7)), GoLive()]


def test_a_new_reader_of_newest_values_gets_them_first() -> None:
    following = Following(at(7))

    assert following.asked(None, None, events(3, 7)) == [Answer(at(7), snapshot=5)]
    assert following.room() == [Deliver(list(events(3, 7)), newest=True), GoLive()]


def test_a_snapshot_is_delivered_as_the_transport_takes_it_and_what_came_meanwhile_is_read() -> None:
    following = Following(at(3))
    newest = [event(offset, size=PAGE_BYTES // 2) for offset in range(1, 4)]

    assert following.asked(None, None, newest) == [Answer(at(3), snapshot=3)]
    assert following.room() == [Deliver([newest[0]], newest=True)]
    assert following.committed(at(4)) == []
    assert following.room() == [Deliver([newest[1]], newest=True)]
    assert following.room() == [Deliver([newest[2]], newest=True)]
    assert following.room() == [Read(at(3))]
    assert following.page(page(event(4))) == [Deliver((event(4),)), GoLive()]


def test_a_part_of_a_snapshot_has_no_more_events_than_a_page() -> None:
    following = Following(at(1000))
    newest = events(1, PAGE_EVENTS + 1)

    following.asked(None, None, newest)

    assert following.room() == [Deliver(list(newest[:-1]), newest=True)]
    assert following.room() == [Deliver([newest[-1]], newest=True), GoLive()]


def test_a_reader_that_missed_nothing_goes_live_at_once() -> None:
    following = Following(at(7))

    assert following.asked(at(7), Recoverable(0), events(1, 7)) == [Answer(at(7), recovered=True), GoLive()]


def test_a_reader_that_missed_something_gets_it_and_then_goes_live() -> None:
    following = Following(at(7))

    assert following.asked(at(4), Recoverable(3), None) == [Answer(at(4), recovered=True)]
    assert following.state is State.WAITING_FOR_ROOM
    assert following.room() == [Read(at(4))]
    assert following.page(page(*events(5, 6))) == [Deliver(events(5, 6))]
    assert following.room() == [Read(at(6))]
    assert following.page(page(event(7))) == [Deliver((event(7),)), GoLive()]


@pytest.mark.parametrize("reason", ["epoch", "trimmed"])
def test_a_reader_whose_place_is_gone_is_told_why_and_gets_the_newest_values(reason: str) -> None:
    following = Following(at(9, "f"))
    gone = Gone("epoch" if reason == "epoch" else "trimmed", at(5, "f"), at(9, "f"))

    assert following.asked(at(4), gone, events(8, 9, "f")) == [Answer(at(9, "f"), reason=gone.reason, snapshot=2)]
    assert following.room() == [Deliver(list(events(8, 9, "f")), newest=True), GoLive()]


def test_without_newest_values_it_gets_what_there_is_from_the_oldest() -> None:
    following = Following(at(9, "f"))

    assert following.asked(at(4), Gone("epoch", at(8, "f"), at(9, "f")), None) == [Answer(at(7, "f"), reason="epoch")]
    assert following.room() == [Read(at(7, "f"))]


def test_without_anything_there_it_goes_live() -> None:
    following = Following(at(9))

    assert following.asked(at(4), Gone("trimmed", None, at(9)), None) == [Answer(at(9), reason="trimmed"), GoLive()]


def test_a_live_reader_that_fell_behind_is_told_nothing_and_misses_nothing() -> None:
    following = Following(at(9))

    assert following.fell_behind(at(7)) == []
    assert following.room() == [Read(at(6))]
    assert following.page(page(*events(7, 9))) == [Deliver(events(7, 9)), GoLive()]


# ---- how it goes on --------------------------------------------------------------------------------------------------


def behind(last: int, head: int) -> Following:
    following = Following(at(head))
    following.fell_behind(at(last + 1))
    return following


def test_a_page_that_comes_when_there_is_no_room_waits_in_hand() -> None:
    following = behind(1, 3)

    assert following.room() == [Read(at(1))]
    assert following.full() == []
    assert following.page(page(*events(2, 3))) == []
    assert following.state is State.WAITING_FOR_ROOM
    assert following.room() == [Deliver(events(2, 3)), GoLive()]


def test_what_is_committed_while_a_page_is_read_is_read_as_well() -> None:
    following = behind(1, 3)

    following.room()
    assert following.committed(at(4)) == []
    assert following.page(page(*events(2, 3))) == [Deliver(events(2, 3))]
    assert following.room() == [Read(at(3))]


def test_a_page_ahead_of_the_announcements_is_not_announced_again() -> None:
    following = behind(1, 3)

    following.room()
    assert following.page(page(*events(2, 5))) == [Deliver(events(2, 5))]
    assert following.state is State.AHEAD
    assert following.room() == []
    assert following.committed(at(4)) == []
    assert following.committed(at(5)) == [GoLive()]


def test_what_was_trimmed_is_told_with_its_number_and_it_reads_on() -> None:
    following = behind(1, 9)

    following.room()
    assert following.page(Gone("trimmed", at(6), at(9))) == [TellGap("trimmed", 4), Read(at(5))]
    assert following.page(page(*events(6, 9))) == [Deliver(events(6, 9)), GoLive()]


def test_where_everything_was_trimmed_it_goes_live_behind_it() -> None:
    following = behind(1, 9)

    following.room()
    assert following.page(Gone("trimmed", None, at(9))) == [TellGap("trimmed", 8), GoLive()]


def test_where_everything_was_trimmed_it_waits_for_what_is_announced_of_it() -> None:
    following = behind(1, 9)

    following.room()
    assert following.page(Gone("trimmed", None, at(10))) == [TellGap("trimmed", 9)]
    assert following.committed(at(10)) == [GoLive()]


def test_what_was_trimmed_is_told_when_there_is_room_for_it() -> None:
    following = behind(1, 9)

    following.room()
    following.full()
    assert following.page(Gone("trimmed", at(6), at(9))) == []
    assert following.room() == [TellGap("trimmed", 4), Read(at(5))]


def test_a_new_epoch_is_told_and_the_old_ones_page_is_dropped() -> None:
    following = behind(1, 9)

    following.room()
    assert following.committed(at(1, "f")) == [TellGap("epoch", None)]
    assert following.page(page(*events(2, 9))) == [Read(at(0, "f"))]
    assert following.page(page(event(1, "f"))) == [Deliver((event(1, "f"),)), GoLive()]


def test_a_new_epoch_ends_what_is_in_hand() -> None:
    following = behind(1, 9)

    following.room()
    following.full()
    following.page(page(*events(2, 9)))
    assert following.committed(at(1, "f")) == [TellGap("epoch", None)]
    assert following.room() == [Read(at(0, "f"))]


def test_a_new_epoch_ends_the_wait_for_announcements() -> None:
    following = behind(1, 3)

    following.room()
    following.page(page(*events(2, 5)))
    following.room()
    assert following.committed(at(1, "f")) == [TellGap("epoch", None), Read(at(0, "f"))]


def test_a_reader_that_fell_behind_before_a_new_epoch_is_told() -> None:
    following = Following(at(2, "f"))

    assert following.fell_behind(at(7)) == [TellGap("epoch", None)]
    assert following.room() == [Read(at(0, "f"))]


def test_a_new_epoch_of_which_nothing_is_announced_yet_is_read_live() -> None:
    following = behind(1, 9)

    following.room()
    gone = Gone("epoch", at(1, "f"), at(2, "f"))
    assert following.page(gone) == [TellGap("epoch", None), GoLive()]


def test_a_journal_that_cannot_be_read_ends_it() -> None:
    following = behind(1, 9)

    following.room()
    assert following.failed() == [GiveUp()]
    assert following.state is State.ENDED


def test_nothing_is_done_for_a_reader_that_is_gone() -> None:
    following = behind(1, 9)
    following.room()

    following.lost()

    assert following.page(page(*events(2, 9))) == following.room() == following.full() == []
    assert following.committed(at(10)) == following.failed() == []


def test_the_live_path_has_the_events_of_a_live_reader() -> None:
    following = Following(at(7))
    following.asked(None, None, None)

    assert following.room() == following.full() == []  # it was performing GoLive
    with pytest.raises(KeyError):
        following.committed(at(8))


# ---- whatever happens ------------------------------------------------------------------------------------------------


class AnyJournal(RuleBasedStateMachine):
    """A journal that commits, announces, trims and is lost; a transport that is slow; one reader in between."""

    @initialize(
        kept=st.integers(0, 6),
        trimmed=st.integers(0, 6),
        unannounced=st.integers(0, 2),
        after=st.none() | st.tuples(st.sampled_from(["e0", "e1"]), st.integers(0, 13)),
        latest=st.booleans(),
    )
    def subscribe(self, kept: int, trimmed: int, unannounced: int, after: tuple[str, int] | None, latest: bool) -> None:
        self.epoch = 1
        self.committed_, self.first = trimmed + kept, trimmed + 1
        self.announced = self.committed_
        self.reading: Read | None = None
        self.fetched: Page | Gone | None = None
        self.room_given = self.lost_journal = False
        self.held: list[Stored] = []
        self.answered = self.live = False
        self.position = self.head
        self.snapshot = 0
        head = self.head
        self.committed_ += unannounced
        self.following = Following(head)
        place = None if after is None else Position(*after)
        newest = [self.stored(n) for n in range(self.first, head.offset + 1)] if latest else None
        self.obey(self.following.asked(place, self.where(place), newest))

    def where(self, place: Position | None) -> Found | None:
        if place is None:
            return None
        oldest = Position(self.name, self.first) if self.first <= self.announced else None
        if place.epoch != self.name or place.offset > self.announced:
            return Gone("epoch", oldest, self.head)
        if place.offset < self.first - 1:
            return Gone("trimmed", oldest, self.head)
        return Recoverable(self.announced - place.offset)

    @property
    def name(self) -> str:
        return f"e{self.epoch}"

    @property
    def head(self) -> Position:
        return Position(self.name, self.announced)

    def stored(self, offset: int) -> Stored:
        return event(offset, self.name)

    # ---- the shell ----

    def obey(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Answer(position, _, _, snapshot):
                    assert not self.answered
                    self.answered, self.position, self.snapshot = True, position, snapshot or 0
                case Read():
                    assert self.reading is None
                    assert self.room_given
                    self.reading = effect
                case Deliver(delivered):
                    assert self.room_given
                    self.room_given = False
                    self.receive(delivered)
                case TellGap("epoch"):
                    assert self.lost_journal
                    self.position = Position("?", 0)
                case TellGap(_, missed):
                    assert missed
                    self.position = Position(self.position.epoch, self.position.offset + missed)
                    assert self.lost_journal or self.position.offset < self.first
                case GoLive():
                    assert not self.live
                    assert not self.snapshot
                    assert self.position.epoch in (self.following.last.epoch, "?")
                    assert self.position.offset == self.following.last.offset
                    self.position = self.following.last
                    self.live = True
                case GiveUp():
                    raise AssertionError
                case _:
                    assert_never(effect)

    def receive(self, delivered: Sequence[Stored]) -> None:
        assert delivered
        for one in delivered:
            if self.snapshot:
                self.snapshot -= 1
                continue
            if self.live and one.epoch != self.position.epoch:
                self.position = Position(one.epoch, 0)
            assert self.position.epoch in (one.epoch, "?")
            assert one.offset == self.position.offset + 1
            self.position = Position(one.epoch, one.offset)

    # ---- the journal ----

    @rule(count=st.integers(1, 3))
    def commit(self, count: int) -> None:
        self.committed_ += count

    @precondition(lambda self: self.announced < self.committed_)
    @rule(hold=st.booleans())
    def announce(self, hold: bool) -> None:
        self.announced += 1
        if not self.live:
            self.obey(self.following.committed(self.head))
        elif hold or self.held:
            self.held.append(self.stored(self.announced))
        else:
            self.receive([self.stored(self.announced)])

    @rule(count=st.integers(1, 4))
    def trim(self, count: int) -> None:
        self.first = min(self.first + count, self.committed_ + 1)

    @precondition(lambda self: self.announced == self.committed_ > 0)
    @rule()
    def lose_the_journal(self) -> None:
        self.lost_journal = True
        self.epoch += 1
        self.committed_ = self.announced = 0
        self.first = 1

    # ---- the transport ----

    @precondition(lambda self: not self.live)
    @rule()
    def room(self) -> None:
        self.room_given = True
        self.obey(self.following.room())

    @precondition(lambda self: not self.live)
    @rule()
    def full(self) -> None:
        self.room_given = False
        self.obey(self.following.full())

    @precondition(lambda self: self.held)
    @rule()
    def written(self) -> None:
        held, self.held = self.held, []
        self.receive(held)

    @precondition(lambda self: self.held)
    @rule()
    def overflow(self) -> None:
        """The backlog hands the stream over, with what it held of it."""
        held, self.held = self.held, []
        self.live = self.room_given = False
        head = self.head if self.announced else Position(held[-1].epoch, held[-1].offset)
        self.following = Following(head)
        first = Position(held[0].epoch, held[0].offset)
        if first.epoch != self.position.epoch:
            self.position = Position(first.epoch, 0)
        self.obey(self.following.fell_behind(first))

    # ---- the reading thread ----

    @precondition(lambda self: self.reading and not self.fetched)
    @rule(limit=st.integers(1, 3))
    def fetch(self, limit: int) -> None:
        assert self.reading is not None
        after = self.reading.after
        oldest = Position(self.name, self.first) if self.first <= self.committed_ else None
        newest = Position(self.name, self.committed_)
        if after.epoch != self.name:
            self.fetched = Gone("epoch", oldest, newest)
        elif after.offset < self.first - 1:
            self.fetched = Gone("trimmed", oldest, newest)
        else:
            last = min(after.offset + limit, self.committed_)
            self.fetched = page(*(self.stored(offset) for offset in range(after.offset + 1, last + 1)))

    @precondition(lambda self: self.fetched)
    @rule()
    def arrive(self) -> None:
        assert self.fetched is not None
        arrived, self.fetched, self.reading = self.fetched, None, None
        self.obey(self.following.page(arrived))

    # ---- what always holds ----

    @invariant()
    def bounded(self) -> None:
        if self.following.holds:
            assert self.reading is None
            assert self.following.state is State.WAITING_FOR_ROOM

    def teardown(self) -> None:
        """When publishing stops and the transport takes what there is, the reader is live, and has everything."""
        if not hasattr(self, "epoch"):
            return
        self.commit(1)
        while self.announced < self.committed_:
            self.announce(hold=False)
        for _ in range(200):
            if self.live:
                break
            if self.fetched:
                self.arrive()
            elif self.reading:
                self.fetch(limit=3)
            else:
                self.room()
        self.receive(self.held) if self.held else None
        assert self.live
        assert self.position == self.head


AnyJournal.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestAnyJournal = AnyJournal.TestCase
