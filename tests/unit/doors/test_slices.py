"""A read with many messages: what came of the first ones does not wait for the last."""

from __future__ import annotations

from hopsack_router.doors.frames import HEAD, PING, pong
from hopsack_router.doors.wamp import SLICE

from .test_shells import World, world
from .test_wamp_arrival import rawsocket

__all__ = ["world"]

PINGED = (PING << 24).to_bytes(HEAD, "big")
HANDSHAKE = b"\x7f\xf1\x00\x00"


def test_what_a_slice_of_a_read_brought_is_written_before_the_rest_is_taken(world: World) -> None:
    link = rawsocket(world, HANDSHAKE)
    world.turn()
    world.transport.clear()

    link.dataReceived(PINGED * (2 * SLICE + 1))

    assert world.transport.value() == pong(b"") * 2 * SLICE
    assert world.turn() == pong(b"") * (2 * SLICE + 1)


def test_few_messages_leave_together_when_the_turn_ends(world: World) -> None:
    link = rawsocket(world, HANDSHAKE)
    world.turn()
    world.transport.clear()

    link.dataReceived(PINGED * (SLICE - 1))

    assert world.transport.value() == b""
    assert world.turn() == pong(b"") * (SLICE - 1)
