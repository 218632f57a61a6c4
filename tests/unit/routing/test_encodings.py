"""An event is written once for all that take the same bytes, whatever they subscribed to."""

from __future__ import annotations

from typing import Any

import pytest
from autobahn.wamp import message

from hopsack_router.doors.raw import RawFormat
from hopsack_router.doors.rfc6455 import websocket_frame
from hopsack_router.doors.websockets import Framing, compressing
from hopsack_router.routing.fanout import Delivery

from .conftest import Realm
from .test_events import PUBLISH
from .test_retained import Reader

PATTERNS = [("lab.room.hall", "exact"), ("lab.", "prefix"), ("lab..hall", "wildcard")]
TEXT = "tea? " * 100


class Counting(RawFormat):
    """A raw format that counts what it is asked to write, and what that has to frame."""

    def __init__(self, framing: Framing) -> None:
        super().__init__(self._framed)
        self._really = framing
        self.written = self.framed = 0

    def event(self, delivery: Delivery) -> bytes:
        self.written += 1
        return super().event(delivery)

    def _framed(self, payload: bytes, binary: bool) -> bytes:
        self.framed += 1
        return self._really(payload, binary)


@pytest.mark.parametrize("framing", [websocket_frame, compressing(15)], ids=["plain", "compressed"])
@pytest.mark.parametrize("connections", [1, 3])
def test_one_event_is_encoded_and_framed_once(open_realm: Realm, framing: Framing, connections: int) -> None:
    fmt = Counting(framing)
    readers = [Reader(open_realm, fmt) for _ in range(connections)]
    for number, (topic, match) in enumerate(PATTERNS):
        session: Any = readers[number % connections]._session
        session.onMessage(message.Subscribe(number + 1, topic, match))
    open_realm.turn()
    for reader in readers:
        reader.frames.clear()

    open_realm.join("service", "sam").send(PUBLISH, 1, {}, "lab.room.hall", [TEXT])

    assert (fmt.written, fmt.framed) == (1, 1)
    assert [len(reader.frames) for reader in readers] == [1] * connections
    assert len({frame for reader in readers for frame in reader.frames}) == 1
