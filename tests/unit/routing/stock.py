"""Stock Crossbar in memory: its session, router, broker and dealer, behind the links that ours is tested with.

Two things are not stock. The session does not look at the type of its transport. And the role is permissive: everybody
may do everything, callers are disclosed, publishers are not; so does ours where contracts leave everything open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import txaio
from autobahn.wamp.types import ComponentConfig
from crossbar.router.role import RouterRoleStaticAuth
from crossbar.router.router import RouterFactory
from crossbar.router.service import RouterServiceAgent
from crossbar.router.session import RouterSession, RouterSessionFactory
from crossbar.worker.types import RouterRealm
from twisted.internet.task import Clock

from hopsack_router.doors.wamp import messages
from hopsack_router.embed import EmbeddedLink
from hopsack_router.routing.fanout import Outbox

REALM = "hopsack"
PERMISSIVE = {
    "uri": "",
    "match": "prefix",
    "allow": {"call": True, "register": True, "publish": True, "subscribe": True},
    "disclose": {"caller": True, "publisher": False},
    "cache": False,
}


class StockSession(RouterSession):  # type: ignore[misc]
    def onOpen(self, transport: Any) -> None:
        self._transport = transport
        self._transport_config: dict[str, Any] = {}
        self._pending_session_id = self._previous_session_id = self._session_id = None
        self._realm = self._session_roles = self._session_details = self._pending_auth = None
        self._authid = self._authrole = self._authmethod = self._authprovider = self._authextra = None
        self._service_session = None


class StockSessionFactory(RouterSessionFactory):  # type: ignore[misc]
    session = StockSession


class StockLink(EmbeddedLink):
    """A link that reads every message with Autobahn."""

    def receive(self, data: bytes) -> None:
        for msg in messages(self._serializer, data, self.send):
            if self._session is not None:
                self._session.onMessage(msg)


class StockNode:
    """What :class:`hopsack_router.embed.EmbeddedNode` is for ours."""

    def __init__(self, clock: Clock) -> None:
        txaio.use_twisted()
        self.clock = clock
        self.outbox = Outbox(clock)
        factory = RouterFactory("stock", "stock", None)
        factory._reactor = clock
        self._sessions = StockSessionFactory(factory)
        realm = RouterRealm(None, "realm001", {"name": REALM})
        realm.router = self.router = factory.start_realm(realm)
        for role in ("guest", "user", "service", "operator"):
            self.router.add_role(RouterRoleStaticAuth(self.router, role, default_permissions=PERMISSIVE))
        realm.session = RouterServiceAgent(ComponentConfig(REALM, {}), self.router)
        self._sessions.add(realm.session, self.router, authid="meta", authrole="trusted")

    def open_link(
        self, receive: Callable[[bytes], None], role: str, authid: str, max_size: int = 1 << 24
    ) -> EmbeddedLink:
        return StockLink(self, receive, role, authid, max_size)  # type: ignore[arg-type]

    def _new_session(self) -> StockSession:
        session: StockSession = self._sessions()
        return session
