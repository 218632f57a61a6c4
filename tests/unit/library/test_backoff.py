from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from hopsack.backoff import CAP, FIRST, delay


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
