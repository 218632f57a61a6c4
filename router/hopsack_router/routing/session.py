"""The realm session behind every connection, whatever its door.

Crossbar's ``RouterSession`` with three things changed: it takes any :class:`~hopsack_router.routing.links.Link` as
transport, joining formats, logs and copies nothing that nobody asked for, and the meta events carry public facts only
(stock Crossbar publishes the client's HTTP headers, cookies included).
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from autobahn.wamp import message
from autobahn.wamp.exception import TransportLost
from autobahn.wamp.types import Accept, CloseDetails, SessionDetails
from crossbar.router.service import RouterServiceAgent
from crossbar.router.session import RouterSession, RouterSessionFactory
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from hopsack_router import metrics
from hopsack_router.routing import links
from hopsack_router.routing.kills import KILL, Kills

if TYPE_CHECKING:
    from hopsack_router.routing.links import Link


LOG = Logger()


class NodeSession(RouterSession):  # type: ignore[misc]
    """One client of the realm."""

    door: str = "node"
    since: float = 0.0
    agent: str | None = None
    peer: str | None = None

    _transport: Link | None
    _authrole: str | None
    _goodbye_sent: bool
    _grace: IDelayedCall | None = None

    def onOpen(self, transport: Link) -> None:
        self._transport = transport
        config = getattr(getattr(transport, "factory", None), "_config", None) or {}
        self._transport_config = {"auth": links.AUTHENTICATION, **config}
        self._pending_session_id = self._previous_session_id = self._session_id = None
        self._realm = self._session_roles = self._session_details = self._pending_auth = None
        self._authid = self._authrole = self._authmethod = self._authprovider = self._authextra = None
        self._service_session = None
        self.door, self.peer = transport.door, transport.peer

    def onHello(self, realm: str, details: Any) -> Any:
        extra = details.authextra
        if isinstance(extra, dict) and isinstance(extra.get("agent"), str):
            self.agent = extra["agent"][:100]
        answer = super().onHello(realm, details)
        if isinstance(answer, Accept) and answer.authmethod == "anonymous":
            answer.authid = f"guest-{secrets.token_hex(4)}"
        return answer

    def onJoin(self, details: SessionDetails) -> None:
        self._service_session = self._router._realm.session
        self._session_details = details
        self._stats_enabled = False
        self.since = links.now()
        assert self._transport is not None
        self._transport.budget = links.BUDGETS.get(self._authrole or "", links.DEFAULT_BUDGET)
        self._router._session_joined(self, details)
        metrics.joins.labels(self.door).inc()
        metrics.sessions.labels(self.door).inc()
        facts = links.details_of(self)
        if self._service_session:
            self._service_session.publish("wamp.session.on_join", meta(self, facts))
        self._router.presence.joined(facts)
        joined = getattr(self._transport, "joined", None)
        if joined is not None:
            joined(details)

    def onLeave(self, details: CloseDetails) -> None:
        was_in = self._session_details is not None
        facts = links.details_of(self) | {"session": self._session_id or self._previous_session_id}
        super().onLeave(details)
        if was_in:
            metrics.sessions.labels(self.door).dec()
            self._router.presence.left(facts)

    def onClose(self, wasClean: bool) -> None:
        """The connection is gone: leave the realm, keep nothing (``ITransportHandler.onClose``)."""
        self._transport = None
        if self._grace is not None and self._grace.active():
            self._grace.cancel()
        if self._session_id is not None:
            try:
                self.onLeave(CloseDetails())
            finally:
                self._router.detach(self)
        self._session_id = self._previous_session_id = self._pending_session_id = None
        self._authid = self._authrole = self._authmethod = self._authprovider = None

    def farewell(self, reason: str, message_: str) -> None:
        """Ask the client to leave: it stays in the realm until it does."""
        super().leave(reason, message_)

    def leave(self, reason: str | None = None, message: str | None = None) -> None:
        """End this session by force: it is out of the realm at once, its connection is closed soon.

        What ``wamp.session.kill`` and its relatives do. The client gets GOODBYE and :data:`GRACE` seconds to close.
        """
        transport, session_id = self._transport, self._session_id
        if transport is None or session_id is None:
            return
        if not self._goodbye_sent:
            with suppress(TransportLost):
                super().leave(reason, message)
        if self._session_id is None:
            return  # a door that closes at once
        self._router.detach(self)
        self._previous_session_id, self._session_id = session_id, None
        if self._service_session:
            self._service_session.publish("wamp.session.on_leave", session_id)
        self.onLeave(CloseDetails(reason, message))
        self._grace = self._router._factory._reactor.callLater(GRACE, self._cut)

    def _cut(self) -> None:
        transport: Any = self._transport  # every door's link is an ITransport
        if transport is not None and transport.isOpen():
            LOG.info("{peer} did not close after its session was ended", peer=self.peer)
            transport.abort()

    def onMessage(self, msg: message.Message) -> None:
        """Route a message; anything but the handshake and GOODBYE goes to the router in one hop."""
        if self._session_id is not None and type(msg) not in _SESSION_MESSAGES:
            self._router.process(self, msg)
        elif self._grace is not None:
            pass  # ended by force: nothing that this connection says counts
        elif type(msg) is not message.Goodbye:
            super().onMessage(msg)
        elif self._session_id is None or not self._router.after_held(self, lambda: self._say_goodbye(msg)):
            self._say_goodbye(msg)

    def _say_goodbye(self, msg: message.Goodbye) -> None:
        if not self._goodbye_sent and self._transport is not None:
            self._transport.send(message.Goodbye(GOODBYE_AND_OUT))
            self._goodbye_sent = True
        super().onMessage(msg)


GRACE = 2.0
"""Seconds in which the client of a session that was ended by force may close its connection itself."""

GOODBYE_AND_OUT = "wamp.close.goodbye_and_out"
"""How a GOODBYE is answered (WAMP basic profile, section 4.2.3); stock Crossbar answers ``wamp.close.normal``."""

_SESSION_MESSAGES = frozenset((message.Hello, message.Goodbye, message.Abort, message.Authenticate))


def meta(session: NodeSession, facts: dict[str, Any]) -> dict[str, Any]:
    """The payload of ``wamp.session.on_join`` (WAMP advanced profile, session meta events)."""
    return {
        "session": facts["session"],
        "authid": facts["authid"],
        "authrole": facts["role"],
        "authmethod": session._authmethod,
        "authprovider": session._authprovider,
        "transport": {"type": facts["door"], "peer": session.peer},
    }


class NodeSessionFactory(RouterSessionFactory):  # type: ignore[misc]
    session = NodeSession

    def add(self, session: Any, router: Any, *args: Any, **kwargs: Any) -> Any:
        added = super().add(session, router, *args, **kwargs)
        if isinstance(session, RouterServiceAgent) and router.serves(KILL):
            super().add(Kills(router), router, authid=session._authid, authrole="trusted")
        return added
