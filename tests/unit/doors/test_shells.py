"""The shells around the machines, on a transport in memory and a clock turned by hand."""

from __future__ import annotations

import json
import re
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
from hopsack_router.doors import reading
from hopsack_router.doors.host import Host
from hopsack_router.doors.patterns import pattern_of
from hopsack_router.doors.raw import RawFactory
from hopsack_router.doors.site import ARRIVAL, LEAST_BODY, LINGER, MAX_HEAD, bound
from hopsack_router.doors.sse import HEARTBEAT, EventsResource, EventStream
from hopsack_router.doors.websockets import DoorFactory, DoorResource, WebSocketOptions
from hopsack_router.routing.asked import Granted, Subscribed
from hopsack_router.routing.backlog import PATIENCE
from hopsack_router.routing.fanout import Delivery, Outbox
from hopsack_router.routing.farewell import Farewell, NotNow
from hopsack_router.routing.unread import Carried


class Session:
    """Stands in for the realm: welcomes everybody and grants every subscription.

    :ivar grants: what subscriptions begin with, by topic.
    :ivar asked: the subscriptions.
    """

    identity = meter = levels = None

    def __init__(self) -> None:
        self.link: Any = None
        self.agent: str | None = None
        self.closed: list[bool] = []
        self.grants: dict[str, Granted] = {}
        self.asked: list[Any] = []

    def onOpen(self, link: Any) -> None:
        self.link = link

    def onMessage(self, msg: message.Message) -> None:
        match msg:
            case message.Hello():
                self.link.joined(SessionDetails("hopsack", 11, authid="guest-1", authrole="guest"))
            case message.Subscribe():
                self.asked.append(msg)
                self.link.send(Subscribed(msg.request, 70 + msg.request, self.grants.get(msg.topic, Granted())))

    def onClose(self, clean: bool) -> None:
        self.closed.append(clean)

    def publish(self, topic: str, value: Any, publication: int = 1, position: str | None = None) -> None:
        delivery = Delivery(topic, 71, "exact", publication, Carried(None, [value], None), position=position)
        outlet = self.link.outlet
        outlet.outbox.share(self.link.format.event(delivery), delivery, [outlet])


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
            outbox=Outbox(cast(Any, self.clock)),
            new_session=cast(Any, lambda: self.session),
            clock=cast(Any, self.clock),
            ready=lambda: True,
            catalogue=lambda: PERMISSIVE,
            web=Path("none"),
            client=Path("none"),
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


def open_stream(world: World, query: str = "topic=demo.news", *headers: str, version: str = "1.1") -> Any:
    site = bound(Site(EventsResource(world.host), reactor=world.clock))
    return world.connect(site, f"GET /events?{query} HTTP/{version}", "Host: test", *headers)


