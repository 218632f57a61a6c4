"""A reader that speaks no protocol, one machine per connection: connect, be subscribed, read.

    opened    -> Join
    joined    -> Route(SUBSCRIBE) for every pattern  | Refuse, where one of them can be no topic
    routed    <- SUBSCRIBED for the last of them   -> Start: say what they begin with, then events may flow
              <- ERROR for any of them             -> Refuse
              <- UNSUBSCRIBED 0                    -> Tell; after the last of them Refuse
              <- GOODBYE                           -> Dismiss

Behind the read-only form of the raw door and behind SSE. A core without I/O; events do not pass here.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from autobahn.wamp import message

from hopsack.errors import RemoteError, from_wamp
from hopsack_router.doors import places
from hopsack_router.doors.closing import (
    DENIED,
    GOING_AWAY,
    UNKNOWN,
    CloseCode,
    dismissed_by,
    ended_by,
    reason_with,
    refused_by,
)
from hopsack_router.doors.effects import Join, Route
from hopsack_router.doors.patterns import Pattern
from hopsack_router.doors.places import After
from hopsack_router.routing import asked, ended, uris
from hopsack_router.routing.asked import Granted
from hopsack_router.routing.farewell import Farewell


@dataclass(frozen=True, slots=True)
class Start:
    """Every subscription stands: say what the reader has missed, then let the queued events out.

    :ivar granted: what each subscription begins with, in order.
    :ivar lost: those that could not resume where the reader wanted it, and why: ``{topic, recovered, reason}``.
    """

    granted: tuple[tuple[Pattern, Granted], ...]
    lost: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Refuse:
    """The reader may not have this: say why, then close."""

    code: CloseCode
    error: RemoteError


@dataclass(frozen=True, slots=True)
class Dismiss:
    """The node ends the session: close.

    :ivar retry_after: seconds after which the reader should come back, if it should.
    :ivar error: why, where the node does not just stop.
    """

    code: CloseCode
    retry_after: float | None = None
    error: RemoteError | None = None

    @property
    def reason(self) -> str:
        if self.error is not None:
            return dismissed_by(self.error)[1]
        return reason_with(self.code.meaning, self.retry_after)


@dataclass(frozen=True, slots=True)
class Tell:
    """A subscription is taken away: say which, and why."""

    facts: dict[str, Any]


Effect = Join | Route | Start | Tell | Refuse | Dismiss


class State(enum.Enum):
    JOINING = "joining"
    SUBSCRIBING = "subscribing"
    READING = "reading"
    CLOSED = "closed"


class Reader:
    """One reader's conversation.

    :param patterns: what it reads; at least one.
    :param token: its bearer token, if it has one.
    :param after: where it wants to resume.
    """

    def __init__(self, patterns: tuple[Pattern, ...], token: str | None = None, after: After | None = None) -> None:
        self.state = State.JOINING
        self.patterns = patterns
        self._token = token
        self._after = after or After()
        self._missing: dict[int, Pattern] = {}
        self._granted: dict[Pattern, Granted] = {}
        self._held: set[int] = set()

    def opened(self) -> list[Effect]:
        return [Join(self._token)]

    def joined(self) -> list[Effect]:
        return _TABLE[self.state, "joined"](self)

    def refused(self, error: RemoteError) -> list[Effect]:
        return _TABLE[self.state, "refused"](self, error)

    def routed(self, msg: message.Message) -> list[Effect]:
        return _TABLE[self.state, "routed"](self, msg)

    def lost(self) -> None:
        self.state = State.CLOSED

    # ---- transitions ---------------------------------------------------------------------------------------------

    def _subscribe(self) -> list[Effect]:
        for one in self.patterns:
            invalid = uris.check_pattern(one.topic, one.match, where="topic")
            if invalid is not None:
                return self._refuse(invalid)
        self.state = State.SUBSCRIBING
        self._missing = dict(enumerate(self.patterns, start=1))
        after = self._after.places
        return [
            Route(asked.Subscribe(number, one.topic, one.match, after.get(one)))
            for number, one in self._missing.items()
        ]

    def _turn_away(self, error: RemoteError) -> list[Effect]:
        self.state = State.CLOSED
        return [Refuse(refused_by(error), error)]

    def _subscribed(self, msg: message.Message) -> list[Effect]:
        match msg:
            case message.Subscribed() if msg.request in self._missing:
                self._held.add(msg.subscription)
                self._granted[self._missing.pop(msg.request)] = places.granted_by(msg)
            case message.Error():
                error = from_wamp(msg.error, msg.args, msg.kwargs)
                pattern = self._missing.get(msg.request)
                if error.where is None and pattern is not None:
                    error.where = pattern.topic
                return self._refuse(error)
            case _:
                return self._dismissed(msg)
        if self._missing:
            return []
        self.state = State.READING
        granted = tuple((one, self._granted[one]) for one in self.patterns)
        reasons = ((one.topic, self._reason(one, what)) for one, what in granted)
        lost = ({"topic": topic, "recovered": False, "reason": reason} for topic, reason in reasons if reason)
        return [Start(granted, tuple(lost))]

    def _reason(self, pattern: Pattern, granted: Granted) -> str | None:
        """Why this subscription does not resume where the reader wanted it; ``None``: it does, or was not to."""
        if pattern in self._after.places and not granted.recovered:
            return granted.reason or "epoch"  # it was a stream when the reader read it
        is_forgotten = self._after.is_forgetful and pattern not in self._after.places and granted.position is not None
        return "trimmed" if is_forgotten else None

    def _reading(self, msg: message.Message) -> list[Effect]:
        if not isinstance(msg, ended.Unsubscribed):
            return self._dismissed(msg)
        self._held.discard(msg.subscription)
        told = Tell(ended.facts_of(msg))
        return [told] if self._held else [told, *self._refuse(msg.refusal)]

    def _refuse(self, error: RemoteError) -> list[Effect]:
        self.state = State.CLOSED
        return [Refuse(UNKNOWN if error.code in _NO_TOPIC else DENIED, error)]

    def _dismissed(self, msg: message.Message) -> list[Effect]:
        if not isinstance(msg, message.Goodbye):
            return []
        self.state = State.CLOSED
        if isinstance(msg, Farewell):
            return [Dismiss(GOING_AWAY, msg.retry_after)]
        error = ended_by(msg)
        return [Dismiss(dismissed_by(error)[0], error=error)]


_NO_TOPIC = frozenset(("hopsack.undeclared", "hopsack.invalid_uri"))
"""A token does not help against these: who wrote the URL must."""


def _ignore(*_: Any) -> list[Effect]:
    return []


_TABLE: dict[tuple[State, str], Callable[..., list[Effect]]] = {
    (State.JOINING, "joined"): Reader._subscribe,
    (State.JOINING, "refused"): Reader._turn_away,
    (State.JOINING, "routed"): Reader._dismissed,
    (State.SUBSCRIBING, "routed"): Reader._subscribed,
    (State.READING, "routed"): Reader._reading,
    (State.CLOSED, "joined"): _ignore,
    (State.CLOSED, "refused"): _ignore,
    (State.CLOSED, "routed"): _ignore,
}
"""What is not listed cannot happen: a ``KeyError`` here is a defect of the shell."""
