"""Look in on every connection once per period, with one timer for all of them.

The period is cut into :data:`STOPS`; a connection is looked in on at the stop where it came, which spreads the work as
the connections came. A timer of its own for each would cost more than the looking. The clock is handed in.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

LOG = Logger()
STOPS = 20


class Visited(Protocol):
    """What is looked in on."""

    def visit(self) -> None:
        """A period has passed."""


Stop = set[Visited]


class Rounds:
    """The round of one door.

    :param clock: takes the timer.
    :param period: seconds.
    """

    def __init__(self, clock: IReactorTime, period: float) -> None:
        self._clock = clock
        self._pause = period / STOPS
        self._stops: list[Stop] = [set() for _ in range(STOPS)]
        self._here = 0
        self._timer: IDelayedCall | None = None

    def join(self, one: Visited) -> Stop:
        """:returns: where it is looked in on, first a whole period from now; discard it from there when it is gone."""
        stop = self._stops[self._here]
        stop.add(one)
        if self._timer is None:
            self._timer = self._clock.callLater(self._pause, self._go)
        return stop

    def _go(self) -> None:
        self._here = (self._here + 1) % STOPS
        self._timer = self._clock.callLater(self._pause, self._go) if any(self._stops) else None
        for one in tuple(self._stops[self._here]):
            try:
                one.visit()
            except Exception:
                LOG.failure("a connection could not be looked in on")
