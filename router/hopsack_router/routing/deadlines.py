"""Deadlines (:mod:`hopsack.deadlines`) on Twisted's clock, and in the node's log."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.logger import Logger

from hopsack.deadlines import Deadlines

LOG = Logger()


def deadlines(clock: Any, expire: Callable[[Any, float], object]) -> Deadlines:
    """
    :param clock: tells the time and takes timers (``IReactorTime``).
    :param expire: is told whose time is over, and how many seconds it had.
    """
    failed = partial(LOG.failure, "what ends at its deadline did not end")
    return Deadlines(clock.seconds, clock.callLater, expire, failed)
