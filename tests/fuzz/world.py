"""The whole node in memory, from bytes to bytes: every door, real sessions, real routing, a clock turned by hand.

What a node survives by catching it is a finding here: :meth:`World.feed` raises what the node has logged as its own
failure, and what it wrote must be HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.web.resource import Resource
from twisted.web.server import Site

from hopsack.contracts import load
from hopsack_router.access.keyring import Keyring
from hopsack_router.access.logins import Logins
from hopsack_router.doors.console import Assets, Console
from hopsack_router.doors.echo import EchoProtocol
from hopsack_router.doors.host import Host
from hopsack_router.doors.http import AskResource, CallService, PublishService
from hopsack_router.doors.raw import RawFactory
from hopsack_router.doors.site import bound
from hopsack_router.doors.sse import EventsResource
from hopsack_router.doors.wamp import WampFactory
from hopsack_router.doors.websockets import DoorFactory, DoorResource, WebSocketOptions
from hopsack_router.embed import EmbeddedNode
from hopsack_router.nesting import bound_nesting
from hopsack_router.routing.links import AUTHENTICATION

CONTRACTS = Path(__file__).parents[1] / "conversations" / "schemas"
PEER = IPv4Address("TCP", "192.0.2.7", 4711)
RENEWED = 500
"""Connections after which a world is made anew, so that a finding depends on little."""

UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


bound_nesting()  # as a worker does when it starts


class Failed(Exception):
    """The node logged a failure of its own, or wrote what is no HTTP."""


_Transport: Any = StringTransport
"""Twisted gives it no types."""


class Wire(_Transport):  # type: ignore[misc]
    """The client's end of one connection."""

    protocol: Any = None

    def written(self) -> bytes:
        return bytes(self.value())

    def abortConnection(self) -> None:
        self.aborting = True
        self.loseConnection()

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def loseWriteConnection(self) -> None:
        self.loseConnection()


class World:
    """One node. Its reactor is :attr:`clock`.

    :param keys: of its tokens.
    """

    def __init__(self, keys: Keyring) -> None:
        self.clock = Clock()
        self.node = EmbeddedNode(load(CONTRACTS), cast(Any, self.clock))
        factory: Any = self.node.router._factory
        factory.logins = Logins(keys)
        self.host = Host(
            outbox=self.node.outbox,
            new_session=self.node._new_session,
            clock=cast(Any, self.clock),
            ready=lambda: True,
            catalogue=lambda: self.node.router.admission.catalogue,
            web=Path("none"),
            client=Path("none"),
            random=Random(7),
        )
        root = Console(Assets(Path("none")), Assets(Path("none")))
        for path, resource in self._doors().items():
            root.putChild(path, resource)
        self.site = bound(Site(root, reactor=self.clock))
        self.failures: list[Any] = []

    def _doors(self) -> dict[bytes, Resource]:
        options = WebSocketOptions()
        new, outbox, clock = self.host.new_session, self.host.outbox, self.host.clock
        config = {"auth": AUTHENTICATION, "options": {"compression": {"deflate": {}}}}
        return {
            b"raw": DoorResource(RawFactory(self.host, options)),
            b"ws": DoorResource(WampFactory(new, outbox, clock, config)),
            b"echo": DoorResource(DoorFactory(EchoProtocol, options, clock)),
            b"events": EventsResource(self.host),
            b"call": AskResource(self.host, CallService.build, CallService.methods),
            b"publish": AskResource(self.host, PublishService.build, PublishService.methods),
        }

    def connect(self) -> Wire:
        wire = Wire(peerAddress=PEER)
        channel: Any = self.site.buildProtocol(PEER)
        channel.callLater = self.clock.callLater
        wire.protocol = channel
        channel.makeConnection(wire)
        return wire

    def open(self, path: bytes, *fields: bytes) -> Wire:
        """A WebSocket at this path."""
        wire = self.connect()
        head = (
            b"GET "
            + path
            + b" HTTP/1.1\r\nHost: localhost\r\n"
            + UPGRADE
            + KEY
            + b"".join(one + b"\r\n" for one in fields)
        )
        self.feed(wire, head + b"\r\n")
        if not wire.written().startswith(b"HTTP/1.1 101 "):
            raise Failed(wire.written())
        wire.clear()
        return wire

    def feed(self, wire: Wire, data: bytes) -> None:
        """The client sent bytes, and the turn ends.

        :raises Failed: the node has failed, whatever it told the client.
        """
        with self.watched():
            if not wire.disconnecting:
                wire.protocol.dataReceived(data)
            self.clock.advance(0)

    def end(self, wire: Wire) -> None:
        """The connection is gone, and what was due in two minutes passes."""
        from twisted.internet.error import ConnectionDone
        from twisted.python.failure import Failure

        with self.watched():
            wire.protocol.connectionLost(Failure(ConnectionDone()))
            self.clock.advance(0)
            self.clock.advance(120)

    @contextmanager
    def watched(self) -> Iterator[None]:
        observer: Any = self._observe
        globalLogPublisher.addObserver(observer)
        try:
            yield
        finally:
            globalLogPublisher.removeObserver(observer)
        if self.failures:
            failures, self.failures = self.failures, []
            raise Failed(failures[0].getTraceback())

    def _observe(self, event: Any) -> None:
        if event.get("log_failure") is not None:
            self.failures.append(event["log_failure"])


_STATUS = re.compile(rb"HTTP/1\.[01] [1-5]\d\d [ -~]*")
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\x20-\x7e\x80-\xff\t]*")


def check_head(written: bytes) -> None:
    """The first head in what was written to a client: a status line, and fields of names that we send.

    :raises Failed: somebody has put something into it.
    """
    head, separator, _ = written.partition(b"\r\n\r\n")
    if not written:
        return
    first, *fields = head.split(b"\r\n")
    if not separator or not _STATUS.fullmatch(first) or not all(_FIELD.fullmatch(one) for one in fields):
        raise Failed(written[:2000])
