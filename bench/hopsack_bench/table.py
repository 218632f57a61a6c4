"""The table of a scenario, for a person: with rich at a terminal, in plain columns elsewhere. Pure but for printing."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from hopsack_bench.samples import Figure, Row
from hopsack_bench.scenarios import Scenario
from hopsack_bench.targets import Verdict

Cells = list[str]


def show(value: float | None, unit: str) -> str:
    """A figure with as many digits as it deserves."""
    if value is None:
        return "-"
    match unit:
        case "part":
            return f"{value:.0%}"
        case "count":
            return f"{value:,.0f}"
        case "plain":
            return f"{value:.0f}"
        case "ratio":
            return f"{value:.2f} ×"
        case _:
            return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def grid(scenario: Scenario, rows: Sequence[Row]) -> list[Cells]:
    """The cells of one load's table, its header first. What nobody was compared with has no column."""
    main, *rest = scenario.figures
    others = [name for name in scenario.versus if any(name in row.ratios for row in rows)]
    head = ["", main.title, *(f"/ {scenario.versus[name]}" for name in others), *(figure.title for figure in rest)]
    return [head, *(_cells(scenario, row, others) for row in rows)]


def _cells(scenario: Scenario, row: Row, others: Sequence[str]) -> Cells:
    main, *rest = scenario.figures
    ratios = [show(row.ratios.get(name), "ratio") for name in others]
    figures = [_figure(row.figures, figure) for figure in rest]
    return [scenario.subjects[row.subject][1], _figure(row.figures, main), *ratios, *figures]


def _figure(figures: Mapping[str, float], figure: Figure) -> str:
    return show(figures.get(figure.key), figure.unit)


def verdict_line(verdict: Verdict) -> str:
    target = verdict.target
    mark = {True: "met   ", False: "missed", None: "not measured"}[verdict.is_met]
    sign = "≤" if target.bound == "at most" else "≥"
    value = "" if verdict.value is None else f"{show(verdict.value, _unit(verdict.value))} "
    return f"{mark}  {target.words}: {value}({sign} {target.limit:,g})"


def _unit(value: float) -> str:
    return "count" if value >= 1000 else "us"


def print_scenario(
    scenario: Scenario, rows: Sequence[Row], verdicts: Sequence[Verdict], remarks: Sequence[str]
) -> None:
    """One table for each load, then the targets, then what was left out."""
    print_table = _rich if sys.stdout.isatty() else _plain
    for load in dict.fromkeys(row.load for row in rows):
        group = [row for row in rows if row.load == load]
        print_table(f"{scenario.name}: {load}, median of {group[0].rounds}", grid(scenario, group))
    for text in (*(verdict_line(verdict) for verdict in verdicts if verdict.value is not None), *remarks):
        print(text)
    print()


def _plain(title: str, table: Sequence[Cells]) -> None:
    print(f"\n{title}")
    for line in aligned(table):
        print(line)


def aligned(table: Sequence[Cells]) -> list[str]:
    """The first column to the left, the others, which are numbers, to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for first, *rest in table:
        numbers = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *numbers]).rstrip())
    return lines


def _rich(title: str, table: Sequence[Cells]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for number, name in enumerate(table[0]):
        drawn.add_column(name, justify="right" if number else "left")
    for line in table[1:]:
        drawn.add_row(*(Text(cell, style="bold" if line[0].startswith("Hopsack") else "") for cell in line))
    Console(highlight=False).print(drawn)
