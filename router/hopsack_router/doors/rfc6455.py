"""WebSocket messages out of a stream of bytes, and frames into it (RFC 6455, sections 5 to 8), for a server.

    received(bytes) -> (TEXT | BINARY | PING | PONG | CLOSE, payload), …      as they get complete

A core without I/O. Data frames are unmasked as they come, so nothing is copied twice and text that is no UTF-8 is
refused at its first wrong byte; control frames are short and wait until they are whole. Bounds: a message larger than
``max_size``, over all its fragments and after inflating it, is a :exc:`Violation` as soon as that is known; so is one
in fragments that have next to nothing in them.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from hopsack_router.doors.deflate import inflate

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_DATA, _CONTROL = (CONTINUATION, TEXT, BINARY), (CLOSE, PING, PONG)
FIN, _COMPRESSED, _RESERVED, _MASKED = 0x80, 0x40, 0x70, 0x80

PROTOCOL_ERROR, NOT_UTF8, POLICY, TOO_BIG = 1002, 1007, 1008, 1009
"""Close codes of what a peer may not send (section 7.4.1)."""

FRAGMENTS, LEAST_FRAGMENT = 1000, 16
"""A message may come in a thousand fragments, and in one more for each 16 bytes: one that never ends, of fragments with
nothing in them, would else cost time and no bytes."""

_NONE = -1
_decoder: Callable[[], Any] = codecs.getincrementaldecoder("utf-8")


class Violation(Exception):
    """The peer sent what it may not send; the connection must be closed.

    :ivar code: the close code that says so.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def websocket_frame(payload: bytes, binary: bool) -> bytes:
    """One unfragmented, unmasked data frame (section 5.2)."""
    return frame(FIN | BINARY if binary else FIN | TEXT, payload)


def compressed_frame(payload: bytes, binary: bool) -> bytes:
    """The same for a payload that permessage-deflate has compressed (RFC 7692, section 6)."""
    return frame(FIN | _COMPRESSED | (BINARY if binary else TEXT), payload)


def control_frame(opcode: int, payload: bytes = b"") -> bytes:
    """A CLOSE, PING or PONG; its payload is at most 125 bytes long."""
    return bytes((FIN | opcode, len(payload))) + payload


def frame(first: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return bytes((first, length)) + payload
    if length < 1 << 16:
        return bytes((first, 126)) + length.to_bytes(2, "big") + payload
    return bytes((first, 127)) + length.to_bytes(8, "big") + payload


def reason_in(payload: bytes) -> tuple[int | None, str]:
    """Code and reason of a CLOSE that was received.

    :raises Violation: it has no valid code, or its reason is not UTF-8.
    """
    if not payload:
        return None, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, 1005, 1006))):
        raise Violation(PROTOCOL_ERROR, f"invalid close code {code}")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise Violation(NOT_UTF8, "the close reason is not UTF-8") from None


