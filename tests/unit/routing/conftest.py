"""A realm in memory, and clients that speak WAMP to it as plain lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet.task import Clock

from hopsack.contracts import PERMISSIVE, Catalogue, load
from hopsack_router.embed import EmbeddedNode

from .stock import StockNode

CONTRACTS = """
topics:
  lab.reading:
    summary: One measurement.
    payload: {$ref: '#/types/Reading'}
    publish: [service]
    subscribe: [guest, service]
  lab.secret:
    summary: For services only.
    payload: {type: string}
    publish: [service]
    subscribe: [service]
  lab.room.{room}:
    summary: A conversation.
    payload: {type: string}
    publish: [guest]
    subscribe: [guest, service]
  lab.users.{sub}:
    summary: For one user's eyes.
    payload: {type: string}
    publish: [service]
    subscribe: ['user:{sub}', 'guest:auditor', service]
procedures:
  lab.slow:
    summary: Something that may take half a second.
    input: {type: array, items: {type: number}}
    output: {type: number}
    timeout: 500ms
    register: [service]
    call: [guest]
  lab.double:
    summary: Twice a number.
    input: {type: number}
    output: {type: number}
    errors: [lab.overheated]
    register: [service]
    call: [guest]
types:
  Reading:
    type: object
    required: [celsius]
    properties:
      celsius: {type: number}
    additionalProperties: false
"""

HELLO_ROLES = {
    "publisher": {},
    "subscriber": {"features": {"pattern_based_subscription": True}},
    "caller": {"features": {"call_canceling": True}},
    "callee": {"features": {"call_canceling": True, "caller_identification": True}},
}


class Client:
    """One WAMP client; messages are the lists that go over the wire."""

    def __init__(
        self,
        realm: Realm,
        role: str,
        authid: str,
        agent: str | None,
        roles: dict[str, Any] | None,
        max_size: int,
        **claims: Any,
    ) -> None:
        self.received: list[list[Any]] = []
        self._realm = realm
        self._link = realm.node.open_link(self._receive, role, authid, max_size, **claims)
        details: dict[str, Any] = {"roles": roles or HELLO_ROLES, "authmethods": ["anonymous"]}
        if agent:
            details["authextra"] = {"agent": agent}
        (welcome,) = self.send(1, "hopsack", details)
        assert welcome[0] == 2, welcome
        self.session: int = welcome[1]
        self.details: dict[str, Any] = welcome[2]

    def _receive(self, data: bytes) -> None:
        self.received.append(msgspec.msgpack.decode(data))

    def send(self, *message: Any) -> list[list[Any]]:
        """Send one message, let the turn pass, and take what came back."""
        self.send_only(*message)
        return self.take()

    def send_only(self, *message: Any) -> None:
        self._link.receive(msgspec.msgpack.encode(message))

    def take(self) -> list[list[Any]]:
        self._realm.turn()
        taken, self.received = self.received, []
        return taken

    def leave(self) -> None:
        self._link.lost()
        self._realm.turn()


class Realm:
    def __init__(self, clock: Clock, node: EmbeddedNode | StockNode) -> None:
        self.clock = clock
        self.node = node
        self.turn()

    @classmethod
    def ours(cls, catalogue: Catalogue | None = PERMISSIVE) -> Realm:
        clock = Clock()
        return cls(clock, EmbeddedNode(catalogue, clock))

    @classmethod
    def stock(cls) -> Realm:
        clock = Clock()
        return cls(clock, StockNode(clock))

    def turn(self) -> None:
        """Run what is due now, and what that makes due."""
        while any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()):
            self.clock.advance(0)

    def join(
        self,
        role: str = "guest",
        authid: str = "ann",
        agent: str | None = None,
        roles: dict[str, Any] | None = None,
        max_size: int = 1 << 24,
        **claims: Any,
    ) -> Client:
        """:param claims: ``groups`` and ``tenant``."""
        return Client(self, role, authid, agent, roles, max_size, **claims)


@pytest.fixture
def realm(tmp_path: Path) -> Realm:
    (tmp_path / "lab.yaml").write_text(CONTRACTS)
    return Realm.ours(load(tmp_path))


@pytest.fixture
def open_realm() -> Realm:
    """One whose contracts leave everything open, for what contracts have nothing to do with."""
    return Realm.ours()


@pytest.fixture
def stock() -> Realm:
    """Stock Crossbar, permissive: where it gets something wrong, a test says so."""
    return Realm.stock()
