"""The gate in front of both ports: connections of an address that has too many are refused as they are accepted.

    accept -> may it?  yes  -> the port's own factory, as without a gate
                       no   -> closed at once; nothing of it is read, no TLS is begun

A plain HTTP client that is refused gets the few bytes of a 429 first, as long as no more than :data:`LINGERING` are
being told. The gate is no wrapper: what is let in costs nothing afterwards. Clients of proxies (``HOPSACK_PROXY``) all
come from the proxy's address, which is not counted: it is for the proxy to count them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from twisted.internet import tcp
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.logger import Logger

from hopsack_router import metrics
from hopsack_router.access.meters import Limits
from hopsack_router.runs import Runs

LOG = Logger()

LINGERING = 100
LINGER = 1.0
"""Seconds in which a refused client may read why."""


class Gate:
    """Takes the place of a listening port's factory.

    :param port: a TCP port, that listens.
    :param limits: asked about each connection.
    :param is_proxy: whether an address is a proxy of this node's.
    :param speaks_http: whether a refused client understands an HTTP response.
    """

    def __init__(
        self, port: Any, limits: Limits, clock: IReactorTime, is_proxy: Callable[[str], bool], speaks_http: bool
    ) -> None:
        self._factory = port.factory
        self._limits, self._clock, self._is_proxy = limits, clock, is_proxy
        self._speaks_http = speaks_http
        self._lingering = 0
        self._runs = Runs(clock.seconds)

    def buildProtocol(self, address: Any) -> Any:
        """:returns: ``None`` to have the connection closed."""
        host = address.host
        if self._is_proxy(host):
            return self._factory.buildProtocol(address)
        wait = self._limits.enters(host)
        if not wait:
            return self._factory.buildProtocol(address)
        self._tell(host)
        if not self._speaks_http or self._lingering >= LINGERING:
            return None
        self._lingering += 1
        return TooMany(self, wait)

    def _tell(self, host: str) -> None:
        metrics.refused_connections.inc()
        count = self._runs.again("refused")
        if count:
            LOG.info("refused connections, the last one from {host}: {count}", host=host, count=count)

    def left(self, host: str, protocol: Any) -> None:
        if not isinstance(protocol, TooMany) and not self._is_proxy(host):
            self._limits.leaves(host)

    def told(self) -> None:
        self._lingering -= 1

    def later(self, seconds: float, what: Callable[[], object]) -> Any:
        return self._clock.callLater(seconds, what)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)


_ANSWER = (
    b"HTTP/1.1 429 Too Many Requests\r\nServer: hopsack\r\nRetry-After: %d\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


class TooMany(Protocol):
    """Tells a refused HTTP client, and hangs up. What it sends is thrown away."""

    _end: Any = None

    def __init__(self, gate: Gate, wait: float) -> None:
        self._gate = gate
        self._wait = wait

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(_ANSWER % max(1, math.ceil(self._wait)))
        transport.loseWriteConnection()
        self._end = self._gate.later(LINGER, transport.abortConnection)

    def connectionLost(self, reason: Any = None) -> None:
        self._gate.told()
        if self._end is not None and self._end.active():
            self._end.cancel()


class Counted(tcp.Server):
    """A connection that the gate hears the end of."""

    def connectionLost(self, reason: Any) -> None:
        protocol, gate = self.protocol, getattr(self.server, "factory", None)
        super().connectionLost(reason)
        if isinstance(gate, Gate):
            gate.left(str(self.hostname), protocol)


def guard(
    port: Any, limits: Limits, clock: IReactorTime, is_proxy: Callable[[str], bool], speaks_http: bool = False
) -> None:
    """Put a gate in front of a port; not of one that is no TCP port."""
    if isinstance(port, tcp.Port):
        gate: Any = Gate(port, limits, clock, is_proxy, speaks_http)
        port.factory = gate
        port.transport = Counted
