"""Bytes to real sockets by the shortest way: the C function and its Python twin do the same."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from errno import EAGAIN, EBADF, EPIPE
from functools import partial
from typing import Any, cast

import pytest
from autobahn.wamp import message
from twisted.internet.task import Clock
from twisted.internet.tcp import Server
from twisted.internet.testing import MemoryReactor, StringTransport

from hopsack_router.doors import sockets
from hopsack_router.doors.sockets import send_all_in_python, write_straight
from hopsack_router.routing.backlog import Why
from hopsack_router.routing.fanout import Delivery, Format, Outbox, Outlet, SendAll, frames_of
from hopsack_router.routing.links import Link
from hopsack_router.routing.unread import Carried

DELIVERY = Delivery("demo.news", 71, "exact", 1, Carried(None, ["x"], None))
"""What the frames here are said to be of."""

Pair = tuple[socket.socket, socket.socket]
MORE_THAN_FITS = b"x" * (8 << 20)


def in_c() -> SendAll:
    if not sockets.ACCELERATED:
        pytest.skip("the accelerator is not built here")
    return sockets.send_all


@pytest.fixture(params=[lambda: send_all_in_python, in_c], ids=["python", "c"])
def send_all(request: pytest.FixtureRequest) -> SendAll:
    made: SendAll = request.param()
    return made


@pytest.fixture
def pair() -> Iterator[Callable[[], Pair]]:
    """Connected sockets, ours and the peer's; ours does not block."""
    opened: list[socket.socket] = []

    def connect() -> Pair:
        ours, theirs = socket.socketpair()
        opened.extend((ours, theirs))
        ours.setblocking(False)
        theirs.settimeout(5)
        return ours, theirs

    yield connect
    for one in opened:
        one.close()


def test_each_socket_gets_its_own(send_all: SendAll, pair: Callable[[], Pair]) -> None:
    (one, reads_one), (two, reads_two) = pair(), pair()

    unsent = send_all([one, two, one], [b"a", b"b", b"c"])

    assert not unsent
    assert (reads_one.recv(9), reads_two.recv(9)) == (b"ac", b"b")


def test_nothing_to_send_is_nothing_to_say(send_all: SendAll) -> None:
    assert not send_all([], [])


def test_what_the_kernel_does_not_take_is_told_and_the_others_get_theirs(
    send_all: SendAll, pair: Callable[[], Pair]
) -> None:
    (slow, reads_slow), (quick, reads_quick) = pair(), pair()

    ((index, sent),) = send_all([slow, quick], [MORE_THAN_FITS, b"b"]) or ()
    again = send_all([slow], [b"more"])

    assert index == 0
    assert 0 < sent < len(MORE_THAN_FITS)
    assert list(again or ()) == [(0, -EAGAIN)]
    assert reads_quick.recv(9) == b"b"
    assert len(reads_slow.recv(1 << 16)) > 0


def test_a_peer_that_has_gone_raises_no_signal(send_all: SendAll, pair: Callable[[], Pair]) -> None:
    ours, theirs = pair()
    theirs.close()

    assert list(send_all([ours], [b"a"]) or ()) == [(0, -EPIPE)]


def test_the_next_connection_with_the_same_number_gets_nothing(send_all: SendAll, pair: Callable[[], Pair]) -> None:
    gone, _ = pair()
    number = gone.fileno()
    gone.close()
    fresh, reads_fresh = pair()
    if fresh.fileno() != number:
        os.dup2(fresh.fileno(), number)
        fresh = socket.socket(fileno=number)
    reads_fresh.setblocking(False)

    unsent = send_all([gone, fresh], [b"a secret", b"hello"])

    assert list(unsent or ()) == [(0, -EBADF)]
    assert reads_fresh.recv(99) == b"hello"


