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
from hopsack.raw import RawSession
from hopsack.testing.loop import HandTurnedLoop
from hopsack.wamp.codec import JSON
from hopsack.wamp.session import WampSession

QUIET: dict[str, Any] = {"chance": lambda: 0.25, "incident": lambda: "c0ffee00", "check_interval": 0.0}


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

    async def gone(self) -> None:
        pass


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
            return Connection(self.dial, Options(**{**QUIET, **options}))

        self.connection = self.loop.run(make())
        self.connection.start()
        self.loop.settle()
        return self.connection

    async def dial(self, obey: Callable[[on.Effect], None], lost: Callable[[str], None]) -> Carrier:
        if self.trouble is not None:
            raise self.trouble
        wire = Wire(self.session(), obey, lost)
        wire.sent = self.sent
        self.wires.append(wire)
        wire.take(on.Opened(1 << 20))
        if self.joins:
            self.loop.call_soon(self._say, self.welcome(self.sent.pop(), 70 + len(self.wires)))
        return wire

    def session(self) -> on.Session:
        return WampSession(JSON, realm="hopsack", agent="hopsack-python/9")

    def welcome(self, hello: Any, session: int) -> Any:
        assert hello[0] == 1
        return [2, session, {"authid": "host", "authrole": "service"}]

    def _say(self, message: Any) -> None:
        self.wires[-1].take(on.Received(json.dumps(message).encode()))

    def says(self, *messages: Any) -> None:
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


class RawPeer(Peer):
    """The same over the raw door; requests are ``(id, method, params)``."""

    def session(self) -> on.Session:
        return RawSession()

    def welcome(self, hello: Any, session: int) -> Any:
        who = {"session": session, "authid": "guest-1", "role": "guest", "realm": "hopsack"}
        return {"jsonrpc": "2.0", "id": hello["id"], "result": who}

    def asked(self) -> list[Any]:
        return [(one.get("id"), one["method"], one.get("params")) for one in self.heard()]

    def answers(self, request: int, **result: Any) -> None:
        self.says({"jsonrpc": "2.0", "id": request, "result": result})

    def tells(self, method: str, **params: Any) -> None:
        self.says({"jsonrpc": "2.0", "method": method, "params": params})


@pytest.fixture
def loop() -> Iterator[HandTurnedLoop]:
    loop = HandTurnedLoop()
    yield loop
    loop.close()


@pytest.fixture
def peer(loop: HandTurnedLoop) -> Peer:
    return Peer(loop)


@pytest.fixture
def raw(loop: HandTurnedLoop) -> RawPeer:
    return RawPeer(loop)
