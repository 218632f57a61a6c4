"""TLS of the node's ports: certificates that are read again when they change, and handshakes that end.

    files change -> two looks find them the same -> a context is made of them -> new connections have it
                                                    it cannot be made: told once, the old one goes on

TLS 1.2 and 1.3; of 1.2 only suites with forward secrecy and authenticated encryption (RFC 9325); no renegotiation, no
compression, no resumption: a certificate that was taken away is in nobody's ticket. A client's certificate is asked for
where authorities for it are configured, and only then; whoever has none goes on without. Connections that stand keep
what they began with. Bounds: a handshake takes at most :data:`HANDSHAKE` seconds in total.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.interfaces import IDelayedCall, IOpenSSLServerConnectionCreator, IReactorTime, ISSLTransport
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from hopsack.settings import ConfigError, Settings

LOG = Logger()

LOOK = 0.4
"""Seconds between two looks at the files: what has changed is in use within a second."""

HANDSHAKE = 10.0
"""Seconds for the whole handshake, however slowly its bytes come."""

CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; those of 1.3 are all good."""

OPTIONS = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET | SSL.OP_CIPHER_SERVER_PREFERENCE

PLAIN: tuple[bytes, ...] = ()
HTTP: tuple[bytes, ...] = (b"http/1.1",)
"""What the ports speak, as ALPN (RFC 7301) has it."""

Stamp = tuple[tuple[int, int, int] | None, ...]
"""What tells one state of the files from another: time, size and number of each."""


class CertificateError(ConfigError):
    """The files are no certificate with its key; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where the certificate is.

    :ivar cert: PEM, with its chain behind it. :ivar key: PEM, not encrypted.
    :ivar client_ca: PEM, authorities that sign clients' certificates.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> Files | None:
        """``None``: this node does not speak TLS."""
        if settings.tls_cert is None or settings.tls_key is None:
            return None
        return cls(settings.tls_cert, settings.tls_key, settings.tls_client_ca)

    def stamp(self) -> Stamp:
        return tuple(_stamp(path) for path in (self.cert, self.key, self.client_ca) if path is not None)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def context_of(files: Files, protocols: Sequence[bytes] = ()) -> SSL.Context:
    """A server's context.

    :param protocols: of ALPN (RFC 7301), by preference.
    :raises CertificateError: the files cannot be read, or do not belong together.
    """
    chain, key = _chain(files.cert), _key(files.key)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(CIPHERS)
    context.set_options(OPTIONS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    try:
        context.use_certificate(chain[0])
        for further in chain[1:]:
            context.add_extra_chain_cert(further)
        context.use_privatekey(key)
        context.check_privatekey()
    except SSL.Error as error:
        what = f"{files.cert} and {files.key} are not a certificate and its key"
        raise CertificateError(what, _said(error)) from error
    if files.client_ca is not None:
        _ask_for_clients(context, files.client_ca)
    if protocols:
        context.set_alpn_select_callback(lambda _, offered: _chosen(protocols, offered))
    return context


def _chosen(protocols: Sequence[bytes], offered: Sequence[bytes]) -> Any:
    return next((one for one in protocols if one in offered), SSL.NO_OVERLAPPING_PROTOCOLS)


def _ask_for_clients(context: SSL.Context, path: Path) -> None:
    store = context.get_cert_store()
    assert store is not None
    for authority in _chain(path):
        store.add_cert(X509.from_cryptography(authority))
        context.add_client_ca(authority)
    context.set_session_id(b"hopsack")
    context.set_verify(SSL.VERIFY_PEER, lambda connection, cert, number, depth, good: bool(good))


def _chain(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError as error:
        said = "it begins with -----BEGIN CERTIFICATE-----"
        raise CertificateError(f"{path} holds no certificate in PEM", said) from error


def _key(path: Path) -> Any:
    try:
        return load_pem_private_key(_read(path), password=None)
    except TypeError as error:
        raise CertificateError(f"{path} is encrypted", "give the node a key without a passphrase, mode 0600") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"{path} holds no private key in PEM") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        named = "HOPSACK_TLS_CERT, HOPSACK_TLS_KEY and HOPSACK_TLS_CLIENT_CA name the files"
        raise CertificateError(f"cannot read {path}: {error.strerror or error}", named) from error


def _said(error: SSL.Error) -> str | None:
    """OpenSSL's own reason, which is the last of each of its errors."""
    try:
        return "OpenSSL says: " + "; ".join(dict.fromkeys(one[-1] for one in error.args[0]))
    except (IndexError, TypeError):
        return None


