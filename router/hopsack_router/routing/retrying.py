"""When a call that failed is tried again, for the caller and without its knowing.

    the callee, or its link, was lost            -> again, elsewhere
    it said overloaded, unavailable or canceled  -> again, but not at a callee that has said no to this call
    it said anything else, or no time is left    -> the caller gets that
    the procedure's budget is spent              -> the caller gets what the last try came to

A try waits a random time first: up to :data:`BASE` seconds, twice that before the next one (full jitter). The budget
keeps retries from doing to a failing service what its callers do already: each call adds :data:`EARNED` tries to what a
procedure may spend, at most :data:`SAVED` are kept, so retries add a fifth to the load. Pure: dice are passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

BASE = 0.05
EARNED = 0.2
SAVED = 10.0

ELSEWHERE = frozenset(("hopsack.overloaded", "hopsack.unavailable", "hopsack.canceled"))
"""What a callee may say that somebody else may carry out. It has not carried it out itself, or not to the end."""

LOST = "hopsack.outcome_unknown"

Ran = Literal["no", "maybe", "yes"]


class Budget:
    """What the callers of one procedure may spend on further tries."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = SAVED

    @property
    def kept(self) -> float:
        return self._kept

    def earn(self, calls: int = 1) -> None:
        """There were so many more calls."""
        self._kept = min(SAVED, self._kept + calls * EARNED)

    def spend(self) -> bool:
        """Pay for one more try.

        :returns: whether there was enough.
        """
        if self._kept < 1.0:
            return False
        self._kept -= 1.0
        return True


class Tries:
    """The tries of one call.

    :ivar left: how many more there may be.
    :ivar without: the callees that said no to it.
    :ivar ran: whether it may have been carried out so far.
    """

    __slots__ = ("_made", "left", "ran", "without")

    def __init__(self, retry: int) -> None:
        self.left = retry
        self.without: set[Any] = set()
        self.ran: Ran = "no"
        self._made = 0

    def failed(
        self,
        code: str,
        callee: Any,
        ran: Ran,
        left: float,
        spend: Callable[[], bool],
        dice: Callable[[], float],
    ) -> float | None:
        """A try has failed.

        :param code: of its error. :param callee: who was asked.
        :param ran: whether that try may have been carried out.
        :param left: seconds until the call's deadline. :param spend: pays for one more try (:meth:`Budget.spend`).
        :param dice: from 0 to below 1.
        :returns: seconds until the next try; ``None``: there is none.
        """
        if ran != "no":
            self.ran = "maybe"
        if code in ELSEWHERE:
            self.without.add(callee)
        elif code != LOST:
            return None
        if not self.left:
            return None
        wait: float = dice() * BASE * (1 << self._made)
        if wait >= left or not spend():
            return None
        self.left -= 1
        self._made += 1
        return wait
