"""How a realm lets its clients go when the node stops. :mod:`hopsack_router.drain` decides when.

HELLO                    -> ABORT {retry_after}
CALL                     -> ERROR hopsack.unavailable {retry_after}
   of a callee at work   -> goes its way: a call in flight may need it to end
   that waits            -> ERROR hopsack.unavailable {retry_after, ran: no}
nothing in flight        -> GOODBYE {retry_after}
   but serves something  -> waits for the last call: a callee at work may need it
time is up               -> ERROR hopsack.canceled for each call in flight, then GOODBYE
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from autobahn.wamp import message
from autobahn.wamp.exception import TransportLost

from hopsack.errors import Unavailable
from hopsack_router.routing.farewell import STOPPING, Farewell, NotNow
from hopsack_router.routing.session import NodeSession

if TYPE_CHECKING:
    from hopsack_router.routing.router import Router

Hint = Callable[[], float]
"""Seconds that one more client should stay away; different for each."""


def turn_away(sessions: Any, hint: Hint) -> None:
    """Let nobody in any more.

    :param sessions: the node's ``NodeSessionFactory``.
    """
    sessions.session = partial(Stranger, hint=hint)


class Stranger(NodeSession):
    """The session of a client that comes while the node stops: it never gets one."""

    def __init__(self, router_factory: Any, hint: Hint) -> None:
        super().__init__(router_factory)
        self._hint = hint

    def onMessage(self, msg: message.Message) -> None:
        if type(msg) is message.Hello and self._transport is not None:
            self._transport.send(NotNow(self._hint()))


class Departure:
    """The clients of one realm, leaving.

    :param router: the realm's.
    """

    def __init__(self, router: Router, hint: Hint) -> None:
        self._router = router
        self._dealer = router._dealer
        self._hint = hint

    @property
    def clients(self) -> int:
        return sum(1 for _ in self._clients())

    @property
    def calls(self) -> int:
        return int(self._dealer.calls)

    def _clients(self) -> Iterator[NodeSession]:
        for session in self._router._session_id_to_session.values():
            if isinstance(session, NodeSession):
                yield session

    def end_calls(self) -> None:
        """Take no new call from now on, and let none wait any more."""
        self._router.admit_calls(self._admit)
        self._dealer.turn_away(self._hint)
        if self._router.locking is not None:
            self._router.locking.turn_away(self._hint)

    def _admit(self, session: NodeSession, call: message.Call) -> bool:
        if self._dealer.is_at_work(session):
            return True
        refusal = Unavailable(
            STOPPING,
            where=call.procedure,
            advice="connect again after the time given",
            data={"retry_after": self._hint()},
        )
        self._router.refuse(session, call, refusal)
        return False

    def part(self, everybody: bool) -> None:
        """Say goodbye to those whom no call in flight needs, or to everybody."""
        if everybody:
            self._dealer.end_all()
        for session in [one for one in self._clients() if not one._goodbye_sent]:
            if everybody or not self._is_needed(session):
                _say_goodbye(session, self._hint)

    def _is_needed(self, session: NodeSession) -> bool:
        return self._dealer.is_concerned(session) or any(self._dealer.registrations_of(session))


def _say_goodbye(session: NodeSession, hint: Hint) -> None:
    transport = session._transport
    if transport is None:
        return
    session._goodbye_sent = True
    with suppress(TransportLost):
        transport.send(Farewell(hint()))
