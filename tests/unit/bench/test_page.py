"""The figures on the pages are those that the bench printed, and nothing around them is touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hopsack.cli import bench
from hopsack_bench.main import RESULTS
from hopsack_bench.page import BEGIN, END, PAGES, NoPlace, Part, named_in, written_into
from hopsack_bench.scenarios import SCENARIOS

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "performance.md"


def result(cpu: float) -> dict[str, Any]:
    row = {"load": "a load", "subject": "hopsack-raw", "rounds": 3, "figures": {"cpu_us": cpu}, "ratios": {}}
    target = {"target": "CPU per delivery", "bound": "at most", "limit": 2.0, "value": cpu, "met": cpu <= 2}
    return {
        "machine": {"cores": 2, "processor": "a processor", "kernel": "9", "python": "3"},
        "scenarios": [
            {
                "scenario": "fanout",
                "title": "Fan-out",
                "rows": [row],
                "targets": [target],
                "when": "2030-01-02T03:04:05+00:00",
                "load_before": 0.1,
            }
        ],
    }


@pytest.mark.parametrize(("path", "part"), PAGES.items())
def test_the_pages_show_their_result_as_the_bench_wrote_it(path: str, part: Part) -> None:
    page = (ROOT / path).read_text()
    name = named_in(page)

    assert page == written_into(page, name, json.loads((RESULTS / f"{name}.json").read_text()), part)


def test_its_charts_are_kept() -> None:
    name = named_in(PAGE.read_text())

    for scenario in json.loads((RESULTS / f"{name}.json").read_text())["scenarios"]:
        is_drawn = not SCENARIOS[scenario["scenario"]].is_promise
        assert (RESULTS / f"{name}-{scenario['scenario']}.svg").is_file() == is_drawn


def test_figures_take_the_place_of_older_ones_and_of_nothing_else() -> None:
    page = f"# Before\n\n{BEGIN.format(name='old')}\nold figures\n{END}\n\nAfter.\n"

    first = written_into(page, "new", result(1.5))
    second = written_into(first, "newer", result(2.5))

    assert first.startswith("# Before\n\n")
    assert first.endswith("\n\nAfter.\n")
    assert "old figures" not in first
    assert "| CPU per delivery | ≤ 2 | 1.50 | met |" in first
    assert named_in(second) == "newer"
    assert "| CPU per delivery | ≤ 2 | 2.50 | **missed** |" in second
    assert "1.50" not in second


def test_each_page_shows_its_part() -> None:
    page = f"{BEGIN.format(name='old')}\n{END}\n"
    row = {"load": "2 kills", "subject": "hopsack", "rounds": 1, "figures": {"lost": 0}, "ratios": {}}
    kept = result(1.5)
    kept["scenarios"].append(kept["scenarios"][0] | {"scenario": "recovery", "title": "Recovery", "rows": [row]})

    figures, promises = (written_into(page, "new", kept, part) for part in ("figures", "promises"))

    assert ("### Fan-out" in figures, "### Recovery" in figures) == (True, False)
    assert ("### Fan-out" in promises, "### Recovery" in promises) == (False, True)
    assert ".svg" not in promises


@pytest.mark.parametrize("page", ["", "no figures", BEGIN.format(name="x") + "\nno end"])
def test_a_page_without_a_place_is_said_so(page: str) -> None:
    with pytest.raises(NoPlace):
        written_into(page, "new", result(1.0))


def test_the_verb_knows_the_scenarios() -> None:
    assert set(bench.SCENARIOS) == set(SCENARIOS)