def test_what_is_no_socket_and_what_are_no_bytes_is_a_mistake(send_all: SendAll, pair: Callable[[], Pair]) -> None:
    ours, _ = pair()
    with pytest.raises((TypeError, AttributeError)):
        send_all([object()], [b"a"])
    with pytest.raises(TypeError):
        send_all([ours], ["text"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"shorter|as many"):
        send_all([ours], [])


# ---- links on real sockets ------------------------------------------------------------------------------------------


class Bare(Format):
    per_subscription = False

    def event(self, delivery: Delivery) -> bytes:
        return b"x"


class Wire(Link):
    """The least that a door is."""

    door = "raw"
    format = Bare()

    def __init__(self, transport: Any, outbox: Outbox) -> None:
        self.outlet = Outlet(self, outbox)
        self._transport = transport
        self.cut = False

    def send(self, msg: message.Message) -> None:
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        self.outlet.socket = write_straight(self._transport, data)

    def overflow(self, why: Why, retry_after: float) -> None:
        self.cut = True


class World:
    def __init__(self, send_all: SendAll) -> None:
        self.clock = Clock()
        self.batches: list[int] = []
        self.outbox = Outbox(cast(Any, self.clock), partial(self._send, send_all))

    def _send(self, send_all: SendAll, sockets: list[Any], chunks: list[bytes]) -> Any:
        self.batches.append(len(chunks))
        return send_all(sockets, chunks)

    def join(self, ours: socket.socket) -> tuple[Wire, Server]:
        reactor: Any = MemoryReactor()
        transport = Server(ours, None, ("127.0.0.1", 0), None, 1, reactor)  # type: ignore[arg-type]
        transport.connected = 1
        link = Wire(transport, self.outbox)
        transport.registerProducer(link, True)
        return link, transport

    def tell(self, frame: bytes, *links: Wire) -> None:
        self.outbox.share(frame, DELIVERY, [link.outlet for link in links])

    def turn(self) -> None:
        self.clock.advance(0)


@pytest.fixture
def world(send_all: SendAll) -> World:
    return World(send_all)


def test_a_turn_is_one_call_for_all_straight_connections(world: World, pair: Callable[[], Pair]) -> None:
    pairs = [pair() for _ in range(3)]
    links = [world.join(ours)[0] for ours, _ in pairs]
    world.tell(b"a", *links)
    world.turn()  # each finds out that it is straight

    world.tell(b"b", *links)
    links[1].queue(b"!")
    world.tell(b"c", *links)
    world.turn()

    assert world.batches == [3]
    assert [theirs.recv(9) for _, theirs in pairs] == [b"abc", b"ab!c", b"abc"]


def test_order_holds_from_straight_to_full_and_back(world: World, pair: Callable[[], Pair]) -> None:
    ours, theirs = pair()
    link, transport = world.join(ours)
    link.budget = 1 << 30
    world.tell(b"begin", link)
    world.turn()
    world.tell(MORE_THAN_FITS, link)
    world.turn()

    world.tell(b"later", link)
    world.turn()
    held = link.unsent
    expected, received = len(b"begin" + MORE_THAN_FITS + b"later"), bytearray()
    while len(received) < expected:
        received += theirs.recv(1 << 20)
        if transport.dataBuffer or transport._tempDataBuffer:
            transport.doWrite()
    world.tell(b"end", link)
    world.turn()

    assert held >= len(b"later")
    assert received == b"begin" + MORE_THAN_FITS + b"later"
    assert theirs.recv(9) == b"end"
    assert link.outlet.socket is ours


def test_a_connection_that_was_lost_in_this_turn_is_not_written_to(world: World, pair: Callable[[], Pair]) -> None:
    ours, theirs = pair()
    link, _ = world.join(ours)
    world.tell(b"a", link)
    world.turn()
    world.tell(b"b", link)

    link.stopProducing()
    number = ours.fileno()
    ours.close()
    fresh, reads_fresh = pair()
    reads_fresh.setblocking(False)
    world.turn()
    world.tell(b"c", link)
    world.turn()

    assert fresh.fileno() == number
    with pytest.raises(BlockingIOError):
        reads_fresh.recv(9)
    assert theirs.recv(9) == b"a"


def test_one_that_fails_keeps_nobody_from_theirs(world: World, pair: Callable[[], Pair]) -> None:
    class Broken(Wire):
        def write(self, data: bytes) -> None:
            raise RuntimeError("this door is broken")

    ours, theirs = pair()
    link, _ = world.join(ours)
    broken = Broken(StringTransport(), world.outbox)

    world.tell(b"a", broken, link)
    world.turn()

    assert theirs.recv(9) == b"a"


def test_one_that_may_not_get_it_and_one_that_is_too_small(world: World, pair: Callable[[], Pair]) -> None:
    links = [world.join(pair()[0])[0] for _ in range(3)]
    world.tell(b"x", *links)
    world.turn()  # now they are straight; others see for themselves
    links[1].outlet.most = 2

    too_small = world.outbox.share(b"abc", DELIVERY, [link.outlet for link in links], skip=links[0].outlet)

    assert too_small == [links[1].outlet]
    assert [frames_of(link.outlet.waiting) for link in links] == [[], [], [b"abc"]]


def test_readers_that_wait_for_the_same_share_it(world: World, pair: Callable[[], Pair]) -> None:
    links = [world.join(pair()[0])[0] for _ in range(2)]
    world.tell(b"", *links)
    world.turn()

    for frame in (b"a", b"b", b"c"):
        world.tell(frame, *links)

    assert links[0].outlet.waiting is links[1].outlet.waiting
    assert frames_of(links[0].outlet.waiting) == [b"a", b"b", b"c"]
