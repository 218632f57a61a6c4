"""When calls run out of time: exact, in milliseconds, and cheap for the many that end before.

Calls that were given equally long run out of time in the order they began, so one timer stands for all of them: it is
set for the first, and when it fires for one that has ended long since, it is set again for whoever is first then. A
timer of its own for each call would cost more than all the rest of the call's bookkeeping.

Bound: a length that no call has any more keeps its timer only while there are at most :data:`MAX_IDLE` lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.logger import Logger

LOG = Logger()
MAX_IDLE = 64


class Deadlines:
    """The deadlines of one realm's calls.

    :param clock: tells the time and takes timers (``IReactorTime``).
    :param expire: is told a call whose time is over, and how many milliseconds it had.
    """

    def __init__(self, clock: Any, expire: Callable[[Any, int], object]) -> None:
        self.call_later: Callable[..., Any] = clock.callLater
        self._seconds: Callable[[], float] = clock.seconds
        self._expire = expire
        self._lanes: dict[int, Lane] = {}

    def begin(self, call: Any, milliseconds: int) -> Lane:
        """:returns: what to tell when the call ends before."""
        now, due = self._seconds(), milliseconds / 1000
        lane = self._lanes.get(milliseconds)
        if lane is None:
            lane = self._lanes[milliseconds] = Lane(self, milliseconds)
            self._wake(lane, now, now + due)
        lane.due[call] = now + due
        return lane

    def _wake(self, lane: Lane, now: float, due: float) -> None:
        lane.wakes_at = due
        lane.timer = self.call_later(due - now, partial(self._fire, lane))

    def _fire(self, lane: Lane) -> None:
        lane.timer = None
        now = max(self._seconds(), lane.wakes_at)  # sums of floats may differ by their last digit
        while lane.due:
            call, due = next(iter(lane.due.items()))
            if due > now:
                self._wake(lane, now, due)
                return
            del lane.due[call]
            try:
                self._expire(call, lane.milliseconds)
            except Exception:
                LOG.failure("a call could not be ended at its deadline")
        if self._lanes.get(lane.milliseconds) is lane:
            del self._lanes[lane.milliseconds]

    def idle(self, lane: Lane) -> None:
        """Called by a lane that has nothing to wait for."""
        if len(self._lanes) > MAX_IDLE and lane.timer is not None:
            lane.timer.cancel()
            del self._lanes[lane.milliseconds]


class Lane:
    """The calls that were given equally long, in the order they began."""

    __slots__ = ("_deadlines", "due", "milliseconds", "timer", "wakes_at")

    def __init__(self, deadlines: Deadlines, milliseconds: int) -> None:
        self._deadlines = deadlines
        self.milliseconds = milliseconds
        self.due: dict[Any, float] = {}
        self.timer: Any = None
        self.wakes_at = 0.0

    def end(self, call: Any) -> None:
        """The call has ended in time, or is being told that it has not."""
        if self.due.pop(call, None) is not None and not self.due:
            self._deadlines.idle(self)
