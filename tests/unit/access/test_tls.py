"""Certificates in the hand: when they are read again, and handshakes that never end."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from OpenSSL import SSL
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.tcp import Server
from twisted.internet.testing import MemoryReactor, StringTransport

from hopsack.settings import Settings
from hopsack_router.access.tls import (
    HANDSHAKE,
    HTTP,
    LOOK,
    PLAIN,
    CertificateError,
    Certificates,
    Files,
    TlsFactory,
    context_of,
    over_tls,
)
from hopsack_router.doors.sockets import beneath, unwritten, write_straight


def issue(folder: Path, **changes: Any) -> Files:
    made = trustme.CA().issue_cert("localhost", **changes)
    (folder / "node.pem").write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
    made.private_key_pem.write_to_path(folder / "node.key")
    return Files(folder / "node.pem", folder / "node.key")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return issue(tmp_path)


@pytest.fixture
def clock() -> Any:
    return Clock()


@pytest.fixture
def certificates(files: Files, clock: Any) -> Certificates:
    return Certificates(files, clock)


def test_the_settings_of_a_node(tmp_path: Path) -> None:
    places = {"HOPSACK_TLS_CERT": "/a/cert", "HOPSACK_TLS_KEY": "/a/key", "HOPSACK_TLS_CLIENT_CA": "/a/ca"}

    assert Files.of(Settings.from_environ(places)) == Files(Path("/a/cert"), Path("/a/key"), Path("/a/ca"))
    assert Files.of(Settings.from_environ({})) is None


def test_new_files_are_used_when_they_have_stopped_changing(
    certificates: Certificates, files: Files, clock: Any
) -> None:
    first = certificates.context(PLAIN), certificates.context(HTTP)

    clock.advance(LOOK)
    unchanged = certificates.context(PLAIN)
    issue(files.cert.parent)
    clock.advance(LOOK)
    seen = certificates.context(PLAIN)
    clock.advance(LOOK)
    replaced = certificates.context(PLAIN), certificates.context(HTTP)

    assert unchanged is first[0]
    assert seen is first[0]
    assert replaced[0] is not first[0]
    assert replaced[1] is not first[1]
    assert 2 * LOOK < 1


def test_the_old_one_goes_on_while_the_files_are_no_good(certificates: Certificates, files: Files, clock: Any) -> None:
    first = certificates.context(PLAIN)

    files.key.unlink()
    for _ in range(5):
        clock.advance(LOOK)
    kept = certificates.context(PLAIN)
    issue(files.cert.parent)
    clock.pump([LOOK] * 2)

    assert kept is first
    assert certificates.context(PLAIN) is not first


def test_a_link_that_is_turned_is_a_change(tmp_path: Path, clock: Any) -> None:
    """As certbot and Kubernetes replace files."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        issue(tmp_path / name)
    (tmp_path / "live").symlink_to("one")
    certificates = Certificates(Files(tmp_path / "live" / "node.pem", tmp_path / "live" / "node.key"), clock)
    first = certificates.context(PLAIN)

    (tmp_path / "next").symlink_to("two")
    os.replace(tmp_path / "next", tmp_path / "live")
    clock.pump([LOOK] * 2)

    assert certificates.context(PLAIN) is not first


def test_a_stopped_one_looks_no_more(certificates: Certificates, clock: Any) -> None:
    certificates.stop()

    assert clock.getDelayedCalls() == []


def test_what_is_no_certificate_with_its_key(files: Files, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = issue(tmp_path / "other")
    hidden = load_pem_private_key(files.key.read_bytes(), None)
    sealed = hidden.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    (tmp_path / "encrypted").write_bytes(sealed)

    for cert, key, said in (
        (files.cert, other.key, "are not a certificate and its key"),
        (files.key, files.key, "holds no certificate"),
        (files.cert, files.cert, "holds no private key"),
        (tmp_path / "none", files.key, "cannot read"),
        (files.cert, tmp_path / "encrypted", "is encrypted"),
    ):
        with pytest.raises(CertificateError, match=said):
            context_of(Files(cert, key))


class Inner(Protocol):
    """What is spoken inside."""

    def __init__(self) -> None:
        self.lost = False

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


class Transport(StringTransport):
    """A wire."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


def begin(certificates: Certificates, clock: Any) -> tuple[Any, Any]:
    inner: Any = Factory.forProtocol(Inner)
    factory: TlsFactory = over_tls(inner, certificates, clock, PLAIN)
    connection: Any = factory.buildProtocol(None)
    transport: Any = Transport()  # type: ignore[no-untyped-call]
    connection.makeConnection(transport)
    return connection, transport


def shake(connection: Any, transport: Any) -> SSL.Connection:
    """Play the client's part of the handshake."""
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    client.set_connect_state()
    for _ in range(4):
        with suppress(SSL.WantReadError):
            client.do_handshake()
        with suppress(SSL.WantReadError):
            connection.dataReceived(client.bio_read(1 << 16))
        if transport.value():
            client.bio_write(transport.value())
            transport.clear()
    return client


def test_a_handshake_that_never_ends_is_cut_however_slowly_it_goes_on(certificates: Certificates, clock: Any) -> None:
    connection, transport = begin(certificates, clock)

    for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc":
        connection.dataReceived(bytes((byte,)))
        clock.advance(HANDSHAKE / 10)
    before = transport.aborted
    clock.advance(HANDSHAKE / 10)

    assert not before
    assert transport.aborted


def test_a_handshake_that_ends_is_not(certificates: Certificates, clock: Any) -> None:
    connection, transport = begin(certificates, clock)

    client = shake(connection, transport)
    clock.advance(HANDSHAKE + 1)

    assert client.get_protocol_version_name() == "TLSv1.3"
    assert not transport.aborted


def test_a_connection_that_is_lost_is_forgotten(certificates: Certificates, clock: Any) -> None:
    connection, _ = begin(certificates, clock)
    certificates.stop()

    connection.connectionLost()

    assert clock.getDelayedCalls() == []


def test_nothing_is_written_past_the_encryption(certificates: Certificates, clock: Any) -> None:
    connection, transport = begin(certificates, clock)
    shake(connection, transport)

    straight = write_straight(connection, b"in clear")

    assert straight is None
    assert transport.value()
    assert b"in clear" not in transport.value()
    assert beneath(connection) is transport
    assert unwritten(connection) is None  # this transport has no socket


def test_what_a_reader_has_not_taken_is_counted_beneath_the_encryption(certificates: Certificates, clock: Any) -> None:
    """So a reader over TLS that takes nothing is told from one that takes little."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        reactor: Any = MemoryReactor()
        server: Any = Server(ours, None, ("127.0.0.1", 0), None, 1, reactor)  # type: ignore[arg-type]
        server.connected = 1
        connection, transport = begin(certificates, clock)
        client = shake(connection, transport)
        connection.transport = server

        before = unwritten(connection)
        connection.write(b"x" * 10_000)
        server.doWrite()
        waiting = unwritten(connection)
        client.bio_write(theirs.recv(1 << 16))
        taken = unwritten(connection)

    assert before == taken == 0
    assert waiting is not None
    assert waiting > 10_000
    assert client.recv(1 << 16) == b"x" * 10_000
