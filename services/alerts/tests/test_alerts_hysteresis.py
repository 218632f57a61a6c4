from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from alerts.hysteresis import GAP, Calm, Rising, Standing, State, judge
from hopsack_contracts import AlertThreshold

THRESHOLD = AlertThreshold(metric="cpu", raise_at=90, clear_at=75, for_s=3)
CALM = Calm()


def states(values: list[float], threshold: AlertThreshold = THRESHOLD, state: State = CALM) -> list[State]:
    """The state after each value, one value a second."""
    found = []
    for at, value in enumerate(values):
        state = judge(state, threshold, value, float(at))
        found.append(state)
    return found


def test_a_value_that_stays_high_raises_after_its_time() -> None:
    assert states([90, 95, 92, 91]) == [Rising(0, 0), Rising(0, 1), Rising(0, 2), Standing()]


def test_a_value_that_drops_meanwhile_starts_again() -> None:
    assert states([95, 95, 89, 95, 95, 95, 95])[2:] == [Calm(), Rising(3, 3), Rising(3, 4), Rising(3, 5), Standing()]


def test_between_the_levels_an_alert_stands_and_at_the_lower_one_it_clears() -> None:
    assert states([80, 76, 75], state=Standing()) == [Standing(), Standing(), Calm()]


def test_no_time_to_wait_raises_at_once() -> None:
    at_once = AlertThreshold(metric="cpu", raise_at=90, clear_at=75, for_s=0)

    assert states([90], at_once) == [Standing()]


def test_what_is_no_number_changes_nothing() -> None:
    assert states([95, math.nan, math.inf, 95]) == [Rising(0, 0), Rising(0, 0), Rising(0, 0), Standing()]


def test_a_silence_proves_nothing_and_neither_does_a_clock_that_was_set_back() -> None:
    assert judge(Rising(0, 2), THRESHOLD, 95, 2 + GAP + 1) == Rising(3 + GAP, 3 + GAP)
    assert judge(Rising(100, 102), THRESHOLD, 95, 50) == Rising(50, 50)


def test_the_same_sample_twice_counts_once() -> None:
    assert judge(Rising(0, 2), THRESHOLD, 95, 2) == Rising(0, 2)


@given(st.lists(st.floats(75.001, 100)), st.sampled_from([Standing()]))
def test_a_standing_alert_never_clears_above_the_lower_level(values: list[float], state: State) -> None:
    assert set(states(values, state=state)) <= {Standing()}


@given(st.lists(st.floats(0, 89.999)))
def test_a_calm_value_never_raises_below_the_upper_level(values: list[float]) -> None:
    assert set(states(values)) <= {Calm()}
