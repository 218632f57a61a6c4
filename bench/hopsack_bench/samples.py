"""Figures and what becomes of them: medians over rounds, ratios within rounds. Pure.

Servers take turns, A B C A B C, so what disturbs the machine for a while disturbs all of them in that round. A ratio is
therefore taken within each round first, and the median of those ratios is told: it moves far less than the ratio of two
medians would.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Sample:
    """What one subject did in one round.

    :ivar load: what was asked of it, in words.
    :ivar figures: by name.
    """

    load: str
    subject: str
    round: int
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One column.

    :ivar unit: how it is shown; ``time`` is milliseconds, ``part`` is a part of one.
    """

    key: str
    title: str
    unit: Literal["us", "time", "count", "part", "kib", "plain"]


@dataclass(frozen=True, slots=True)
class Row:
    """One subject under one load.

    :ivar figures: medians over the rounds.
    :ivar ratios: of the main figure, to each subject it is compared with.
    """

    load: str
    subject: str
    rounds: int
    figures: Mapping[str, float]
    ratios: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        return {
            "load": self.load,
            "subject": self.subject,
            "rounds": self.rounds,
            "figures": {key: _short(value) for key, value in self.figures.items()},
            "ratios": {key: _short(value) for key, value in self.ratios.items()},
        }


def summarise(samples: Iterable[Sample], main: str, versus: Sequence[str]) -> list[Row]:
    """One row for each load and subject, in the order in which they first came.

    :param main: the figure that ratios are made of.
    :param versus: the subjects to compare with.
    """
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.load, sample.subject), []).append(sample)
    order = {load: number for number, load in enumerate(dict.fromkeys(load for load, _ in groups))}
    rows = []
    for (load, subject), group in sorted(groups.items(), key=lambda item: order[item[0][0]]):
        keys = dict.fromkeys(key for sample in group for key in sample.figures)
        figures = {key: median(one.figures[key] for one in group if key in one.figures) for key in keys}
        ratios = {}
        for other in versus:
            ratio = ratio_of(group, groups.get((load, other), []), main)
            if ratio is not None and other != subject:
                ratios[other] = ratio
        rows.append(Row(load, subject, len(group), figures, ratios))
    return rows


def ratio_of(these: Iterable[Sample], those: Iterable[Sample], figure: str) -> float | None:
    """The median over the rounds that both took part in of this figure over that figure."""
    divisors = {sample.round: sample.figures.get(figure, 0.0) for sample in those}
    ratios = [
        sample.figures[figure] / divisors[sample.round]
        for sample in these
        if figure in sample.figures and divisors.get(sample.round, 0.0) > 0
    ]
    return median(ratios) if ratios else None


def _short(value: float) -> float:
    """Four significant digits: more is noise."""
    return float(f"{value:.4g}")
