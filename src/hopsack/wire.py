"""Framings without I/O: how messages become the bytes of a connection, and back.

    bytes -> receive -> Opened, Received (for the session), Write (answers of the framing itself), Ended
    message -> frame -> bytes

Two of them: RawSocket over TCP and Unix sockets, and WebSocket, where the ``websockets`` package does the framing (the
only place that names it). Bounds: a message longer than :data:`LARGEST` is never collected, in either direction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

import msgspec

from hopsack import backoff
from hopsack.address import Address
from hopsack.errors import ERRORS, Denied, LoginRequired, RemoteError, class_of
from hopsack.session import Opened, Received
from hopsack.wamp import rawsocket
from hopsack.wamp.codec import CODECS

__all__ = ["LARGEST", "Ended", "RawSocketWire", "Signal", "WebSocketWire", "Wire", "Write", "wire_for"]

LARGEST = rawsocket.LARGEST
"""Bytes of the longest message, 16 MiB - 1: what RawSocket's framing can express; the same for WebSocket."""


_FINAL: Mapping[int, type[RemoteError]] = {4401: LoginRequired, 4403: Denied}
"""Close codes of the node (docs/protocol.md) after which coming back is no use."""


def _refusal(code: int, reason: str) -> RemoteError:
    """A reason begins with the code of an error, where the node knows one."""
    found = re.match(r"(hopsack\.\w+): (.*)", reason, re.S)
    if found is None or found[1] not in ERRORS:
        return _FINAL[code](reason)
    return class_of(found[1])(found[2], code=found[1])


class Write(msgspec.Struct, frozen=True):
    """Write these bytes: the framing answers by itself."""

    data: bytes


class Ended(msgspec.Struct, frozen=True):
    """The framing is over: close the transport.

    :ivar refusal: the node refuses us, and trying again cannot change that.
    :ivar retry_after: seconds that the node asks to stay away, if it asked.
    :ivar is_going: the node stops (RFC 6455, section 7.4.1: 1001), so it has answered all that it has begun.
    """

    reason: str
    refusal: RemoteError | None = None
    retry_after: float | None = None
    is_going: bool = False


Signal = Opened | Received | Write | Ended


class Wire(Protocol):
    """One framing of one connection."""

    def open(self) -> bytes:
        """What to write first."""
        ...

    def receive(self, data: bytes) -> list[Signal]: ...

    def frame(self, message: bytes) -> bytes: ...

    def ping(self) -> bytes:
        """A frame that the peer has to answer; nothing where peers cannot be relied on to."""
        ...

    def close(self, reason: str) -> bytes:
        """What to write before the transport is closed."""
        ...


def wire_for(address: Address) -> Wire:
    if address.carrier == "websocket":
        return WebSocketWire(address)
    return RawSocketWire(CODECS[address.codec].rawsocket_id)


class RawSocketWire:
    """RawSocket. It answers pings and sends none: stock Crossbar closes the connection on one."""

    def __init__(self, serializer: int) -> None:
        self._machine = rawsocket.RawSocket("client", serializers=(serializer,))

    def open(self) -> bytes:
        return self._machine.hello()

    def receive(self, data: bytes) -> list[Signal]:
        signals: list[Signal] = []
        for output in self._machine.receive(data):
            if type(output) is Received:
                signals.append(output)
            elif (signal := _signal(output)) is not None:
                signals.append(signal)
        return signals

    def frame(self, message: bytes) -> bytes:
        return rawsocket.frame(message)

    def ping(self) -> bytes:
        return b""

    def close(self, reason: str) -> bytes:
        return b""


def _signal(output: rawsocket.Output) -> Signal | None:
    match output:
        case Received():
            return output
        case rawsocket.Shaken(_, limit):
            return Opened(limit)
        case rawsocket.Pinged(answer):
            return Write(answer)
        case rawsocket.Broken(reason):
            return Ended(reason)
        case rawsocket.Ponged():
            return None


class WebSocketWire:
    """WebSocket (RFC 6455), without compression: the node shares one frame among all readers of an event."""

    def __init__(self, address: Address) -> None:
        from websockets.client import ClientProtocol
        from websockets.frames import Frame, Opcode
        from websockets.http11 import Response
        from websockets.typing import Subprotocol
        from websockets.uri import parse_uri

        self._subprotocol = None if address.dialect == "raw" else CODECS[address.codec].subprotocol
        self._is_binary = address.dialect == "wamp" and CODECS[address.codec].is_binary
        self._protocol = ClientProtocol(
            parse_uri(address.url),
            subprotocols=None if self._subprotocol is None else [Subprotocol(self._subprotocol)],
            max_size=LARGEST,
        )
        self._parts: list[bytes] = []
        self._opcode = Opcode
        self._frame_class = Frame
        self._response_class = Response

    def open(self) -> bytes:
        self._protocol.send_request(self._protocol.connect())
        return self._written()

    def receive(self, data: bytes) -> list[Signal]:
        self._protocol.receive_data(data)
        signals: list[Signal] = []
        for event in self._protocol.events_received():
            if isinstance(event, self._response_class):
                signals.append(self._answered())
            elif isinstance(event, self._frame_class):
                self._collect(event.opcode, bytes(event.data), event.fin, signals)
        written = self._written()
        if written:
            signals.insert(0, Write(written))
        if self._protocol.handshake_exc is not None and not any(isinstance(signal, Ended) for signal in signals):
            signals.append(Ended(f"the answer is not HTTP: {self._protocol.handshake_exc}"))
        elif self._protocol.parser_exc is not None:
            signals.append(Ended(str(self._protocol.parser_exc)))
        return signals

    def _answered(self) -> Signal:
        from websockets.exceptions import InvalidStatus

        error = self._protocol.handshake_exc
        if isinstance(error, InvalidStatus):
            status = error.response.status_code
            if status in (401, 403):
                refusal = LoginRequired(f"the node answered {status} to the WebSocket handshake")
                return Ended(refusal.message, refusal)
            return Ended(f"the answer to the WebSocket handshake is {status}, not 101")
        if error is not None:
            return Ended(f"the WebSocket handshake failed: {error}")
        if self._protocol.subprotocol != self._subprotocol:
            return Ended(f"there is no WAMP in {self._subprotocol} at this path")
        return Opened(LARGEST)

    def _collect(self, opcode: int, data: bytes, is_last: bool, signals: list[Signal]) -> None:
        if opcode == self._opcode.CLOSE:
            closed = self._protocol.close_rcvd
            reason = f"closed with {closed.code} {closed.reason}".rstrip() if closed else "closed"
            refusal = _refusal(closed.code, closed.reason) if closed and closed.code in _FINAL else None
            hint = backoff.hint_in(closed.reason) if closed else None
            signals.append(Ended(reason, refusal, hint, closed is not None and closed.code == 1001))
        elif opcode in (self._opcode.TEXT, self._opcode.BINARY, self._opcode.CONT):
            self._parts.append(data)
            if is_last:
                message = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
                self._parts = []
                signals.append(Received(message))

    def frame(self, message: bytes) -> bytes:
        if self._is_binary:
            self._protocol.send_binary(message)
        else:
            self._protocol.send_text(message)
        return self._written()

    def ping(self) -> bytes:
        from websockets.protocol import State

        if self._protocol.state is not State.OPEN:
            return b""
        self._protocol.send_ping(b"hopsack")
        return self._written()

    def close(self, reason: str) -> bytes:
        from websockets.protocol import State

        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000, "")
        return self._written()

    def _written(self) -> bytes:
        return b"".join(self._protocol.data_to_send())
