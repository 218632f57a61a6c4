"""How a node stops, decided: with hand-turned time and counted clients."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopsack_router.drain import FAREWELL, LEAST, NOTICE, Drain, EndCalls, Part, State, TurnAway, spread

LIMIT = 5.0
EVERYBODY = Part(everybody=True)


def asked(at: float = 100.0) -> Drain:
    drain = Drain(LIMIT)
    assert drain.asked(at) == [TurnAway()]
    return drain


def test_where_nobody_is_it_is_over_at_the_first_look() -> None:
    drain = asked()

    assert drain.looked(100.0, clients=0, calls=0) == [EndCalls()]
    assert drain.state is State.CLOSING


def test_nobody_is_sent_away_while_a_load_balancer_has_not_seen_it() -> None:
    drain = asked()

    assert drain.looked(100.0, clients=3, calls=1) == []
    assert drain.looked(100.0 + NOTICE - 0.01, clients=3, calls=0) == []
    assert drain.looked(100.0 + NOTICE, clients=3, calls=0) == [EndCalls(), EVERYBODY]


def test_who_has_calls_in_flight_stays_until_they_end() -> None:
    drain = asked()
    begun = 100.0 + NOTICE

    assert drain.looked(begun, clients=5, calls=2) == [EndCalls(), Part()]
    assert drain.looked(begun + 1, clients=3, calls=1) == [Part()]
    assert drain.looked(begun + 2, clients=3, calls=0) == [EVERYBODY]
    assert drain.looked(begun + 2.1, clients=1, calls=0) == [EVERYBODY]  # one who was still joining
    assert drain.looked(begun + 2.2, clients=0, calls=0) == []
    assert drain.state is State.CLOSING


def test_a_call_that_does_not_end_is_given_its_time_and_no_more() -> None:
    drain = asked()
    begun = 100.0 + NOTICE
    drain.looked(begun, clients=2, calls=1)

    assert drain.looked(begun + LIMIT - 0.01, clients=2, calls=1) == [Part()]
    assert drain.looked(begun + LIMIT, clients=2, calls=1) == [EVERYBODY]


def test_a_client_that_does_not_go_is_not_waited_for_for_ever() -> None:
    drain = asked()
    begun = 100.0 + NOTICE
    drain.looked(begun, clients=1, calls=0)

    assert drain.looked(begun + FAREWELL - 0.01, clients=1, calls=0) == [EVERYBODY]
    assert drain.looked(begun + FAREWELL, clients=1, calls=0) == []
    assert drain.state is State.CLOSING


def test_asking_again_changes_nothing() -> None:
    drain = asked()

    assert drain.asked(100.2) == []
    assert drain.looked(100.0 + NOTICE, clients=1, calls=0) == [EndCalls(), EVERYBODY]


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=400))
def test_whatever_clients_do_it_ends_in_bounded_time_and_calls_end_once(looks: list[tuple[float, int, int]]) -> None:
    drain, now, told = asked(0.0), 0.0, []
    for passed, clients, calls in looks:
        now += passed
        before = drain.state
        told += drain.looked(now, clients, calls)
        if before is State.CLOSING:
            assert drain.state is State.CLOSING

    assert told.count(EndCalls()) <= 1
    # Looks are at most a second apart here: each of the three waits ends at most that much late.
    assert now < NOTICE + LIMIT + FAREWELL + 3 or drain.state is State.CLOSING
    if EVERYBODY in told:
        assert Part() not in told[told.index(EVERYBODY) :]


# ---- the hint ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 100_000), st.floats(0, 1, exclude_max=True))
def test_a_hint_is_never_short_and_grows_with_the_crowd(sessions: int, chance: float) -> None:
    hint = spread(sessions, chance)

    assert hint >= LEAST
    assert hint <= LEAST + max(LEAST, sessions / 1000) + 0.001


@pytest.mark.parametrize("sessions", [1_000, 5_000])
def test_a_crowd_is_told_to_come_back_evenly(sessions: int) -> None:
    chance = Random(2026).random

    hints = sorted(spread(sessions, chance()) for _ in range(sessions))

    per_tenth = [sum(1 for hint in hints if low <= hint * 10 < low + 1) for low in range(int(hints[-1] * 10) + 1)]
    assert max(per_tenth) <= 150  # of the 200 joins that a node can take in that time
