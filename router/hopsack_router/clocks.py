"""Two clocks that are not to be mixed up: how long something takes, and what time it is.

Twisted's reactors have one, Unix time (``twisted.python.runtime.seconds``), and set their timers by it. When the clock
of the machine is set ahead by an hour, all timers of that hour go off in one moment: deadlines, heartbeats and patience
are over. When it is set back, none goes off for an hour. So the node's reactor counts with the monotonic clock, and
whoever has to know what time it is asks :class:`UnixTime`.
"""

from __future__ import annotations

import time
from typing import Any

from twisted.internet.base import ReactorBase


def count_steadily(reactor: Any) -> None:
    """Have a reactor count with the monotonic clock; what it has to do already it does when it would have.

    :param reactor: one of Twisted's own. Another, as a clock that is turned by hand, counts as it likes.
    """
    if not isinstance(reactor, ReactorBase):
        return
    left: list[tuple[Any, float]] = [(call, call.getTime() - reactor.seconds()) for call in reactor.getDelayedCalls()]
    reactor.seconds = time.monotonic
    for call, seconds in left:
        call.seconds = time.monotonic
        call.reset(max(seconds, 0.0))


class UnixTime:
    """A reactor for those who want its timers and threads, and Unix time of its ``seconds()``."""

    def __init__(self, reactor: Any) -> None:
        self.callLater = reactor.callLater
        self.callFromThread = reactor.callFromThread

    @staticmethod
    def seconds() -> float:
        return time.time()
