"""The raw door: JSON-RPC 2.0 over WebSocket at ``/raw``, and the read-only form that needs no protocol.

A shell around two machines: :class:`~hopsack_router.doors.jsonrpc.Connection` for pages that talk, and
:class:`~hopsack_router.doors.reading.Reader` for those that only read (``/raw?topic=…``). Bytes and timers here,
decisions there.

An event takes a shorter way than everything else: the broker encodes and frames it once (:class:`RawFormat`), every raw
connection queues the same bytes, and the outbox writes them straight to the transport. That is safe because this door
never fragments and never compresses what it sends: what Autobahn writes itself are whole control frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, assert_never
from urllib.parse import urlsplit

from autobahn.wamp import message
from autobahn.wamp.types import SessionDetails
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from crossbar.webservice.base import RouterWebService
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from hopsack.errors import RemoteError
from hopsack_router.doors import envelopes, jsonrpc, reading
from hopsack_router.doors.bearer import token_of
from hopsack_router.doors.closing import NO_PROGRESS, NORMAL, reason_of
from hopsack_router.doors.effects import REALM, Join, Route
from hopsack_router.doors.host import Host
from hopsack_router.doors.jsonrpc import Close, Joined, Send
from hopsack_router.doors.patterns import patterns_of
from hopsack_router.doors.payloads import value_of
from hopsack_router.doors.reading import Dismiss, Refuse, Start
from hopsack_router.doors.requests import refusal_of
from hopsack_router.doors.sockets import write_straight
from hopsack_router.doors.websockets import (
    DoorFactory,
    DoorProtocol,
    DoorResource,
    WebSocketOptions,
    websocket_frame,
)
from hopsack_router.routing.fanout import Delivery, Format
from hopsack_router.routing.links import DoorLink

SERVER = f"hopsack/{version('hopsack')}"


class RawFormat(Format):
    """An event as a JSON-RPC notification in one text frame, the same for every reader."""

    per_subscription = False

    def event(self, delivery: Delivery) -> bytes:
        body = envelopes.event(delivery.topic, value_of(delivery), delivery.position)
        return websocket_frame(envelopes.encode(body), binary=False)


FORMAT = RawFormat()


class RawLink(DoorLink):
    """One connection: a machine, a session and a WebSocket."""

    door = "raw"
    format = FORMAT

    def __init__(self, protocol: RawProtocol, machine: jsonrpc.Connection | reading.Reader) -> None:
        self.outbox = protocol.factory.host.outbox
        self.peer = protocol.peer
        self.agent = protocol.http_headers.get("user-agent")
        self._protocol = protocol
        self._machine = machine

    # ---- inputs --------------------------------------------------------------------------------------------------

    def opened(self) -> None:
        if isinstance(self._machine, reading.Reader):
            self._perform(self._machine.opened())

    def received(self, text: bytes, binary: bool) -> None:
        if isinstance(self._machine, jsonrpc.Connection):
            self._perform(self._machine.received(text, binary))

    def waited(self) -> None:
        if isinstance(self._machine, jsonrpc.Connection):
            self._perform(self._machine.waited())

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
        if isinstance(self._machine, reading.Reader):
            self._perform(self._machine.joined())
        else:
            who = Joined(details.session, details.authid, details.authrole, details.realm)
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
                    self.queue(websocket_frame(envelopes.encode(body), binary))
                case Close(code, reason):
                    self._close(code, reason)
                case Refuse(code, error):
                    self._close(code.number, reason_of(error))
                case Dismiss(code):
                    self._close(code.number, code.meaning)
                case Start():
                    pass  # every event that was queued by now is a subscribed one
                case _:
                    assert_never(effect)

    def _failed(self, failure: Failure) -> None:
        self._protocol.log.failure("the raw door failed", failure=failure)
        self._close(1011, "The node failed; its log has the details.")

    def _close(self, code: int, reason: str) -> None:
        self.flush()
        self._protocol.end(code, reason)

    # ---- the transport -------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self.isOpen():
            write_straight(self._protocol.transport, data)

    def overflow(self) -> None:
        self._protocol.end(NO_PROGRESS.number, "This connection reads too slowly.")

    def isOpen(self) -> bool:
        return bool(self._protocol.state == self._protocol.STATE_OPEN)

    def close(self) -> None:
        self._close(NORMAL.number, NORMAL.meaning)

    def abort(self) -> None:
        self._protocol.dropConnection(abort=True)


class RawProtocol(DoorProtocol):
    """Autobahn's side of a :class:`RawLink`."""

    link: RawLink | None = None
    _silence: IDelayedCall | None = None

    def onConnect(self, request: ConnectionRequest) -> None:
        try:
            token = token_of(request.headers.get("authorization"))
            patterns = patterns_of(urlsplit(self.http_request_uri).query)
        except RemoteError as error:
            raise ConnectionDeny(error.kind.status, error.message) from error
        self._machine = reading.Reader(patterns, token) if patterns else jsonrpc.Connection(SERVER, token)

    def onOpen(self) -> None:
        self.link = RawLink(self, self._machine)
        # The HTTP channel that was here before is still the transport's producer.
        self.transport.unregisterProducer()
        self.transport.registerProducer(self.link, True)
        self._silence = self.factory.clock.callLater(self.factory.options.hello_timeout, self.link.waited)
        self.link.opened()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if self.link is not None:
            self.link.received(payload, isBinary)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if self._silence is not None and self._silence.active():
            self._silence.cancel()
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
