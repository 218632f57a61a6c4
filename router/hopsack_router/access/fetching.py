"""Getting a small document over HTTPS without waiting for it, and without trusting who has it.

The URL comes from the configuration. A redirect is not followed: who answers there need not be who was asked. What is
larger than :data:`MOST_BYTES`, or not there after :data:`TIMEOUT` seconds in all, is not read on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet._sslverify import IOpenSSLTrustRoot  # what trustRoot= takes; there is no public name for it
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as NotInTime
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.error import TimeoutError as NotConnectedInTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from zope.interface import implementer

MOST_BYTES = 256 << 10
TIMEOUT = 5.0
"""Seconds, from the look-up of the name to the last byte."""


class Unfetched(Exception):
    """It cannot be had; the message says why."""


class Fetching:
    """
    :param reactor: connects and waits.
    :param trusted: a PEM file of authorities that are trusted beside the system's.
    """

    def __init__(self, reactor: Any, trusted: Path | None = None) -> None:
        self._reactor = reactor
        policy = BrowserLikePolicyForHTTPS(None if trusted is None else _Beside(trusted))
        pool = HTTPConnectionPool(reactor, persistent=False)
        self._agent = Agent(reactor, policy, connectTimeout=TIMEOUT, pool=pool)

    def get(self, url: str) -> Deferred[bytes]:
        """
        :returns: fires with its bytes; fails with :exc:`Unfetched`.
        """
        headers = Headers({"Accept": ["application/json"], "User-Agent": ["hopsack"]})
        getting: Deferred[Any] = self._agent.request(b"GET", url.encode("ascii"), headers)
        getting.addCallback(_read)
        getting.addTimeout(TIMEOUT, self._reactor)
        return getting.addErrback(_why)


def _read(response: Any) -> Any:
    body = _Body()
    if response.code != 200:
        body.stop(f"it answers with status {response.code}")
    response.deliverBody(body)
    return body.whole


class _Body(Protocol):
    """Collects what comes, up to the bound."""

    def __init__(self) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _: self._cut())
        self._parts: list[bytes] = []
        self._size = 0
        self._is_over = False

    def connectionMade(self) -> None:
        if self._is_over:
            self._cut()

    def dataReceived(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MOST_BYTES:
            self.stop(f"it is larger than {MOST_BYTES} bytes")
        elif not self._is_over:
            self._parts.append(data)

    def stop(self, why: str) -> None:
        """Read no more of it."""
        if not self._is_over:
            self._is_over = True
            self.whole.errback(Unfetched(why))
            self._cut()

    def _cut(self) -> None:
        self._is_over = True
        transport: Any = self.transport
        abort = getattr(transport, "abortConnection", None)
        if abort is not None:
            abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._is_over:
            return
        self._is_over = True
        if reason.check(ResponseDone, PotentialDataLoss) is not None:
            self.whole.callback(b"".join(self._parts))
        else:
            self.whole.errback(Unfetched("the connection was lost in the middle of it"))


def _why(failure: Failure) -> Failure:
    error = failure.value
    if isinstance(error, Unfetched):
        return failure
    causes = [one.value for one in getattr(error, "reasons", ())] or [error]
    if any(isinstance(one, CancelledError | NotInTime | NotConnectedInTime) for one in causes):
        return Failure(Unfetched(f"it did not come within {TIMEOUT:g} s"))
    if isinstance(error, ConnectError | DNSLookupError):
        return Failure(Unfetched(f"no connection: {error}"))
    return Failure(Unfetched("; ".join(f"{type(one).__name__}: {one}" for one in causes)))


@implementer(IOpenSSLTrustRoot)
class _Beside:
    """The system's authorities, and those of a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _addCACertsToContext(self, context: SSL.Context) -> None:
        context.set_default_verify_paths()
        context.load_verify_locations(str(self._path))
