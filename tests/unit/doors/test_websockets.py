"""A WebSocket connection from its opening to its end, on a transport in memory and a clock turned by hand."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.web.server import Site

from hopsack_router.doors import deflate, websockets
from hopsack_router.doors.raw import RawFactory
from hopsack_router.doors.rfc6455 import BINARY, CLOSE, PING, PONG, TEXT, compressed_frame
from hopsack_router.doors.rounds import STOPS
from hopsack_router.doors.site import bound
from hopsack_router.doors.websockets import DoorFactory, DoorProtocol, DoorResource, WebSocketOptions
from hopsack_router.routing.backlog import PATIENCE
from hopsack_router.routing.fanout import Delivery, Format
from hopsack_router.routing.unread import Carried

from .test_rfc6455 import FIN, sent
from .test_shells import World, world

__all__ = ["world"]

UPGRADE = (
    "GET /door HTTP/1.1",
    "Host: test",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
COMPRESSING = (*UPGRADE, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
OPTIONS = WebSocketOptions(max_message_size=1000)
INTERVAL = OPTIONS.ping_interval


class Recorder(DoorProtocol):
    """Writes down what it is told."""

    def onOpen(self) -> None:
        self.told: list[Any] = ["open"]
        self.busy = False
        self.transport.registerProducer(self, True)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.told.append(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.told.append((wasClean, code))

    def congested(self) -> bool:
        return self.busy


def opened(world: World, *upgrade: str, factory: DoorFactory | None = None) -> Any:
    door = factory or DoorFactory(Recorder, OPTIONS, world.host.clock)
    world.connect(bound(Site(DoorResource(door), reactor=world.clock)), *(upgrade or UPGRADE))
    return getattr(world.transport, "protocol", None)


def pass_time(world: World, seconds: float) -> bytes:
    step = INTERVAL / STOPS
    return b"".join(world.turn(step) for _ in range(round(seconds / step)))


def test_nothing_of_the_http_connection_is_kept(world: World) -> None:
    protocol = opened(world)

    assert world.turn().startswith(b"HTTP/1.1 101 ")
    assert world.transport.producer is protocol
    assert len(world.clock.getDelayedCalls()) == 1  # the door's round
    assert protocol.told == ["open"]


@pytest.mark.parametrize("count", [1, 200])
@pytest.mark.parametrize("split", [0, 3])
def test_what_comes_right_behind_the_request_is_heard(world: World, count: int, split: int) -> None:
    """A client may send before it has been answered; 20 KB are more than Twisted takes behind a request."""
    site = bound(Site(DoorResource(DoorFactory(Recorder, OPTIONS, world.host.clock)), reactor=world.clock))
    frames = sent(FIN | TEXT, b"x" * 100) * count
    cut = len(frames) - split

    world.connect(site, *UPGRADE, early=frames[:cut])
    protocol = world.transport.protocol
    protocol.dataReceived(frames[cut:] + sent(FIN | TEXT, b"later"))

    assert protocol.told == ["open", *[b"x" * 100] * count, b"later"]
    assert world.transport.producerState == "producing"
    assert world.turn().startswith(b"HTTP/1.1 101 ")


def test_who_is_not_let_in_is_not_heard(world: World) -> None:
    site = bound(Site(DoorResource(DoorFactory(Recorder, OPTIONS, world.host.clock)), reactor=world.clock))

    world.connect(site, *UPGRADE[:-1], "Sec-WebSocket-Version: 12", early=sent(FIN | TEXT, b"x"))

    assert world.turn().startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"GET /door HTTP/1.1": "POST /door HTTP/1.1"}, 405),
        ({"Sec-WebSocket-Version: 13": "Sec-WebSocket-Version: 12"}, 400),
        ({"Upgrade: websocket": "Upgrade: h2c"}, 426),
        ({"GET /door HTTP/1.1": "GET /door HTTP/1.0"}, 400),
        ({"Host: test": "Host: test\r\nOrigin: nonsense"}, 403),
    ],
)
def test_who_is_not_let_in_is_told_why(world: World, changed: dict[str, str], status: int) -> None:
    opened(world, *(changed.get(line, line) for line in UPGRADE))
    head, _, body = world.turn().partition(b"\r\n\r\n")

    assert head.split(b" ")[1] == b"%d" % status
    assert json.loads(body)["status"] == status


def test_the_version_that_is_spoken_is_told(world: World) -> None:
    """Section 4.4."""
    opened(world, *UPGRADE[:-1], "Sec-WebSocket-Version: 12")

    assert b"\r\nsec-websocket-version: 13\r\n" in world.turn().lower()


def test_a_peer_that_answers_pings_stays(world: World) -> None:
    protocol = opened(world)
    world.turn()

    for _ in range(10):
        assert pass_time(world, INTERVAL) == bytes((FIN | PING, 0))
        protocol.dataReceived(sent(FIN | PONG))

    assert not world.transport.disconnected


def test_a_peer_that_is_silent_is_dropped(world: World) -> None:
    protocol = opened(world)
    pass_time(world, 2 * INTERVAL - 0.25)
    still = not world.transport.disconnected
    pass_time(world, 0.5)

    assert still
    assert world.transport.disconnected
    protocol.connectionLost(Failure(ConnectionLost()))
    assert protocol.told == ["open", (False, 1006)]
    pass_time(world, INTERVAL)
    assert world.clock.getDelayedCalls() == []


def test_a_patient_door_waits_longer(world: World) -> None:
    options = WebSocketOptions(ping_timeout=3 * INTERVAL)
    opened(world, factory=DoorFactory(Recorder, options, world.host.clock))

    pass_time(world, 4 * INTERVAL - 0.25)
    still = not world.transport.disconnected
    pass_time(world, 0.5)

    assert still
    assert world.transport.disconnected


def test_a_slow_reader_is_alive_while_it_reads() -> None:
    hall = Hall(UPGRADE)
    (world,), (protocol,) = hall.worlds, hall.protocols

    for _ in range(5):
        world.transport.producer.pauseProducing()
        pass_time(world, INTERVAL)
        world.transport.producer.resumeProducing()
    still = not world.transport.disconnected
    world.transport.producer.pauseProducing()
    protocol.link.queue(b"an answer that it does not read")
    before = pass_time(world, PATIENCE - INTERVAL)
    closing = pass_time(world, INTERVAL)
    pass_time(world, protocol.factory.options.close_timeout)

    assert still
    assert before == b""
    assert closing[:1] == b"\x88"
    assert int.from_bytes(closing[2:4], "big") == 4408
    assert closing.endswith(b"nothing moved for too long. (retry_after=5)")
    assert world.transport.disconnected


def test_a_ping_is_answered_unless_its_sender_does_not_read(world: World) -> None:
    protocol = opened(world)
    world.turn()

    protocol.dataReceived(sent(FIN | PING, b"there?"))
    answered = world.turn()
    protocol.busy = True
    protocol.dataReceived(sent(FIN | PING, b"there?"))

    assert answered == bytes((FIN | PONG, 6)) + b"there?"
    assert world.turn() == b""


def test_the_peer_closes(world: World) -> None:
    protocol = opened(world)
    world.turn()

    protocol.dataReceived(sent(FIN | TEXT, b"last") + sent(FIN | CLOSE, b"\x10\x01bye") + sent(FIN | TEXT, b"late"))
    answered, leaving = world.turn(), world.transport.disconnecting
    protocol.connectionLost(Failure(ConnectionDone()))

    assert answered == bytes((FIN | CLOSE, 5)) + b"\x10\x01bye"
    assert leaving
    assert protocol.told == ["open", b"last", (True, 4097)]


def test_we_close(world: World) -> None:
    protocol = opened(world)
    world.turn()

    protocol.end(4408, "x" * 200)
    protocol.end(1000, "again")
    said = world.turn()
    protocol.dataReceived(sent(FIN | TEXT, b"late") + sent(FIN | CLOSE, said[2:]))
    leaving = world.transport.disconnecting
    protocol.connectionLost(Failure(ConnectionDone()))

    assert said[:4] == bytes((FIN | CLOSE, 125)) + (4408).to_bytes(2, "big")
    assert leaving
    assert protocol.told == ["open", (True, 4408)]


def test_a_close_that_is_not_answered(world: World) -> None:
    protocol = opened(world)
    protocol.end(1000, "")
    world.turn(OPTIONS.close_timeout - 0.1)
    still = not world.transport.disconnected
    world.turn(0.1)

    assert still
    assert world.transport.disconnected


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (sent(FIN | 3), 1002),
        (sent(FIN | TEXT, b"\xff"), 1007),
        (sent(FIN | BINARY, b"x" * 1001), 1009),
        (sent(FIN | CLOSE, b"\x00"), 1002),
    ],
)
def test_what_may_not_be_sent_ends_it(world: World, wrong: bytes, code: int) -> None:
    protocol = opened(world)
    world.turn()

    protocol.dataReceived(wrong)
    said = world.turn()
    protocol.dataReceived(sent(FIN | TEXT, b"more"))
    world.turn(OPTIONS.close_timeout)
    protocol.connectionLost(Failure(ConnectionLost()))

    assert (said[0], int.from_bytes(said[2:4], "big")) == (FIN | CLOSE, code)
    assert world.transport.disconnected
    assert protocol.told == ["open", (False, 1006)]


# ---- compression ----------------------------------------------------------------------------------------------------

HELLO = sent(FIN | TEXT, b'{"jsonrpc": "2.0", "id": 1, "method": "hopsack.hello"}')


class Hall:
    """A raw door with readers, each on a wire of its own."""

    def __init__(self, *upgrades: tuple[str, ...], options: WebSocketOptions | None = None) -> None:
        self.worlds = [World() for _ in upgrades]
        clocked = self.worlds[0]
        for one in self.worlds:
            one.clock, one.host = clocked.clock, clocked.host
        factory = RawFactory(clocked.host, options or WebSocketOptions())
        self.protocols = [opened(one, *up, factory=factory) for one, up in zip(self.worlds, upgrades, strict=True)]
        self.heads = [one.turn() for one in self.worlds]
        for protocol in self.protocols:
            protocol.dataReceived(HELLO)
        clocked.turn()
        for one in self.worlds:
            one.turn()

    def publish(self, value: Any) -> list[bytes]:
        """As the broker does it: each format is asked once."""
        delivery = Delivery("demo.news", 71, "exact", 1, Carried(None, [value], None))
        made: dict[Format, bytes] = {}
        for link in (protocol.link for protocol in self.protocols):
            if link.format not in made:
                made[link.format] = link.format.event(delivery)
            link.outlet.outbox.share(made[link.format], delivery, [link.outlet])
        self.worlds[0].clock.advance(0)
        return [one.turn() for one in self.worlds]


def test_an_event_is_compressed_once_for_all_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(payload: bytes, bits: int) -> bytes | None:
        asked.append(bits)
        return deflate.compress(payload, bits)

    monkeypatch.setattr(websockets, "compress", counted)
    narrow = (*UPGRADE, "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9")
    hall = Hall(COMPRESSING, COMPRESSING, COMPRESSING, UPGRADE, narrow)
    asked.clear()

    first, second, third, plain, other = hall.publish("again and " * 50)

    assert sorted(asked) == [9, 15]
    assert first == second == third
    assert first[0] == compressed_frame(b"", binary=False)[0]
    assert len(first) < len(plain) / 3
    assert b"again and again" in plain
    inflated = zlib.decompressobj(-9).decompress(other[2:] + b"\x00\x00\xff\xff")
    assert json.loads(inflated) == json.loads(plain[4:])
    assert b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover" in hall.heads[0]
    assert b"Sec-WebSocket-Extensions" not in hall.heads[3]


def test_a_short_event_is_the_same_for_everybody() -> None:
    compressing, plain = Hall(COMPRESSING, UPGRADE).publish("short")

    assert compressing == plain


def test_a_door_without_compression_agrees_on_none() -> None:
    hall = Hall(COMPRESSING, options=WebSocketOptions(compression=False))

    (frame,) = hall.publish("again and " * 50)

    assert b"Sec-WebSocket-Extensions" not in hall.heads[0]
    assert b"again and again" in frame


def test_a_message_that_inflates_too_far_closes(world: World) -> None:
    protocol = opened(world, *COMPRESSING)
    world.turn()
    bomb = deflate.compress(b"\0" * 100_000, 15)
    assert bomb is not None

    protocol.dataReceived(sent(FIN | 0x40 | BINARY, bomb))

    assert int.from_bytes(world.turn()[2:4], "big") == 1009
    assert protocol.told == ["open"]