class Incoming:
    """The reading side of one connection.

    :param max_size: bytes of a message.
    :param inflating: whether messages may be compressed, each on its own (RFC 7692 without context takeover).
    """

    __slots__ = (
        "_compressed",
        "_fin",
        "_fragments",
        "_inflating",
        "_key",
        "_kind",
        "_left",
        "_max_size",
        "_parts",
        "_rest",
        "_size",
        "_utf8",
    )

    def __init__(self, max_size: int, inflating: bool = False) -> None:
        self._max_size = max_size
        self._inflating = inflating
        self._rest = b""  # of a head, or of a control frame
        self._left = _NONE  # bytes of the present data frame that have not come
        self._key = b""
        self._fin = True
        self._kind = CONTINUATION  # of the present message: there is none
        self._compressed = False
        self._size = 0
        self._fragments = 0
        self._parts: bytearray | None = None  # one buffer: a message in a million fragments is no larger
        self._utf8: Any = None

    def takes(self, max_size: int) -> None:
        """The bound is another one, from the next frame on."""
        self._max_size = max_size

    def received(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """:raises Violation: after what came before it."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        at, end = 0, len(data)
        while True:
            if self._left == _NONE:
                head = self._head(data, at, end)
                if head is None:
                    self._rest = data[at:]
                    return
                opcode, at, length = head
                if opcode > BINARY:
                    yield opcode, unmask(data[at : at + length], self._key)
                    at += length
                    continue
                self._left = length
            stop = min(end, at + self._left)
            payload = unmask(data[at:stop], self._key)
            self._left -= stop - at
            at = stop
            if self._left:
                self._keep(payload)
                turn = len(payload) & 3
                self._key = self._key[turn:] + self._key[:turn]
                return
            self._left = _NONE
            if self._fin:
                yield self._whole(payload)
            else:
                self._keep(payload)

    def _head(self, data: bytes, at: int, end: int) -> tuple[int, int, int] | None:
        """Opcode, and where the payload begins and how long it is; ``None`` while there is not enough of it.

        Of a control frame everything must be there, of a data frame the head.
        """
        if end - at < 2:
            return None
        first, second = data[at], data[at + 1]
        opcode, length = first & 0x0F, second & 0x7F
        self._check(first, second)
        body = at + 2
        if length > 125:
            body += 2 if length == 126 else 8
        if end < body:
            return None
        if length > 125:
            length = self._long(data[at + 2 : body], length)
        if opcode <= BINARY and self._size + length > self._max_size:
            raise self._too_big()
        if end < body + 4 + (length if opcode > BINARY else 0):
            return None
        self._key = data[body : body + 4]
        if opcode <= BINARY:
            self._begin(first, opcode, length)
        return opcode, body + 4, length

    def _check(self, first: int, second: int) -> None:
        opcode, reserved, within = first & 0x0F, first & _RESERVED, self._kind != CONTINUATION
        if opcode in _CONTROL:
            wrong = "a fragmented control frame" if not first & FIN else None
            if second & 0x7F > 125:
                wrong = "a control frame of more than 125 bytes"
        elif opcode in _DATA:
            wrong = None if within == (opcode == CONTINUATION) else "a message within a message, or none to continue"
        else:
            wrong = f"the reserved opcode {opcode}"
        if reserved and not (self._inflating and reserved == _COMPRESSED and opcode in (TEXT, BINARY)):
            wrong = "a reserved bit"
        if not second & _MASKED:
            wrong = "a frame without a mask"
        if wrong is not None:
            raise Violation(PROTOCOL_ERROR, f"received {wrong}")

    def _long(self, length: bytes, form: int) -> int:
        number = int.from_bytes(length, "big")
        if number < (126 if form == 126 else 1 << 16) or number >> 63:
            raise Violation(PROTOCOL_ERROR, "received a length in a form that is not its own")
        return number

    def _begin(self, first: int, opcode: int, length: int) -> None:
        self._fin = bool(first & FIN)
        self._size += length
        if not self._fin:
            self._fragments += 1
            if self._fragments > FRAGMENTS + self._size // LEAST_FRAGMENT:
                raise Violation(POLICY, "received a message in too many fragments")
        if opcode != CONTINUATION:
            self._kind = opcode
            self._compressed = bool(first & _COMPRESSED)

    def _keep(self, payload: bytes) -> None:
        """Part of a message, of which more will come."""
        if self._kind == TEXT and not self._compressed:
            if self._utf8 is None:
                self._utf8 = _decoder()
            self._checked(payload, False)
        if self._parts is None:
            self._parts = bytearray()
        self._parts += payload

    def _checked(self, payload: bytes, final: bool) -> None:
        try:
            if self._utf8 is None:
                payload.decode()
            else:
                self._utf8.decode(payload, final)
        except UnicodeDecodeError:
            raise Violation(NOT_UTF8, "received text that is not UTF-8") from None

    def _whole(self, payload: bytes) -> tuple[int, bytes]:
        """The last part of a message: the message."""
        kind, self._kind, self._size, self._fragments = self._kind, CONTINUATION, 0, 0
        if kind == TEXT and not self._compressed:
            self._checked(payload, True)
        if self._parts is not None:
            self._parts += payload
            payload = bytes(self._parts)
            self._parts = self._utf8 = None
        if self._compressed:
            payload = self._inflated(payload)
            if kind == TEXT:
                self._checked(payload, True)
        return kind, payload

    def _inflated(self, payload: bytes) -> bytes:
        try:
            inflated = inflate(payload, self._max_size)
        except zlib.error:
            raise Violation(NOT_UTF8, "received a message that cannot be inflated") from None
        if len(inflated) > self._max_size:
            raise self._too_big()
        return inflated

    def _too_big(self) -> Violation:
        return Violation(TOO_BIG, f"received a message of more than {self._max_size} bytes")


def unmask(payload: bytes, key: bytes) -> bytes:
    """Apply a key of four bytes (section 5.3)."""
    length = len(payload)
    if not length:
        return payload
    keys = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(keys, "little")).to_bytes(length, "little")
