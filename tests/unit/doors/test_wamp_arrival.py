"""How long a WAMP client may take to join, on a transport in memory and a clock turned by hand."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from crossbar.router.protocol import WampRawSocketServerFactory

from hopsack_router.doors.closing import NO_PROGRESS
from hopsack_router.doors.rounds import STOPS
from hopsack_router.doors.site import ARRIVAL
from hopsack_router.doors.wamp import ROUND, WampFactory, with_links

from .test_shells import World, open_websocket, world

__all__ = ["world"]

HELLO = json.dumps([1, "hopsack", {"roles": {"publisher": {}}}]).encode()
UPGRADE = (
    "GET /ws HTTP/1.1",
    "Host: test",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Protocol: wamp.2.json",
)


def rawsocket(world: World, *sent: bytes) -> Any:
    factory = WampRawSocketServerFactory(lambda: world.session, {"serializers": ["json"]})
    with_links(factory, world.host.outbox, world.host.clock)
    world.transport.getHandle = lambda: SimpleNamespace(family=None)
    link = factory.buildProtocol(None)
    link.makeConnection(world.transport)
    for data in sent:
        link.dataReceived(data)
    return link


def websocket(world: World) -> Any:
    factory = WampFactory(lambda: world.session, world.host.outbox, world.host.clock, {"serializers": ["json"]})
    return open_websocket(world, factory, *UPGRADE)


@pytest.mark.parametrize("sent", [b"", b"\x7f\xf1", b"\x7f\xf1\x00\x00", b"\x7f\xf1\x00\x00\x00\x00\x00\x50[1"])
def test_a_rawsocket_client_that_does_not_join(world: World, sent: bytes) -> None:
    link = rawsocket(world, sent)

    world.turn(ARRIVAL - 0.1)
    still = world.transport.disconnected
    link.dataReceived(b"")
    world.turn(0.2)

    assert not still
    assert world.transport.disconnected


def test_a_rawsocket_client_that_joins_may_be_silent(world: World) -> None:
    rawsocket(world, b"\x7f\xf1\x00\x00", len(HELLO).to_bytes(4, "big") + HELLO)

    world.turn(ARRIVAL * 10)

    assert not world.transport.disconnected


def a_round(world: World) -> bytes:
    """The timers of a round follow each other."""
    return b"".join(world.turn(ROUND / STOPS) for _ in range(STOPS)) + world.turn()


def test_a_rawsocket_client_of_ours_is_asked_whether_it_is_there(world: World) -> None:
    world.session.agent = "hopsack-python/1"
    link = rawsocket(world, b"\x7f\xf1\x00\x00", len(HELLO).to_bytes(4, "big") + HELLO)
    world.turn()
    link.joined(SimpleNamespace())

    asked = a_round(world)
    link.dataReceived(b"\x02\x00\x00\x00")
    asked_again = a_round(world)
    still = world.transport.disconnected
    a_round(world)

    assert asked == asked_again == b"\x01\x00\x00\x00"
    assert not still
    assert world.transport.disconnected


def test_a_rawsocket_client_that_leaves_is_not_awaited(world: World) -> None:
    link = rawsocket(world)

    link.connectionLost(SimpleNamespace(value=ConnectionError()))

    world.turn(ARRIVAL * 2)
    assert not world.transport.disconnected


def test_a_websocket_client_that_does_not_join(world: World) -> None:
    websocket(world)
    world.turn()

    before, after = world.turn(ARRIVAL - 0.1), world.turn(0.2)

    assert before == b""
    assert after[:1] == b"\x88"
    assert int.from_bytes(after[2:4], "big") == NO_PROGRESS.number


def test_a_websocket_client_that_joins_may_be_silent(world: World) -> None:
    link = websocket(world)
    world.turn()

    link.onMessage(HELLO, False)

    assert world.turn(ARRIVAL * 10) == b""
