"""``procedures ls`` as a person reads it: who serves what, and how busy they are."""

from __future__ import annotations

import pytest

from hopsack.cli.lists import _procedure, _procedure_columns, procedures, served_by, short_time
from hopsack.cli.output import Column

BUSY = {
    "uri": "lab.look",
    "callees": 3,
    "waiting": 2,
    "load": [
        {"in_hand": 4, "stalled": True, "answers_in": 0.5},
        {"in_hand": 1, "stalled": False, "answers_in": 0.1, "breaker": "open"},
        {"in_hand": 0, "stalled": False, "breaker": "closed"},
    ],
}
IDLE = {"uri": "lab.do", "callees": 0}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.000351, "0.35 ms"), (0.0049, "4.9 ms"), (0.012, "12 ms"), (0.4567, "457 ms"), (1.24, "1.2 s"), (12.4, "12 s")],
)
def test_times_have_two_digits(seconds: float, words: str) -> None:
    assert short_time(seconds) == words


def test_who_is_not_asked_now_is_said() -> None:
    assert served_by(3, BUSY["load"]) == "3, 1 stalled, 1 shut off"  # type: ignore[arg-type]
    assert served_by(1, []) == "1"
    assert served_by(0, []) == "nobody"


def test_a_busy_procedure_in_one_line() -> None:
    row = _procedure(BUSY)

    assert [row[name] for name in ("in_hand", "waiting", "answers_in")] == [5, 2, "300 ms"]


def test_columns_that_nothing_fills_are_left_out() -> None:
    names = "uri", "callees", "in_hand", "waiting", "answers_in", "call", "summary"
    columns = tuple(Column(name, name) for name in names)

    def shown(*rows: object) -> list[str]:
        return [column.key for column in _procedure_columns([_procedure(row) for row in rows], columns)]  # type: ignore[arg-type]

    assert shown(IDLE) == ["uri", "callees", "call", "summary"]
    assert shown(IDLE, BUSY) == ["uri", "callees", "in_hand", "waiting", "answers_in", "summary"]
    assert "ls" in procedures.commands
