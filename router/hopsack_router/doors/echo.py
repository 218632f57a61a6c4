"""``/echo``: every text or binary message comes back as it was, by the raw door's own server code.

Conformance suites and latency probes point here. There is no session behind it and nothing to be had by it; a peer
that sends and does not read is not read from any more, so it costs its socket's buffers and no more.
"""

from __future__ import annotations

from typing import Any

from crossbar.webservice.base import RouterWebService

from hopsack_router.doors.host import Host
from hopsack_router.doors.websockets import DoorFactory, DoorProtocol, DoorResource, WebSocketOptions


class EchoProtocol(DoorProtocol):
    """Sends back what it gets."""

    def onOpen(self) -> None:
        self.transport.registerProducer(_Backpressure(self.transport), True)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.transport.write(self.framing(payload, isBinary))


class _Backpressure:
    """Reads from the peer only while the peer reads: what it sends is all that we send."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def pauseProducing(self) -> None:
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        self._transport.resumeProducing()

    def stopProducing(self) -> None:
        pass


class EchoService(RouterWebService):  # type: ignore[misc]
    """The web service type ``hopsack-echo``."""

    @staticmethod
    def create(transport: Any, path: str, config: dict[str, Any]) -> EchoService:
        options = WebSocketOptions.from_config(config)
        factory = DoorFactory(EchoProtocol, options, Host.of(transport).clock)
        return EchoService(transport, path, config, DoorResource(factory))

    @staticmethod
    def check(personality: Any, config: dict[str, Any]) -> None:
        WebSocketOptions.from_config(config)
