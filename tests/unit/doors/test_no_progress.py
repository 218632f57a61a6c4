"""How a connection ends that takes nothing, as its client sees it on each door: a code and a hint, or a cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hopsack.backoff import hint_in
from hopsack_router.doors.closing import MAX_REASON, NO_PROGRESS, slow_reader
from hopsack_router.routing.backlog import PATIENCE, Why
from hopsack_router.routing.links import RETURN_AFTER

from .test_rawsocket import TAKES_ALL
from .test_shells import World, open_raw, open_stream, world
from .test_wamp_arrival import HELLO, rawsocket, websocket

__all__ = ["world"]

HEAD = 4
"""Bytes of a close frame before its reason (RFC 6455, section 5.5.1)."""


def raw(world: World) -> None:
    open_raw(world).onMessage(b'{"jsonrpc": "2.0", "id": 1, "method": "hopsack.hello"}', False)


def read_only(world: World) -> None:
    open_raw(world, "?topic=demo.news")


def wamp(world: World) -> None:
    protocol = websocket(world)
    protocol.onMessage(HELLO, False)


def over_rawsocket(world: World) -> None:
    link = rawsocket(world, TAKES_ALL)
    link.joined()


def events(world: World) -> None:
    open_stream(world)


def stall(world: World, open_: Callable[[World], Any]) -> bytes:
    """:returns: what is written when patience ends."""
    open_(world)
    world.turn()
    world.transport.producer.pauseProducing()
    world.session.link.queue(b"x" * 1000)
    world.turn(PATIENCE - 1)
    assert not world.transport.disconnected
    return world.turn(1)


@pytest.mark.parametrize("open_", [raw, read_only, wamp])
def test_a_websocket_closes_with_a_code_that_says_why_and_when_to_return(
    world: World, open_: Callable[[World], Any]
) -> None:
    closing = stall(world, open_)

    assert closing[:1] == b"\x88"
    assert int.from_bytes(closing[2:HEAD], "big") == NO_PROGRESS.number == 4408
    reason = closing[HEAD:].decode()
    assert Why.STALLED.value in reason
    assert hint_in(reason) == RETURN_AFTER
    assert not world.transport.disconnected


@pytest.mark.parametrize("open_", [raw, read_only, wamp])
def test_who_does_not_read_the_code_either_is_cut(world: World, open_: Callable[[World], Any]) -> None:
    stall(world, open_)

    world.turn(10)

    assert world.transport.disconnected


@pytest.mark.parametrize("open_", [over_rawsocket, events])
def test_where_there_is_no_place_for_a_code_the_connection_is_cut(world: World, open_: Callable[[World], Any]) -> None:
    closing = stall(world, open_)

    assert closing == b""
    assert world.transport.disconnected


def test_of_each_reason_there_is_a_sentence_that_fits() -> None:
    assert all(len(slow_reader(why, RETURN_AFTER).encode()) < MAX_REASON for why in Why)