def open_raw(world: World, query: str = "") -> Any:
    factory = RawFactory(world.host, WebSocketOptions())
    upgrade = (
        f"GET /raw{query} HTTP/1.1",
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


def test_a_reader_that_stops_loses_the_oldest_past_its_budget_and_is_told(world: World) -> None:
    open_stream(world)
    link = world.session.link
    world.turn()
    world.transport.producer.pauseProducing()

    for publication in range(1, 12):
        world.session.publish("demo.news", "x" * 100_000, publication)
    held = link.unsent
    world.transport.producer.resumeProducing()
    gap, *events = blocks(world.turn())

    assert held <= link.budget
    assert (gap["event"], json.loads(gap["data"])) == (
        "hopsack.gap",
        {"topic": "demo.news", "dropped": 11 - len(events)},
    )
    assert 8 <= len(events) <= 10


@pytest.mark.parametrize("query", ["topic=demo.news", "topic=demo."])
def test_a_reader_that_takes_nothing_for_long_is_cut_off(world: World, query: str) -> None:
    open_stream(world, query)
    world.turn()
    world.transport.producer.pauseProducing()

    world.session.publish("demo.news", "x")
    world.turn(PATIENCE - 1)
    still = not world.transport.disconnected
    world.turn(1)

    assert still
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

    said, _, end = world.turn().partition(b"\n\n")
    assert said.splitlines()[1] == b"event: hopsack.ended"
    assert b'"message":"An operator ended this session."' in said
    assert end == b"\r\n0\r\n\r\n"


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


HEAD = b"GET /events HTTP/1.1\r\nHost:"
BODY = b"POST /events HTTP/1.1\r\nHost: test\r\nContent-Length: 20\r\n\r\n12345"


@pytest.mark.parametrize(
    ("begun", "drip", "rest"),
    [
        *((HEAD, drip, b"\r\n\r\n") for drip in (b"", b"X-A: b\r\n", b"x")),
        *((BODY, drip, b"1234567890") for drip in (b"", b"x")),
    ],
)
def test_a_head_or_a_body_that_does_not_get_complete(world: World, begun: bytes, drip: bytes, rest: bytes) -> None:
    channel = open_http(world, begun)

    for _ in range(7):
        assert world.turn(ARRIVAL / 8) == b""
        channel.dataReceived(drip)
    answer = world.turn(ARRIVAL / 8)
    channel.dataReceived(rest)
    afterwards = world.turn(LINGER)

    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert afterwards == b""
    assert world.transport.disconnecting


def test_a_large_body_may_take_its_time(world: World) -> None:
    head = b"POST /events HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % (3 * LEAST_BODY)
    channel = open_http(world, head)

    for _ in range(2):
        channel.dataReceived(b"x" * LEAST_BODY)
        assert world.turn(ARRIVAL) == b""
    channel.dataReceived(b"x" * LEAST_BODY)

    assert world.turn().startswith(b"HTTP/1.1 405")


def test_a_client_that_connects_and_asks_for_nothing(world: World) -> None:
    open_http(world, b"")

    world.turn(ARRIVAL - 0.1)
    waits = not world.transport.disconnecting
    world.turn(0.2)

    assert waits
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


# ---- streams ---------------------------------------------------------------------------------------------------------


def blocks(written: bytes) -> list[dict[str, str]]:
    """The server-sent events in what was written, whether it is chunked or not."""
    *_, body = written.partition(b"\r\n\r\n") if written.startswith(b"HTTP/") else (b"", b"", written)
    text = re.sub(rb"(?:^|\r\n)[0-9a-f]+\r\n|\r\n$", b"", body).decode()
    events = (dict(line.split(": ", 1) for line in block.splitlines()) for block in text.split("\n\n"))
    return [event for event in events if event.keys() - {"retry"}]


def test_a_new_reader_of_a_stream_is_told_where_it_begins(world: World) -> None:
    world.session.grants["demo.ticker"] = Granted("abcdefgh:41")
    open_stream(world, "topic=demo.ticker", version="1.0")

    [begun] = blocks(world.turn())
    del begun["retry"]
    world.session.publish("demo.ticker", "x", position="abcdefgh:42")
    [event] = blocks(world.turn())

    assert begun == {"event": "hopsack.position", "id": "abcdefgh:41", "data": '"abcdefgh:41"'}
    assert event == {"event": "demo.ticker", "id": "abcdefgh:42", "data": '"x"'}


def test_who_resumes_gives_the_last_id_it_saw(world: World) -> None:
    world.session.grants["demo.ticker"] = Granted("abcdefgh:43", recovered=True)
    open_stream(world, "topic=demo.ticker&after=abcdefgh:41", "Last-Event-ID: abcdefgh:43", version="1.0")

    assert blocks(world.turn()) == []
    assert [one.after for one in world.session.asked] == ["abcdefgh:43"]


def test_what_is_lost_is_told_first_and_then_where_reading_begins(world: World) -> None:
    world.session.grants["demo.ticker"] = Granted("abcdefgh:20", reason="trimmed")
    open_stream(world, "topic=demo.ticker&after=abcdefgh:1", version="1.0")

    [lost] = blocks(world.turn())

    assert lost == {
        "retry": lost["retry"],
        "event": "hopsack.recovery",
        "id": "abcdefgh:20",
        "data": '{"topic":"demo.ticker","recovered":false,"reason":"trimmed"}',
    }


def test_a_position_before_the_snapshot_would_skip_it(world: World) -> None:
    world.session.grants["demo.weather"] = Granted("abcdefgh:12", snapshot=2)
    open_stream(world, "topic=demo.weather", version="1.0")

    assert blocks(world.turn()) == []


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_readers_of_several_topics_share_frames_and_have_ids_of_their_own(world: World, version: str) -> None:
    world.session.grants |= {"demo.ticker": Granted("abcdefgh:41"), "demo.news": Granted()}
    world.session.grants["demo."] = Granted(positions={"demo.a.told": "qrstuvwx:7"})
    open_stream(world, "topic=demo.ticker&topic=demo.news&topic=demo.", version=version)

    [begun] = blocks(world.turn())
    link = world.session.link
    for topic, position in (("demo.ticker", "abcdefgh:42"), ("demo.news", None), ("demo.b.told", "ijklmnop:1")):
        world.session.publish(topic, "x", position=position)
    events = blocks(world.turn())

    other = EventStream(link._request, world.host, reading.Reader((pattern_of("demo."),)))
    assert other.format is link.format
    begins = "demo.ticker=abcdefgh:41,demo.a.told=qrstuvwx:7"
    assert begun == {"retry": begun["retry"], "event": "hopsack.position", "id": begins, "data": f'"{begins}"'}
    first = "demo.a.told=qrstuvwx:7,demo.ticker=abcdefgh:42"
    assert events == [
        {"id": first, "event": "demo.ticker", "data": '"x"'},
        {"event": "demo.news", "data": '"x"'},
        {"id": f"{first},demo.b.told=ijklmnop:1", "event": "demo.b.told", "data": '"x"'},
    ]


def test_an_after_that_is_none_is_refused(world: World) -> None:
    open_stream(world, "topic=demo.ticker&after=41")

    answer = world.turn()

    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b'"path":"after"' in answer


def test_the_read_only_form_tells_what_is_lost_before_any_event(world: World) -> None:
    world.session.grants["demo.ticker"] = Granted("abcdefgh:20", reason="trimmed")
    open_raw(world, "?topic=demo.ticker&after=abcdefgh:1")

    told = world.turn()
    world.session.publish("demo.ticker", "x", position="abcdefgh:21")
    event = world.turn()

    assert told.endswith(
        b'{"jsonrpc":"2.0","method":"recovery","params":{"topic":"demo.ticker","recovered":false,"reason":"trimmed"}}'
    )
    assert b'"position":"abcdefgh:21"' in event
