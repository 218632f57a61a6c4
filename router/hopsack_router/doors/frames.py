"""RawSocket frames out of a stream of bytes (WAMP advanced profile, "RawSocket Transport").

    received(bytes) -> Frame, …      every frame that is complete now; the rest waits for more

A core without I/O. A frame is four octets of head (five bits of zeros, three of type, 24 of length) and a payload. Most
reads hold whole frames, and those are cut out of the bytes once; what is there of a longer one waits in one buffer.
Bound: a frame longer than ``max_length`` is :exc:`Unacceptable` as soon as its head is known.
"""

from __future__ import annotations

HEAD = 4
REGULAR, PING, PONG = 0, 1, 2


class Unacceptable(Exception):
    """The peer sent a frame that it may not send; the connection cannot go on."""


Frame = tuple[int, bytes]
"""Type and payload."""


class Frames:
    """The reading side of one connection."""

    __slots__ = ("_max_length", "_missing", "_partial")

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length
        self._partial = bytearray()
        self._missing = 0

    def takes(self, max_length: int) -> None:
        """The bound is another one from now on."""
        self._max_length = max_length

    def received(self, data: bytes) -> list[Frame]:
        """:raises Unacceptable: there is a frame of an unknown type, or one that is too long."""
        if self._partial:
            self._partial += data
            self._missing -= len(data)
            if self._missing > 0:
                return []
            data, self._partial = bytes(self._partial), bytearray()
        frames: list[Frame] = []
        start, end = 0, len(data)
        while end - start >= HEAD:
            head = int.from_bytes(data[start : start + HEAD], "big")
            body = start + HEAD
            stop = body + (head & 0xFFFFFF)
            if head > self._max_length:
                self._check(head)
            if stop > end:
                break
            frames.append((head >> 24, data[body:stop]))
            start = stop
        if start < end:
            self._partial += data[start:]
            self._missing = (stop if end - start >= HEAD else start + HEAD) - end
        return frames

    def _check(self, head: int) -> None:
        """A head that, taken as a number, is larger than a length may be: it has a type, or is too long."""
        kind, length = head >> 24, head & 0xFFFFFF
        if kind not in (REGULAR, PING, PONG):
            raise Unacceptable(f"there is no frame type {kind}")
        if length > self._max_length:
            raise Unacceptable(f"a frame of {length} bytes, this node takes {self._max_length}")


def pong(payload: bytes) -> bytes:
    """The answer to a PING."""
    return (PONG << 24 | len(payload)).to_bytes(HEAD, "big") + payload
