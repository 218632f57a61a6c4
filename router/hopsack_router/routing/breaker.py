"""A breaker keeps calls away from a callee that fails them. One for each procedure and callee that asks for it.

    closed     -> failures within the time, and at least half of the outcomes        -> open
    open       -> nobody is let through; the time is over                            -> half-open
    half-open  -> one call is let through, the probe:  it succeeds                   -> closed, with nothing remembered
                                                       it fails                      -> open again
                                                       it ends without an outcome    -> the next call is the probe

A failure is a call that failed as the service's own fault: an incident, no answer in time, a callee that vanished. The
errors that a contract declares are answers. Pure: the time is passed in, seconds on a monotonic clock. Bound: outcomes
are counted in :data:`BUCKETS` parts of the time that is looked back on.
"""

from __future__ import annotations

import enum
from typing import Protocol

BUCKETS = 10

FAILURES = frozenset(("hopsack.internal", "hopsack.deadline", "hopsack.outcome_unknown"))
"""What a call came to that failed. What it says of another one does not count (``retrying.ELSEWHERE``)."""


class Rule(Protocol):
    """What a contract says of its breakers.

    :ivar failures: so many open it. :ivar within: seconds that are looked back on. :ivar open: seconds until the probe.
    """

    @property
    def failures(self) -> int: ...
    @property
    def within(self) -> float: ...
    @property
    def open(self) -> float: ...


class State(enum.Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """
    :param rule: when it opens, and for how long.
    """

    __slots__ = ("_bucket", "_failed", "_newest", "_outcomes", "_probing", "_rule", "_state", "_until")

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._bucket = rule.within / BUCKETS
        self._state = State.CLOSED
        self._until = 0.0
        self._probing = False
        self._forget()

    def _forget(self) -> None:
        self._failed, self._outcomes = [0] * BUCKETS, [0] * BUCKETS
        self._newest = -1

    def state(self, now: float) -> State:
        """The state at a time; an open one turns half-open by itself."""
        if self._state is State.OPEN and now >= self._until:
            self._state, self._probing = State.HALF_OPEN, False
        return self._state

    def allows(self, now: float) -> bool:
        """Whether a call may go through now."""
        state = self.state(now)
        return state is State.CLOSED or (state is State.HALF_OPEN and not self._probing)

    def opens_in(self, now: float) -> float:
        """Seconds until a call may go through, at least 0. While a probe is under way nobody knows: as long as it is
        open for."""
        if self.allows(now):
            return 0.0
        return self._until - now if self._state is State.OPEN else self._rule.open

    def begins(self, now: float) -> bool:
        """A call goes through.

        :returns: whether it is the probe. What :meth:`ended` is told says so again.
        """
        if self.state(now) is not State.HALF_OPEN:
            return False
        self._probing = True
        return True

    def ended(self, now: float, failed: bool | None, was_probe: bool) -> bool:
        """A call that went through has ended.

        :param failed: ``None``: nobody knows, or it says nothing about the callee.
        :returns: whether it has opened now.
        """
        state = self.state(now)
        if state is State.HALF_OPEN and was_probe:
            self._probing = False
            if failed is False:
                self._state = State.CLOSED
                self._forget()
            return failed is True and self._open(now)
        if state is not State.CLOSED or failed is None:
            return False
        self._count(now, failed)
        failures = sum(self._failed)
        return failed and failures >= self._rule.failures and 2 * failures >= sum(self._outcomes) and self._open(now)

    def _open(self, now: float) -> bool:
        self._state, self._until = State.OPEN, now + self._rule.open
        self._forget()
        return True

    def _count(self, now: float, failed: bool) -> None:
        bucket = int(now / self._bucket)
        for number in range(max(self._newest + 1, bucket - BUCKETS + 1), bucket + 1):
            self._failed[number % BUCKETS] = self._outcomes[number % BUCKETS] = 0
        self._newest = max(self._newest, bucket)
        self._failed[bucket % BUCKETS] += failed
        self._outcomes[bucket % BUCKETS] += 1
