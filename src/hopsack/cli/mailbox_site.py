"""The site of the mailbox server: what strangers may cost it. Imported where the server is installed.

A request has no body, for nothing here takes one (413). An address has :data:`MOST_OF_ADDRESS` of the connections, and
one that is no WebSocket within :data:`IDLE` seconds is closed. Who does not read what it is sent is cut off when more
than :data:`MOST_UNREAD` wait for it. A message that is not of the protocol closes its connection (4400), without a word
in the log.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.protocols.policies import WrappingFactory
from twisted.web.server import Request
from wormhole_mailbox_server.server_websocket import WebSocketServer
from wormhole_mailbox_server.web import make_web_server
from zope.interface import implementer

__all__ = ["IDLE", "MOST_CONNECTIONS", "MOST_OF_ADDRESS", "MOST_UNREAD", "make_site"]

MOST_CONNECTIONS = 200
MOST_OF_ADDRESS = 40
MOST_UNREAD = 1 << 20
IDLE = 10

_BAD_REQUEST = 4400
_TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Bodiless(Request):
    """A request that is refused as soon as it says that a body comes."""

    _is_refused = False

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()
        if length != 0:
            self._is_refused = True
            channel: Any = self.channel
            channel.transport.write(_TOO_LARGE)
            channel.loseConnection()

    def handleContentChunk(self, data: bytes) -> None:
        """There is no content."""

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if not self._is_refused:
            super().requestReceived(command, path, version)  # type: ignore[no-untyped-call]


@implementer(IPushProducer)
class Reader(WebSocketServer):  # type: ignore[misc]
    """A WebSocket of the mailbox whose peer speaks the protocol, and reads."""

    _unread: int | None = None
    """Bytes that were sent since its transport is full; ``None``: it is not."""

    def onOpen(self) -> None:
        self.transport.unregisterProducer()  # the HTTP channel, whose transport this was
        self.transport.registerProducer(self, True)
        super().onOpen()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        try:
            if not isinstance(json.loads(payload), dict):
                raise TypeError(payload[:1])
            super().onMessage(payload, isBinary)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, AssertionError, sqlite3.Error):
            self.sendClose(_BAD_REQUEST, "this is no message of the mailbox")

    def sendMessage(self, payload: bytes, *args: Any, **words: Any) -> None:
        if self._unread is not None:
            self._unread += len(payload)
            if self._unread > MOST_UNREAD:
                self.transport.abortConnection()
                return
        super().sendMessage(payload, *args, **words)

    def pauseProducing(self) -> None:
        self._unread = 0

    def resumeProducing(self) -> None:
        self._unread = None

    def stopProducing(self) -> None:
        """It is gone."""


class Bounded(WrappingFactory):
    """At most :data:`MOST_CONNECTIONS`, :data:`MOST_OF_ADDRESS` of each address; more are closed as they come."""

    def __init__(self, wrapped: Any) -> None:
        super().__init__(wrapped)  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        host = str(getattr(addr, "host", ""))
        if self.counts[host] >= MOST_OF_ADDRESS or self.counts.total() >= MOST_CONNECTIONS:
            return None
        self.counts[host] += 1
        protocol: Any = super().buildProtocol(addr)
        protocol.host = host
        return protocol

    def unregisterProtocol(self, p: Any) -> None:
        super().unregisterProtocol(p)  # type: ignore[no-untyped-call]
        self.counts[p.host] -= 1
        if not self.counts[p.host]:
            del self.counts[p.host]


def make_site(server: Any, options: Mapping[str, object]) -> Any:
    """The factory to listen with. :param server: of ``wormhole_mailbox_server``. :param options: of Autobahn."""
    site = make_web_server(server, log_requests=False, websocket_protocol_options=options.items())
    site.requestFactory = Bodiless
    site.timeOut = IDLE
    site.resource.children[b"v1"]._factory.protocol = Reader
    return Bounded(site)
