"""The doors on real sockets: what is sent straight keeps its place among all else that a connection sends."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.tcp import Server
from twisted.internet.testing import MemoryReactorClock

from hopsack_router.doors.closing import NORMAL
from hopsack_router.doors.host import Host
from hopsack_router.doors.raw import RawFactory
from hopsack_router.doors.rfc6455 import CLOSE, PING, control_frame
from hopsack_router.doors.sockets import send_all
from hopsack_router.doors.sse import HEARTBEAT
from hopsack_router.doors.websockets import WebSocketOptions
from hopsack_router.routing.fanout import Outbox

from .test_rfc6455 import FIN, sent
from .test_shells import World, open_stream
from .test_websockets import UPGRADE, opened

HELLO = sent(FIN | 1, b'{"jsonrpc":"2.0","id":1,"method":"hopsack.hello"}')
CLOSING = control_frame(CLOSE, NORMAL.number.to_bytes(2, "big") + NORMAL.meaning.encode())


class Wired(World):
    """A world whose transport is Twisted's own, on one end of a pair of sockets."""

    def __init__(self) -> None:
        super().__init__()
        ours, self.theirs = socket.socketpair()
        self.theirs.settimeout(5)
        self.reactor: Any = MemoryReactorClock()
        self.transport = Server(ours, None, ("192.0.2.7", 4711), None, 1, self.reactor)  # type: ignore[arg-type]
        self.transport.connected = 1
        self.transport.getPeer = lambda: IPv4Address("TCP", "192.0.2.7", 4711)
        self.transport.getHost = lambda: IPv4Address("TCP", "192.0.2.1", 80)
        outbox = Outbox(cast(Any, self.clock), send_all)
        facts = {name: getattr(self.host, name) for name in Host.__slots__}
        self.host = Host(**facts | {"outbox": outbox})

    def turn(self, seconds: float = 0) -> bytes:
        """Let time pass; what the peer got, the transport's own buffer included."""
        self.clock.advance(seconds)
        while self.transport.dataBuffer or self.transport._tempDataBuffer:
            self.transport.doWrite()
        return self.read()

    def read(self) -> bytes:
        self.theirs.setblocking(False)
        try:
            return self.theirs.recv(1 << 20)
        except BlockingIOError:
            return b""


@pytest.fixture
def world() -> Iterator[Wired]:
    wired = Wired()
    yield wired
    wired.transport.socket.close()
    wired.theirs.close()


@pytest.fixture
def raw(world: Wired) -> Any:
    """A raw connection that has joined and is straight."""
    factory = RawFactory(world.host, WebSocketOptions())
    protocol = opened(world, *("GET /raw HTTP/1.1", *UPGRADE[1:]), factory=factory)
    protocol.dataReceived(HELLO)
    world.turn()
    world.turn()
    assert protocol.link.outlet.socket is world.transport.socket
    return protocol


def event(value: Any) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", "method": "event", "params": {"topic": "demo.news", "data": value}})
    payload = body.replace(", ", ",").replace(": ", ":").encode()
    return bytes((0x81, len(payload))) + payload


def test_events_and_answers_leave_in_their_order(world: Wired, raw: Any) -> None:
    world.session.publish("demo.news", 1)
    raw.dataReceived(sent(FIN | 1, b'{"jsonrpc":"2.0","id":2,"method":"hopsack.hello"}'))
    world.session.publish("demo.news", 2, publication=2)

    written = world.turn()

    first, second = event(1), event(2)
    assert written.startswith(first)
    assert written.endswith(second)
    assert b'"id":2' in written[len(first) : -len(second)]


def test_nothing_comes_behind_the_close_frame(world: Wired, raw: Any) -> None:
    world.session.publish("demo.news", 1)
    raw.link.close()
    world.session.publish("demo.news", 2, publication=2)

    assert world.turn() == event(1) + CLOSING
    assert raw.link.outlet.socket is None


def test_nothing_comes_behind_the_answer_to_a_close_frame(world: Wired, raw: Any) -> None:
    world.session.publish("demo.news", 1)
    raw.dataReceived(sent(FIN | CLOSE, NORMAL.number.to_bytes(2, "big")))

    written = world.turn()

    assert written == control_frame(CLOSE, NORMAL.number.to_bytes(2, "big"))


def test_a_ping_that_the_kernel_does_not_take_bends_the_connection(
    world: Wired, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.transport.socket = Full(world.transport.socket)

    raw._control(control_frame(PING))
    bent = raw.link.outlet.socket
    world.transport.socket = world.transport.socket.real
    world.session.publish("demo.news", 1)

    assert bent is None
    assert world.turn() == control_frame(PING) + event(1)


class Full:
    """A socket whose buffer is full."""

    def __init__(self, real: socket.socket) -> None:
        self.real = real

    def send(self, data: bytes) -> int:
        raise BlockingIOError


def test_a_connection_that_is_dropped_gets_no_more(world: Wired, raw: Any) -> None:
    world.session.publish("demo.news", 1)
    raw.drop()

    assert world.turn() == b""


def test_a_stream_of_http_1_1_is_chunked_once_and_sent_straight(world: Wired) -> None:
    open_stream(world)
    head = world.turn()
    world.session.publish("demo.news", 0)
    world.turn()
    straight = world.session.link.outlet.socket

    world.session.publish("demo.news", 1)
    world.session.publish("demo.news", 2, publication=2)
    both = world.turn()
    beat = world.turn(HEARTBEAT)
    world.session.link.close()
    end = world.turn()

    assert b"transfer-encoding: chunked\r\n" in head.lower()
    assert straight is world.transport.socket
    assert unchunked(both) == [b"event: demo.news\ndata: 1\n\n", b"event: demo.news\ndata: 2\n\n"]
    assert unchunked(beat) == [b":\n"]
    assert end == b"0\r\n\r\n"


def unchunked(data: bytes) -> list[bytes]:
    chunks = []
    while data:
        size, _, rest = data.partition(b"\r\n")
        chunk, data = rest[: int(size, 16)], rest[int(size, 16) :]
        assert data.startswith(b"\r\n")
        chunks.append(chunk)
        data = data[2:]
    return chunks
