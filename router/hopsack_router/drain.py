"""How a node stops, decided without I/O.

    asked        -> TurnAway               /readyz answers 503, no new session; who is here goes on
    NOTICE over  -> EndCalls, Part         no new call; goodbye to everybody who has nothing to do with a call in flight
    looked       -> Part                   … and to others as their calls end
    no call left -> Part(everybody)        at the latest when ``limit`` is over: what is then in flight is ended
    all are gone -> State.CLOSING          at the latest when FAREWELL is over: stop listening, write what is kept, end

Time is seconds on any monotonic clock; the shell passes it in, looks every :data:`LOOK` seconds and does as it is told.
Where nobody is connected, all of it is one look. To be told :class:`Part` again is to look for newcomers.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

NOTICE = 0.5
"""Seconds in which a load balancer may see that the node is not ready, before anybody is sent away."""

FAREWELL = 1.0
"""Seconds for clients to take their goodbye."""

LOOK = 0.02

LEAST = 0.5
"""Seconds that everybody stays away at least: a node that stops now does not listen again before."""

PER_SESSION = 0.001
"""Seconds of the spread for each session. A session that comes back costs the node up to half a millisecond (its
connection, joining, subscribing, what it missed), so at twice that the node is half idle while all come back."""


def spread(sessions: int, chance: float) -> float:
    """Seconds that one client is asked to stay away. Everybody is told a different number.

    The clients add a jitter of their own (:mod:`hopsack.backoff`); stock ones may not.

    :param sessions: how many are sent away.
    :param chance: a random number from 0 to 1, below 1.
    """
    return round(LEAST + chance * max(LEAST, sessions * PER_SESSION), 3)


@dataclass(frozen=True, slots=True)
class TurnAway:
    """Let nobody in any more, and say so at ``/readyz``."""


@dataclass(frozen=True, slots=True)
class EndCalls:
    """Take no new call."""


@dataclass(frozen=True, slots=True)
class Part:
    """Say goodbye to those whom no call in flight needs, or to everybody, ending what is in flight."""

    everybody: bool = False


Effect = TurnAway | EndCalls | Part


class State(enum.Enum):
    SERVING = "serving"
    UNREADY = "unready"
    PARTING = "parting"
    LEAVING = "leaving"
    CLOSING = "closing"


class Drain:
    """One node's stop.

    :param limit: seconds for the calls in flight.
    """

    def __init__(self, limit: float) -> None:
        self.state = State.SERVING
        self._limit = limit
        self._until = 0.0

    def asked(self, now: float) -> list[Effect]:
        """Somebody wants the node to stop. Asking again changes nothing."""
        if self.state is not State.SERVING:
            return []
        self._enter(State.UNREADY, now + NOTICE)
        return [TurnAway()]

    def looked(self, now: float, clients: int, calls: int) -> list[Effect]:
        """Time has passed.

        :param clients: how many are in the realms who came by a door.
        :param calls: how many calls are in flight.
        """
        effects: list[Effect] = []
        if self.state is State.UNREADY and (not clients or now >= self._until):
            self._enter(State.PARTING, now + self._limit)
            effects.append(EndCalls())
        if self.state is State.PARTING:
            if calls and now < self._until:
                return [*effects, Part()]
            self._enter(State.LEAVING, now + FAREWELL)
        if self.state is State.LEAVING:
            if clients and now < self._until:
                return [*effects, Part(everybody=True)]
            self._enter(State.CLOSING, now)
        return effects

    def _enter(self, state: State, until: float) -> None:
        self.state, self._until = state, until
