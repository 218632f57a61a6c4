"""Every connection is looked in on once per period."""

from __future__ import annotations

from typing import Any, cast

import pytest
from twisted.internet.task import Clock

from hopsack_router.doors.rounds import STOPS, Rounds

PERIOD = 5.0


class Connection:
    def __init__(self, clock: Clock, fails: bool = False) -> None:
        self._clock, self._fails = clock, fails
        self.visits: list[float] = []

    def visit(self) -> None:
        self.visits.append(self._clock.seconds())
        if self._fails:
            raise ValueError("a defect")


def rounds(clock: Clock) -> Rounds:
    return Rounds(cast(Any, clock), PERIOD)


def pass_time(clock: Clock, seconds: float) -> None:
    clock.pump([PERIOD / STOPS] * round(seconds * STOPS / PERIOD))


def test_once_in_each_period_whenever_it_came() -> None:
    clock = Clock()
    door = rounds(clock)
    early, late = Connection(clock), Connection(clock)

    door.join(early)
    pass_time(clock, 1.0)
    door.join(late)
    pass_time(clock, 3 * PERIOD)

    assert early.visits == pytest.approx([PERIOD, 2 * PERIOD, 3 * PERIOD])
    assert late.visits == pytest.approx([1 + PERIOD, 1 + 2 * PERIOD, 1 + 3 * PERIOD])


def test_who_is_gone_is_not_looked_in_on_and_an_empty_round_rests() -> None:
    clock = Clock()
    door = rounds(clock)
    one = Connection(clock)

    stop = door.join(one)
    stop.discard(one)
    pass_time(clock, PERIOD)
    at_rest = list(clock.getDelayedCalls())
    door.join(one)
    pass_time(clock, PERIOD)

    assert at_rest == []
    assert len(one.visits) == 1


def test_a_defect_in_one_is_not_one_for_all() -> None:
    clock = Clock()
    door = rounds(clock)
    broken, fine = Connection(clock, fails=True), Connection(clock)

    door.join(broken)
    door.join(fine)
    pass_time(clock, 2 * PERIOD)

    assert len(broken.visits) == len(fine.visits) == 2
