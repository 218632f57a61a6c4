"""How services are shown."""

from __future__ import annotations

from typing import Any

import pytest

from hopsack.cli.main import show
from hopsack.cli.services import Instance, _dressed, _row, lasted
from hopsack.errors import Overloaded

HOST = Instance("host", "host", "i1", 7)


def endpoint(**facts: Any) -> dict[str, Any]:
    none = {"subject": "a", "num_requests": 0, "num_errors": 0, "processing_time": 0, "last_error": ""}
    return none | facts


@pytest.mark.parametrize(
    ("nanoseconds", "words"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1.00 µs"),
        (12_345, "12.3 µs"),
        (123_456, "123 µs"),
        (999_600, "1.00 ms"),
        (1_204_000, "1.20 ms"),
        (2_500_000_000, "2.50 s"),
        (900_000_000_000, "900 s"),
    ],
)
def test_a_time_has_three_digits_and_a_unit(nanoseconds: int, words: str) -> None:
    assert lasted(nanoseconds) == words


def test_the_figures_of_an_instance_are_those_of_its_endpoints_together() -> None:
    endpoints = [
        endpoint(num_requests=3, num_errors=1, processing_time=3_000_000, last_error="a: once"),
        endpoint(num_requests=1, num_errors=1, processing_time=5_000_000),
        endpoint(num_requests=4, num_errors=2, processing_time=0, last_error="b: twice"),
    ]

    row = _row(HOST, {"version": "1.0.0", "started": "2026-01-01T00:00:00Z", "endpoints": endpoints})

    assert (row["num_requests"], row["num_errors"], row["last_error"]) == (8, 4, "b: twice")
    assert row["average_processing_time"] == 1_000_000
    shown = _dressed(row, 1767225600 + 90)
    assert (shown["up"], shown["average"]) == ("1 min 30 s", "1.00 ms")


def test_one_that_serves_nothing_and_one_that_does_not_answer_are_shown() -> None:
    idle = _row(HOST, {"version": "1.0.0", "started": "2026-01-01T00:00:00Z", "endpoints": []})
    silent = _row(HOST, None)

    assert (idle["num_requests"], idle["average_processing_time"], idle["last_error"]) == (0, 0, "")
    assert (_dressed(silent, 0.0)["up"], silent["last_error"]) == ("", "it does not answer")


def test_an_error_says_when_to_try_again(capsys: pytest.CaptureFixture[str]) -> None:
    show(Overloaded("too much", where="a.b", data={"retry_after": 1.5}))

    assert capsys.readouterr().err.splitlines()[1] == "  a.b; try again in 1.5 s"
