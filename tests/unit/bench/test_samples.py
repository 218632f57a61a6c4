"""Medians, ratios within rounds, targets, and how they are shown."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from hopsack_bench import chart, table
from hopsack_bench.samples import Sample, summarise
from hopsack_bench.scenarios import FULL, QUICK, SCENARIOS
from hopsack_bench.targets import TARGETS, At, Target, judge

LOAD = FULL.fanout[0].words


def sample(subject: str, number: int, cpu: float, load: str = LOAD) -> Sample:
    return Sample(load, subject, number, {"cpu_us": cpu})


def test_a_ratio_is_taken_within_each_round_first() -> None:
    # The second round was slow for everybody. The ratio of the medians would be 20 / 5 = 4.
    samples = [
        *(sample("hopsack-raw", number, cpu) for number, cpu in enumerate((10, 100, 20), 1)),
        *(sample("floor", number, cpu) for number, cpu in enumerate((5, 50, 4), 1)),
    ]

    ours, floor = summarise(samples, "cpu_us", ["floor"])

    assert (ours.figures, ours.ratios) == ({"cpu_us": 20}, {"floor": 2.0})
    assert (floor.figures, floor.ratios) == ({"cpu_us": 5}, {})


def test_a_round_that_one_of_them_missed_does_not_count() -> None:
    samples = [sample("hopsack-raw", 1, 10), sample("hopsack-raw", 2, 90), sample("floor", 1, 5)]

    assert summarise(samples, "cpu_us", ["floor"])[0].ratios == {"floor": 2.0}


def test_nothing_is_compared_with_what_was_not_measured() -> None:
    assert summarise([sample("hopsack-raw", 1, 10)], "cpu_us", ["floor"])[0].ratios == {}


def test_rows_of_one_load_stand_together() -> None:
    samples = [sample("a", 1, 1, "slow"), sample("a", 1, 1, "fast"), sample("b", 1, 1, "slow")]

    assert [(row.load, row.subject) for row in summarise(samples, "cpu_us", [])] == [
        ("slow", "a"),
        ("slow", "b"),
        ("fast", "a"),
    ]


# ----- targets


def target(bound: str, limit: float, by: str = "ratio") -> Target:
    that = At(LOAD, "floor", "cpu_us")
    return Target("fanout", "…", At(LOAD, "hopsack-raw", "cpu_us"), bound, limit, that, by)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "value", "met"),
    [
        (target("at most", 1.3), 1.25, True),
        (target("at most", 1.2), 1.25, False),
        (target("at least", 1.3), 1.25, False),
        (target("at most", 2, "difference"), 2.0, True),
    ],
)
def test_a_target_is_judged_within_rounds(asked: Target, value: float, met: bool) -> None:
    samples = [sample("hopsack-raw", 1, 10), sample("floor", 1, 8)]

    (verdict,) = judge("fanout", samples, [asked])

    assert (verdict.value, verdict.is_met) == (value, met)


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    (verdict,) = judge("fanout", [], [target("at most", 1)])

    assert (verdict.value, verdict.is_met) == (None, None)


def test_every_target_names_a_scenario_and_subjects_of_it() -> None:
    for one in TARGETS:
        scenario = SCENARIOS[one.scenario]
        for at in filter(None, (one.this, one.that)):
            assert at.subject in scenario.subjects


def test_every_scenario_has_targets() -> None:
    assert {one.scenario for one in TARGETS} == set(SCENARIOS)


# ----- how they are shown


def test_columns_are_aligned_and_what_nobody_was_compared_with_has_none() -> None:
    samples = [sample("hopsack-raw", 1, 20.83), sample("floor", 1, 5.2)]
    rows = summarise(samples, "cpu_us", ["floor", "nchan"])

    grid = table.grid(SCENARIOS["fanout"], rows)
    lines = table.aligned([line[:3] for line in grid])

    assert lines == [
        "                              CPU µs per delivery  / floor",
        "Hopsack, raw                                 20.8   4.01 ×",
        "floor: C, one send per event                 5.20        -",
    ]


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (None, "us", "-"),
        (0.984, "part", "98%"),
        (612345.6, "count", "612,346"),
        (1.304, "us", "1.30"),
        (13.04, "us", "13.0"),
        (1304.2, "time", "1304"),
        (0.25, "ratio", "0.25 ×"),
    ],
)
def test_a_figure_has_the_digits_it_deserves(value: float | None, unit: str, shown: str) -> None:
    assert table.show(value, unit) == shown


def test_a_chart_has_a_bar_for_every_row_and_both_colour_schemes() -> None:
    full = Sample(LOAD, "stock-json", 1, {"cpu_us": 13.3, "delivered": 0.75, "per_second": 64480})
    rows = summarise([sample("hopsack-raw", 1, 20), sample("floor", 1, 5), full], "cpu_us", [])

    drawn = chart.draw(SCENARIOS["fanout"], rows)

    root = ET.fromstring(drawn)
    bars = [one for one in root.iter("{http://www.w3.org/2000/svg}rect") if "bar" in one.get("class", "")]
    widths = [float(bar.get("width", "0")) for bar in bars]
    assert [bar.get("class") for bar in bars] == ["bar ours", "bar floor", "bar"]
    assert widths[0] == max(widths)
    assert widths[1] == pytest.approx(widths[0] / 4, abs=0.1)
    assert "13.3, full at 64,480/s" in drawn
    assert "prefers-color-scheme: dark" in drawn


def test_a_chart_of_nothing_is_still_a_chart() -> None:
    ET.fromstring(chart.draw(SCENARIOS["memory"], []))


def test_the_quick_size_is_not_judged() -> None:
    assert FULL.counts
    assert not QUICK.counts
