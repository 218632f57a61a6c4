"""When a value raises an alert and when it clears it. Pure: one value after the other, each with its time.

            value >= raise_at            ... for for_s seconds
      Calm ------------------> Rising ------------------------> Standing
        ^------------------------'                                 |
        |   value < raise_at                                       |
        '----------------------------------------------------------'
                              value <= clear_at

Between ``clear_at`` and ``raise_at`` nothing changes, so that a value that swings there raises and clears nothing.
Times are the samples' own, in seconds; a sample that is missing or is no number changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hopsack_contracts import AlertThreshold

GAP = 10.0
"""Seconds of silence after which nobody can say that the value stayed where it was: the time starts again."""


@dataclass(frozen=True, slots=True)
class Calm:
    pass


@dataclass(frozen=True, slots=True)
class Rising:
    """:ivar since: when the value was first seen at or above ``raise_at``. :ivar last: when it was last."""

    since: float
    last: float


@dataclass(frozen=True, slots=True)
class Standing:
    pass


State = Calm | Rising | Standing


def judge(state: State, threshold: AlertThreshold, value: float, at: float) -> State:
    """The state after one value."""
    if not math.isfinite(value):
        return state
    match state:
        case Standing():
            return Calm() if value <= threshold.clear_at else state
        case _ if value < threshold.raise_at:
            return Calm()
        case Rising(since, last) if 0 <= at - last <= GAP:
            return _risen(Rising(since, at), threshold)
        case _:
            return _risen(Rising(at, at), threshold)


def _risen(rising: Rising, threshold: AlertThreshold) -> State:
    return Standing() if rising.last - rising.since >= threshold.for_s else rising
