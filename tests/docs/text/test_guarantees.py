"""docs/guarantees.md: every promise names what shows it, and that is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "guarantees.md").read_text()
TEST = re.compile(r"`(tests/[\w/]+\.py)`(?: `(test_\w+)`)?")
BENCH = re.compile(r"`hopsack bench (\w+)`")


def test_every_promise_names_what_shows_it() -> None:
    section = PAGE[: PAGE.index("## Door by door")]
    rows = [
        line for line in section.splitlines() if line.startswith("|") and not line.startswith(("|---", "| promise"))
    ]

    assert len(rows) > 20
    assert [row for row in rows if not (TEST.search(row) or BENCH.search(row) or "checker" in row)] == []


def test_every_test_that_is_named_exists() -> None:
    named = TEST.findall(PAGE)

    assert len(named) > 15
    missing = [
        (path, name)
        for path, name in named
        if not (ROOT / path).exists() or (name and f"def {name}(" not in (ROOT / path).read_text())
    ]
    assert missing == []


def test_every_bench_that_is_named_exists() -> None:
    from hopsack_bench.scenarios import SCENARIOS

    assert set(BENCH.findall(PAGE)) >= {"recovery", "storm", "stall", "slow"}
    assert set(BENCH.findall(PAGE)) <= set(SCENARIOS)
