from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopsack.backoff import CAP, FIRST, LONGEST, delay, hint_in, hint_of, with_hint
from hopsack_router import drain


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 100))
def test_a_delay_is_drawn_from_the_whole_range_and_comes_after_the_hint(
    attempt: int, chance: float, hint: float | None
) -> None:
    waited = delay(attempt, chance, hint) - (hint or 0.0)

    assert -1e-9 <= waited <= CAP
    assert delay(attempt, 0.0) == 0.0
    assert delay(0, chance) <= FIRST


def busiest(arrivals: list[float]) -> float:
    """The largest share of a crowd that comes within a tenth of a second, wherever that begins."""
    arrivals = sorted(arrivals)
    return max(bisect_right(arrivals, at + 0.1) - first for first, at in enumerate(arrivals)) / len(arrivals)


def back_after(outage: float, hint: float | None, chance: Callable[[], float]) -> float:
    """When a client is back whose node is away so long: its first attempt after that."""
    at, attempt = delay(0, chance(), hint), 0
    while at < outage:
        attempt += 1
        at += delay(attempt, chance())
    return at


@pytest.mark.parametrize("outage", [0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 20.0, 60.0])
@pytest.mark.parametrize("stops", ["killed", "with a hint"])
def test_a_crowd_comes_back_spread_out(outage: float, stops: str) -> None:
    chance = random.Random(2026).random
    hints = (None if stops == "killed" else drain.spread(2000, chance()) for _ in range(2000))

    arrivals = [back_after(outage, hint, chance) for hint in hints]

    assert busiest(arrivals) <= 0.1
    assert max(arrivals) <= outage + 5.0


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
