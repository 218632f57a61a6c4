"""Everybody comes back at once: readers of the raw door lose their connections, miss some events, and resume.

All connections are reset, events are published, and all readers return, each after a random part of the spread that our
clients keep (full jitter of their first attempt), or all at once. A reader is *level* when it has the last event that
was published before the storm. Meanwhile a few events more are published, so reading back meets what is live.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import quantiles

from hopsack.tokens import mint
from hopsack_bench import machine, talk, wire
from hopsack_bench.checker import History, event, parse
from hopsack_bench.samples import Sample
from hopsack_bench.servers import Broken, Place
from hopsack_bench.stage import Stage
from hopsack_bench.talk import Came, Granted
from hopsack_bench.visitors import Where
from hopsack_bench.writers import RawWriter

TOPIC = "bench.stream.storm"
WRITER = "storm"
EVENT_BYTES = 200
LIVE_RATE = 2.0
LIMIT_SECONDS = 120.0
LOOK_SECONDS = 0.02
OPENING = 200
"""Connections that are opened at once when nothing is measured: the listener's queue is bounded."""


@dataclass(frozen=True, slots=True)
class Storm:
    """:ivar missed: events that each reader missed. :ivar spread: seconds within which the readers come back."""

    readers: int
    missed: int
    spread: float

    @property
    def words(self) -> str:
        how = f"within {self.spread:g} s" if self.spread else "at once"
        return f"{self.readers:,} readers, {self.missed:,} events missed, back {how}"


class Wrong(Exception):
    """A reader was told what it must not be told."""


@dataclass(slots=True)
class Crowd:
    """What the readers have in common. An event's bytes are the same for all, so they are read once.

    :ivar goal: the offset that makes a reader level.
    """

    where: Where
    goal: int = 0
    level: list[float] = field(default_factory=list)
    refused: int = 0
    wrong: list[str] = field(default_factory=list)
    _known: dict[bytes, tuple[int, str]] = field(default_factory=dict)

    def offset_of(self, frame: bytes) -> tuple[int, str]:
        """Where this event stands: its offset, and its position as it was told.

        :raises Wrong: it is not what was published there.
        """
        known = self._known.get(frame)
        if known is None:
            told = talk.read_raw(frame, TOPIC)
            if not isinstance(told, Came) or told.position is None:
                raise Wrong(f"unexpected: {frame!r:.200}")
            offset = parse(told.position).offset
            if told.data != event(WRITER, offset, EVENT_BYTES):
                raise Wrong(f"another event at {offset}")
            known = self._known[frame] = offset, told.position
        return known


class Page(asyncio.Protocol):
    """One reader of the raw door, over one connection.

    :param place: where it resumes; empty: with what is live.
    :ivar last: the newest offset it has; :ivar place: its position.
    """

    def __init__(self, crowd: Crowd, place: str = "") -> None:
        self.crowd, self.place = crowd, place
        self.last = parse(place).offset if place else -1
        self.is_granted = asyncio.Event()
        self.is_closed = asyncio.Event()
        self._frames: talk.Frames | None = None
        self._head = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(wire.upgrade("/raw").send)

    def data_received(self, data: bytes) -> None:
        if self._frames is None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head:
                self.end()
                return
            self._frames = talk.Frames()
            self._subscribe()
        try:
            for code, payload in self._frames.feed(data):
                self._told(code, payload)
        except (Wrong, talk.Confused) as error:
            self.crowd.wrong.append(str(error))
            self.end()

    def _subscribe(self) -> None:
        assert self._transport is not None
        after = {"after": self.place} if self.place else {}
        subscribe = talk.raw("hopsack.subscribe", talk.SUBSCRIBE, topic=TOPIC, **after)
        self._transport.write(wire.frame(talk.raw("hopsack.hello", talk.HELLO)) + wire.frame(subscribe))

    def _told(self, code: int, payload: bytes) -> None:
        if code == talk.PING:
            assert self._transport is not None
            self._transport.write(b"\x8a" + wire.frame(payload)[1:])
        elif code == talk.CLOSE:
            self.end()
        elif self.is_granted.is_set():
            self._came(*self.crowd.offset_of(payload))
        else:
            self._opens(talk.read_raw(payload, TOPIC))

    def _opens(self, told: talk.Told | None) -> None:
        if not isinstance(told, Granted):
            return
        if self.place and not told.recovered:
            raise Wrong(f"does not resume: {told.reason}")
        if not self.place:
            self.place = told.positions[TOPIC]
            self.last = parse(self.place).offset
        self.is_granted.set()

    def _came(self, offset: int, position: str) -> None:
        if offset != self.last + 1:
            raise Wrong(f"{offset} came after {self.last}")
        self.last, self.place = offset, position
        if offset == self.crowd.goal:
            self.crowd.level.append(time.monotonic())

    def connection_lost(self, error: Exception | None) -> None:
        self.is_closed.set()
        if not self.is_granted.is_set():
            self.crowd.refused += 1
            self.is_granted.set()

    def end(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """With an RST."""
        if self._transport is not None:
            made = self._transport.get_extra_info("socket")
            made.setsockopt(*talk.RESET)
            self._transport.abort()


async def _open(crowd: Crowd, place: str) -> Page:
    loop = asyncio.get_running_loop()
    _, page = await loop.create_connection(lambda: Page(crowd, place), crowd.where.host, crowd.where.port)
    return page


async def _all_open(crowd: Crowd, readers: int) -> list[Page]:
    pages: list[Page] = []
    while len(pages) < readers:
        some = await asyncio.gather(*(_open(crowd, "") for _ in range(min(OPENING, readers - len(pages)))))
        await asyncio.gather(*(page.is_granted.wait() for page in some))
        pages += some
    return pages


async def _back(crowd: Crowd, places: list[str], spread: float, chance: random.Random) -> list[Page]:
    async def one(place: str) -> Page:
        await asyncio.sleep(chance.uniform(0, spread))
        return await _open(crowd, place)

    return list(await asyncio.gather(*map(one, places)))


@dataclass(slots=True)
class Memory:
    """Of the node, in bytes, looked at while something happens."""

    pid: int
    peak: int = 0

    async def watch(self) -> None:
        while True:
            self.peak = max(self.peak, machine.resident_bytes(self.pid))
            await asyncio.sleep(LOOK_SECONDS)


async def until(deadline: float, is_done: Callable[[], bool]) -> bool:
    """Look again and again until it is so, or the time is over.

    :param deadline: on the monotonic clock.
    """
    while not is_done():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_SECONDS)
    return True


