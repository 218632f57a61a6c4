"""The one HTTP port: Crossbar's web transport with our requests on it, and bounds on requests that do not get complete.

Bounds, each with its answer: a request's head (its first line and its header fields) takes at most :data:`ARRIVAL`
seconds from its first byte, or 408; it holds at most :data:`MAX_HEAD` bytes, or 431; its body brings
:data:`LEAST_BODY` bytes in every :data:`ARRIVAL` seconds, or is complete, or 408; and nobody keeps a connection for
:data:`IDLE` seconds without asking for something, nor a new one for :data:`ARRIVAL`, or the connection is closed. So
who sends a byte now and then is no better off than who sends none. HTTP/1.1 only: HTTP/2 would need bounds of its own.
"""

from __future__ import annotations

from typing import Any

from crossbar.worker.transport import RouterTransport, RouterWebTransport
from twisted.internet.defer import inlineCallbacks
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.web.http import HTTPChannel

from hopsack.errors import RemoteError
from hopsack_router.access.tls import HTTP, over_tls
from hopsack_router.doors.gate import guard
from hopsack_router.doors.origins import Front
from hopsack_router.doors.proxies import proxies_of
from hopsack_router.doors.requests import DoorRequest, answer_early

LOG = Logger()

IDLE = 60.0
"""Seconds in which a client sends another request; Crossbar's default is to wait for ever."""

ARRIVAL = 8.0
"""Seconds in which a head is complete, and in which a client that has connected has said what it must. With what
follows a refusal it is over after ten."""

LEAST_BODY = 256 << 10
"""Bytes of a body that come in as many seconds: 32 KiB/s, a tenth of what a weak mobile connection does."""

MAX_HEAD = 64 << 10
"""Bytes of a head: room for a token that is too long to be told so."""

LINGER = 1.0
"""Seconds in which a client that was refused may read why: what it still sends is thrown away until then, because to
close with bytes unread makes the client's system forget the answer (RFC 9112, section 9.6)."""


_Channel: Any = HTTPChannel
"""Twisted's types for it are a beginning."""


class DoorChannel(_Channel):  # type: ignore[misc]
    """One client's HTTP connection."""

    MAX_LENGTH = MAX_HEAD
    totalHeadersSize = MAX_HEAD

    _idle: float | None = None
    _late: IDelayedCall | None = None
    _refused = False
    _came = 0
    purse: dict[str, Any] | None = None

    def connectionMade(self) -> None:
        self._idle = self.timeOut
        super().connectionMade()
        self.setTimeout(min(ARRIVAL, self.timeOut))

    def dataReceived(self, data: bytes) -> None:
        if self._refused:
            return
        super().dataReceived(data)
        begun = self.line_mode and (self._buffer or self._receivedHeaderSize)
        if begun and self._late is None and not self._refused:
            self.setTimeout(None)
            self._late = self.callLater(ARRIVAL, self._stopped)

    def lineReceived(self, line: bytes) -> Any:
        if self._receivedHeaderSize + len(line) > self.totalHeadersSize:
            return self.lineLengthExceeded(line)
        return super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        advice = "send fewer and shorter header fields"
        error = RemoteError(f"the head is larger than {MAX_HEAD} bytes", code="hopsack.too_large", advice=advice)
        self._refuse(error, 431)

    def allHeadersReceived(self) -> None:
        self._on_time()
        self.setTimeout(None)
        self._late = self.callLater(ARRIVAL, self._look_at_body, 0)
        super().allHeadersReceived()

    def rawDataReceived(self, data: bytes) -> None:
        self._came += len(data)
        super().rawDataReceived(data)

    def _look_at_body(self, came: int) -> None:
        self._late = None
        if self._came - came >= LEAST_BODY:
            self._late = self.callLater(ARRIVAL, self._look_at_body, self._came)
        else:
            self._refuse(RemoteError("the body comes too slowly", code="hopsack.bad_request"), 408)

    def allContentReceived(self) -> None:
        self._on_time()
        self._came = 0
        self.setTimeout(self._idle)  # kept by Twisted for the time after the response
        super().allContentReceived()

    def connectionLost(self, reason: Any) -> None:
        self._on_time()
        super().connectionLost(reason)

    def _stopped(self) -> None:
        error = RemoteError(f"the head did not arrive within {ARRIVAL:g} seconds", code="hopsack.bad_request")
        self._refuse(error, 408)

    def _on_time(self) -> None:
        late, self._late = self._late, None
        if late is not None and late.active():
            late.cancel()

    def _refuse(self, error: RemoteError, status: int) -> None:
        self._on_time()
        self.setTimeout(None)
        self._refused = True
        self.clearLineBuffer()
        self._tell(error)
        answer_early(self, error, status)
        self._late = self.callLater(LINGER, self.loseConnection)

    def _tell(self, error: RemoteError) -> None:
        """The log says it once in a while, not of each: those who drip come in hundreds."""
        runs = getattr(self.factory, "front", _NOWHERE).runs
        count = runs.again(error.message)
        if count:
            peer, why = getattr(self.transport.getPeer(), "host", "unix"), error.message
            LOG.info(
                "requests that were not read, the last one from {peer}: {count} ({why})",
                peer=peer,
                count=count,
                why=why,
            )


_NOWHERE = Front()


def bound(site: Any, front: Front | None = None) -> Any:
    """Set the bounds of this module on a ``twisted.web.server.Site``.

    :param front: which pages and proxies may stand in front of it.
    """
    site.front = front or Front()
    site.protocol = DoorChannel
    site.requestFactory = DoorRequest
    site.acceptableProtocols = lambda: [b"http/1.1"]
    site._parsePOSTFormSubmission = False  # nobody reads forms here, and Twisted raises an error for some types of them
    site.timeOut = site.timeOut or IDLE
    return site


class WebTransport(RouterWebTransport):  # type: ignore[misc]
    """Crossbar's web transport; its site bounds heads, bodies and silence, and does not tell versions."""

    @inlineCallbacks
    def _create_web_factory(self, create_paths: bool = False, ignore: Any = ()) -> Any:
        site, root = yield super()._create_web_factory(create_paths, list(ignore))
        return bound(site, Front.of(self._worker.settings)), root

    def _create_factory(self, create_paths: bool = False, ignore: Any = ()) -> Any:
        return super()._create_factory(create_paths, ignore).addCallback(secured, self, HTTP)

    def start(self, *args: Any, **kwargs: Any) -> Any:
        return super().start(*args, **kwargs).addCallback(guarded, speaks_http=True)


def guarded(transport: RouterTransport, speaks_http: bool = False) -> RouterTransport:
    """A transport that listens, with a gate in front of it."""
    worker = transport.worker
    limits = getattr(worker, "limits", None)
    if limits is not None:
        is_proxy = proxies_of(worker.settings.proxy).trusts
        guard(transport.port, limits, worker._reactor, is_proxy, speaks_http and worker.certificates is None)
    return transport


def secured(made: tuple[Any, Any], transport: RouterTransport, protocols: tuple[bytes, ...]) -> tuple[Any, Any]:
    """A transport's factory, over TLS where this node speaks that; a Unix socket does not leave the machine.

    :param protocols: what is spoken inside, as ALPN has it.
    """
    factory, root = made
    worker, endpoint = transport.worker, transport.config["endpoint"]
    if worker.certificates is None or endpoint["type"] != "tcp":
        return made
    return over_tls(factory, worker.certificates, worker._reactor, protocols), root
