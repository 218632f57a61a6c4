"""A chart of one scenario as SVG: a bar for each subject, a group for each load. Pure.

Colours follow the reader's light or dark mode by a media query inside the file, which works in an ``<img>`` too. The
value stands beside each bar, so nothing depends on colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from hopsack_bench.samples import Row
from hopsack_bench.scenarios import Scenario
from hopsack_bench.table import show

_WIDTH = 760
_LABELS = 230
_VALUES = 130
_BAR, _STEP, _GROUP = 16, 22, 34

_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 15px; }
  .load { font-weight: 600; }
  .value { font-variant-numeric: tabular-nums; }
  .paper { fill: #ffffff; }
  .bar { fill: #8c959f; }
  .ours { fill: #0a6cbd; }
  .floor { fill: #c9d1d9; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .paper { fill: #0d1117; }
    .bar { fill: #6e7681; }
    .ours { fill: #4aa3f0; }
    .floor { fill: #3d444d; }
  }
"""


def draw(scenario: Scenario, rows: Sequence[Row]) -> str:
    """The chart of the scenario's main figure; shorter is better."""
    figure = next(one for one in scenario.figures if one.key == scenario.main)
    rows = [row for row in rows if figure.key in row.figures]
    loads = list(dict.fromkeys(row.load for row in rows))
    longest = max((row.figures[figure.key] for row in rows), default=0.0) or 1.0
    height = 56 + _GROUP * len(loads) + _STEP * len(rows) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(scenario.title)}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{height}" rx="6"/>',
        f'<text class="title" x="16" y="26">{escape(scenario.title)}</text>',
        f'<text x="16" y="46">{escape(figure.title)}; shorter is better</text>',
    ]
    y = 56
    for load in loads:
        parts.append(f'<text class="load" x="16" y="{y + 22}">{escape(load)}</text>')
        y += _GROUP
        for row in rows:
            if row.load == load:
                parts += _bar(scenario, row, row.figures[figure.key], longest, y)
                y += _STEP
    return "\n".join([*parts, "</svg>", ""])


def _bar(scenario: Scenario, row: Row, value: float, longest: float, y: int) -> Iterator[str]:
    room = _WIDTH - _LABELS - _VALUES - 16
    width = max(1.0, room * max(0.0, value) / longest)
    kind = " ours" if row.subject.startswith("hopsack") else " floor" if row.subject.startswith("floor") else ""
    title = scenario.subjects[row.subject][1]
    figure = next(one for one in scenario.figures if one.key == scenario.main)
    text = show(value, figure.unit)
    if row.figures.get("delivered", 1.0) < 1.0:
        text += f", full at {show(row.figures['per_second'], 'count')}/s"
    yield f'<text x="16" y="{y + 13}">{escape(title)}</text>'
    yield f'<rect class="bar{kind}" x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2"/>'
    yield f'<text class="value" x="{_LABELS + width + 6:.1f}" y="{y + 13}">{escape(text)}</text>'
