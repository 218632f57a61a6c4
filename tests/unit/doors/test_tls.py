"""A WebSocket over TLS is another transport and no other door, back-pressure included."""

from __future__ import annotations

import datetime
import json
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLContextFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test.iosim import FakeTransport, connect
from twisted.web.server import Site
from zope.interface import implementer

from hopsack_router.doors.raw import RawFactory
from hopsack_router.doors.rfc6455 import FIN, TEXT
from hopsack_router.doors.site import bound
from hopsack_router.doors.websockets import DoorResource, WebSocketOptions

from .test_rfc6455 import sent
from .test_shells import World
from .test_websockets import COMPRESSING, HELLO


class Client(Protocol):
    def __init__(self) -> None:
        self.got = b""

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def take(self) -> bytes:
        got, self.got = self.got, b""
        return got


@implementer(IOpenSSLContextFactory)
class Context:
    """What Twisted asks for a context."""

    def __init__(self) -> None:
        self._context = SSL.Context(SSL.TLS_METHOD)

    def getContext(self) -> SSL.Context:
        return self._context


def certified() -> Context:
    """A server's context, with a certificate of its own making."""
    made, key = Context(), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    made.getContext().use_certificate(builder.sign(key, hashes.SHA256()))
    made.getContext().use_privatekey(key)
    return made


class Wire:
    """A client and a node with TLS between them."""

    def __init__(self, world: World) -> None:
        self.world = world
        site = bound(Site(DoorResource(RawFactory(world.host, WebSocketOptions())), reactor=world.clock))
        secured: Any = TLSMemoryBIOFactory(certified(), False, site, world.clock)
        server = secured.buildProtocol(None)
        plain: Any = Factory.forProtocol(Client)
        client: Any = TLSMemoryBIOFactory(Context(), True, plain, world.clock).buildProtocol(None)
        self.transport: Any = FakeTransport(server, isServer=True)
        self._pump = connect(server, self.transport, client, FakeTransport(client, isServer=False))
        self._client, self._inner = client, client.wrappedProtocol
        self.turn()

    def say(self, data: bytes) -> bytes:
        self._client.write(data)
        return self.turn()

    def turn(self) -> bytes:
        """What arrives at the client in a turn of the node."""
        for _ in range(3):  # what is written small is collected for a turn, on both sides
            self._pump.flush()
            self.world.clock.advance(0)
        got: bytes = self._inner.take()
        return got


def test_events_over_tls_wait_while_the_reader_does_not_read() -> None:
    world = World()
    wire = Wire(world)
    head = wire.say("\r\n".join((*COMPRESSING, "", "")).encode())
    hello = wire.say(HELLO)
    subscribe = {"jsonrpc": "2.0", "id": 2, "method": "hopsack.subscribe", "params": {"topic": "demo.news"}}
    wire.say(sent(FIN | TEXT, json.dumps(subscribe).encode()))

    world.session.publish("demo.news", "first")
    first = wire.turn()
    wire.transport.producer.pauseProducing()
    world.session.publish("demo.news", "second", 2)
    nothing = wire.turn()
    world.session.publish("demo.news", "third", 3)
    unsent = world.session.link.unsent
    wire.transport.producer.resumeProducing()
    rest = wire.turn()

    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"permessage-deflate" in head
    assert b'"authid":"guest-1"' in hello
    assert b"first" in first
    assert nothing == b""
    assert unsent > 0
    assert rest.index(b"second") < rest.index(b"third")


def test_a_violation_over_tls_is_told_before_the_end() -> None:
    wire = Wire(World())
    wire.say("\r\n".join((*COMPRESSING, "", "")).encode())

    said = wire.say(sent(FIN | TEXT, b"\xff"))

    assert int.from_bytes(said[2:4], "big") == 1007
