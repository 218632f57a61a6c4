"""A subscription's pace: never faster than asked for, and the last value of each key always comes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hopsack_router.routing.backlog import OVERHEAD
from hopsack_router.routing.pace import Effect, Pace, Send, WakeAt


def test_the_first_event_goes_at_once_and_the_next_when_it_is_due() -> None:
    pace = Pace(2.0)

    assert pace.event("web", b"1", 10.0) == [Send("web", b"1")]
    assert pace.event("web", b"2", 10.1) == [WakeAt(10.5)]
    assert pace.tick(10.5) == [Send("web", b"2")]
    assert pace.event("web", b"3", 20.0) == [Send("web", b"3")]


def test_the_newest_value_of_a_key_wins() -> None:
    pace = Pace(1.0)

    pace.event("web", b"1", 0.0)
    assert pace.event("web", b"2", 0.1) == [WakeAt(1.0)]
    assert pace.event("web", b"3", 0.2) == []
    assert pace.tick(1.0) == [Send("web", b"3")]


def test_keys_take_turns_however_often_one_of_them_changes() -> None:
    pace = Pace(1.0)

    pace.event("web", b"w1", 0.0)
    pace.event("web", b"w2", 0.1)
    pace.event("db", b"d1", 0.2)
    pace.event("web", b"w3", 0.3)

    assert pace.tick(1.0) == [Send("web", b"w3"), WakeAt(2.0)]
    assert pace.event("web", b"w4", 1.5) == []
    assert pace.tick(2.0) == [Send("db", b"d1"), WakeAt(3.0)]
    assert pace.tick(3.0) == [Send("web", b"w4")]


def test_an_event_that_comes_when_a_tick_is_overdue_does_not_overtake_what_waits() -> None:
    pace = Pace(1.0)

    pace.event("web", b"w1", 0.0)
    pace.event("web", b"w2", 0.1)

    assert pace.event("db", b"d1", 1.2) == [Send("web", b"w2"), WakeAt(2.2)]


def test_a_late_tick_is_not_made_good() -> None:
    pace = Pace(1.0)

    for number in range(4):
        pace.event(number, b"%d" % number, 0.0)

    assert pace.tick(7.5) == [Send(1, b"1"), WakeAt(8.5)]


def test_an_early_tick_asks_again() -> None:
    pace = Pace(1.0)

    pace.event("web", b"1", 0.0)
    pace.event("web", b"2", 0.0)

    assert pace.tick(0.999) == [WakeAt(1.0)]


@pytest.mark.parametrize(
    ("rate", "effects"),
    [(4.0, [WakeAt(0.25)]), (0.5, [WakeAt(2.0)]), (20.0, [Send("web", b"2")]), (None, [Send("web", b"2")]), (1.0, [])],
)
def test_a_changed_rate_holds_at_once(rate: float | None, effects: list[Effect]) -> None:
    pace = Pace(1.0)
    pace.event("web", b"1", 0.0)
    pace.event("web", b"2", 0.1)

    assert pace.change(rate, 0.125) == effects


def test_without_a_rate_everything_goes_at_once() -> None:
    pace = Pace(None)

    assert pace.event("web", b"1", 0.0) == [Send("web", b"1")]
    assert pace.event("web", b"2", 0.0) == [Send("web", b"2")]


def test_more_keys_than_are_held_go_out_too_fast_rather_than_never() -> None:
    pace = Pace(1.0, max_keys=2)

    pace.event(0, b"0", 0.0)
    assert pace.event(1, b"1", 0.0) == [WakeAt(1.0)]
    assert pace.event(2, b"2", 0.0) == []
    assert pace.event(3, b"3", 0.0) == [Send(1, b"1")]
    assert pace.held == 2


def test_so_do_more_bytes() -> None:
    pace, room = Pace(1.0), 2 * OVERHEAD + 10

    pace.event(0, b"0", 0.0)
    pace.event(1, b"1" * 6, 0.0, room)
    assert pace.event(2, b"2" * 4, 0.0, room) == []
    assert pace.bytes == room
    assert pace.event(2, b"3" * 5, 0.0, room) == [Send(1, b"1" * 6)]
    assert pace.event(3, b"4" * (room + 1), 0.0, room) == [Send(2, b"3" * 5), Send(3, b"4" * (room + 1))]
    assert pace.bytes == 0


RATES = st.none() | st.sampled_from([0.5, 1.0, 3.0, 8.0])
STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.01, 0.125, 0.4, 3.0]), st.integers(0, 3) | RATES.map(lambda rate: (rate,)))
)


@settings(deadline=None)
@given(first=RATES, steps=STEPS)
def test_whatever_comes_the_rate_holds_and_the_last_value_arrives(
    first: float | None, steps: list[tuple[float, int | tuple[float | None]]]
) -> None:
    pace, now, timer, last_send = Pace(first), 0.0, None, float("-inf")
    newest: dict[int, int] = {}
    seen: dict[int, int] = {}

    def obey(effects: list[Effect]) -> None:
        nonlocal timer, last_send
        for effect in effects:
            match effect:
                case Send(_, frame):
                    assert pace.rate is None or now - last_send >= 1 / pace.rate - 1e-9
                    last_send = now
                    key, number = map(int, frame.split())
                    assert number > seen.get(key, -1)
                    seen[key] = number
                case WakeAt(when):
                    assert when > now
                    timer = when
        assert timer is not None or not pace.held

    def pass_time(until: float) -> None:
        nonlocal now, timer
        while timer is not None and timer <= until:
            now, timer = timer, None
            obey(pace.tick(now))
        now = until

    for number, (wait, what) in enumerate(steps):
        pass_time(now + wait)
        if isinstance(what, tuple):
            obey(pace.change(what[0], now))
        else:
            newest[what] = number
            obey(pace.event(what, b"%d %d" % (what, number), now))
    pass_time(now + 100.0)

    assert seen == newest
    assert pace.held == 0
