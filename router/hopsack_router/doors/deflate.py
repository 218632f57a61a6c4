"""Compression of WebSocket messages: permessage-deflate (RFC 7692), each message on its own.

A client that offers it gets it, always with ``server_no_context_takeover``: then the compressed bytes of an event do
not depend on what a reader got before, so the event is compressed once for all readers with the same window, and idle
connections keep no window of 32 KiB on either side. ``client_no_context_takeover`` is asked for likewise (section
7.1.1.2 lets a server ask whatever was offered).

Bounds: messages below :data:`WORTH` bytes, and those that do not get shorter, are sent as they are; :func:`inflate`
stops at the size of message that the connection takes, so a small frame cannot fill the memory.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache

NAME = "permessage-deflate"
WORTH = 256
"""Bytes from which compressing pays."""

_MAX_BITS, _MIN_BITS = 15, 9
_TAIL = b"\x00\x00\xff\xff"
"""What ends a flushed block; it is not sent (section 7.2.1)."""


@dataclass(frozen=True, slots=True)
class Deflate:
    """What was agreed on one connection.

    :ivar window_bits: base-two logarithm of the window that the client inflates with.
    :ivar told: whether the answer must tell it.
    """

    window_bits: int = _MAX_BITS
    told: bool = False

    @property
    def answer(self) -> str:
        """For ``Sec-WebSocket-Extensions``."""
        bits = f"; server_max_window_bits={self.window_bits}" if self.told else ""
        return f"{NAME}; server_no_context_takeover; client_no_context_takeover{bits}"


def compress(payload: bytes, window_bits: int) -> bytes | None:
    """:returns: the payload of a compressed message; ``None`` if it is better sent as it is."""
    if len(payload) < WORTH:
        return None
    deflater = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -window_bits)
    compressed = deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return compressed[: -len(_TAIL)] if len(compressed) - len(_TAIL) < len(payload) else None


@lru_cache(maxsize=64)
def negotiate(offers: str) -> Deflate | None:
    """Take the first offer that can be taken (section 5.1).

    :param offers: the value of ``Sec-WebSocket-Extensions``.
    """
    for offer in offers.split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        if name.lower() == NAME:
            agreed = _agree(parameters)
            if agreed is not None:
                return agreed
    return None


def _agree(parameters: list[str]) -> Deflate | None:
    """An offer with a parameter that is unknown, twice there, or of a wrong value must be declined (section 7.1)."""
    given: dict[str, str] = {}
    for parameter in parameters:
        name, _, value = (part.strip() for part in parameter.partition("="))
        if name in given:
            return None
        given[name] = value.strip('"')
    bits = given.pop("server_max_window_bits", None)
    client_bits = given.pop("client_max_window_bits", "")
    flags = {given.pop("server_no_context_takeover", ""), given.pop("client_no_context_takeover", "")}
    if given or flags != {""} or (client_bits and client_bits not in _WINDOWS):
        return None
    if bits is None:
        return Deflate()
    if bits not in _WINDOWS or int(bits) < _MIN_BITS:
        return None  # zlib has no smaller window
    return Deflate(int(bits), told=True)


_WINDOWS = frozenset(map(str, range(8, _MAX_BITS + 1)))


def inflate(payload: bytes, limit: int) -> bytes:
    """A message as it was before it was compressed; of one longer than ``limit``, one byte more than that.

    :raises zlib.error: it is not compressed data.
    """
    inflater = zlib.decompressobj(-_MAX_BITS)
    return inflater.decompress(payload + _TAIL, limit + 1)
