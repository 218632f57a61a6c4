"""Whatever happens, every reader of every format can tell what it has: nothing missing, nothing twice, or told.

Publishers that ask for acknowledgements and others, a store that is slow, is full now and then and forgets the oldest;
readers that stall, crawl, come back where they were, and change their rates.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hopsack_router.routing.backlog import OVERHEAD

from .kept import NarrowLink, Page, World, short

STREAMS = ["lab.log", "lab.run.a", "lab.run.b"]
KEYS = ["a", "b", "c"]
BUDGET = 10 * OVERHEAD


class Reader:
    """What one reader has been told, across its connections.

    :ivar places: the last offset of each stream that it has or was told it cannot have.
    :ivar values: newest values, as its events have them.
    """

    def __init__(self, world: World, wanted: list[tuple[str, str]], budget: int, buffer: int) -> None:
        self._world, self._wanted, self._budget, self._buffer = world, wanted, budget, buffer
        self.places: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        self.chats: int | None = None
        self.lost_keys = False
        self.page: Page | None = None
        self._asked: list[tuple[str, str]] = []
        self.come()

    def come(self) -> None:
        self.page = Page(self._world, budget=self._budget, buffer=self._buffer)
        self.chats = None
        self._asked = []
        for topic, match in self._wanted:
            self.ask(topic, match)

    def ask(self, topic: str, match: str) -> None:
        assert self.page is not None
        after: Any = None
        if match != "exact":
            after = {uri: place for uri, place in self.places.items() if uri.startswith(topic)} or None
        elif topic in self.places:
            after = self.places[topic]
        self._asked.append((topic, match))
        self.page.subscribe(topic, match, after)

    def read(self) -> None:
        """Take in what has come, and complain."""
        assert self.page is not None
        taken, self.page.wire = self.page.wire, []
        for frame in taken:
            if "granted" in frame:
                self._granted(frame["granted"])
            elif "method" in frame:
                self._told(short(frame), frame["params"].get("position"))

    def _granted(self, granted: dict[str, Any]) -> None:
        topic, match = self._asked.pop(0)
        positions = granted["positions"] or ({topic: granted["position"]} if granted["position"] else {})
        for uri, place in positions.items():
            known = self.places.get(uri)
            if granted["recovered"]:
                assert known is None or known == place or match != "exact"
            assert known is None or offset(place) >= offset(known) or epoch(place) != epoch(known)
            self.places[uri] = place

    def _told(self, told: Any, position: str | None) -> None:
        match told:
            case ("gap", "lab.chat", missed):
                self.chats = None if self.chats is None else self.chats + missed
            case ("gap", topic, missed):
                if topic in self.places:
                    self.places[topic] = f"{epoch(self.places[topic])}:{offset(self.places[topic]) + missed}"
                else:
                    self.lost_keys = True
            case ("lab.chat", number, None):
                assert self.chats is None or number == self.chats + 1, "a hole, or twice the same"
                self.chats = number
            case ("lab.state", value, None):
                self.values[value["id"]] = value["value"]
            case (topic, number, at):
                known = self.places.get(topic)
                assert known is None or at == offset(known) + 1, f"{topic}: {at} behind {known}"
                assert number == self._world.published[topic][at]  # type: ignore[attr-defined]
                assert position is not None
                self.places[topic] = position
            case _:
                raise AssertionError(told)


class StockReader:
    """One that speaks WAMP, and does not resume."""

    def __init__(self, world: World, wanted: list[tuple[str, str]]) -> None:
        self._world = world
        self.wire: list[Any] = []
        self.offsets: dict[tuple[int, str], int] = {}
        self._topics: dict[int, str] = {}
        self.link = NarrowLink(world.node, self._receive, "guest", "bob", 1 << 24)
        self.link.receive(pack(1, "hopsack", {"roles": {"subscriber": {}}, "authmethods": ["anonymous"]}))
        self.link.budget, self.link.buffer = BUDGET, 300
        self._asked = [topic for topic, _ in wanted]
        for number, (topic, match) in enumerate(wanted, 1):
            self.link.receive(pack(32, number, {"match": match}, topic))

    def _receive(self, frame: bytes) -> None:
        self.wire.append(msgspec.msgpack.decode(frame))

    def read(self) -> None:
        taken, self.wire = self.wire, []
        for message in taken:
            if message[0] == 33:
                self._topics[message[2]] = self._asked[message[1] - 1]
            elif message[0] == 36:
                self._event(message)

    def _event(self, message: list[Any]) -> None:
        _, subscription, _, details, *args = message
        topic = details.get("topic", self._topics[subscription])
        known = self.offsets.get((subscription, topic))
        if "x_hopsack_dropped" in details:
            if known is not None:
                self.offsets[subscription, topic] = known + details["x_hopsack_count"]
            return
        at = offset(details["x_hopsack_position"])
        assert known is None or at == known + 1, f"{topic}: {at} behind {known}"
        assert args == [[self._world.published[topic][at]]]  # type: ignore[attr-defined]
        self.offsets[subscription, topic] = at


def pack(*message: Any) -> bytes:
    return msgspec.msgpack.encode(message)


def offset(position: str) -> int:
    return int(position.partition(":")[2])


def epoch(position: str) -> str:
    return position.partition(":")[0]


class Publishing(World):
    """:ivar published: what each stream has, by offset: told by who published it."""

    def __init__(self) -> None:
        self.published: dict[str, dict[int, int]] = {topic: {} for topic in STREAMS}
        super().__init__(tail=3000)
        commit = self.store.commit

        def note(batch: Any) -> None:
            commit(batch)
            for _, event in batch.events:
                self.published[event.topic][event.offset] = int(event.data)

        self.store.commit = note  # type: ignore[method-assign]


class AnyReaders(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = Publishing()
        self.services = [self.world.reader(role="service") for _ in range(2)]
        self.numbers = self.chats = 0
        self.sent: dict[tuple[int, int], tuple[str, int]] = {}
        self.acknowledged: list[tuple[str, int, str]] = []
        self.newest: dict[str, int] = {}
        self.readers = [
            Reader(self.world, [("lab.log", "exact"), ("lab.state", "exact"), ("lab.chat", "exact")], BUDGET, 300),
            Reader(self.world, [("lab.run.", "prefix"), ("lab.chat", "exact")], BUDGET, 300),
            Reader(self.world, [("lab.log", "exact"), ("lab.run.", "wildcard")], 1 << 20, 1 << 30),
            Reader(self.world, [("lab.state", "exact")], BUDGET, 200),
        ]
        self.stock = StockReader(self.world, [("lab.log", "exact"), ("lab.run.", "prefix")])
        self.world.settle()
        self.read()

    # ---- what happens ------------------------------------------------------------------------------------------------

    @rule(
        topic=st.sampled_from(STREAMS),
        count=st.integers(1, 25),
        acknowledge=st.booleans(),
        service=st.integers(0, 1),
    )
    def publish(self, topic: str, count: int, acknowledge: bool, service: int) -> None:
        for _ in range(count):
            self.numbers += 1
            request = self.services[service].publish(topic, self.numbers, acknowledge=acknowledge)
            if acknowledge:
                self.sent[service, request] = (topic, self.numbers)

    @rule(count=st.integers(1, 12))
    def chat(self, count: int) -> None:
        for _ in range(count):
            self.chats += 1
            self.services[0].publish("lab.chat", self.chats)

    @rule(key=st.sampled_from(KEYS), count=st.integers(1, 6))
    def change(self, key: str, count: int) -> None:
        for _ in range(count):
            self.numbers += 1
            self.newest[key] = self.numbers
            self.services[0].publish("lab.state", {"id": key, "value": self.numbers})

    @rule(times=st.integers(1, 3))
    def write(self, times: int) -> None:
        for _ in range(times):
            self.world.write()

    @rule(times=st.integers(1, 3))
    def look_up(self, times: int) -> None:
        for _ in range(times):
            self.world.look_up()

    @rule(is_full=st.booleans())
    def fill(self, is_full: bool) -> None:
        self.world.store.is_full = is_full

    @rule()
    def turn(self) -> None:
        self.world.turn()

    @rule(reader=st.integers(0, 4), size=st.sampled_from([100, 400, 1 << 20]))
    def take(self, reader: int, size: int) -> None:
        self.links()[reader].taken(size)

    @rule(reader=st.integers(0, 3), after_reading=st.booleans())
    def come_back(self, reader: int, after_reading: bool) -> None:
        one = self.readers[reader]
        assert one.page is not None
        if after_reading:
            self.world.turn()
        one.read()
        one.page.lost()
        one.come()

    @precondition(lambda self: self.world.clock.seconds() < 25)
    @rule()
    def wait(self) -> None:
        self.world.clock.advance(1)

    # ---- what holds --------------------------------------------------------------------------------------------------

    def links(self) -> list[NarrowLink]:
        return [*(one.page.link for one in self.readers if one.page is not None), self.stock.link]

    def read(self) -> None:
        for reader in self.readers:
            reader.read()
        self.stock.read()
        for number, service in enumerate(self.services):
            for told in service.take():
                if "published" in told:
                    topic, value = self.sent.pop((number, told["request"]))
                    self.acknowledged.append((topic, value, told["published"]))

    @invariant()
    def every_reader_can_tell(self) -> None:
        self.read()
        for link in self.links():
            assert link.closed is None
            if link.lagging is not None:
                assert link.lagging.backlog.bytes <= max(link.budget, BUDGET)

    def teardown(self) -> None:
        self.world.store.is_full = False
        self.world.settle()
        for _ in range(300):
            for link in self.links():
                link.taken(1 << 20)
            self.world.settle()
            self.world.turn()
            if not any(link.unsent or link.lagging for link in self.links()):
                break
        self.every_reader_can_tell()
        heads = {topic: self.world.journal.head(topic).offset for topic in STREAMS}
        for topic, value, position in self.acknowledged:
            assert self.world.published[topic][offset(position)] == value
        for reader in self.readers:
            for topic, place in reader.places.items():
                assert offset(place) == heads[topic]
            assert reader.page is not None
            assert reader.page.link.lagging is None
            if "lab.state" in {topic for topic, _ in reader._wanted} and not reader.lost_keys:
                assert reader.values == self.newest
        for (_, topic), at in self.stock.offsets.items():
            assert at == heads[topic]


AnyReaders.TestCase.settings = settings(max_examples=25, stateful_step_count=50, deadline=None)
TestAnyReaders = AnyReaders.TestCase
