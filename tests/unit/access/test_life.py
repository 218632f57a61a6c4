"""When sessions end: a core with somebody else's clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hopsack_router.access.life import SLACK, Lives


def test_sessions_end_in_the_order_of_their_time() -> None:
    lives = Lives()
    for session, ends in ((1, 30.0), (2, 10.0), (3, 20.0)):
        lives.begin(session, ends)

    assert lives.next == 10.0
    assert lives.due(9.9) == []
    assert lives.due(20.0) == [2, 3]
    assert lives.due(100.0) == [1]
    assert lives.next is None


def test_who_refreshes_lives_on_and_who_has_left_does_not_end() -> None:
    lives = Lives()
    lives.begin(1, 10.0)
    lives.begin(2, 10.0)

    lives.begin(1, 20.0)
    lives.left(2)

    assert lives.due(10.0) == []
    assert lives.due(20.0) == [1]


def test_a_refresh_may_shorten_a_life() -> None:
    lives = Lives()
    lives.begin(1, 20.0)

    lives.begin(1, 10.0)

    assert lives.due(10.0) == [1]
    assert lives.due(20.0) == []


def test_who_refreshes_often_costs_no_memory() -> None:
    lives = Lives()

    for turn in range(10_000):
        lives.begin(1, float(turn))
        lives.begin(2 + turn, float(turn))
        lives.left(2 + turn)

    assert len(lives) == 1
    assert len(lives._heap) <= 2 * len(lives) + SLACK


@given(st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 50)), st.integers(0, 3))))
def test_whatever_happens_each_ends_when_it_was_last_said(steps: list[tuple[int, int | None, int]]) -> None:
    lives, wanted, now = Lives(), dict[int, int](), 0
    for session, ends, pause in steps:
        if ends is None:
            lives.left(session)
            wanted.pop(session, None)
        else:
            lives.begin(session, ends)
            wanted[session] = ends
        now += pause
        due = lives.due(now)
        assert sorted(due) == sorted(one for one, at in wanted.items() if at <= now)
        wanted = {one: at for one, at in wanted.items() if at > now}
