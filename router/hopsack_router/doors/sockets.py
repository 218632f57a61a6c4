"""Bytes to sockets by the shortest way.

Twisted's ``transport.write`` only queues: it arms the reactor, which sends in its next turn and disarms itself, three
system calls for one. While nothing is queued in the transport, one ``send`` does the same at once. What the kernel
does not take goes the usual way, with its back-pressure, and so does everything on a transport that is not a plain
TCP or Unix socket: TLS, and whatever tests put in its place.

    a write finds the transport empty, the kernel takes all    -> the link's outlet holds the socket: it is straight
    the kernel does not take all; the closing handshake
    begins; the transport pauses or stops its producer         -> not straight: each write looks at the transport

While an outlet is straight the transport's buffer is empty without anybody looking, so whoever writes to the transport
past the outlet (a ping, a close frame) must bend it where that leaves something in the buffer. :func:`send_all` writes
the whole turn in one call: in C where the accelerator is built (``_straight.c``), else in Python.
"""

from __future__ import annotations

import socket as kinds
from array import array
from contextlib import suppress
from errno import EBADF
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.protocols.policies import ProtocolWrapper

from hopsack_router.routing.fanout import SendAll


def write_straight(transport: Any, data: bytes) -> Any:
    """Write ``data`` to ``transport``, at once if it can be.

    :returns: the socket, if it is plain and took everything: nothing waits in the transport. Else ``None``.
    """
    if (
        isinstance(transport, FileDescriptor)
        and not transport.dataBuffer
        and not transport._tempDataBuffer
        and transport.connected
        and not transport.disconnecting
        and not getattr(transport, "TLS", False)
    ):
        socket = transport.socket  # type: ignore[attr-defined]
        try:
            sent = socket.send(data)
        except OSError:
            sent = 0  # the kernel's buffer is full; or the reactor will meet the same error, and know what to do
        if sent == len(data):
            return socket
        data = data[sent:]
    transport.write(data)
    return None


def beneath(transport: Any) -> Any:
    """The transport with the socket: TLS is a layer above it."""
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport


def unwritten(transport: Any) -> int | None:
    """Bytes that a transport and the kernel hold because the peer has not taken them; ``None`` where nobody tells.

    The kernel's are counted because a reader of a kilobyte a second moves nothing out of the transport for minutes.
    Over TLS they are counted as they are encrypted: that some are gone is as true of these.
    """
    transport = beneath(transport)
    if not isinstance(transport, FileDescriptor):
        return None
    queued = array("i", [0])
    with suppress(OSError, ValueError):  # it is closed
        ioctl(transport.fileno(), TIOCOUTQ, queued)
    return len(transport.dataBuffer) - transport.offset + transport._tempDataLen + queued[0]


FLAGS = kinds.MSG_DONTWAIT | getattr(kinds, "MSG_NOSIGNAL", 0)  # Python ignores the signal anyway


def send_all_in_python(sockets: list[Any], chunks: list[bytes]) -> list[tuple[int, int]] | None:
    """What ``_straight.send_all`` does, for where it is not built."""
    unsent: list[tuple[int, int]] | None = None
    for index, (socket, chunk) in enumerate(zip(sockets, chunks, strict=True)):
        try:
            sent = socket.send(chunk, FLAGS)
        except OSError as error:
            sent = -(error.errno or EBADF)
        if sent != len(chunk):
            unsent = unsent or []
            unsent.append((index, sent))
    return unsent


send_all: SendAll = send_all_in_python
try:
    from hopsack_router.doors import _straight

    send_all = _straight.send_all
except ImportError:  # no compiler when this was installed
    pass

ACCELERATED = send_all is not send_all_in_python
"""Whether the C function is in use; ``hopsack doctor`` tells it."""
