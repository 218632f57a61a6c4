"""The realm in memory: the node's routing classes without reactor, sockets or ports.

``hopsack.testing`` and the tests of the routing core run on it. Time is the clock that is handed in; nothing else
moves it. A client is a function that takes bytes (one unframed WAMP message in msgpack each) and an
:class:`EmbeddedLink` to give bytes to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from autobahn.exception import PayloadExceededError
from autobahn.wamp import message
from autobahn.wamp.exception import ProtocolError
from autobahn.wamp.serializer import MsgPackSerializer
from autobahn.wamp.types import ComponentConfig, TransportDetails
from crossbar.router.service import RouterServiceAgent
from crossbar.worker.types import RouterRealm
from twisted.internet.interfaces import IReactorTime

from hopsack.contracts import Catalogue
from hopsack.contracts.policy import ONCE
from hopsack_router.access.identity import Identity
from hopsack_router.access.revocations import Revocations
from hopsack_router.component import AUTHID, NodeComponent
from hopsack_router.configuration import REALM, ROLES
from hopsack_router.doors.wamp import WampFormat, _unframed, received, wamp_format
from hopsack_router.keyed.calls import KeyedCalls
from hopsack_router.keyed.store import Memory
from hopsack_router.routing.backlog import Why
from hopsack_router.routing.fanout import Outbox, Outlet
from hopsack_router.routing.keeping import keeps_events
from hopsack_router.routing.links import Link
from hopsack_router.routing.router import RouterFactory
from hopsack_router.routing.session import NodeSession, NodeSessionFactory
from hopsack_router.routing.unread import Carried
from hopsack_router.streams import Journal, node_journal
from hopsack_router.streams.lanes import OnTheSpot


class EmbeddedNode:
    """One realm.

    :ivar journal: where it keeps events; ``None``: no contract asks for that.
    :param catalogue: its contracts; ``None`` leaves the decisions to Crossbar's roles, which the caller adds.
    :param clock: schedules everything; a hand-turned one makes the realm deterministic.
    :param journal: has been started; if none is given, there is one in memory.
    :param wall: tells Unix time; ``None``: the clock does.
    """

    def __init__(
        self,
        catalogue: Catalogue | None,
        clock: IReactorTime,
        journal: Journal | None = None,
        wall: Callable[[], float] | None = None,
    ) -> None:
        self.clock = clock
        self.outbox = Outbox(clock)
        factory = RouterFactory("embedded", "embedded", None)
        factory.catalogue, factory._reactor = catalogue, clock
        factory.revocations = Revocations(wall or clock.seconds)
        factory.vet = factory.revocations.refusal
        if journal is None and catalogue is not None and keeps_events(catalogue):
            journal = node_journal(catalogue, None, clock)
            journal.start()  # in memory: at once
        self.journal = factory.journal = journal
        self._sessions = NodeSessionFactory(factory)
        realm = RouterRealm(None, "realm001", {"name": REALM})
        realm.router = self.router = factory.start_realm(realm)
        for role in ROLES:
            self.router.add_role(_Role(role))
        self._keyed = KeyedCalls(Memory(), OnTheSpot(), clock, clock.seconds)
        self._keyed.start(ONCE)
        self.router._dealer.serve_keyed(self._keyed)
        realm.session = RouterServiceAgent(ComponentConfig(REALM, {}), self.router)
        self._sessions.add(realm.session, self.router, authid="meta", authrole="trusted")
        self._sessions.add(NodeComponent(self.router, clock, wall), self.router, authid=AUTHID, authrole="trusted")

    def open_link(
        self,
        receive: Callable[[bytes], None],
        role: str,
        authid: str,
        max_size: int = 1 << 24,
        groups: Iterable[str] = (),
        tenant: str | None = None,
    ) -> EmbeddedLink:
        """Connect a client that is who it says.

        :param receive: takes each message that the router sends, once per turn of the clock.
        :param max_size: bytes of the largest message that it takes.
        :param groups: the groups it is in. :param tenant: whose customer it is.
        """
        return EmbeddedLink(self, receive, role, authid, max_size, groups, tenant)

    def _new_session(self) -> NodeSession:
        session: NodeSession = self._sessions()
        return session


class _Role:
    """A role by name; admission decides what it may do."""

    def __init__(self, uri: str) -> None:
        self.uri = uri


class EmbeddedLink(Link):
    """A WAMP client by function call."""

    door = "wamp-rawsocket"
    format: WampFormat
    peer = "memory"

    # What Crossbar's session reads of a transport that has already authenticated its client.
    _authmethod = "trusted"
    _authprovider = "embedded"
    _authrealm = _authextra = _cbtid = None

    def __init__(
        self,
        node: EmbeddedNode,
        receive: Callable[[bytes], None],
        role: str,
        authid: str,
        max_size: int,
        groups: Iterable[str] = (),
        tenant: str | None = None,
    ) -> None:
        self._max_size = max_size
        self.outlet = Outlet(self, node.outbox, max_size)
        self._clock = node.clock
        self.format = wamp_format("msgpack", _unframed)
        self._serializer = MsgPackSerializer()
        self._receive = receive
        self._authrole, self._authid = role, authid
        self._session: NodeSession | None = node._new_session()
        self._session.identity = Identity(authid, role, frozenset(groups), tenant)
        self._session.onOpen(self)

    @property
    def transport_details(self) -> TransportDetails:
        return TransportDetails(channel_type=TransportDetails.CHANNEL_TYPE_MEMORY, peer=self.peer, is_server=True)

    def receive(self, data: bytes) -> None:
        """The client sent a message."""
        if self._session is None:
            return
        try:
            for msg in received(self, data):
                if self._session is not None:
                    self._session.onMessage(msg)
        except ProtocolError:
            self.abort()
            raise

    def lost(self) -> None:
        """The client is gone."""
        session, self._session = self._session, None
        self.stopProducing()
        if session is not None:
            session.onClose(False)

    def send(self, msg: message.Message) -> None:
        payload, _ = self._serializer.serialize(msg)
        self.queue(self._fitting(payload))

    def carry(self, number: int, head: tuple[Any, ...], carried: Carried) -> None:
        self.queue(self._fitting(self.format.message((number, *head), carried)))

    def _fitting(self, payload: bytes) -> bytes:
        if len(payload) > self._max_size:
            raise PayloadExceededError(f"message of {len(payload)} bytes, the client takes {self._max_size}")
        return payload

    def put(self, frames: list[bytes]) -> None:
        for payload in frames:
            self._receive(payload)

    def overflow(self, why: Why, retry_after: float) -> None:
        self._clock.callLater(0, self.lost)  # not into the middle of a delivery

    def isOpen(self) -> bool:
        return self._session is not None

    def close(self) -> None:
        self.lost()

    def abort(self) -> None:
        self.lost()
