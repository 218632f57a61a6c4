"""A realm that keeps events, a journal that does its work when a test says so, and readers with narrow transports."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from autobahn.wamp import message
from twisted.internet.task import Clock

from hopsack.contracts import Catalogue, Source, build
from hopsack_router.doors.raw import RawFormat
from hopsack_router.embed import EmbeddedLink, EmbeddedNode
from hopsack_router.routing import asked
from hopsack_router.routing.backlog import Why
from hopsack_router.routing.links import CLIENT_ROLES
from hopsack_router.streams import Bounds, Journal, retention
from hopsack_router.streams.memory import MemoryStore
from hopsack_router.streams.store import Batch, StoreFailed, StoreTorn
from tests.unit.streams.stage import Held, random

from .conftest import Realm

CONTRACTS = """
topics:
  lab.log:
    summary: A stream.
    payload: {type: integer}
    stream: {keep: 40}
    publish: [service]
    subscribe: [guest, service]
  lab.run.{run}:
    summary: Many streams.
    payload: {type: integer}
    stream: {keep: 40}
    publish: [service]
    subscribe: [guest, service]
  lab.order:
    summary: A stream whose newest values are kept too.
    payload: {$ref: '#/types/Value'}
    stream: {keep: 40}
    latest: id
    publish: [service]
    subscribe: [guest, service]
  lab.state:
    summary: Newest values alone.
    payload: {$ref: '#/types/Value'}
    latest: id
    publish: [service, guest]
    subscribe: [guest, service]
  lab.mode:
    summary: One value.
    payload: {type: string}
    latest: true
    publish: [service]
    subscribe: [guest, service]
  lab.chat:
    summary: Live only.
    payload: {type: integer}
    publish: [service]
    subscribe: [guest, service]
  lab.room.{room}:
    summary: A room, and who is in it.
    payload: {type: string}
    presence: [role]
    publish: [guest]
    subscribe: [guest]
types:
  Value:
    type: object
    additionalProperties: false
    required: [id]
    properties:
      id: {type: string}
      value: {type: integer}
"""


class Store(MemoryStore):
    """One that has to be waited for, and may fail."""

    is_local = False
    is_full = False
    is_torn = False

    def commit(self, batch: Batch) -> None:
        if self.is_torn:
            self.is_torn = False
            raise StoreTorn("a page is broken")
        if self.is_full:
            raise StoreFailed("the disk is full")
        super().commit(batch)


class World:
    """
    :param tail: bytes of a topic that are read without asking the store.
    :param ahead: of the node's clock, by so many seconds, is what a person calls the time.
    """

    def __init__(self, tail: int = 1 << 20, ahead: float = 0.0) -> None:
        self.clock = Clock()
        self.catalogue = contracts()
        self.store = Store()
        self.lanes: dict[str, Held] = {}
        bounds = Bounds(tail_topic_bytes=tail, tail_bytes=4 * tail)
        of = retention(self.catalogue)
        self.journal = Journal(self.store, of, clock=self.clock, random=random(), lane=self._lane, bounds=bounds)
        self.journal.start()
        self.settle()
        self.node = EmbeddedNode(self.catalogue, self.clock, self.journal, lambda: self.clock.seconds() + ahead)
        self.realm = Realm(self.clock, self.node)
        self.settle()

    def _lane(self, name: str) -> Held:
        return self.lanes.setdefault(name, Held())

    def write(self) -> bool:
        """Let the writer do one piece of work. :returns: whether there was one."""
        return self._work("journal-writer")

    def look_up(self) -> bool:
        """The same for the reader."""
        return self._work("journal-reader")

    def _work(self, lane: str) -> bool:
        held = self.lanes[lane]
        has_work = bool(held.jobs)
        if has_work:
            held.turn()
        return has_work

    def settle(self) -> None:
        """Let everything happen that is under way."""
        while any(lane.jobs for lane in self.lanes.values()):
            for lane in self.lanes.values():
                while lane.jobs:
                    lane.turn()
            self.turn()

    def turn(self) -> None:
        while any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()):
            self.clock.advance(0)

    def reader(self, **facts: Any) -> Page:
        return Page(self, **facts)


@cache
def contracts() -> Catalogue:
    return build([Source("lab.yaml", "lab.yaml", CONTRACTS)])


class PageFormat(RawFormat):
    """Raw frames without a frame round them."""

    def __init__(self) -> None:
        super().__init__(lambda payload, binary: payload)


FORMAT = PageFormat()


class NarrowLink(EmbeddedLink):
    """A link whose transport is full when so many bytes have not been taken out of it."""

    world: World
    buffer = 1 << 30
    buffered = 0
    closed: Why | None = None

    def put(self, frames: list[bytes]) -> None:
        super().put(frames)
        self.buffered += sum(map(len, frames))
        if self.buffered > self.buffer and not self.paused:
            self.pauseProducing()

    def taken(self, size: int) -> None:
        """The peer has taken bytes."""
        self.buffered = max(self.buffered - size, 0)
        if not self.buffered and self.paused and self.isOpen():
            self.resumeProducing()

    def unwritten(self) -> int:
        return self.buffered

    def overflow(self, why: Why, retry_after: float) -> None:
        self.closed = why
        super().overflow(why, retry_after)


class PageLink(NarrowLink):
    """A page's: events come once, and answers are the messages that the router sends."""

    door = "raw"

    def send(self, msg: message.Message) -> None:
        match msg:
            case asked.Subscribed():
                granted = msgspec.to_builtins(msg.granted)
                self.queue(msgspec.json.encode({"granted": granted, "subscription": msg.subscription}))
            case message.Error():
                self.queue(msgspec.json.encode({"error": (msg.kwargs or {}).get("code") or msg.error}))
            case message.Welcome():
                self.queue(b'{"welcome":true}')
            case asked.Published():
                self.queue(msgspec.json.encode({"published": msg.position, "request": msg.request}))
            case _:
                self.queue(msgspec.json.encode({"answer": type(msg).__name__.lower()}))


