"""Who is asked, decided without a node: whatever has happened, the rules hold."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from hopsack.contracts.policy import Breaker as Rule
from hopsack_router.routing.breaker import Breaker
from hopsack_router.routing.choosing import (
    LEAST,
    POLICIES,
    STALLED_AFTER,
    TRIED_AFTER,
    Rota,
    Seat,
    Why,
    Wish,
    choose,
    owner_of,
    why,
)

TIMES = st.sampled_from([0.0, 0.1, 0.5, STALLED_AFTER, 2.0, TRIED_AFTER])
P = "lab.any"


def rota_of(count: int, invoke: str = "roundrobin") -> Rota[str]:
    rota: Rota[str] = Rota(invoke)
    rota.seats = [Seat(f"callee{number}", str(number)) for number in range(count)]
    return rota


class Choosing(RuleBasedStateMachine):
    """A registration in its life, with calls that end in all ways. What is known of each call stands here."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.rota: Rota[str] = Rota(LEAST)
        self.dice = Random(0)
        self.joined = 0
        self.open: list[Seat[str]] = []  # one for each call in hand
        self.abandoned: list[Seat[str]] = []

    @precondition(lambda self: len(self.rota.seats) < 5)
    @rule(limit=st.sampled_from([None, None, 1, 2]))
    def join(self, limit: int | None) -> None:
        self.joined += 1
        self.rota.seats.append(Seat(f"callee{self.joined}", str(self.joined), limit))

    @precondition(lambda self: self.rota.seats)
    @rule(n=st.integers(0, 9))
    def leave(self, n: int) -> None:
        seat = self.rota.seats[n % len(self.rota.seats)]
        self.rota.leave(seat.callee)
        self.open = [one for one in self.open if one is not seat]
        self.abandoned = [one for one in self.abandoned if one is not seat]

    @rule(seconds=TIMES)
    def passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.rota.seats)
    @rule(
        policy=st.sampled_from(POLICIES),
        key=st.sampled_from([None, None, None, "a", "b"]),
        limit=st.sampled_from([None, None, 1, 3]),
        patient=st.booleans(),
        without=st.sets(st.integers(0, 6), max_size=2),
    )
    def call(self, policy: str, key: str | None, limit: int | None, patient: bool, without: set[int]) -> None:
        names = {f"callee{number}" for number in without}
        wish = Wish(limit, key, names, None, patient)
        stalled = {seat.callee for seat in self.rota.seats if seat.is_stalled(self.now)}
        able = [one for one in self.rota.seats if one.has_room(limit) and one.callee not in names]
        allowed = [one for one in self.rota.seats if one.callee not in names]

        seat = choose(self.rota, policy, self.now, self.dice.randrange, wish)

        if seat is None:
            owner = owner_of(key, self.rota.seats) if key else None
            waits = patient and any(one.callee not in stalled for one in allowed)
            assert not able or waits or (owner is not None and owner not in able)
            reason, after = why(self.rota, self.now, wish)
            asked = [owner] if owner else self.rota.seats
            assert reason is (Why.FULL if any(one in allowed for one in asked) else Why.REFUSED)
            assert after > 0 or reason is Why.FULL
            return
        assert seat in able
        if key is None:
            assert seat.callee not in stalled or all(one.callee in stalled for one in able)
            if policy == LEAST and seat.callee not in stalled:
                assert seat.in_hand == min(one.in_hand for one in able if one.callee not in stalled)
        seat.asked(self.now)
        self.open.append(seat)

    @precondition(lambda self: self.open)
    @rule(n=st.integers(0, 99), end=st.sampled_from(["answered", "abandoned", "untouched"]))
    def end(self, n: int, end: str) -> None:
        seat = self.open.pop(n % len(self.open))
        if end == "answered":
            seat.answered(self.now, 0.01)
            assert not seat.is_stalled(self.now), "who answers is back at once"
        elif end == "abandoned":
            seat.abandoned()
            self.abandoned.append(seat)
        else:
            seat.untouched()

    @precondition(lambda self: self.abandoned)
    @rule(n=st.integers(0, 99), is_answered=st.booleans())
    def end_late(self, n: int, is_answered: bool) -> None:
        seat = self.abandoned.pop(n % len(self.abandoned))
        seat.returned(self.now) if is_answered else seat.forgotten()

    def check(self) -> None:
        for seat in self.rota.seats:
            awaited = sum(one is seat for one in self.open)
            assert (seat.awaited, seat.in_hand) == (awaited, awaited + sum(one is seat for one in self.abandoned))
            if seat.is_stalled(self.now):
                assert seat.in_hand
                assert self.now - seat.heard >= STALLED_AFTER

    def teardown(self) -> None:
        self.check()


