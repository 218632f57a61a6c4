"""The shells around the machines, on a transport in memory and a clock turned by hand."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
from autobahn.wamp import message
from autobahn.wamp.types import SessionDetails
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.server import Site

from hopsack.contracts import PERMISSIVE
from hopsack_router.doors.host import Host
from hopsack_router.doors.raw import RawFactory
from hopsack_router.doors.site import ARRIVAL, LINGER, MAX_HEAD, bound
from hopsack_router.doors.sse import HEARTBEAT, EventsResource
from hopsack_router.doors.websockets import DoorFactory, DoorResource, WebSocketOptions
from hopsack_router.routing.fanout import Delivery, Outbox
from hopsack_router.routing.farewell import Farewell, NotNow
from hopsack_router.routing.unread import Carried


class Session:
    """Stands in for the realm: welcomes everybody and grants every subscription."""

    def __init__(self) -> None:
        self.link: Any = None
        self.closed: list[bool] = []

    def onOpen(self, link: Any) -> None:
        self.link = link

    def onMessage(self, msg: message.Message) -> None:
        match msg:
            case message.Hello():
                self.link.joined(SessionDetails("hopsack", 11, authid="guest-1", authrole="guest"))
            case message.Subscribe():
                self.link.send(message.Subscribed(msg.request, 70 + msg.request))

    def onClose(self, clean: bool) -> None:
        self.closed.append(clean)

    def publish(self, topic: str, value: Any, publication: int = 1) -> None:
        delivery = Delivery(topic, 71, "exact", publication, Carried(None, [value], None))
        outlet = self.link.outlet
        outlet.outbox.share(self.link.format.event(delivery), [outlet])


class Stopping(Session):
    """The same when the node stops."""

    def onMessage(self, msg: message.Message) -> None:
        self.link.send(NotNow(2.3))


class World:
    """A host with one session to give, and the client's end of the wire."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.session = Session()
        self.transport: Any = StringTransport(peerAddress=IPv4Address("TCP", "192.0.2.7", 4711))
        self.host = Host(
            outbox=Outbox(partial(self.clock.callLater, 0)),
            new_session=cast(Any, lambda: self.session),
            clock=cast(Any, self.clock),
            ready=lambda: True,
            catalogue=lambda: PERMISSIVE,
            web=Path("none"),
            random=Random(7),
        )

    def connect(self, factory: Any, *lines: str, early: bytes = b"") -> Any:
        """:param early: what comes right behind the request."""
        protocol = factory.buildProtocol(IPv4Address("TCP", "192.0.2.7", 4711))
        if isinstance(factory, Site):
            protocol.callLater = self.clock.callLater
        protocol.makeConnection(self.transport)
        protocol.dataReceived("\r\n".join((*lines, "", "")).encode() + early)
        return protocol

    def turn(self, seconds: float = 0) -> bytes:
        """Let time pass, and take what was written."""
        self.clock.advance(seconds)
        written: bytes = self.transport.value()
        self.transport.clear()
        return written


@pytest.fixture
def world() -> World:
    return World()


def open_stream(world: World) -> Any:
    site = bound(Site(EventsResource(world.host), reactor=world.clock))
    return world.connect(site, "GET /events?topic=demo.news HTTP/1.1", "Host: test")


def open_raw(world: World) -> Any:
    factory = RawFactory(world.host, WebSocketOptions())
    upgrade = (
        "GET /raw HTTP/1.1",
        "Host: test",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    )
    return open_websocket(world, factory, *upgrade)


def open_websocket(world: World, factory: DoorFactory, *upgrade: str) -> Any:
    """Through the HTTP port, as in a node."""
    world.connect(bound(Site(DoorResource(factory), reactor=world.clock)), *upgrade)
    return world.transport.protocol


def test_a_stream_begins_beats_and_carries(world: World) -> None:
    open_stream(world)
    head = world.turn()

    world.session.publish("demo.news", 1)
    world.session.publish("demo.news", 2, publication=2)
    both = world.turn()
    beat = world.turn(HEARTBEAT)

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"retry: " in head
    assert both.count(b"event: demo.news\n") == 2
    assert b"\r\n:\n\r\n" in beat
    assert world.session.link.peer == "tcp4:192.0.2.7:4711"


def test_events_of_one_turn_leave_in_one_write(world: World) -> None:
    open_stream(world)
    world.turn()

    world.session.publish("demo.news", 1)
    world.session.publish("demo.news", 2, publication=2)
    nothing_yet = world.transport.value()
    chunk = world.turn()

    assert nothing_yet == b""
    assert chunk.count(b"event: demo.news\n") == 2


def test_a_reader_that_stops_is_cut_off_past_its_budget(world: World) -> None:
    open_stream(world)
    link = world.session.link
    world.turn()
    world.transport.producer.pauseProducing()

    for publication in range(1, 12):
        world.session.publish("demo.news", "x" * 100_000, publication)

    assert link.unsent <= link.budget
    assert world.transport.disconnected


