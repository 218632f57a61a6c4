from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopsack.backoff import CAP, FIRST, LONGEST, delay, hint_in, hint_of, with_hint


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 100))
def test_a_delay_is_drawn_from_the_whole_range_and_comes_after_the_hint(
    attempt: int, chance: float, hint: float | None
) -> None:
    waited = delay(attempt, chance, hint) - (hint or 0.0)

    assert -1e-9 <= waited <= CAP
    assert delay(attempt, 0.0) == 0.0
    assert delay(0, chance) <= FIRST


def test_a_crowd_comes_back_spread_out() -> None:
    chance = random.Random(2026).random
    arrivals = sorted(delay(0, chance()) for _ in range(2000))

    bins = [sum(1 for at in arrivals if low <= at * 10 < low + 1) for low in range(10)]

    assert max(bins) <= 0.15 * len(arrivals)
    assert arrivals[-1] <= 5.0


@given(st.text(max_size=100), st.floats(0, LONGEST))
def test_a_reason_tells_when_to_come_back(sentence: str, seconds: float) -> None:
    heard = hint_in(with_hint(sentence, seconds))

    assert heard is not None
    assert abs(heard - seconds) <= 0.0005


@pytest.mark.parametrize(
    ("reason", "heard"),
    [
        ("The node is going away. (retry_after=2.3)", 2.3),
        ("Come back. (retry_after=10)", 10.0),
        ("Come back. (retry_after=99999999)", LONGEST),
        ("The node is going away.", None),
        ("(retry_after=1) was what it said", None),
        ("Come back. (retry_after=-1)", None),
        ("Come back. (retry_after=1e9)", None),
        ("Come back. (retry_after=1) ", None),
        ("", None),
    ],
)
def test_only_the_end_of_a_reason_is_a_hint(reason: str, heard: float | None) -> None:
    assert hint_in(reason) == heard


@pytest.mark.parametrize(
    ("hint", "heard"),
    [(3, 3.0), (0.5, 0.5), (-1, None), ("3", None), (None, None), (float("nan"), None), (float("inf"), LONGEST)],
)
def test_a_hint_in_details_is_a_number_or_none(hint: object, heard: float | None) -> None:
    assert hint_of({"retry_after": hint}) == heard
