"""The raw door: JSON-RPC 2.0 over WebSocket at ``/raw``, and the read-only form that needs no protocol.

A shell around two machines: :class:`~hopsack_router.doors.jsonrpc.Connection` for pages that talk, and
:class:`~hopsack_router.doors.reading.Reader` for those that only read (``/raw?topic=…``). Bytes and timers here,
decisions there.

An event takes a shorter way than everything else: the broker encodes and frames it once (:class:`RawFormat`), every raw
connection with the same framing queues the same bytes, and the outbox writes them straight to the transport. That is
safe because the door sends whole frames only, and compresses each on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any, assert_never

from autobahn.wamp import message
from autobahn.wamp.types import SessionDetails
from crossbar.webservice.base import RouterWebService
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request

from hopsack.errors import RemoteError
from hopsack_router.doors import envelopes, jsonrpc, places, reading
from hopsack_router.doors.bearer import credential_of
from hopsack_router.doors.closing import LIMITS, NO_PROGRESS, NORMAL, dismissal_of, reason_of, slow_reader
from hopsack_router.doors.effects import REALM, Join, Route
from hopsack_router.doors.handshake import Opening
from hopsack_router.doors.host import Host
from hopsack_router.doors.jsonrpc import Close, Joined, Send
from hopsack_router.doors.patterns import after_of, patterns_of
from hopsack_router.doors.payloads import value_of
from hopsack_router.doors.reading import Dismiss, Refuse, Start, Tell
from hopsack_router.doors.requests import query_of, refusal_of
from hopsack_router.doors.rfc6455 import websocket_frame
from hopsack_router.doors.sockets import unwritten, write_straight
from hopsack_router.doors.websockets import (
    OPEN,
    DoorFactory,
    DoorProtocol,
    DoorResource,
    Framing,
    WebSocketOptions,
)
from hopsack_router.routing.backlog import Channel, Why
from hopsack_router.routing.fanout import Delivery, Format, Outlet
from hopsack_router.routing.joining import told
from hopsack_router.routing.limiting import heard
from hopsack_router.routing.links import DoorLink, now
from hopsack_router.routing.session import NodeSession

LOG = Logger()

SERVER = f"hopsack/{version('hopsack')}"


class RawFormat(Format):
    """An event as a JSON-RPC notification in one text frame, the same for every reader with this framing."""

    per_subscription = False

    def __init__(self, framing: Framing) -> None:
        self._framing = framing

    def event(self, delivery: Delivery) -> bytes:
        value, retained = value_of(delivery), delivery.retained
        body = envelopes.event(delivery.topic, value, delivery.position, delivery.deleted, retained)
        return self._framing(envelopes.encode(body), False)

    def gap(self, channel: Channel, dropped: int | None) -> bytes:
        body = envelopes.notification("gap", envelopes.gap(channel.topic, dropped))
        return self._framing(envelopes.encode(body), False)


@cache
def raw_format(framing: Framing) -> RawFormat:
    """The one format of a framing."""
    return RawFormat(framing)


FORMAT = raw_format(websocket_frame)

MAX_UNHEARD = 100
"""Messages that are no requests, of a client that has not begun a session."""


class RawLink(DoorLink):
    """One connection: a machine, a session and a WebSocket."""

    door = "raw"
    format = FORMAT
    _unheard: int = 0

    def __init__(self, protocol: RawProtocol, machine: jsonrpc.Connection | reading.Reader) -> None:
        self.outlet = Outlet(self, protocol.factory.host.outbox)
        self.peer = protocol.peer
        self.agent = protocol.agent
        self._protocol = protocol
        if protocol.framing is not websocket_frame:
            self.format = raw_format(protocol.framing)
        self._machine = machine

    # ---- inputs --------------------------------------------------------------------------------------------------

    def opened(self) -> None:
        if isinstance(self._machine, reading.Reader):
            self._perform(self._machine.opened())

    def received(self, text: bytes, binary: bool) -> None:
        if not isinstance(self._machine, jsonrpc.Connection):
            return
        session = getattr(self, "session", None)
        meter = session.meter if session is not None else None
        if meter is not None:
            meter.size += len(text)
        effects = self._machine.received(text, binary)
        if not any(type(effect) is Route for effect in effects):
            self._heard(session, effects)
        self._perform(effects)

    def _heard(self, session: NodeSession | None, effects: Sequence[jsonrpc.Effect]) -> None:
        """It asked for nothing that is routed: it waits for its session, or asked this door, or sent nonsense."""
        if session is not None:
            heard(session)
        elif effects:
            self._unheard += 1
            if self._unheard > MAX_UNHEARD:
                self._close(LIMITS.number, "Say what a JSON-RPC request is, or hello.")

    def waited(self) -> None:
        if not isinstance(self._machine, jsonrpc.Connection):
            return
        effects = self._machine.waited()
        if effects:
            LOG.info("closing {peer}: it did not join", peer=self.peer)
            self._perform(effects)

    def send(self, msg: message.Message) -> None:
        if not self.handshake(msg):
            self._perform(self._machine.routed(msg))

    def lost(self, clean: bool) -> None:
        self._machine.lost()
        self.stopProducing()
        session = getattr(self, "session", None)
        if session is not None:
            session.onClose(clean)

    def _joined(self, details: SessionDetails) -> None:
        self._protocol.arrived()
        if isinstance(self._machine, reading.Reader):
            self._perform(self._machine.joined())
        else:
            facts = told(self.session.identity, now())
            who = Joined(details.session, details.authid, details.authrole, details.realm, facts)
            self._perform(self._machine.joined(who))

    def _refused(self, failure: Failure) -> None:
        self._perform(self._machine.refused(refusal_of(failure)))

    # ---- effects -------------------------------------------------------------------------------------------------

    def _perform(self, effects: Sequence[jsonrpc.Effect | reading.Effect]) -> None:
        for effect in effects:
            match effect:
                case Join(token):
                    joining = self.join(self._protocol.factory.host.new_session(), REALM, token)
                    joining.addCallbacks(self._joined, self._refused).addErrback(self._failed)
                case Route(msg):
                    self.session.onMessage(msg)
                case Send(body, binary):
                    self.queue(self._protocol.framing(envelopes.encode(body), binary))
                case Close(code, reason):
                    self._close(code, reason)
                case Refuse(code, error):
                    self._close(code.number, reason_of(error))
                case Dismiss(code):
                    self._close(code.number, effect.reason)
                case Tell(facts):
                    self._perform([Send(envelopes.notification("hopsack.revoked", facts))])
                case Start(_, lost):
                    for told in lost:
                        self._perform([Send(envelopes.notification("recovery", told))])
                case _:
                    assert_never(effect)

    def _failed(self, failure: Failure) -> None:
        self._protocol.factory.host.log.failure("the raw door failed", failure=failure)
        self._close(1011, "The node failed; its log has the details.")

    def _close(self, code: int, reason: str) -> None:
        self.flush()
        self._protocol.end(code, reason)

    # ---- the transport -------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self.isOpen():
            self.outlet.socket = write_straight(self._protocol.transport, data)

    def dismiss(self, error: RemoteError) -> None:
        """End it, unless it has not joined yet: then the refusal that is under way says so, when to come back, and
        closes."""
        if self._machine.state not in (jsonrpc.State.JOINING, reading.State.JOINING):
            self._close(*dismissal_of(error))

    def takes(self, size: int) -> None:
        self._protocol.takes(size)

    def overflow(self, why: Why, retry_after: float) -> None:
        self._protocol.end(NO_PROGRESS.number, slow_reader(why, retry_after))

    def unwritten(self) -> int | None:
        return unwritten(self._protocol.transport)

    def resumeProducing(self) -> None:
        self._protocol.progressed()
        super().resumeProducing()

    def isOpen(self) -> bool:
        return self._protocol.state == OPEN

    def close(self) -> None:
        self._close(NORMAL.number, NORMAL.meaning)

    def abort(self) -> None:
        self._protocol.drop()


class RawProtocol(DoorProtocol):
    """The WebSocket's side of a :class:`RawLink`."""

    factory: RawFactory
    link: RawLink | None = None
    agent: str | None = None
    _machine: jsonrpc.Connection | reading.Reader

    def onConnect(self, request: Request, opening: Opening) -> str | None:
        token = credential_of(request)
        query = query_of(request)
        patterns = patterns_of(query)
        self.agent = request.getHeader("user-agent")
        if patterns:
            self._machine = reading.Reader(patterns, token, places.read(after_of(query), patterns))
        else:
            self._machine = jsonrpc.Connection(SERVER, token)
        return None

    def onOpen(self) -> None:
        self.link = RawLink(self, self._machine)
        self.transport.registerProducer(self.link, True)
        self.await_arrival()
        self.link.opened()

    def late(self) -> None:
        if self.link is not None:
            self.link.waited()

    def congested(self) -> bool:
        return self.link is not None and self.link.paused

    def bend(self) -> None:
        if self.link is not None:
            self.link.bend()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if self.link is not None:
            self.link.received(payload, isBinary)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        link, self.link = self.link, None
        if link is not None:
            link.lost(wasClean)


class RawFactory(DoorFactory):
    """Makes raw connections of one node."""

    def __init__(self, host: Host, options: WebSocketOptions) -> None:
        super().__init__(RawProtocol, options, host.clock)
        self.host = host


class RawService(RouterWebService):  # type: ignore[misc]
    """The web service type ``hopsack-raw``."""

    @staticmethod
    def create(transport: Any, path: str, config: dict[str, Any]) -> RawService:
        factory = RawFactory(Host.of(transport), WebSocketOptions.from_config(config))
        return RawService(transport, path, config, DoorResource(factory))

    @staticmethod
    def check(personality: Any, config: dict[str, Any]) -> None:
        WebSocketOptions.from_config(config)