class Certificates:
    """What new connections are answered with, for as long as the node runs.

    :param files: where it is; they are read at once.
    :param clock: schedules the looks at them.
    :raises CertificateError: they are no good.
    """

    def __init__(self, files: Files, clock: IReactorTime) -> None:
        self._files = files
        self._clock = clock
        self._used = self._seen = files.stamp()
        self._next: IDelayedCall | None = None
        self._contexts = {protocols: context_of(files, protocols) for protocols in (PLAIN, HTTP)}
        _tell(files)
        self._wait()

    def context(self, protocols: tuple[bytes, ...]) -> SSL.Context:
        """What a connection begins with that begins now.

        :param protocols: :data:`PLAIN` or :data:`HTTP`.
        """
        return self._contexts[protocols]

    def look(self) -> None:
        """Look whether the files have changed; they are read when they have stopped changing."""
        stamp = self._files.stamp()
        is_steady, self._seen = stamp == self._seen, stamp
        if stamp != self._used and is_steady:
            self._used = stamp
            self._read_again()

    def stop(self) -> None:
        if self._next is not None and self._next.active():
            self._next.cancel()

    def _wait(self) -> None:
        self._next = self._clock.callLater(LOOK, self._look_again)

    def _look_again(self) -> None:
        self._wait()
        self.look()

    def _read_again(self) -> None:
        try:
            made = {protocols: context_of(self._files, protocols) for protocols in self._contexts}
        except CertificateError as error:
            LOG.error("the certificate is not replaced, the old one goes on: {error}", error=str(error))
            return
        self._contexts = made
        _tell(self._files)


def _tell(files: Files) -> None:
    certificate = _chain(files.cert)[0]
    until, name = certificate.not_valid_after_utc, certificate.subject.rfc4514_string()
    if until <= datetime.now(UTC):
        LOG.error("the certificate {path} of {name} has expired {until}", path=files.cert, name=name, until=until)
    else:
        LOG.info("the certificate {path} of {name} holds until {until}", path=files.cert, name=name, until=until)


@implementer(IOpenSSLServerConnectionCreator)
class _Creator:
    def __init__(self, certificates: Certificates, protocols: tuple[bytes, ...]) -> None:
        self._certificates = certificates
        self._protocols = protocols

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        return SSL.Connection(self._certificates.context(self._protocols), None)


@implementer(ISSLTransport)
class TlsConnection(TLSMemoryBIOProtocol):
    """One connection. Not Twisted's own, which collects small writes for a turn: ours come once a turn already."""

    factory: TlsFactory
    _late: IDelayedCall | None = None

    def makeConnection(self, transport: Any) -> None:
        self._late = self.factory._clock.callLater(HANDSHAKE, self.abortConnection)
        super().makeConnection(transport)  # type: ignore[no-untyped-call]

    def _checkHandshakeStatus(self) -> None:
        super()._checkHandshakeStatus()  # type: ignore[no-untyped-call]
        if self._handshakeDone:
            self._on_time()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._on_time()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def _on_time(self) -> None:
        late, self._late = self._late, None
        if late is not None and late.active():
            late.cancel()


class TlsFactory(TLSMemoryBIOFactory):
    """Puts TLS around the connections of a port."""

    protocol = TlsConnection


def over_tls(
    factory: ServerFactory, certificates: Certificates, clock: IReactorTime, protocols: tuple[bytes, ...]
) -> TlsFactory:
    """The same port over TLS.

    :param protocols: :data:`PLAIN` or :data:`HTTP`.
    """
    return TlsFactory(_Creator(certificates, protocols), False, factory, clock)
