"""Bytes to a socket by the shortest way.

Twisted's ``transport.write`` only queues: it arms the reactor, which sends in its next turn and disarms itself, three
system calls for one. While nothing is queued in the transport, one ``send`` does the same at once. What the kernel
does not take goes the usual way, with its back-pressure, and so does everything on a transport that is not a plain
TCP or Unix socket: TLS, and whatever tests put in its place.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.abstract import FileDescriptor


def write_straight(transport: Any, data: bytes) -> None:
    """Write ``data`` to ``transport``, at once if it can be."""
    if (
        isinstance(transport, FileDescriptor)
        and not transport.dataBuffer
        and not transport._tempDataBuffer
        and transport.connected
        and not transport.disconnecting
    ):
        try:
            sent = transport.socket.send(data)  # type: ignore[attr-defined]
        except OSError:
            sent = 0  # the kernel's buffer is full; or the reactor will meet the same error, and know what to do
        if sent == len(data):
            return
        data = data[sent:]
    transport.write(data)
