"""What happens again and again is said once in a while, with how often: for lines of the log that strangers cause.

    again(what) -> how often it has happened since it was said last: say it
                -> 0: it was said a moment ago; it is counted

A core: its clock is handed in. It remembers :data:`MOST` of what strangers may choose, and begins anew beyond that.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

QUIET = 10.0
"""Seconds in which something is said once."""

MOST = 256


@dataclass(slots=True)
class _Run:
    until: float
    unsaid: int = 0


class Runs:
    """:param now: the clock, in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._runs: dict[Hashable, _Run] = {}

    def again(self, what: Hashable) -> int:
        """It has happened once more."""
        now, run = self._now(), self._runs.get(what)
        if run is None:
            if len(self._runs) >= MOST:
                self._runs.clear()
            run = self._runs[what] = _Run(now)
        run.unsaid += 1
        if now < run.until:
            return 0
        said, run.until, run.unsaid = run.unsaid, now + QUIET, 0
        return said
