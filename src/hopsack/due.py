"""The time that is left for the call in hand, which travels with the calls that its handler makes.

    INVOCATION, timeout 800 ms -> Due -> context of the handler -> remaining() -> CALL, timeout 640 ms -> ...

A context variable carries it, so tasks that a handler starts have it too, ``@inlineCallbacks`` as well, and functions
that run in a thread. A task that outlives its call is bound by it no more: whoever starts one in a handler, to do its
work later, does not find its calls refused ten seconds after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec

from hopsack.errors import Deadline

__all__ = ["DUE", "GIVEN_UP", "Due", "bounded", "late", "milliseconds", "no_deadline", "remaining", "seconds_of"]

GIVEN_UP = float("-inf")
"""When a call was due that nobody waits for any more."""


class Due(msgspec.Struct, eq=False, gc=False):
    """
    :ivar at: when the call ends, on the clock ``now``; ``None``: nothing bounds it; :data:`GIVEN_UP`: it was cancelled.
    """

    at: float | None
    now: Callable[[], float]


DUE: ContextVar[Due | None] = ContextVar("hopsack.due", default=None)


def remaining() -> float | None:
    """Seconds that are left for the call that is being served, for loops that may stop early.

    0 when its deadline has passed, or nobody waits for it any more. ``None`` outside of a call, and where the node
    gives it no deadline. Works in threads, too.
    """
    due = DUE.get()
    if due is None or due.at is None:
        return None
    return max(0.0, due.at - due.now())


@contextmanager
def no_deadline() -> Iterator[None]:
    """Inside, calls have their own time alone: for cleaning up when the call in hand is late or was cancelled."""
    token = DUE.set(None)
    try:
        yield
    finally:
        DUE.reset(token)


def bounded(seconds: float, where: str) -> float:
    """What a call may take that was given ``seconds``.

    :raises Deadline: nothing is left; it is not sent.
    """
    due = DUE.get()
    if due is None or due.at is None:
        return seconds
    left = due.at - due.now()
    if left <= 0:
        raise late(where, "the call that makes this one has no time left")
    return min(seconds, left)


def late(where: str | None, message: str = "its deadline passed before it began") -> Deadline:
    """What was not begun, because nobody would have waited for it."""
    return Deadline(message, where=where, data={"ran": "no"})


# ---- on the wire -----------------------------------------------------------------------------------------------------


def milliseconds(seconds: float) -> int:
    """A time as it travels: whole milliseconds, never none of them."""
    return max(1, int(seconds * 1000 + 0.999))


def seconds_of(timeout: Any) -> float | None:
    """The time that is left for an invocation, in milliseconds as it came."""
    return timeout / 1000 if type(timeout) is int and timeout > 0 else None
