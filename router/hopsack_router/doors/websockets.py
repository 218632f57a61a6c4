"""What the WebSocket doors share: the server's side of RFC 6455 as a Twisted protocol, and its place on the HTTP port.

A shell around :mod:`~hopsack_router.doors.handshake`, :mod:`~hopsack_router.doors.rfc6455` and
:mod:`~hopsack_router.doors.deflate`. Twisted Web has parsed the request; it and its channel are let go once the
connection is open. Bounds, each with its answer: a message larger than ``max_message_size`` closes with 1009, a peer
that neither answers pings nor reads for ``ping_timeout``, or does not answer a close in ``close_timeout``, is dropped.
A peer that sends pings and does not read gets no answer to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, cast

from crossbar.common.checkconfig import InvalidConfigException
from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from hopsack.deadlines import Lane
from hopsack.errors import BadRequest, RemoteError
from hopsack_router.doors.closing import LIMITS, clip
from hopsack_router.doors.deflate import compress, negotiate
from hopsack_router.doors.handshake import VERSION, Opening, answer, opening_of
from hopsack_router.doors.origins import peer_of
from hopsack_router.doors.problems import answer_problem, not_allowed
from hopsack_router.doors.rfc6455 import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Incoming,
    Violation,
    compressed_frame,
    control_frame,
    reason_in,
    websocket_frame,
)
from hopsack_router.doors.rounds import Rounds, Stop
from hopsack_router.doors.sockets import write_straight
from hopsack_router.routing.deadlines import deadlines

LOG = Logger()

Framing = Callable[[bytes, bool], bytes]
"""Puts a payload, binary or not, into a frame."""


@dataclass(frozen=True, slots=True)
class WebSocketOptions:
    """Options of a WebSocket door's configuration, beside ``type``.

    :ivar max_message_size: bytes of one incoming message, over all its fragments, inflated.
    :ivar max_controls: pings and pongs that a peer may send in a ping interval.
    :ivar ping_interval: seconds between pings.
    :ivar ping_timeout: seconds without a sign of life after a ping, before the peer counts as gone; whole intervals.
    :ivar close_timeout: seconds for the closing handshake.
    :ivar hello_timeout: seconds for the first request on the raw door, and for joining on the WAMP door.
    :ivar compression: whether clients that offer permessage-deflate get it.
    """

    max_message_size: int = 1 << 20
    max_controls: int = 500
    ping_interval: float = 5.0
    ping_timeout: float = 5.0
    close_timeout: float = 2.0
    hello_timeout: float = 8.0
    compression: bool = True

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> WebSocketOptions:
        """Read a web service's configuration.

        :raises InvalidConfigException: an option is unknown or of the wrong type; the node does not start.
        """
        known = {field.name for field in fields(cls)}
        given: dict[str, Any] = {name: value for name, value in config.items() if name not in ("type", "id")}
        for name, value in given.items():
            if name not in known:
                raise InvalidConfigException(f"{config['type']}: unknown option {name!r}, known: {sorted(known)}")
            if name == "compression":
                good = isinstance(value, bool)
            else:
                good = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
            if not good:
                raise InvalidConfigException(f"{config['type']}: {name} cannot be {value!r}")
        return cls(**given)


OPEN, CLOSING, CLOSED = "open", "closing", "closed"
_PING = control_frame(PING)


class DoorProtocol(Protocol):
    """Base of the doors' protocols. A connection is open from the beginning: who is not let in gets no protocol.

    :ivar state: ``open``; ``closing`` once we have said so; ``closed`` once nothing more is read.
    :ivar framing: how messages are framed on this connection.
    """

    factory: DoorFactory
    transport: Any
    state: str = CLOSED
    framing: Framing = staticmethod(websocket_frame)
    peer: str | None = None

    _incoming: Incoming
    _stop: Stop
    _unanswered: int = 0
    _controls: int = 0
    _arrival: Lane | None = None
    _limit: IDelayedCall | None = None
    _said: tuple[int | None, str] | None = None

    # ---- what a door says ----------------------------------------------------------------------------------------

    def onConnect(self, request: Request, opening: Opening) -> str | None:
        """A client wants to come in.

        :returns: the subprotocol to speak.
        :raises RemoteError: it may not; it gets a problem document.
        """
        return None

    def onOpen(self) -> None:
        """It is in."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """It sent a message."""

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """It is gone. ``wasClean``: both sides said so."""

    def late(self) -> None:
        """What was awaited for ``hello_timeout`` did not come."""

    def congested(self) -> bool:
        """Whether the transport holds more than it can send."""
        return False

    def bend(self) -> None:
        """The transport holds something, or the connection is no longer open: nothing may be sent past either."""

    # ---- inputs --------------------------------------------------------------------------------------------------

    def take_over(self, transport: Any, opening: Opening, subprotocol: str | None) -> None:
        """Take over the transport of a request that is let in."""
        options = self.factory.options
        deflate = negotiate(opening.extensions) if options.compression and opening.extensions else None
        if deflate is not None:
            self.framing = compressing(deflate.window_bits)
        self._incoming = Incoming(int(options.max_message_size), inflating=deflate is not None)
        self.state = OPEN
        self.makeConnection(transport)  # type: ignore[no-untyped-call]
        transport.unregisterProducer()  # the HTTP channel
        write_straight(transport, answer(opening, subprotocol, deflate.answer if deflate is not None else None))
        self._stop = self.factory.rounds.join(self)
        self.onOpen()

    def dataReceived(self, data: bytes) -> None:
        if self.state == CLOSED:
            return
        self._unanswered = 0
        try:
            for kind, payload in self._incoming.received(data):
                if kind in (TEXT, BINARY):
                    if self.state == OPEN:
                        self.onMessage(payload, kind == BINARY)
                elif kind in (PING, PONG) and self._is_flooded():
                    if self.state == OPEN:
                        self._told("it sends too many pings")
                    self.end(LIMITS.number, "This connection sends too many pings.")
                elif kind == PING:
                    if self.state == OPEN and not self.congested():
                        self._control(control_frame(PONG, payload))
                elif kind == CLOSE:
                    self._farewell(payload)
                if self.state == CLOSED:
                    return
        except Violation as violation:
            self._fail(violation)

    def _is_flooded(self) -> bool:
        self._controls += 1
        return self._controls > self.factory.options.max_controls

    def progressed(self) -> None:
        """What the transport held has left it: the peer reads, even if its answers to pings are far behind."""
        self._unanswered = 0

    def visit(self) -> None:
        """A ping interval has passed."""
        self._controls = 0
        if self.state != OPEN:
            return  # there is a limit for that
        if self.congested():
            return  # it does not read, and would not see the ping; there is another limit for that
        if self._unanswered >= self.factory.patience:
            self._told("does not answer pings")
            self.drop()
            return
        self._unanswered += 1
        self._control(_PING)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.state, self.connected = CLOSED, 0
        self._stop.discard(self)
        self.arrived()
        if self._limit is not None and self._limit.active():
            self._limit.cancel()
        said = self._said
        if said is None:
            self.onClose(False, 1006, "the connection was lost")
        else:
            self.onClose(True, *said)

    def takes(self, size: int) -> None:
        """Take messages of at most so many bytes, and of no more than the door does."""
        self._incoming.takes(min(size, int(self.factory.options.max_message_size)))

    def await_arrival(self) -> None:
        """Give the client ``hello_timeout`` to say what it must; then it is :meth:`late`."""
        self._arrival = self.factory.arrivals.begin(self, self.factory.options.hello_timeout)

    def arrived(self) -> None:
        """It has said it, or it is gone."""
        lane, self._arrival = self._arrival, None
        if lane is not None:
            lane.end(self)

    # ---- closing -------------------------------------------------------------------------------------------------

    def end(self, code: int, reason: str) -> None:
        """Start the closing handshake (section 7.1.2)."""
        if self.state == OPEN:
            self._say(code, reason)
            self._leave(CLOSING)

    def drop(self) -> None:
        """End the connection without a word."""
        if not self.connected:
            return
        self._read_no_more()
        self.transport.abortConnection()

    def _leave(self, state: str) -> None:
        self.state = state
        self.bend()

    def _control(self, frame: bytes) -> None:
        if write_straight(self.transport, frame) is None:
            self.bend()

    def _say(self, code: int | None, reason: str) -> None:
        payload = b"" if code is None else code.to_bytes(2, "big") + clip(reason).encode()
        self._control(control_frame(CLOSE, payload))
        self._limit = self.factory.clock.callLater(self.factory.options.close_timeout, self.drop)

    def _farewell(self, payload: bytes) -> None:
        """The peer says that it closes, or answers that we do."""
        self._said = reason_in(payload)
        if self.state == OPEN:
            self._say(*self._said)
        self._read_no_more()
        self.transport.loseConnection()

    def _fail(self, violation: Violation) -> None:
        """Say what was wrong, and read no more. To close while the peer is sending would lose what we said."""
        self._told(str(violation))
        if self.state == OPEN:
            self._say(violation.code, str(violation))
        self._read_no_more()
        if isinstance(self.transport, FileDescriptor):
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()

    def _read_no_more(self) -> None:
        if self.state != CLOSED:
            self._leave(CLOSED)
            self.transport.unregisterProducer()  # a transport with one does not end

    def _told(self, why: str) -> None:
        LOG.info("closing {peer}: {why}", peer=self.peer, why=why)


@cache
def compressing(window_bits: int) -> Framing:
    """Frames of connections that agreed on this window. One function for all of them: their bytes are shared."""

    def framed(payload: bytes, binary: bool) -> bytes:
        compressed = compress(payload, window_bits)
        return websocket_frame(payload, binary) if compressed is None else compressed_frame(compressed, binary)

    return framed


class DoorFactory(ServerFactory):
    """Makes the protocols of one door.

    :param protocol: the door's protocol class.
    :param options: the door's options.
    :param clock: schedules what the protocols wait for.
    """

    noisy = False

    def __init__(self, protocol: type[DoorProtocol], options: WebSocketOptions, clock: IReactorTime) -> None:
        self.protocol = protocol  # type: ignore[assignment]
        self.options = options
        self.clock = clock
        self.rounds = Rounds(clock, options.ping_interval)
        self.arrivals = deadlines(clock, lambda one, _: one.late())
        self.patience = math.ceil(options.ping_timeout / options.ping_interval)


class DoorResource(Resource):
    """The door's place on the HTTP port; a plain request there is told what to do instead."""

    isLeaf = True

    def __init__(self, factory: DoorFactory) -> None:
        Resource.__init__(self)
        self._factory = factory

    def render(self, request: Request) -> Any:
        if (request.getHeader("upgrade") or "").lower() != "websocket":
            request.setHeader(b"Upgrade", b"websocket")
            request.setHeader(b"Connection", b"Upgrade")
            error = BadRequest("this is a WebSocket door", advice="connect with a WebSocket client (RFC 6455)")
            return answer_problem(request, error, status=426)
        if request.method != b"GET":
            return not_allowed(request, "GET")
        if request.clientproto != b"HTTP/1.1":
            return answer_problem(request, BadRequest("a WebSocket is opened with HTTP/1.1"))
        protocol: Any = self._factory.buildProtocol(None)
        protocol.peer = peer_of(request)
        headers = request.requestHeaders
        try:
            opening = opening_of(lambda name: headers.getRawHeaders(name, ()))
            subprotocol = protocol.onConnect(request, opening)
        except RemoteError as error:
            request.setHeader(b"Sec-WebSocket-Version", VERSION)
            return answer_problem(request, error)
        channel: Any = request.channel
        early = channel.clearLineBuffer()  # a client need not wait for the answer before it sends
        protocol.take_over(_taken_from(request, protocol), opening, subprotocol)
        if early:
            protocol.dataReceived(early)
        return NOT_DONE_YET


def _taken_from(request: Request, protocol: DoorProtocol) -> Any:
    """Put ``protocol`` in the place of the HTTP channel, of which nothing is kept."""
    channel: Any = request.channel
    transport, channel.transport = channel.transport, None
    outer = getattr(transport, "protocol", None)
    if isinstance(transport, ProtocolWrapper):  # TLS
        transport.wrappedProtocol = protocol
    elif isinstance(outer, ProtocolWrapper):  # Crossbar counts connections
        outer.wrappedProtocol = protocol
    else:
        transport.protocol = protocol
    channel.requests.clear()
    cast(Any, request).channel = None
    transport.resumeProducing()
    return transport