def test_a_reader_that_goes_on_gets_everything_in_order(world: World) -> None:
    open_stream(world)
    world.turn()
    world.transport.producer.pauseProducing()
    for publication in (1, 2, 3):
        world.session.publish("demo.news", publication, publication)
    silent = world.turn()

    world.transport.producer.resumeProducing()
    written = world.turn()

    assert silent == b""
    places = [written.index(b"data: %d" % number) for number in (1, 2, 3)]
    assert places == sorted(places)


def test_a_stream_ends_with_its_reader(world: World) -> None:
    channel = open_stream(world)
    world.turn()

    channel.connectionLost(Failure(ConnectionError("gone")))
    world.session.publish("demo.news", 1)

    assert world.session.closed == [False]
    assert world.turn(HEARTBEAT) == b""


def test_a_stream_ends_with_the_node(world: World) -> None:
    open_stream(world)
    world.turn()

    world.session.link.send(Farewell(2.3))

    assert world.turn().endswith(b"\r\nretry: 2300\n\r\n0\r\n\r\n")
    assert world.session.closed == [True]


def test_a_stream_that_an_operator_ends_says_nothing_of_returning(world: World) -> None:
    open_stream(world)
    world.turn()

    world.session.link.send(message.Goodbye("wamp.close.killed"))

    assert world.turn() == b"0\r\n\r\n"


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*"])
def test_a_reader_that_comes_while_the_node_stops(world: World, accept: str) -> None:
    world.session = Stopping()
    site = bound(Site(EventsResource(world.host), reactor=world.clock))

    world.connect(site, "GET /events?topic=demo.news HTTP/1.1", "Host: test", f"Accept: {accept}")
    answer = world.turn()

    if accept == "*/*":
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"\r\nRetry-After: 3\r\n" in answer
        assert b'"code":"hopsack.unavailable"' in answer
    else:  # EventSource takes any other status for the end
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\nretry: 2300\n\r\n0\r\n\r\n")


def open_http(world: World, sent: bytes) -> Any:
    site = bound(Site(EventsResource(world.host), reactor=world.clock))
    channel = world.connect(site)
    world.transport.clear()
    channel.dataReceived(sent)
    return channel


@pytest.mark.parametrize("drip", [b"", b"X-A: b\r\n", b"x"])
def test_a_head_that_does_not_get_complete(world: World, drip: bytes) -> None:
    channel = open_http(world, b"GET /events HTTP/1.1\r\nHost:")

    for _ in range(9):
        assert world.turn(ARRIVAL / 10) == b""
        channel.dataReceived(drip)
    answer = world.turn(ARRIVAL / 10)
    channel.dataReceived(b"\r\n\r\n")
    rest = world.turn(LINGER)

    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert rest == b""
    assert world.transport.disconnecting


def test_a_body_that_stops(world: World) -> None:
    head = b"POST /events HTTP/1.1\r\nHost: test\r\nContent-Length: 20\r\n\r\n"
    channel = open_http(world, head + b"12345")

    world.turn(ARRIVAL - 1)
    channel.dataReceived(b"12345")
    world.turn(ARRIVAL - 1)
    goes_on = not world.transport.disconnecting
    world.turn(1)

    assert goes_on
    assert world.transport.disconnecting


def test_between_requests_a_client_may_think(world: World) -> None:
    request = b"POST /events HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}"
    channel = open_http(world, request)
    first = world.turn(ARRIVAL * 2)

    channel.dataReceived(request + request[:30])  # and a third that does not get complete
    second = world.turn()
    third = world.turn(ARRIVAL)

    assert first.count(b"HTTP/1.1 405") == second.count(b"HTTP/1.1 405") == 1
    assert third.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("field", [b"x" * (MAX_HEAD + 10), b"\r\n".join([b"X-A: " + b"x" * 9000] * 8)])
def test_a_head_that_is_too_large(world: World, field: bytes) -> None:
    channel = open_http(world, b"GET /events HTTP/1.1\r\nX-B: " + field + b"\r\n\r\n")
    answer = world.turn()
    channel.dataReceived(b"GET / HTTP/1.1\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b'"status":431' in answer
    assert world.turn(LINGER) == b""
    assert world.transport.disconnecting


def test_silence_on_the_raw_door_is_bounded(world: World) -> None:
    protocol = open_raw(world)
    world.turn()

    before = world.turn(protocol.factory.options.hello_timeout - 0.1)
    after = world.turn(0.2)

    assert before == b""
    assert after[:1] == b"\x88"
    assert int.from_bytes(after[2:4], "big") == 4408


def test_a_connection_that_spoke_may_be_silent(world: World) -> None:
    protocol = open_raw(world)
    protocol.onMessage(b'{"jsonrpc": "2.0", "id": 1, "method": "hopsack.hello"}', False)
    hello = world.turn()

    assert b'"authid":"guest-1"' in hello
    assert world.turn(1000) == b""


def test_the_raw_door_leaves_with_its_connection(world: World) -> None:
    protocol = open_raw(world)
    protocol.onMessage(b'{"jsonrpc": "2.0", "id": 1, "method": "hopsack.hello"}', False)
    world.turn()

    protocol.onClose(True, 1000, "")
    world.session.publish("demo.news", 1)

    assert world.session.closed == [True]
    assert world.turn() == b""