TestChoosing = Choosing.TestCase
TestChoosing.settings = settings(max_examples=100, stateful_step_count=40, deadline=None, derandomize=True)


def test_idle_callees_are_asked_in_turn_whatever_shares_them_out() -> None:
    for policy in ("roundrobin", LEAST):
        rota = rota_of(3)
        asked = [choose(rota, policy, 0.0, Random(1).randrange) for _ in range(6)]
        assert asked == rota.seats * 2


def test_random_asks_everybody_in_time() -> None:
    rota, dice = rota_of(4), Random(1)

    asked = {seat.name for _ in range(60) if (seat := choose(rota, "random", 0.0, dice.randrange)) is not None}

    assert asked == {"0", "1", "2", "3"}


def test_the_fastest_of_the_idle_is_asked_and_who_gets_slower_loses_that() -> None:
    rota = rota_of(3, LEAST)
    for seat, took in zip(rota.seats, (0.3, 0.1, 0.2), strict=True):
        seat.asked(0.0)
        seat.answered(took, took)

    first = choose(rota, LEAST, 1.0, Random(1).randrange)
    for _ in range(5):
        rota.seats[1].asked(1.0)
        rota.seats[1].answered(2.0, 1.0)

    assert first is rota.seats[1]
    assert choose(rota, LEAST, 2.0, Random(1).randrange) is rota.seats[2]


def test_abandoned_calls_keep_a_callee_out_for_a_while_only() -> None:
    rota = rota_of(2)
    seat = rota.seats[0]
    seat.asked(0.0)
    seat.abandoned()

    def may_be_asked(now: float) -> bool:
        return any(choose(rota, "roundrobin", now, Random(1).randrange) is seat for _ in range(2))

    assert [may_be_asked(now) for now in (0.7, 0.8, 29.9, 30.0)] == [True, False, False, True]
    seat.asked(30.0)
    assert [may_be_asked(now) for now in (30.7, 30.8, 90.0)] == [True, False, False]


@given(st.integers(2, 8), st.integers(0, 7), st.lists(st.text(max_size=5), min_size=1, max_size=50))
def test_only_the_keys_of_who_leaves_move(count: int, leaver: int, keys: list[str]) -> None:
    rota = rota_of(count)
    before = {key: owner_of(key, rota.seats) for key in keys}
    gone = rota.seats[leaver % count]
    rota.leave(gone.callee)

    for key, owner in before.items():
        assert owner is gone or owner_of(key, rota.seats) is owner


def test_keys_are_shared_out_evenly() -> None:
    rota = rota_of(4)
    counts = dict.fromkeys("0123", 0)
    for number in range(2000):
        counts[owner_of(str(number), rota.seats).name] += 1

    assert all(400 < count < 600 for count in counts.values())


def test_an_open_breaker_keeps_calls_away_and_says_how_long() -> None:
    rota = rota_of(2)
    wish = Wish(breaker=P)
    for seat in rota.seats:
        breaker: Any = seat.breakers.setdefault(P, Breaker(Rule(failures=1, within=10.0, open=2.0)))
        breaker.ended(5.0, True, False)

    assert choose(rota, LEAST, 6.0, Random(1).randrange, wish) is None
    assert why(rota, 6.0, wish) == (Why.OPEN, 1.0)
    assert choose(rota, LEAST, 6.0, Random(1).randrange) is not None, "who does not ask for breakers has none"
    assert choose(rota, LEAST, 7.0, Random(1).randrange, wish) is not None
