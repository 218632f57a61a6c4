"""What a page is told adds up, whatever happens to it: random lives of a realm, with a clock turned by hand.

Readers subscribe to streams, newest values and live topics, by their names and by patterns that overlap, resume,
change their paces, unsubscribe and leave, behind transports that take bytes in pieces. The store is slow, full, cannot
be read, or is torn, so that epochs change. Each event comes once and in order, or is told to be missing, with the right
count; where every subscription has a pace, the newest one of each key comes. Then nothing is held any more.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from typing import Any

import pytest

from hopsack_router.routing.backlog import OVERHEAD, Why
from hopsack_router.routing.resuming import FORGETFUL
from hopsack_router.routing.retained import matcher
from hopsack_router.streams.store import StoreFailed

from .kept import Page, PageLink, World

STREAMS = ("lab.log", "lab.run.a", "lab.run.b", "lab.order")
TOPICS = (*STREAMS, "lab.state", "lab.mode", "lab.chat")
WANTED = (
    *((topic, "exact") for topic in ("lab.log", "lab.order", "lab.state", "lab.mode", "lab.chat", "lab.run.a")),
    ("lab.run.", "prefix"),
    ("lab.run.", "wildcard"),
    ("lab.", "wildcard"),
)
KEYS = ("a", "b", "c")
RATES = (0.5, 2.0, 10.0)
LIVES, STEPS = 8, 2600

Place = tuple[str, int]
"""An epoch, which is empty where there are none, and an offset; of a live topic its events' own numbers."""

LOST = "?"
"""The epoch of a reader that was told that there is a new one, and has not seen it yet."""


def covers(pattern: tuple[str, str], topic: str) -> bool:
    return pattern[0] == topic if pattern[1] == "exact" else bool(matcher(*pattern)(topic))


def read(position: str) -> Place:
    epoch, _, offset = position.partition(":")
    return epoch, int(offset)


