"""What strangers do again and again is said once in a while, with how often."""

from __future__ import annotations

from twisted.internet.task import Clock

from hopsack_router.runs import MOST, QUIET, Runs


def test_it_is_said_at_once_and_then_summed() -> None:
    clock = Clock()
    runs = Runs(clock.seconds)

    first = [runs.again("slow") for _ in range(1000)]
    clock.advance(QUIET)

    assert first == [1] + [0] * 999
    assert runs.again("slow") == 1000
    assert runs.again("slow") == 0


def test_each_thing_is_said() -> None:
    runs = Runs(Clock().seconds)

    assert [runs.again(what) for what in ("slow", "large", "slow", "large")] == [1, 1, 0, 0]


def test_what_it_remembers_is_bounded() -> None:
    runs = Runs(Clock().seconds)

    for number in range(10 * MOST):
        assert runs.again(number) == 1

    assert len(runs._runs) <= MOST
