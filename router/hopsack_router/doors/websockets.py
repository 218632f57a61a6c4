"""What the WebSocket doors share: Autobahn's server protocol with our options, as a resource on the HTTP port.

Autobahn does handshake, framing, fragmentation, ping and close codes (RFC 6455). Bounds, each with its answer: a
message larger than ``max_message_size`` closes with 1009, a peer that answers no ping within ``ping_timeout`` or no
opening or closing handshake in time is dropped, an origin that is not allowed is refused with 400.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from crossbar.common.checkconfig import InvalidConfigException
from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Request

from hopsack.errors import BadRequest
from hopsack_router.doors.closing import clip
from hopsack_router.doors.problems import answer_problem


@dataclass(frozen=True, slots=True)
class WebSocketOptions:
    """Options of a WebSocket door's configuration, beside ``type``.

    :ivar max_message_size: bytes of one incoming message, over all its fragments.
    :ivar allowed_origins: ``scheme://host:port`` patterns with ``*`` of pages that may connect; programs send none.
    :ivar ping_interval: seconds between pings.
    :ivar ping_timeout: seconds to the pong, before the peer counts as gone.
    :ivar handshake_timeout: seconds for the opening handshake.
    :ivar close_timeout: seconds for the closing handshake.
    :ivar hello_timeout: seconds for the first request on the raw door.
    """

    max_message_size: int = 1 << 20
    allowed_origins: tuple[str, ...] = ("*",)
    ping_interval: float = 5.0
    ping_timeout: float = 5.0
    handshake_timeout: float = 5.0
    close_timeout: float = 2.0
    hello_timeout: float = 10.0

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
            if name == "allowed_origins":
                good = isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
            else:
                good = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
            if not good:
                raise InvalidConfigException(f"{config['type']}: {name} cannot be {value!r}")
        if "allowed_origins" in given:
            given["allowed_origins"] = tuple(given["allowed_origins"])
        return cls(**given)


class DoorProtocol(WebSocketServerProtocol):  # type: ignore[misc]
    """Base of the doors' protocols: Autobahn's, without what it does per message and nobody here asks for."""

    message_data: list[bytes] | None
    message_is_binary: bool

    def dataReceived(self, data: bytes) -> None:
        # Autobahn formats a debug line for every chunk, read or not.
        self._dataReceived(data)

    def onMessageEnd(self) -> None:
        # Autobahn's own also fires a "message" signal, a Deferred per message, for listeners that do not exist.
        if not self.failedByMe:
            self.onMessage(b"".join(self.message_data or ()), self.message_is_binary)
        self.message_data = None

    def end(self, code: int, reason: str) -> None:
        """Start the closing handshake. Autobahn's ``sendClose`` refuses 1001 and 1011, which are a server's to send."""
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=code, reasonUtf8=clip(reason).encode())


class DoorFactory(WebSocketServerFactory):  # type: ignore[misc]
    """Makes the protocols of one door.

    :param protocol: the door's protocol class.
    :param options: the door's options.
    :param clock: schedules what the protocols wait for.
    """

    noisy = False

    def __init__(self, protocol: type[DoorProtocol], options: WebSocketOptions, clock: IReactorTime) -> None:
        super().__init__(server="hopsack")
        self.protocol = protocol
        self.options = options
        self.clock = clock
        self.setProtocolOptions(
            versions=[13],
            webStatus=False,
            maxMessagePayloadSize=int(options.max_message_size),
            failByDrop=False,
            echoCloseCodeReason=True,
            openHandshakeTimeout=options.handshake_timeout,
            closeHandshakeTimeout=options.close_timeout,
            autoPingInterval=options.ping_interval,
            autoPingTimeout=options.ping_timeout,
            tcpNoDelay=True,
            allowedOrigins=list(options.allowed_origins),
            allowNullOrigin="*" in options.allowed_origins,
        )


class DoorResource(WebSocketResource):  # type: ignore[misc]
    """The door's place on the HTTP port; a plain request there is told what to do instead."""

    def render(self, request: Request) -> Any:
        if (request.getHeader("upgrade") or "").lower() != "websocket":
            request.setHeader(b"Upgrade", b"websocket")
            request.setHeader(b"Connection", b"Upgrade")
            error = BadRequest("this is a WebSocket door", advice="connect with a WebSocket client (RFC 6455)")
            return answer_problem(request, error, status=426)
        return super().render(request)


def websocket_frame(payload: bytes, binary: bool) -> bytes:
    """One unfragmented, unmasked server frame (RFC 6455, section 5.2)."""
    length, opcode = len(payload), 0x82 if binary else 0x81
    if length < 126:
        return bytes((opcode, length)) + payload
    if length < 1 << 16:
        return bytes((opcode, 126)) + length.to_bytes(2, "big") + payload
    return bytes((opcode, 127)) + length.to_bytes(8, "big") + payload
