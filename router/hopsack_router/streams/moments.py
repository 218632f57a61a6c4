"""The time of the journal: what a person reads on a stamp, and what ages are counted with. Pure.

    the wall clock   what events are stamped with: Unix seconds. It may be set, and then jumps
    steady time      what ages, windows and trims are counted with. It never jumps, and never goes back

Within a run of the machine steady time goes on with a clock that counts from its start, suspended or not, so it is
exact across restarts of the node too. Over a restart of the machine nothing else is known than the wall clock: steady
time goes on by what that says has passed, and by nothing if it says less than nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

JUMP_SECONDS = 5.0
"""So much less or more than has passed is a jump of the wall clock; less is a clock that is being corrected."""


class Moment(NamedTuple):
    """:ivar wall: Unix seconds. :ivar steady: seconds. :ivar counted: seconds since the machine was started."""

    wall: float
    steady: float
    counted: float


def since_start() -> float:
    """Seconds since the machine was started, those in which it was suspended too where the system counts them."""
    boottime: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class Hours:
    """
    :param wall: the wall clock. :param counted: never jumps.
    """

    def __init__(self, wall: Callable[[], float], counted: Callable[[], float]) -> None:
        self._wall, self._counted = wall, counted
        now, begin = wall(), counted()
        self._ahead = now - begin  # steady time beyond what is counted
        self._difference = now - begin

    def go_on(self, last: Moment | None, same_start: bool) -> None:
        """Steady time goes on behind ``last``.

        :param same_start: the machine has not been started since.
        """
        if last is None:
            return
        counted = self._counted()
        passed = counted - last.counted if same_start else -1.0
        if passed < 0:
            passed = max(self._wall() - last.wall, 0.0)
        self._ahead = last.steady + passed - counted

    def steady(self) -> float:
        return self._counted() + self._ahead

    def now(self) -> Moment:
        counted = self._counted()
        return Moment(self._wall(), counted + self._ahead, counted)

    def jumped(self) -> float:
        """By how many seconds the wall clock has jumped since this was asked last; 0: it has not."""
        difference = self._wall() - self._counted()
        jump, self._difference = difference - self._difference, difference
        return jump if abs(jump) >= JUMP_SECONDS else 0.0