class Page:
    """A page in a world: what it asks goes in as the raw door would have it, what it gets are JSON values.

    :ivar wire: what has come.
    """

    link_class = PageLink

    def __init__(
        self, world: World, role: str = "guest", authid: str = "ann", budget: int = 1 << 20, buffer: int = 1 << 30
    ) -> None:
        self.world = world
        self.wire: list[Any] = []
        self.link = self.link_class(world.node, self._receive, role, authid, 1 << 24)
        self.link.format = FORMAT  # type: ignore[assignment]
        self._ask(message.Hello("hopsack", CLIENT_ROLES, authmethods=["anonymous"]))
        self.link.budget, self.link.buffer = budget, buffer
        self._requests = 0
        self.take()

    def _receive(self, frame: bytes) -> None:
        self.wire.append(msgspec.json.decode(frame))

    def _ask(self, msg: message.Message) -> None:
        assert self.link._session is not None
        self.link._session.onMessage(msg)

    def _number(self) -> int:
        self._requests += 1
        return self._requests

    def take(self) -> list[Any]:
        """What has come since, events and gaps in short: ``(topic, data, offset)``, ``("gap", topic, count)``."""
        self.world.turn()
        taken, self.wire = self.wire, []
        return [short(one) for one in taken]

    def subscribe(self, topic: str, match: str = "exact", after: Any = None, max_rate: float | None = None) -> int:
        number = self._number()
        self._ask(asked.Subscribe(number, topic, match, after, max_rate))
        return number

    def unsubscribe(self, subscription: int) -> None:
        self._ask(message.Unsubscribe(self._number(), subscription))

    def rate(self, subscription: int, max_rate: float | None) -> None:
        self._ask(asked.Rate(self._number(), subscription, max_rate))

    def publish(self, topic: str, data: Any, acknowledge: bool = False, **facts: Any) -> int:
        number = self._number()
        self._ask(asked.Publish(number, topic, [data], acknowledge=acknowledge, **facts))
        return number

    def lost(self) -> None:
        self.link.lost()
        self.world.turn()


def short(frame: Any) -> Any:
    params = frame.get("params", {})
    match frame.get("method"):
        case "event":
            position = params.get("position")
            offset = int(position.partition(":")[2]) if position else None
            told = (params["topic"], params["data"], offset)
            return (*told, "deleted") if params.get("deleted") else told
        case "gap":
            return ("gap", params["topic"], params.get("dropped"))
    return frame
