"""The opening handshake of a WebSocket, the server's side (RFC 6455, section 4.2), on a request that is parsed.

A core without I/O: :func:`opening_of` reads the header fields or refuses them, :func:`answer` is the response. Twisted
Web has read the request and bounds how long and how large it may be (``doors/site.py``); whether the page that sends it
may connect is known by then (``doors/origins.py``).
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha1

from hopsack.errors import BadRequest

VERSION = b"13"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Fields = Callable[[bytes], Sequence[bytes]]
"""The values of a header field, by its name."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What the client asks for.

    :ivar protocols: subprotocols, in the client's order.
    :ivar extensions: the value of ``Sec-WebSocket-Extensions``.
    """

    key: bytes
    protocols: tuple[str, ...] = ()
    extensions: str = ""


def opening_of(fields: Fields) -> Opening:
    """Read a client's request.

    :raises BadRequest: it is none for a WebSocket.
    """
    _one(fields, b"Host")
    if b"upgrade" not in _tokens(fields, b"Connection") or b"websocket" not in _tokens(fields, b"Upgrade"):
        raise BadRequest("Connection must be Upgrade, and Upgrade must be websocket", where="Connection")
    if _one(fields, b"Sec-WebSocket-Version") != VERSION:
        raise BadRequest("this version of WebSocket is not spoken", where="Sec-WebSocket-Version", advice="send 13")
    key = _one(fields, b"Sec-WebSocket-Key")
    if not _is_key(key):
        raise BadRequest("the key is not 16 bytes in base64", where="Sec-WebSocket-Key")
    protocols = [one.strip().decode("latin-1") for one in _joined(fields, b"Sec-WebSocket-Protocol").split(b",")]
    if len(set(protocols)) < len(protocols):
        raise BadRequest("a subprotocol is named twice", where="Sec-WebSocket-Protocol")
    extensions = _joined(fields, b"Sec-WebSocket-Extensions").decode("latin-1")
    return Opening(key, tuple(filter(None, protocols)), extensions)


def _one(fields: Fields, name: bytes) -> bytes:
    values = fields(name)
    if len(values) != 1:
        raise BadRequest("this header field must be there once", where=name.decode())
    return values[0].strip()


def _joined(fields: Fields, name: bytes) -> bytes:
    return b",".join(fields(name))


def _tokens(fields: Fields, name: bytes) -> list[bytes]:
    return [one.strip() for one in _joined(fields, name).lower().split(b",")]


def _is_key(key: bytes) -> bool:
    try:
        return len(b64decode(key, validate=True)) == 16
    except NotBase64:
        return False


def accept(key: bytes) -> bytes:
    """What proves that the server has read the key (section 1.3)."""
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


def answer(opening: Opening, protocol: str | None = None, extensions: str | None = None) -> bytes:
    """The response that opens the connection.

    :param protocol: the subprotocol that was chosen.
    :param extensions: what was agreed on.
    """
    head = b"HTTP/1.1 101 Switching Protocols\r\nServer: hopsack\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    fields = b"Sec-WebSocket-Accept: %b\r\n" % accept(opening.key)
    if protocol is not None:
        fields += f"Sec-WebSocket-Protocol: {protocol}\r\n".encode()
    if extensions is not None:
        fields += f"Sec-WebSocket-Extensions: {extensions}\r\n".encode()
    return head + fields + b"\r\n"
