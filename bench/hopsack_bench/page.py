"""The figures of a kept result as a part of docs/performance.md and docs/guarantees.md, a few in the README. Pure.

The part stands between two comment lines and is written by ``hopsack bench --page NAME``; what stands around it is
written by hand. A test compares the two, so a figure on these pages is one that the bench printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from hopsack_bench.samples import Row
from hopsack_bench.scenarios import SCENARIOS
from hopsack_bench.table import Cells, grid, show

BEGIN = "<!-- figures of {name}: written by `hopsack bench --page {name}` -->"
END = "<!-- end of figures -->"

Part = Literal["figures", "promises", "brief"]
"""What a page shows: comparisons with their charts, what shows the promises, or one table of a few figures."""

PAGES: Mapping[str, Part] = {"docs/performance.md": "figures", "docs/guarantees.md": "promises", "README.md": "brief"}


class NoPlace(ValueError):
    """The page has no two comment lines to write between."""


def named_in(page: str) -> str:
    """The result whose figures a page shows.

    :raises NoPlace: it shows none.
    """
    before = BEGIN.partition("{name}")[0]
    for line in page.splitlines():
        if line.startswith(before) and line.endswith("-->"):
            return line.removeprefix(before).partition(":")[0]
    raise NoPlace(f"no line starts with {before!r}")


def written_into(page: str, name: str, result: Mapping[str, Any], part: Part = "figures") -> str:
    """The page with the figures of ``result`` in place of those that it has.

    :raises NoPlace: it has no place for them.
    """
    before, _, rest = page.partition(BEGIN.format(name=named_in(page)) + "\n")
    _, end, after = rest.partition(END)
    if not end:
        raise NoPlace(f"no line is {END!r}")
    block = _summary(result) if part == "brief" else _block(name, result, part == "promises")
    return before + "\n".join([BEGIN.format(name=name), *block, END]) + after


def _block(name: str, result: Mapping[str, Any], promises: bool) -> Iterator[str]:
    machine = result["machine"]
    yield ""
    yield (
        f"The machine: {machine['cores']} cores of {machine['processor']}, "
        f"Linux {machine['kernel']}, Python {machine['python']}."
    )
    for scenario in result["scenarios"]:
        if SCENARIOS[scenario["scenario"]].is_promise == promises:
            yield from _scenario(name, scenario)


def _scenario(name: str, measured: Mapping[str, Any]) -> Iterator[str]:
    scenario = SCENARIOS[measured["scenario"]]
    rows = [Row(**row) for row in measured["rows"]]
    yield f"\n### {measured['title']}\n"
    if not scenario.is_promise:
        yield f"![{measured['title']}](../bench/results/{name}-{scenario.name}.svg)\n"
    yield f"Measured at {measured['when']}; the load average before was {measured['load_before']}."
    for load in dict.fromkeys(row.load for row in rows):
        group = [row for row in rows if row.load == load]
        yield f"\n{load}, median of {group[0].rounds}:\n"
        yield from _markdown(grid(scenario, group))
    if measured["targets"]:
        yield "\n| target | limit | measured | |\n|---|---:|---:|---|"
        yield from map(_verdict, measured["targets"])
    yield ""


def _markdown(table: Sequence[Cells]) -> Iterator[str]:
    head, *lines = table
    yield f"| {' | '.join(head)} |"
    yield "|---|" + "---:|" * (len(head) - 1)
    for line in lines:
        yield f"| {' | '.join(line)} |"


def _verdict(verdict: Mapping[str, Any]) -> str:
    sign = "≤" if verdict["bound"] == "at most" else "≥"
    value = show(verdict["value"], "count" if verdict["value"] >= 1000 else "us")
    mark = "met" if verdict["met"] else "**missed**"
    return f"| {verdict['target']} | {sign} {verdict['limit']:,g} | {value} | {mark} |"


# ---- the README's table ---------------------------------------------------------------------------------------------

_COLUMNS = ("Hopsack", "stock Crossbar", "nats-server", "nchan", "Node.js ws", "socket.io")
_DOORS = ("hopsack-raw", "stock-json", "nats-ws", "nchan", "ws", "socketio")
_CALLERS = ("hopsack", "stock", "nats", "", "", "")
_SUMMARY = (
    ("CPU µs per event and reader, 500 readers × 100/s", "fanout", "500 readers × 100/s", "cpu_us", "us", _DOORS),
    ("latency in ms, p99 of 100 readers × 1,000/s", "latency", "100 readers × 1,000/s", "p99_ms", "time", _DOORS),
    ("calls/s, 64 in flight, from Python to Python", "rpc", "64 in flight", "per_second", "count", _CALLERS),
    ("latency of one call in ms, p50", "rpc", "one at a time", "p50_ms", "time", _CALLERS),
    ("CPU µs per session that joins", "connect", "2,000 joins", "cpu_us", "us", _DOORS),
    ("KiB of memory per idle connection", "memory", "10,000 idle", "kib", "kib", _DOORS),
)


def _summary(result: Mapping[str, Any]) -> Iterator[str]:
    machine = result["machine"]
    yield f"\n| {machine['cores']} cores of {machine['processor']} | {' | '.join(_COLUMNS)} |"
    yield "|---|" + "---:|" * len(_COLUMNS)
    known = {
        (measured["scenario"], row["load"], row["subject"]): row["figures"]
        for measured in result["scenarios"]
        for row in measured["rows"]
    }
    for words, scenario, load, figure, unit, subjects in _SUMMARY:
        found = [known.get((scenario, load, subject), {}).get(figure) for subject in subjects]
        yield f"| {words} | {' | '.join('' if value is None else show(value, unit) for value in found)} |"
    yield ""
