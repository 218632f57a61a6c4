"""RawSocket framing as a machine without I/O (WAMP advanced profile, "RawSocket Transport").

    -> 7F LS 00 00          the client: longest message it takes (L), serializer (S)
    <- 7F LS 00 00          the server: the same, or 7F E0 00 00 with an error E
    <> TT LL LL LL …        frames: type (0 message, 1 ping, 2 pong), length, that many bytes

L is a nibble for 2^(9+L) bytes. The length has 24 bits, so what L=15 announces, 2^24, cannot be written: the largest
message has 2^24 - 1 bytes. Both sides of the protocol are here; a node may use the server's.

Bounds: at most one frame is held incomplete, and a frame longer than this side announced is never collected: it is a
:class:`Broken` as soon as its header is read.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

import msgspec

from hopsack.errors import UsageError
from hopsack.session import Received

__all__ = [
    "LARGEST",
    "Broken",
    "Output",
    "Pinged",
    "Ponged",
    "RawSocket",
    "Shaken",
    "exponent_for",
    "frame",
]

MAGIC = 0x7F
LARGEST = 2**24 - 1
"""Bytes of the longest message that the framing can express."""

MESSAGE, PING, PONG = 0, 1, 2

_REFUSALS = {
    1: "serializer unsupported",
    2: "maximum message length unacceptable",
    3: "use of reserved bits",
    4: "maximum connection count reached",
}


class Shaken(msgspec.Struct, frozen=True):
    """The handshake is done. ``limit``: bytes of the longest message that the peer takes."""

    serializer: int
    limit: int


class Pinged(msgspec.Struct, frozen=True):
    """The peer wants these bytes back: write ``answer``."""

    answer: bytes


class Ponged(msgspec.Struct, frozen=True):
    data: bytes


class Broken(msgspec.Struct, frozen=True):
    """The connection cannot go on: write ``answer``, if any, and close it."""

    reason: str
    answer: bytes = b""


Output = Shaken | Received | Pinged | Ponged | Broken


class State(Enum):
    SHAKING = "shaking"
    OPEN = "open"
    CLOSED = "closed"


class RawSocket:
    """One side of one connection.

    :param side: who this is.
    :param serializers: the numbers of the serializers that a server takes; a client asks for the first.
    :param limit: bytes of the longest message to take; rounded up to the next power of two that can be announced.
    """

    def __init__(
        self,
        side: Literal["client", "server"],
        *,
        serializers: tuple[int, ...],
        limit: int = LARGEST,
    ) -> None:
        self.state = State.SHAKING
        self._side = side
        self._serializers = serializers
        self._exponent = exponent_for(limit)
        self._limit = min(1 << self._exponent, LARGEST)
        self._buffer = bytearray()
        self._needed = 4

    def hello(self, serializer: int | None = None) -> bytes:
        """What a client writes first, and a server when it is :class:`Shaken`, with the serializer it was asked for."""
        return bytes((MAGIC, (self._exponent - 9) << 4 | (serializer or self._serializers[0]), 0, 0))

    def receive(self, data: bytes) -> list[Output]:
        """Take bytes as they came, in any pieces."""
        if self.is_closed:
            return []
        if self._buffer:
            self._buffer += data
            # Without this a long message in many pieces would be copied once per piece.
            if len(self._buffer) < self._needed:
                return []
            data = bytes(self._buffer)
            self._buffer.clear()
        outputs: list[Output] = []
        if self.state is State.SHAKING and len(data) >= 4:
            outputs.append(self._shake(data[:4]))
            data = data[4:]
        rest = self._collect(data, outputs) if self.state is State.OPEN else data
        if not self.is_closed:
            self._buffer += rest
        return outputs

    @property
    def is_closed(self) -> bool:
        return self.state is State.CLOSED

    def _collect(self, data: bytes, outputs: list[Output]) -> bytes:
        """Every whole frame of ``data`` into ``outputs``; returns what is left over."""
        start, end, limit = 0, len(data), self._limit
        self._needed = 4
        while end - start >= 4:
            body = start + 4
            head = int.from_bytes(data[start:body], "big")
            kind, length = head >> 24, head & LARGEST
            if length > limit or kind > PONG:
                outputs.append(self._break(kind, length))
                return b""
            if end - body < length:
                self._needed = 4 + length
                break
            start = body + length
            outputs.append(Received(data[body:start]) if kind == MESSAGE else _control(kind, data[body:start]))
        return data[start:]

    def _break(self, kind: int, length: int) -> Broken:
        self.state = State.CLOSED
        if kind > PONG:
            return Broken(f"a frame of the unknown type {kind}")
        return Broken(f"a frame of {length} bytes, and at most {self._limit} were agreed")

    def _shake(self, head: bytes) -> Shaken | Broken:
        answer = b""
        serializer = head[1] & 0x0F
        if head[0] != MAGIC:
            reason = f"not RawSocket: the first byte is {head[0]:#04x}, not 0x7f"
        elif head[2:] != b"\0\0":
            reason, answer = _REFUSALS[3], _refusal(3)
        elif serializer == 0 and self._side == "client":
            reason = _REFUSALS.get(head[1] >> 4, f"refused with the unknown error {head[1] >> 4}")
        elif serializer not in self._serializers:
            reason, answer = f"{_REFUSALS[1]}: {serializer}", _refusal(1)
        else:
            self.state = State.OPEN
            return Shaken(serializer, min(1 << (9 + (head[1] >> 4)), LARGEST))
        self.state = State.CLOSED
        return Broken(reason, answer if self._side == "server" else b"")


def exponent_for(limit: int) -> int:
    """The smallest exponent, 9 to 24, whose power of two holds a message of ``limit`` bytes."""
    if not 0 < limit <= 1 << 24:
        raise UsageError(f"a RawSocket limit of {limit} bytes cannot be announced: write 1 to {1 << 24}")
    return max(9, (limit - 1).bit_length())


def frame(data: bytes, kind: int = MESSAGE) -> bytes:
    """One frame.

    :raises UsageError: longer than the framing can express. Check the peer's limit before, it is never larger.
    """
    if len(data) > LARGEST:
        raise UsageError(f"a RawSocket frame holds at most {LARGEST} bytes, not {len(data)}")
    return (kind << 24 | len(data)).to_bytes(4, "big") + data


def _control(kind: int, body: bytes) -> Pinged | Ponged:
    return Pinged(frame(body, PONG)) if kind == PING else Ponged(body)


def _refusal(error: int) -> bytes:
    return bytes((MAGIC, error << 4, 0, 0))