class Lab(World):
    """:ivar kept: what streams have, by place. :ivar changes: of each key of a ``latest`` topic, the last is newest.

    :ivar epochs: of each stream, in order. :ivar ends: the last offset of each.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.kept: dict[str, dict[Place, Any]] = {topic: {} for topic in TOPICS}
        self.epochs: dict[str, list[str]] = {topic: [""] if topic == "lab.chat" else [] for topic in TOPICS}
        self.ends: Counter[tuple[str, str]] = Counter()
        self.changes: dict[tuple[str, Any], list[Any]] = defaultdict(list)
        self.is_unreadable = False
        super().__init__(tail=2000)
        self._watch_the_store()
        self.services = [self.reader(role="service") for _ in range(2)]
        self.witness = self.reader(role="service")
        for topic in ("lab.state", "lab.mode", "lab.order"):
            self.witness.subscribe(topic)
        self.numbers = self.said = 0
        self.settle()

    def _watch_the_store(self) -> None:
        commit, look = self.store.commit, self.store.read

        def note(batch: Any) -> None:
            commit(batch)
            for _, event in batch.events:
                self.note_epoch(event.topic, event.epoch)
                self.kept[event.topic][event.epoch, event.offset] = event
                self.ends[event.topic, event.epoch] = event.offset

        def read_back(*asked: Any) -> Any:
            if self.is_unreadable:
                raise StoreFailed("it does not answer")
            return look(*asked)

        self.store.commit, self.store.read = note, read_back  # type: ignore[method-assign,assignment]

    def note_epoch(self, topic: str, epoch: str) -> None:
        if epoch not in self.epochs[topic]:
            self.epochs[topic].append(epoch)

    def heads(self) -> dict[str, Place]:
        """What has been announced."""
        keeping = self.node.router.keeping
        found = {topic: (keeping.head(topic).epoch, keeping.head(topic).offset) for topic in STREAMS}
        for topic, (epoch, _) in found.items():
            self.note_epoch(topic, epoch)
        return {**found, "lab.chat": ("", self.said)}

    def order(self, topic: str, place: Place) -> tuple[int, int]:
        return self.epochs[topic].index(place[0]), place[1]

    def publish(self) -> None:
        topic = self.chance.choice(TOPICS)
        service, acknowledge = self.chance.choice(self.services), self.chance.random() < 0.5
        for _ in range(self.chance.choice((1, 1, 2, 5, 20))):
            self.numbers += 1
            key, deleted = self.chance.choice(KEYS), False
            if topic == "lab.chat":
                self.said += 1
                data: Any = self.said
            elif topic in ("lab.order", "lab.state"):
                deleted = self.chance.random() < 0.2
                data = {"id": key} if deleted else {"id": key, "value": self.numbers}
            else:
                data = str(self.numbers) if topic == "lab.mode" else self.numbers
            service.publish(topic, data, acknowledge, delete=deleted)

    def look(self) -> None:
        """See what the one that misses nothing is told."""
        for service in self.services:
            service.wire.clear()
        taken, self.witness.wire = self.witness.wire, []
        for frame in taken:
            if frame.get("method") == "event":
                params = frame["params"]
                key, value = content(params)
                self.changes[params["topic"], key].append(value)


def content(params: dict[str, Any]) -> tuple[Any, Any]:
    """The key of a newest value, and its value; ``None``: it is deleted."""
    data = params["data"]
    if not isinstance(data, dict):
        return "", data
    return data["id"], None if params.get("deleted") else data["value"]


class LifeLink(PageLink):
    """:ivar heads: what had been announced at each answer."""

    lab: Lab | None = None
    heads: deque[dict[str, Place]]

    def send(self, msg: Any) -> None:
        if self.lab is not None:
            self.heads.append(self.lab.heads())
        super().send(msg)


class LifePage(Page):
    link_class = LifeLink


class Connection:
    """One connection of a reader, and what it can tell of it.

    :ivar subscriptions: by number, with their paces. :ivar places: the last event of each topic.
    :ivar strays: of topics that had a pace, up to where what was held may come behind what it was held back for.
    :ivar seen: where every subscription has a pace, the last event of each key.
    """

    def __init__(self, world: Lab) -> None:
        self.world = world
        budget, buffer = world.chance.choice(((12 * OVERHEAD, 300), (40 * OVERHEAD, 2000), (1 << 20, 1 << 30)))
        self.page = LifePage(world, budget=budget, buffer=buffer)
        assert isinstance(self.page.link, LifeLink)
        self.link: LifeLink = self.page.link
        self.link.lab, self.link.heads = world, deque()
        self.asked: deque[tuple[Any, ...]] = deque()
        self.subscriptions: dict[int, tuple[tuple[str, str], float | None]] = {}
        self.places: dict[str, Place] = {}
        self.strays: dict[str, Place] = {}
        self.has_jumped: set[str] = set()
        self.seen: dict[tuple[str, Any], tuple[int, int]] = {}
        self.values: dict[str, dict[Any, Any]] = defaultdict(dict)
        self.changed: Counter[tuple[str, Any]] = Counter()
        self.doubtful: set[str] = set()
        self.owed = 0

    # ---- what it asks -----------------------------------------------------------------------------------------------

    def subscribe(self, wanted: tuple[str, str], after: Any, rate: float | None) -> None:
        self.asked.append(("subscribe", wanted, after, rate))
        self.page.subscribe(*wanted, after, rate)

    def unsubscribe(self, number: int) -> None:
        self.asked.append(("unsubscribe", number))
        self.page.unsubscribe(number)

    def rate(self, number: int, rate: float | None) -> None:
        self.asked.append(("rate", number, rate))
        self.page.rate(number, rate)

    # ---- what it is told --------------------------------------------------------------------------------------------

    def look(self) -> None:
        taken, self.page.wire = self.page.wire, []
        for frame in taken:
            match frame:
                case {"method": "event", "params": params}:
                    self._event(params)
                case {"method": "gap", "params": {"topic": topic, "dropped": count}}:
                    self._gap(topic, count)
                case {"welcome": True}:
                    pass
                case _:
                    self._answer(frame, self.asked.popleft(), self.link.heads.popleft())

    def _covering(self, topic: str) -> list[float | None]:
        return [rate for pattern, rate in self.subscriptions.values() if covers(pattern, topic)]

    def is_paced(self, topic: str) -> bool:
        return None not in self._covering(topic)

    def knows(self, topic: str) -> bool:
        """Whether it has all that came before its place."""
        is_doubtful = topic in self.strays or topic in self.has_jumped or topic in self.doubtful
        is_shown = not (self.owed and topic == "lab.order")
        return is_shown and not is_doubtful and not self.is_paced(topic)

    def _answer(self, frame: Any, asked: tuple[Any, ...], heads: dict[str, Place]) -> None:
        before = {topic: (bool(self._covering(topic)), self.is_paced(topic)) for topic in TOPICS}
        match asked:
            case ("subscribe", wanted, after, rate):
                self.subscriptions[frame["subscription"]] = (wanted, rate)
                self._begin(wanted, after, frame["granted"], heads, before)
            case ("unsubscribe", number):
                self.subscriptions.pop(number, None)
            case ("rate", number, rate) if number in self.subscriptions:
                self.subscriptions[number] = (self.subscriptions[number][0], rate)
        for topic in TOPICS:
            was_read, was_paced = before[topic]
            if was_read and not self._covering(topic):
                self._forget(topic)
            elif was_read and was_paced and not self.is_paced(topic) and topic in heads:
                self.strays[topic] = heads[topic]
                if asked[0] != "subscribe":
                    self.places[topic] = max(self.places[topic], heads[topic], key=lambda at: self._order(topic, at))

    def _order(self, topic: str, place: Place) -> tuple[int, int]:
        return (-1, 0) if place[0] == LOST else self.world.order(topic, place)

    def _forget(self, topic: str) -> None:
        self.places.pop(topic, None)
        self.strays.pop(topic, None)
        self.has_jumped.discard(topic)
        self.doubtful.discard(topic)
        self.values.pop(topic, None)
        for key in [key for key in self.seen if key[0] == topic]:
            del self.seen[key]

    def _begin(self, wanted: Any, after: Any, granted: Any, heads: dict[str, Place], before: Any) -> None:
        positions = granted["positions"] or ({wanted[0]: granted["position"]} if granted["position"] else {})
        named = after if isinstance(after, dict) else {wanted[0]: after} if after else {}
        self.owed += granted["snapshot"] or 0
        for topic in TOPICS:
            if not covers(wanted, topic):
                continue
            if topic in heads:
                place = read(positions[topic]) if topic in positions else heads[topic]
                if granted["recovered"] and topic in named:
                    assert read(named[topic]) == place
                was_read, was_paced = before[topic]
                known = self.places.get(topic)
                if not was_read or was_paced or known is None:
                    self.places[topic] = place
                elif known[0] == place[0]:
                    self.places[topic] = min(place, known)
                for key in [key for key in self.seen if key[0] == topic]:
                    del self.seen[key]
            if topic == "lab.order" and topic in named:
                if granted["reason"] and wanted[1] != "exact":
                    self.doubtful.add(topic)
                elif granted["reason"]:
                    self._show(topic)
            else:
                self._show(topic)

    def _show(self, topic: str) -> None:
        self.values[topic] = {}
        self.doubtful.discard(topic)

    def _gap(self, topic: str, count: int | None) -> None:
        assert self._covering(topic), topic
        assert count is None or count > 0
        self.doubtful.add(topic)
        place = self.places.get(topic)
        if place is None:
            return
        if self.is_paced(topic) or topic in self.strays:
            self.has_jumped.add(topic)
        elif count is None:
            self.places[topic] = (LOST, 0)
        elif topic in STREAMS and place[1] == self.world.ends[topic, place[0]] and place[0] != self._head(topic)[0]:
            self.places[topic] = (LOST, count)  # it had all of that epoch: what is gone are the first of the next
        else:
            self.places[topic] = (place[0], place[1] + count)
            self._check_that_it_is_gone(topic, self.places[topic])

    def _head(self, topic: str) -> Place:
        return self.world.heads()[topic]

    def _check_that_it_is_gone(self, topic: str, place: Place) -> None:
        if topic == "lab.chat" or place[0] != self.world.heads()[topic][0]:
            return
        extent = self.world.journal.extent(topic)
        assert place[1] < (extent.first.offset if extent.first else extent.head.offset + 1), "it is still there"

    def _event(self, params: dict[str, Any]) -> None:
        topic = params["topic"]
        self.owed -= params.get("retained", False)
        assert self._covering(topic), f"{topic} was left"
        if topic in ("lab.order", "lab.state", "lab.mode"):
            self._value(topic, params)
        if topic in ("lab.state", "lab.mode") or params.get("retained"):
            return
        place = ("", params["data"]) if topic == "lab.chat" else read(params["position"])
        if topic != "lab.chat":
            assert place in self.world.kept[topic], "nobody knows it"
        if self.is_paced(topic):
            self._newer(topic, content(params)[0], place)
        else:
            self._next(topic, place)

    def _value(self, topic: str, params: dict[str, Any]) -> None:
        key, value = content(params)
        if value is None:
            self.values[topic].pop(key, None)
        else:
            self.values[topic][key] = value
        if topic != "lab.order" and value is not None:
            number = int(value)
            assert number >= self.changed[topic, key], f"{topic} {key}: {number} behind {self.changed[topic, key]}"
            self.changed[topic, key] = number

    def _newer(self, topic: str, key: Any, place: Place) -> None:
        at = self.world.order(topic, place)
        assert at >= self.seen.get((topic, key), (-1, 0)), f"{topic}: {place} behind {self.seen[topic, key]}"
        self.seen[topic, key] = at
        self.places[topic] = max(self.places[topic], place, key=lambda one: self._order(topic, one))

    def _next(self, topic: str, place: Place) -> None:
        last, order = self.places[topic], self.world.order(topic, place)
        stray = self.strays.get(topic)
        is_next = place == (last[0], last[1] + 1)
        if not is_next and stray is not None and order <= self.world.order(topic, stray):
            return
        if last[0] == LOST:
            is_next = place[1] == last[1] + 1
        elif place[0] != last[0]:
            epochs = self.world.epochs[topic]
            between = epochs[epochs.index(last[0]) + 1 : epochs.index(place[0])]
            ended = self.world.ends[topic, last[0]] == last[1] and not any(
                self.world.ends[topic, epoch] for epoch in between
            )
            is_next = place[1] == 1 and (ended or topic in self.strays)
        assert is_next or topic in self.has_jumped, f"{topic}: {place} behind {last}"
        self.places[topic] = place
        if stray is not None and order > self.world.order(topic, stray):
            del self.strays[topic]
        if stray is None or order > self.world.order(topic, stray):
            self.has_jumped.discard(topic)


class Life:
    """One realm, disturbed at random."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.world = Lab(self.chance)
        self.readers = [Connection(self.world) for _ in range(4)]
        self.told: Counter[str] = Counter()

    def step(self) -> None:
        steps: tuple[tuple[float, Callable[[], object]], ...] = (
            (24, self.world.publish),
            (14, self.world.write),
            (10, self.world.look_up),
            (16, self.world.turn),
            (14, self._take),
            (8, self._subscribe),
            (5, self._unsubscribe),
            (5, self._rate),
            (2, self._come_back),
            (3, self._wait),
            (1, self._fill),
            (1, self._hide),
            (0.3, self._tear),
            (1, self.world.settle),
        )
        weights, does = zip(*steps, strict=True)
        self.chance.choices(does, weights)[0]()
        self.look()

    def look(self) -> None:
        self.world.look()
        for number, reader in enumerate(self.readers):
            reader.look()
            link = reader.link
            assert link.unsent >= 0
            if link.closed is not None:
                assert link.closed in (Why.UNREADABLE, Why.OVERLOADED, Why.STALLED, Why.CROWDED)
                self.told[link.closed.name] += 1
                self.world.turn()
                self.readers[number] = Connection(self.world)

    def _take(self) -> None:
        self.chance.choice(self.readers).link.taken(self.chance.choice((100, 400, 1 << 20)))

    def _subscribe(self) -> None:
        reader = self.chance.choice(self.readers)
        rate = self.chance.choice(RATES) if self.chance.random() < 0.3 else None
        reader.subscribe(self.chance.choice(WANTED), None, rate)

    def _unsubscribe(self) -> None:
        reader = self.chance.choice(self.readers)
        if reader.subscriptions:
            reader.unsubscribe(self.chance.choice(list(reader.subscriptions)))

    def _rate(self) -> None:
        reader = self.chance.choice(self.readers)
        if reader.subscriptions:
            reader.rate(self.chance.choice(list(reader.subscriptions)), self.chance.choice((None, None, *RATES)))

    def _come_back(self) -> None:
        """Resume: where it was, with what it had."""
        number = self.chance.randrange(len(self.readers))
        earlier = self.readers[number]
        earlier.page.lost()
        assert earlier.link.unsent == 0
        self.readers[number] = reader = Connection(self.world)
        had = {
            topic: place
            for topic, place in earlier.places.items()
            if topic in STREAMS and place[0] != LOST and earlier.knows(topic)
        }
        for wanted, rate in list(earlier.subscriptions.values()):
            after: Any = {topic: f"{e}:{o}" for topic, (e, o) in had.items() if covers(wanted, topic)} or None
            if after and wanted[1] == "exact":
                after = after[wanted[0]]
            elif after and any(covers(wanted, topic) for topic in earlier.places.keys() - had.keys()):
                after[FORGETFUL] = "a:0"
            if after and "lab.order" in had and covers(wanted, "lab.order"):
                reader.values["lab.order"] = dict(earlier.values["lab.order"])
            reader.subscribe(wanted, after, rate)

    def _wait(self) -> None:
        self.world.clock.advance(self.chance.choice((0.05, 0.3, 1.0, 4.0)))

    def _fill(self) -> None:
        self.world.store.is_full = not self.world.store.is_full

    def _hide(self) -> None:
        self.world.is_unreadable = not self.world.is_unreadable

    def _tear(self) -> None:
        self.world.store.is_torn = True

    def end(self) -> None:
        """Everything works again, and everybody reads."""
        self.world.store.is_full = self.world.store.is_torn = self.world.is_unreadable = False
        for _ in range(60):
            for _ in range(4):
                for reader in self.readers:
                    reader.link.taken(1 << 20)
                self.world.settle()
                self.world.turn()
                self.look()
            self.world.clock.advance(1)
        for reader in self.readers:
            self._check(reader)

    def _check(self, reader: Connection) -> None:
        assert not reader.asked
        assert reader.link.unsent == 0
        heads = self.world.heads()
        for topic in TOPICS:
            if not reader._covering(topic):
                continue
            if topic in heads and reader.places[topic][0] == heads[topic][0] and topic not in reader.has_jumped:
                assert reader.places[topic] == heads[topic], topic
            if topic in ("lab.state", "lab.mode", "lab.order") and topic not in reader.doubtful:
                newest = {key: told[-1] for (of, key), told in self.world.changes.items() if of == topic}
                assert reader.values[topic] == {key: value for key, value in newest.items() if value is not None}, topic


@pytest.mark.parametrize("seed", range(LIVES))
def test_what_a_page_is_told_adds_up(seed: int) -> None:
    life = Life(seed)

    for number in range(STEPS):
        life.step()
        if number % 200 == 199:
            life.end()


def test_the_lives_together_are_long_enough() -> None:
    assert LIVES * STEPS >= 20_000
