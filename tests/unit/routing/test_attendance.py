"""Members of a topic: tabs are merged, short drops do not show, a snapshot and what follows it are never at odds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hopsack_router.routing.attendance import Announce, Attendance, Change, Effect, Member, Snapshot, WakeAt

ANN = {"name": "Ann"}


def joined(number: int, authid: str, since: float, metadata: Any = ANN) -> Announce:
    return Announce(number, Change.JOINED, Member(authid, metadata, since))


def left(number: int, authid: str, since: float, metadata: Any = ANN) -> Announce:
    return Announce(number, Change.LEFT, Member(authid, metadata, since, sessions=0))


def test_a_member_joins_and_leaves_after_the_grace() -> None:
    attendance = Attendance(grace=5.0)

    assert attendance.entered(1, "ann", ANN, 10.0) == [joined(1, "ann", 10.0)]
    assert attendance.left(1, 20.0) == [WakeAt(25.0)]
    assert attendance.snapshot().members == (Member("ann", ANN, 10.0, sessions=0),)
    assert attendance.tick(25.0) == [left(2, "ann", 10.0)]
    assert attendance.snapshot() == Snapshot(2, (), 0)


def test_several_tabs_are_one_member() -> None:
    attendance = Attendance()

    attendance.entered(1, "ann", ANN, 10.0)
    assert attendance.entered(2, "ann", ANN, 11.0) == []
    assert attendance.snapshot() == Snapshot(1, (Member("ann", ANN, 10.0, sessions=2),), 0)
    assert attendance.left(1, 12.0) == []
    assert attendance.left(2, 13.0) == [WakeAt(18.0)]


def test_a_short_drop_does_not_show() -> None:
    attendance = Attendance(grace=5.0)

    attendance.entered(1, "ann", ANN, 10.0)
    attendance.left(1, 20.0)
    assert attendance.entered(2, "ann", ANN, 24.9) == []
    assert attendance.tick(25.0) == []
    assert attendance.snapshot() == Snapshot(1, (Member("ann", ANN, 10.0, sessions=1),), 0)


def test_a_second_drop_has_its_own_grace() -> None:
    attendance = Attendance(grace=5.0)

    attendance.entered(1, "ann", ANN, 10.0)
    attendance.left(1, 20.0)
    attendance.entered(2, "ann", ANN, 22.0)
    assert attendance.left(2, 23.0) == []
    assert attendance.tick(25.0) == [WakeAt(28.0)]
    assert attendance.tick(28.0) == [left(2, "ann", 10.0)]


def test_who_was_known_before_the_start_is_a_member_until_its_grace_is_over() -> None:
    attendance = Attendance(grace=5.0)

    assert attendance.known("ann", ANN, 10.0, now=100.0, grace=13.0) == [WakeAt(113.0)]
    assert attendance.known("bob", ANN, 11.0, now=100.0, grace=13.0) == []
    assert attendance.snapshot().members == (Member("ann", ANN, 10.0, 0), Member("bob", ANN, 11.0, 0))
    assert attendance.entered(1, "ann", ANN, 112.0) == []
    assert attendance.tick(113.0) == [left(1, "bob", 11.0)]
    assert attendance.snapshot().members == (Member("ann", ANN, 10.0, sessions=1),)


def test_who_leaves_soon_after_the_start_has_the_grace_of_the_others() -> None:
    attendance = Attendance(grace=5.0)

    attendance.known("ann", ANN, 10.0, now=100.0, grace=13.0)
    attendance.entered(1, "eve", ANN, 101.0)
    assert attendance.left(1, 102.0) == []
    assert attendance.tick(113.0) == [left(2, "ann", 10.0), left(3, "eve", 101.0)]


def test_other_metadata_is_announced_and_stays() -> None:
    attendance = Attendance()
    away = {"name": "Ann", "away": True}

    attendance.entered(1, "ann", ANN, 10.0)
    assert attendance.entered(2, "ann", away, 11.0) == [Announce(2, Change.CHANGED, Member("ann", away, 10.0, 2))]
    assert attendance.left(2, 12.0) == []
    assert attendance.snapshot().members == (Member("ann", away, 10.0, sessions=1),)


def test_who_leaves_together_is_announced_in_that_order() -> None:
    attendance = Attendance(grace=5.0)
    for session, authid in enumerate(("ann", "bob", "eve")):
        attendance.entered(session, authid, ANN, 10.0)

    assert attendance.left(1, 20.0) == [WakeAt(25.0)]
    assert attendance.left(0, 20.0) == attendance.left(2, 21.0) == []

    assert attendance.tick(25.0) == [left(4, "bob", 10.0), left(5, "ann", 10.0), WakeAt(26.0)]


def test_without_a_grace_it_leaves_at_once() -> None:
    attendance = Attendance(grace=0.0)

    attendance.entered(1, "ann", ANN, 10.0)

    assert attendance.left(1, 20.0) == [left(2, "ann", 10.0)]


def test_who_comes_back_after_the_grace_is_the_last_in_the_list() -> None:
    attendance = Attendance(grace=0.0)
    attendance.entered(1, "ann", ANN, 10.0)
    attendance.entered(2, "bob", ANN, 11.0)

    attendance.left(1, 20.0)
    attendance.entered(3, "ann", ANN, 21.0)

    assert [member.authid for member in attendance.snapshot().members] == ["bob", "ann"]


def test_members_beyond_the_bound_wait_for_a_place() -> None:
    attendance = Attendance(grace=0.0, max_members=1)
    attendance.entered(1, "ann", ANN, 10.0)

    for session, authid in enumerate(("bob", "eve", "eve", "ann"), start=2):
        assert attendance.entered(session, authid, ANN, 11.0) == []
    assert attendance.snapshot() == Snapshot(1, (Member("ann", ANN, 10.0, sessions=2),), 2)

    assert attendance.left(2, 12.0) == attendance.left(3, 12.0) == attendance.left(1, 12.0) == []
    assert attendance.snapshot().unlisted == 1
    assert attendance.left(5, 13.0) == [left(2, "ann", 10.0), joined(3, "eve", 11.0)]


def test_a_session_that_never_entered_leaves_nothing() -> None:
    assert Attendance().left(1, 0.0) == []


class AnyRoom(RuleBasedStateMachine):
    """Sessions come and go; readers with a snapshot of any moment agree with the room."""

    GRACE = 5.0

    def __init__(self) -> None:
        super().__init__()
        self.attendance = Attendance(self.GRACE, max_members=4)
        self.now = 0.0
        self.timer: float | None = None
        self.sessions: dict[int, str] = {}
        self.last_seen: dict[str, float] = {}
        self.next_session = 0
        self.readers: list[tuple[int, dict[str, tuple[Any, float]]]] = []
        self.announced: list[Announce] = []

    def obey(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case WakeAt(when):
                    assert self.timer is None
                    assert when > self.now
                    self.timer = when
                case Announce(number, change, member):
                    assert number == len(self.announced) + 1
                    self.announced.append(effect)
                    if change is Change.LEFT:
                        assert member.authid not in self.sessions.values()
                        assert self.now - self.last_seen[member.authid] >= self.GRACE - 1e-9

    @rule(authid=st.sampled_from("abcdef"), metadata=st.integers(0, 1))
    def enter(self, authid: str, metadata: int) -> None:
        self.next_session += 1
        self.sessions[self.next_session] = authid
        self.obey(self.attendance.entered(self.next_session, authid, metadata, self.now))

    @rule(index=st.integers(0, 20))
    def leave(self, index: int) -> None:
        if not self.sessions:
            return
        session = list(self.sessions)[index % len(self.sessions)]
        self.last_seen[self.sessions.pop(session)] = self.now
        self.obey(self.attendance.left(session, self.now))

    @rule(seconds=st.sampled_from([0.0, 1.0, 2.5, 5.0, 20.0]))
    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self.timer is not None and self.timer <= until:
            self.now, self.timer = self.timer, None
            self.obey(self.attendance.tick(self.now))
        self.now = until

    @rule()
    def look(self) -> None:
        snapshot = self.attendance.snapshot()
        assert snapshot.number == len(self.announced)
        self.readers.append((snapshot.number, {one.authid: (one.metadata, one.since) for one in snapshot.members}))

    @invariant()
    def every_reader_is_right(self) -> None:
        members = self.attendance.snapshot().members
        room = [(one.authid, (one.metadata, one.since)) for one in members]
        for number, seen in [(0, {}), *self.readers]:
            known = dict(seen)
            for announcement in self.announced:
                if announcement.number > number:
                    apply(known, announcement)
            assert list(known.items()) == room

    @invariant()
    def everybody_is_counted(self) -> None:
        snapshot = self.attendance.snapshot()
        listed = {one.authid: one.sessions for one in snapshot.members}
        open_now = Counter(self.sessions.values())
        assert all(open_now[authid] == sessions for authid, sessions in listed.items())
        assert len(open_now.keys() - listed.keys()) == snapshot.unlisted
        assert len(self.attendance) == len(listed) <= 4
        assert len(listed) == 4 or not snapshot.unlisted

    def teardown(self) -> None:
        for _ in range(len(self.sessions)):
            self.leave(0)
        self.wait(20.0)
        assert self.attendance.snapshot() == Snapshot(len(self.announced), (), 0)


def apply(known: dict[str, tuple[Any, float]], announcement: Announce) -> None:
    member = announcement.member
    match announcement.change:
        case Change.JOINED:
            assert member.authid not in known
            known[member.authid] = (member.metadata, member.since)
        case Change.CHANGED:
            assert known[member.authid] != (member.metadata, member.since)
            known[member.authid] = (member.metadata, member.since)
        case Change.LEFT:
            del known[member.authid]


AnyRoom.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestAnyRoom = AnyRoom.TestCase
