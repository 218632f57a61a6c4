"""Links whose transport is full: one clock and one timer for all of them.

    begin(link)   the transport takes no more
    end(link)     it does again, or the link is gone
    due           -> Link.stalled(now): it says whether something has moved meanwhile, and is waited for anew if so

All have the same patience, so they run out of it in the order they began to wait, and each operation is O(1).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from hopsack_router.routing.backlog import PATIENCE

LOG = Logger()


class Stalled(Protocol):
    """A link."""

    def stalled(self, now: float) -> bool:
        """The transport has been full for as long as one is patient. :returns: whether to wait once more."""


class Stalls:
    """The stalled links of one node.

    :param clock: tells the time, in seconds, and takes the timer.
    :param patience: seconds.
    """

    def __init__(self, clock: IReactorTime, patience: float = PATIENCE) -> None:
        self._clock = clock
        self.patience = patience
        self._due: OrderedDict[Stalled, float] = OrderedDict()
        self._timer: IDelayedCall | None = None

    def now(self) -> float:
        return self._clock.seconds()

    def call_at(self, when: float, function: Callable[..., object], *args: Any) -> IDelayedCall:
        """A timer of its own, for what is not waited for by all equally long."""
        return self._clock.callLater(max(when - self._clock.seconds(), 0.0), function, *args)

    def begin(self, link: Stalled) -> None:
        self._due.pop(link, None)
        self._due[link] = self._clock.seconds() + self.patience
        if self._timer is None:
            self._timer = self._clock.callLater(self.patience, self._fire)

    def end(self, link: Stalled) -> None:
        self._due.pop(link, None)

    def _fire(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        while self._due:
            link, due = next(iter(self._due.items()))
            if due > now:
                self._timer = self._clock.callLater(due - now, self._fire)
                return
            del self._due[link]
            try:
                if link.stalled(now):
                    self.begin(link)
            except Exception:
                LOG.failure("a connection that does not move could not be closed")
