"""What strangers may cost the mailbox of invitations."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

pytest.importorskip("wormhole_mailbox_server", reason="pip install 'hopsack-router[enrol]'")

from wormhole_mailbox_server.database import create_channel_db
from wormhole_mailbox_server.server import make_server

from hopsack.cli import mailbox_site
from hopsack.cli.mailbox import OPTIONS

UPGRADE = (
    b"GET /v1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Peer:
    """A stranger's connection."""

    def __init__(self, protocol: Any, host: str) -> None:
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", host, 4000))
        self.is_aborted = False
        self.transport.abortConnection = self._abort  # type: ignore[method-assign]
        self.protocol = protocol
        protocol.makeConnection(self.transport)

    def _abort(self) -> None:
        self.is_aborted = True

    def open(self) -> None:
        self.protocol.dataReceived(UPGRADE)
        assert self.transport.value().startswith(b"HTTP/1.1 101 ")
        self.transport.clear()

    def say(self, text: bytes) -> None:
        size = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
        self.protocol.dataReceived(b"\x81" + size + bytes(4) + text)


class Site:
    def __init__(self) -> None:
        self.clock = Clock()
        self.factory = mailbox_site.make_site(make_server(create_channel_db(":memory:"), allow_list=False), OPTIONS)
        self.factory.wrappedFactory.reactor = self.clock

    def connect(self, host: str = "192.0.2.1") -> Peer | None:
        protocol = self.factory.buildProtocol(IPv4Address("TCP", host, 4000))
        return None if protocol is None else Peer(protocol, host)

    def peer(self) -> Peer:
        peer = self.connect()
        assert peer is not None
        return peer


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.mark.parametrize("length", [b"Content-Length: 62914560", b"Transfer-Encoding: chunked"])
def test_a_body_is_refused_before_it_comes(site: Site, length: bytes) -> None:
    peer = site.peer()

    peer.protocol.dataReceived(b"POST / HTTP/1.1\r\nHost: localhost\r\n" + length + b"\r\n\r\n")

    assert peer.transport.value().startswith(b"HTTP/1.1 413 ")
    assert peer.transport.disconnecting


def test_an_address_has_its_share_and_no_more(site: Site) -> None:
    first = [site.connect() for _ in range(mailbox_site.MOST_OF_ADDRESS)]
    assert all(first)
    assert site.connect() is None
    assert site.connect("192.0.2.2") is not None

    gone = first[0]
    assert gone is not None
    gone.protocol.connectionLost(None)

    assert site.connect() is not None


def test_there_is_a_bound_for_all_addresses(site: Site) -> None:
    most = mailbox_site.MOST_CONNECTIONS
    assert all(site.connect(f"192.0.2.{number}") for number in range(most))
    assert site.connect("198.51.100.1") is None


def test_who_says_nothing_is_closed_and_a_websocket_is_not(site: Site) -> None:
    silent, open_ = site.peer(), site.peer()
    open_.open()

    site.clock.advance(mailbox_site.IDLE + 1)

    assert silent.transport.disconnecting
    assert not open_.transport.disconnecting


def test_who_does_not_read_is_cut_off(site: Site) -> None:
    peer = site.peer()
    peer.open()
    producer: Any = peer.transport.producer
    large = json.dumps({"type": "ping", "ping": "x" * 60_000}).encode()

    for _ in range(2 * mailbox_site.MOST_UNREAD // len(large)):
        peer.say(large)  # it reads
    assert not peer.is_aborted

    producer.pauseProducing()
    sent = len(peer.transport.value())
    for _ in range(2 * mailbox_site.MOST_UNREAD // len(large)):
        peer.say(large)

    assert peer.is_aborted
    assert len(peer.transport.value()) - sent <= mailbox_site.MOST_UNREAD + 100_000


@pytest.mark.parametrize(
    "text",
    [
        b"x",
        b"[]",
        b"7",
        b"null",
        b"\xc3\xa9",
        b'{"type": {}}',
        b'{"type": "bind", "appid": [], "side": {}}',
        b"[" * 10_000,
    ],
)
def test_what_is_no_message_of_it_closes_its_connection_and_is_no_failure(
    site: Site, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    peer, other = site.peer(), site.peer()
    peer.open()
    other.open()

    peer.say(text)

    said = peer.transport.value()
    assert b"no message of the mailbox" in said or b'"error"' in said
    assert "Traceback" not in caplog.text
    other.say(b'{"type": "ping", "ping": 1}')
    assert b'"pong"' in other.transport.value()
