"""What a RawSocket connection takes and gives, at the edges of its framing."""

from __future__ import annotations

from typing import Any

import pytest
from autobahn.exception import PayloadExceededError
from autobahn.wamp import message
from twisted.logger import capturedLogs

from hopsack.wamp.rawsocket import LARGEST
from hopsack_router.doors.wamp import rawsocket_frame

from .test_shells import World, world
from .test_sockets import DELIVERY
from .test_wamp_arrival import HELLO, rawsocket

__all__ = ["world"]

TAKES_ALL = b"\x7f\xf1\x00\x00"
"""A handshake that announces 2**24 bytes and asks for JSON."""


@pytest.mark.parametrize(
    "wrong",
    [
        rawsocket_frame(b"nonsense", True),
        rawsocket_frame(b"", True),
        rawsocket_frame(b"[99]", True),
        b"\x03\x00\x00\x00",
    ],
    ids=["no JSON", "nothing", "no message", "no frame"],
)
def test_nothing_is_heard_behind_what_may_not_be_sent(world: World, wrong: bytes) -> None:
    link = rawsocket(world, TAKES_ALL)
    heard: list[message.Message] = []
    world.session.onMessage = heard.append  # type: ignore[assignment, method-assign]

    with capturedLogs() as logs:
        link.dataReceived(wrong * 100 + rawsocket_frame(HELLO, True))
        link.dataReceived(rawsocket_frame(HELLO, True))

    assert heard == []
    assert world.transport.disconnected
    assert [one["log_format"] for one in logs if "closing" in one["log_format"]] == ["closing {peer}: {error}"]


@pytest.mark.parametrize(("size", "fits"), [(LARGEST, True), (LARGEST + 1, False)])
def test_a_message_is_as_long_as_its_head_can_say(world: World, size: int, fits: bool) -> None:
    """2**24 is what the handshake announces, and 24 bits cannot say."""
    link = rawsocket(world, TAKES_ALL)
    world.turn()

    too_small = link.outlet.outbox.share(bytes(4) + bytes(size), DELIVERY, [link.outlet])

    assert (not too_small and not link.oversized) is fits


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
def test_an_answer_is_as_long_as_its_head_can_say(world: World, more: int, fits: bool) -> None:
    link = rawsocket(world, TAKES_ALL)
    world.turn()
    around = len(link.format.written(message.Result(1, args=[""])))
    result = message.Result(1, args=["x" * (LARGEST - around + more)])

    if fits:
        link.send(result)
        sent: Any = world.turn()
        assert int.from_bytes(sent[:4], "big") == LARGEST == len(sent) - 4
    else:
        with pytest.raises(PayloadExceededError):
            link.send(result)
