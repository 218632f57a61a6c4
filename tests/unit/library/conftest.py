"""A connection against a peer that says what the test says, on a clock that the test turns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hopsack import session as on
from hopsack.connection import Connection
from hopsack.errors import Overloaded
from hopsack.link import Carrier
from hopsack.options import Options
from hopsack.testing.loop import HandTurnedLoop
from hopsack.wamp.codec import JSON
from hopsack.wamp.session import WampSession


class Wire(Carrier):
    """The carrier of one attempt; its other end is the test."""

    sent: list[Any]
    is_full = False
    is_closed = False

    def _send(self, message: bytes) -> None:
        self.sent.append(json.loads(message))

    def check_room(self, what: str) -> None:
        if self.is_full:
            raise Overloaded("99 bytes wait to be sent", where=what)

    def close(self, reason: str) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.take(on.Lost(reason))
            self._lost(reason)

    abort = close


class Peer:
    """The node, as far as a test tells it.

    ``heard()`` takes what was sent since it was last asked, ``says(...)`` answers, ``vanishes()`` cuts the line.
    """

    def __init__(self, loop: HandTurnedLoop) -> None:
        self.loop = loop
        self.wires: list[Wire] = []
        self.sent: list[Any] = []
        self.trouble: Exception | None = None
        self.joins = True
        self.connection: Connection

    def connect(self, **options: Any) -> Connection:
        async def make() -> Connection:
            return Connection(self.dial, Options(**{"chance": lambda: 0.5, "incident": lambda: "c0ffee00", **options}))

        self.connection = self.loop.run(make())
        self.connection.start()
        self.loop.settle()
        return self.connection

    async def dial(self, obey: Callable[[on.Effect], None], lost: Callable[[str], None]) -> Carrier:
        if self.trouble is not None:
            raise self.trouble
        wire = Wire(WampSession(JSON, realm="hopsack", agent="hopsack-python/9"), obey, lost)
        wire.sent = self.sent
        self.wires.append(wire)
        wire.take(on.Opened(1 << 20))
        if self.joins:
            assert self.sent.pop()[0] == 1
            self.loop.call_soon(self._say, [2, 70 + len(self.wires), {"authid": "host", "authrole": "service"}])
        return wire

    def _say(self, message: list[Any]) -> None:
        self.wires[-1].take(on.Received(json.dumps(message).encode()))

    def says(self, *messages: list[Any]) -> None:
        for message in messages:
            self._say(message)
        self.loop.settle()

    def heard(self) -> list[Any]:
        self.loop.settle()
        sent, self.sent[:] = list(self.sent), []
        return sent

    def vanishes(self, reason: str = "reset by peer") -> None:
        self.wires[-1].close(reason)
        self.loop.settle()


@pytest.fixture
def loop() -> Iterator[HandTurnedLoop]:
    loop = HandTurnedLoop()
    yield loop
    loop.close()


@pytest.fixture
def peer(loop: HandTurnedLoop) -> Peer:
    return Peer(loop)
