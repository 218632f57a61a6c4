"""Deadlines: exact for each request, with one timer for all that were given equally long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hopsack.deadlines import MAX_LANES, Deadlines
from hopsack.testing.loop import HandTurnedLoop


class Kept:
    """Deadlines on a hand-turned clock, what has expired and when, and how often a timer was set."""

    def __init__(self, loop: HandTurnedLoop) -> None:
        self.loop = loop
        self.expired: list[tuple[str, float]] = []
        self.timers: list[float] = []
        self.failed = 0
        self.deadlines = Deadlines(loop.time, self.call_later, self.expire, self.fail)
        self.end: dict[str, Callable[[], None]] = {}

    def call_later(self, delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        self.timers.append(self.loop.time() + delay)
        return self.loop.call_later(delay, callback)

    def begin(self, name: str, seconds: float) -> None:
        lane = self.deadlines.begin(name, seconds)
        self.end[name] = partial(lane.end, name)

    def expire(self, name: str, _seconds: float) -> None:
        self.expired.append((name, self.loop.time()))
        if name == "bad":
            raise RuntimeError(name)
        if name == "again":
            self.begin("again", _seconds)

    def fail(self) -> None:
        self.failed += 1


@pytest.fixture
def kept() -> Kept:
    return Kept(HandTurnedLoop())


def test_each_expires_at_its_own_time(kept: Kept) -> None:
    kept.begin("a", 2.0)
    kept.begin("short", 0.5)
    kept.loop.advance(0.25)
    kept.begin("b", 2.0)

    kept.loop.advance(10)

    assert kept.expired == [("short", 0.5), ("a", 2.0), ("b", 2.25)]


def test_what_goes_wrong_with_one_is_told_and_keeps_nobody_else(kept: Kept) -> None:
    kept.begin("bad", 2.0)
    kept.begin("good", 2.0)
    kept.loop.advance(1)
    kept.begin("later", 2.0)

    kept.loop.advance(2)
    kept.begin("new", 2.0)
    kept.loop.advance(2)

    assert kept.expired == [("bad", 2.0), ("good", 2.0), ("later", 3.0), ("new", 5.0)]
    assert kept.failed == 1
    assert kept.loop.settle() is None


def test_who_runs_out_of_time_may_begin_again(kept: Kept) -> None:
    kept.begin("again", 1.0)

    kept.loop.advance(3)

    assert kept.expired == [("again", 1.0), ("again", 2.0), ("again", 3.0)]


def test_who_ends_before_is_not_told(kept: Kept) -> None:
    kept.begin("a", 2.0)
    kept.loop.advance(1)
    kept.begin("b", 2.0)
    kept.end["a"]()

    kept.loop.advance(10)

    assert kept.expired == [("b", 3.0)]


def test_many_that_are_answered_cost_one_timer(kept: Kept) -> None:
    for number in range(1000):
        kept.begin(str(number), 10.0)
        kept.loop.advance(0.001)
        kept.end[str(number)]()
    assert kept.timers == [10.0]

    kept.begin("last", 10.0)
    kept.loop.advance(20)

    assert kept.timers == [10.0, pytest.approx(11.0)]
    assert [name for name, _ in kept.expired] == ["last"]


def test_lengths_that_nobody_has_any_more_keep_a_bounded_number_of_timers_and_entries(kept: Kept) -> None:
    for number in range(1000):
        kept.begin(str(number), 100.0 + number)
        kept.end[str(number)]()

    assert len(kept.deadlines._lanes) == MAX_LANES
    assert len(kept.timers) == MAX_LANES + 1
    assert len(kept.deadlines._odds._heap) <= MAX_LANES + 2
    kept.deadlines.close()
    assert kept.loop.settle() is None


def test_many_lengths_need_few_timers(kept: Kept) -> None:
    for number in range(1000):
        kept.loop.advance(0.001)
        kept.begin(str(number), 5.0 + number / 100)

    kept.loop.advance(30)

    assert [name for name, _ in kept.expired] == [str(n) for n in range(1000)]
    assert [when for _, when in kept.expired] == pytest.approx([5.0 + n / 100 + (n + 1) / 1000 for n in range(1000)])


LIVES = st.lists(
    st.tuples(
        st.sampled_from(["begin", "begin", "end", "renew", "pass"]), st.integers(0, 9), st.integers(1, 5 * MAX_LANES)
    ),
    max_size=120,
)


@given(LIVES)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_whatever_begins_and_ends_each_is_told_once_and_in_time(life: list[tuple[str, int, int]]) -> None:
    kept = Kept(HandTurnedLoop())
    lanes, due, told = {}, {}, []
    for step, number, length in life:
        name, seconds = str(number), length / 4
        match step:
            case "begin" if name not in due:
                lanes[name] = kept.deadlines.begin(name, seconds)
                due[name] = kept.loop.time() + seconds, seconds
            case "end" if name in due:
                lanes[name].end(name)
                del due[name]
            case "renew" if name in due:
                lanes[name].renew(name)
                due[name] = kept.loop.time() + due[name][1], due[name][1]
            case "pass":
                kept.loop.advance(seconds)
                over = sorted((when, name) for name, (when, _) in due.items() if when <= kept.loop.time())
                told += [(name, when) for when, name in over]
                for _, gone in over:
                    del due[gone]
                assert sorted(kept.expired) == sorted(told)
    kept.loop.close()


def test_who_begins_again_while_others_of_odd_lengths_wait_keeps_nobody_back(kept: Kept) -> None:
    for number in range(MAX_LANES):
        kept.begin(str(number), 100.0 + number)
    kept.begin("again", 3.0)
    kept.begin("soon", 4.0)

    kept.loop.advance(7)

    assert kept.expired == [("again", 3.0), ("soon", 4.0), ("again", 6.0)]


def test_closing_leaves_a_timer_only_to_who_waits(kept: Kept) -> None:
    kept.begin("answered", 1.0)
    kept.begin("waits", 2.0)
    kept.end["answered"]()

    kept.deadlines.close()

    assert kept.loop.settle() == 2.0
    kept.loop.advance(2)
    assert [name for name, _ in kept.expired] == ["waits"]
    assert kept.loop.settle() is None
