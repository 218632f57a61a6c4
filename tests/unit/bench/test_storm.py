"""How evenly a crowd came back."""

from __future__ import annotations

import pytest

from hopsack_bench.storm import busiest


@pytest.mark.parametrize(
    ("moments", "share"),
    [
        ([], 0.0),
        ([5.0], 1.0),
        ([0.0, 1.0, 2.0, 3.0], 0.25),
        ([0.06, 0.14, 1.0, 2.0], 0.5),  # not where a clock's tenths begin
        ([3.0, 0.0, 0.05, 0.11, 2.0], 0.4),
    ],
)
def test_the_busiest_tenth_of_a_second_begins_anywhere(moments: list[float], share: float) -> None:
    assert busiest(moments) == share