async def _storm(place: Place, storm: Storm, chance: random.Random) -> dict[str, float]:
    where = Where(place.ports["http"], mint(place.secret, sub=WRITER, role="service"))
    before = machine.resident_bytes(place.pid)
    crowd = Crowd(where)
    writer = RawWriter(WRITER, where, chance, History(EVENT_BYTES), TOPIC, LIVE_RATE, size=EVENT_BYTES)
    writing = [asyncio.create_task(writer.keep())]
    try:
        await _said(writer, 1)
        pages = await _all_open(crowd, storm.readers)
        there = machine.resident_bytes(place.pid)
        for page in pages:
            page.reset()
        await asyncio.gather(*(page.is_closed.wait() for page in pages))
        await _said(writer, storm.missed)
        crowd.goal = 1 + storm.missed
        await asyncio.sleep(1)  # the node has the farewell of thousands to see to
        memory = Memory(place.pid)
        writing += [asyncio.create_task(memory.watch()), asyncio.create_task(writer.think())]
        began = time.monotonic()
        pages = await _back(crowd, [page.place for page in pages], storm.spread, chance)
        deadline = began + LIMIT_SECONDS
        await until(deadline, lambda: len(crowd.level) + len(crowd.wrong) >= storm.readers)
        writer.end()
        await asyncio.wait_for(writer.is_over.wait(), LIMIT_SECONDS)
        head = writer.history.head(TOPIC)
        await until(time.monotonic() + 5, lambda: all(page.last >= head for page in pages))
        figures = _figures(crowd, pages, storm, began, head)
        after = machine.resident_bytes(place.pid)
        for page in pages:
            page.end()
    finally:
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
    sizes = {"before": before, "there": there, "peak": memory.peak, "after": after}
    return figures | {f"{name}_mib": size / 1048576 for name, size in sizes.items()}


async def _said(writer: RawWriter, count: int) -> None:
    """Publish so many, and wait until all are acknowledged."""
    goal = writer.history.head(TOPIC) + count
    writer.say(count)
    if not await until(time.monotonic() + LIMIT_SECONDS, lambda: writer.history.head(TOPIC) >= goal):
        raise Broken(f"events are not acknowledged: {writer.confusions[-3:]}")


def _figures(crowd: Crowd, pages: list[Page], storm: Storm, began: float, head: int) -> dict[str, float]:
    took = sorted(moment - began for moment in crowd.level) or [LIMIT_SECONDS]
    cuts = quantiles(took, n=100) if len(took) > 1 else [took[0]] * 99
    return {
        "level_s": cuts[49],
        "level_p99_s": cuts[98],
        "level_max_s": took[-1] if len(took) >= storm.readers else LIMIT_SECONDS,
        "lost": sum(max(0, head - page.last) for page in pages),
        "wrong": len(crowd.wrong) + crowd.refused,
    }


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """This process keeps off the server's core, and may have many files."""
    cores = os.sched_getaffinity(0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.sched_setaffinity(0, {core})
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def measure(stage: Stage, name: str, number: int, storms: tuple[Storm, ...]) -> Iterator[Sample]:
    """Each storm in a node that nobody has used before.

    :raises Broken: the node or a reader failed.
    """
    for storm in storms:
        with stage.fresh("hopsack") as place, on_core(stage.cores.load):
            figures = asyncio.run(_storm(place, storm, random.Random(number)))
        yield Sample(storm.words, name, number, figures)
        if figures["lost"] or figures["wrong"]:
            raise Broken(f"{storm.words}: {figures['lost']:,.0f} lost, {figures['wrong']:,.0f} wrong")
