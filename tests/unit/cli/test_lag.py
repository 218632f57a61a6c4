from __future__ import annotations

from typing import Any

import pytest

from hopsack.cli.lag import behind, unsent

LAG: dict[str, Any] = {
    "unsent": 0,
    "policy": "holding",
    "since": 988.0,
    "stalled_since": None,
    "dropped": 0,
    "following": [],
}


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (1 << 20, "1.0 MiB"), (16 << 20, "16.0 MiB"), (3 << 30, "3.0 GiB")],
)
def test_sizes(size: int, text: str) -> None:
    assert unsent({**LAG, "unsent": size}) == text


def test_who_is_not_behind_has_nothing_to_show() -> None:
    assert (unsent(None), behind(None, 1000.0)) == ("", "")


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, "events wait, 12 s"),
        ({"since": None}, "events wait"),
        (
            {"policy": "following", "following": [{"topic": "a", "behind": 3}, {"topic": "b", "behind": 4}]},
            "reads streams from the journal, 12 s, 7 events behind",
        ),
        (
            {"policy": "dropping", "dropped": 9, "stalled_since": 995.0},
            "loses events, 12 s, 9 lost, takes nothing for 5 s",
        ),
        ({"policy": "a_new_one"}, "a_new_one, 12 s"),
    ],
)
def test_words(facts: dict[str, Any], text: str) -> None:
    assert behind({**LAG, **facts}, 1000.0) == text
