"""Everybody comes back at once: readers of the raw door lose their connections, miss some events, and resume.

    reset      all connections are reset, events are published, and all readers return
    at once    the same, and nobody waits before it returns
    SIGTERM    the node is stopped, tells everybody when to come back, and is started again
    SIGKILL    the node is killed, and started again

They wait as our libraries do (:mod:`hopsack.backoff`): full jitter, and the node's hint where it gives one. The moments
at which those attempts begin that succeed are looked at: which share of them falls into the busiest tenth of a second,
wherever that begins. A reader is *level* when it has the last event that was published before the storm; the seconds
count from the moment at which the readers may return, or at which the new node is ready. Meanwhile a few events more
are published, so reading back meets what is live.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import resource
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from signal import SIGKILL, SIGTERM
from statistics import quantiles
from typing import Literal

from hopsack import backoff
from hopsack_bench import machine, talk, wire
from hopsack_bench.checker import History, event, parse
from hopsack_bench.recovery import Nodes
from hopsack_bench.samples import Sample
from hopsack_bench.servers import Broken
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

RESTARTS = ("SIGTERM", "SIGKILL")
How = Literal["reset", "at once", "SIGTERM", "SIGKILL"]

_WORDS: Mapping[How, str] = {
    "reset": "connections reset",
    "at once": "connections reset, all back in one instant",
    "SIGTERM": "node stopped and started",
    "SIGKILL": "node killed and started",
}


@dataclass(frozen=True, slots=True)
class Storm:
    """:ivar missed: events that each reader missed. :ivar how: it comes about."""

    readers: int
    missed: int
    how: How

    @property
    def words(self) -> str:
        return f"{self.readers:,} readers, {self.missed:,} events missed, {_WORDS[self.how]}"


class Wrong(Exception):
    """A reader was told what it must not be told."""


@dataclass(slots=True)
class Crowd:
    """What the readers have in common. An event's bytes are the same for all, so they are read once.

    :ivar goal: the offset that makes a reader level.
    :ivar back: when the attempts began that succeeded.
    :ivar refused: attempts that the node did not let in.
    """

    where: Where
    goal: int = 0
    level: list[float] = field(default_factory=list)
    back: list[float] = field(default_factory=list)
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
    :ivar granted: the position at which its subscription began; empty: it has none.
    :ivar hint: seconds after which the node told it to come back.
    """

    def __init__(self, crowd: Crowd, place: str = "") -> None:
        self.crowd, self.place = crowd, place
        self.last = parse(place).offset if place else -1
        self.granted = ""
        self.hint: float | None = None
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
            self.hint = backoff.hint_in(payload[2:].decode())
            self.end()
        elif self.is_granted.is_set():
            self._came(*self.crowd.offset_of(payload))
        else:
            with suppress(talk.Refused):  # by a node that is stopping, which closes then
                self._opens(talk.read_raw(payload, TOPIC))

    def _opens(self, told: talk.Told | None) -> None:
        if not isinstance(told, Granted):
            return
        if self.place and not told.recovered:
            raise Wrong(f"does not resume: {told.reason}")
        if not self.place:
            self.place = told.positions[TOPIC]
            self.last = parse(self.place).offset
        self.granted = self.place
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


async def _back(crowd: Crowd, page: Page, storm: Storm, chance: random.Random) -> Page:
    """One reader's way back, as our libraries go it."""
    hint = page.hint
    for attempt in itertools.count():
        if storm.how != "at once":
            await asyncio.sleep(backoff.delay(attempt, chance.random(), hint))
        began, hint = time.monotonic(), None
        try:
            again = await _open(crowd, page.granted)
        except OSError:
            continue
        await again.is_granted.wait()
        if again.granted:
            crowd.back.append(began)
            return again
        hint = again.hint
    raise AssertionError


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


class Weather:
    """One storm over one node's folder."""

    def __init__(self, nodes: Nodes, storm: Storm, chance: random.Random) -> None:
        self.nodes, self.storm, self._chance = nodes, storm, chance
        where = nodes.door("service")
        self.crowd = Crowd(where)
        self.writer = RawWriter(WRITER, where, chance, History(EVENT_BYTES), TOPIC, LIVE_RATE, size=EVENT_BYTES)
        self.sizes: dict[str, int] = {}
        self.ready = self._began = 0.0
        self._memory = Memory(0)
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> dict[str, float]:
        self._measure("before")
        self._tasks.append(asyncio.create_task(self.writer.keep()))
        try:
            await _said(self.writer, 1)
            pages = await _all_open(self.crowd, self.storm.readers)
            self._measure("there")
            self.crowd.goal = 1 + self.storm.missed
            returning = await (self._restart if self.storm.how in RESTARTS else self._reset)(pages)
            return await self._level(await asyncio.wait_for(returning, LIMIT_SECONDS))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _reset(self, pages: list[Page]) -> Awaitable[list[Page]]:
        for page in pages:
            page.reset()
        await asyncio.gather(*(page.is_closed.wait() for page in pages))
        await _said(self.writer, self.storm.missed)
        await asyncio.sleep(1)  # the node has the farewell of thousands to see to
        self._begins()
        return asyncio.gather(*(_back(self.crowd, page, self.storm, self._chance) for page in pages))

    async def _restart(self, pages: list[Page]) -> Awaitable[list[Page]]:
        """Each has seen the events, and gives back the position before them: where no node is, nobody publishes."""
        await _said(self.writer, self.storm.missed)
        if not await until(time.monotonic() + LIMIT_SECONDS, lambda: len(self.crowd.level) == len(pages)):
            raise Broken(f"only {len(self.crowd.level):,} readers have read what was published")
        self.crowd.level.clear()
        returning = asyncio.gather(*(self._comes_back(page) for page in pages))
        began = time.monotonic()
        await self.nodes.end(SIGTERM if self.storm.how == "SIGTERM" else SIGKILL)
        await self.nodes.start()
        self.ready = time.monotonic() - began
        self._begins()
        return returning

    async def _comes_back(self, page: Page) -> Page:
        await page.is_closed.wait()
        return await _back(self.crowd, page, self.storm, self._chance)

    def _begins(self) -> None:
        self._began = time.monotonic()
        self._memory = Memory(self._pid)
        self._tasks += [asyncio.create_task(self._memory.watch()), asyncio.create_task(self.writer.think())]

    async def _level(self, pages: list[Page]) -> dict[str, float]:
        crowd, storm, writer = self.crowd, self.storm, self.writer
        deadline = self._began + LIMIT_SECONDS
        await until(deadline, lambda: len(crowd.level) + len(crowd.wrong) >= storm.readers)
        writer.end()
        await asyncio.wait_for(writer.is_over.wait(), LIMIT_SECONDS)
        head = writer.history.head(TOPIC)
        await until(time.monotonic() + 5, lambda: all(page.last >= head for page in pages))
        self.sizes["peak"] = self._memory.peak
        self._measure("after")
        for page in pages:
            page.end()
        sizes = {f"{name}_mib": size / 1048576 for name, size in self.sizes.items()}
        return _figures(crowd, pages, storm, self._began, head) | sizes | {"ready_s": self.ready}

    @property
    def _pid(self) -> int:
        assert self.nodes.place is not None
        return self.nodes.place.pid

    def _measure(self, name: str) -> None:
        self.sizes[name] = machine.resident_bytes(self._pid)


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
        "busiest": busiest(crowd.back),
        "lost": sum(max(0, head - page.last) for page in pages),
        "wrong": len(crowd.wrong) + (0 if storm.how in RESTARTS else crowd.refused),
    }


def busiest(moments: Iterable[float]) -> float:
    """Which share of them falls into the busiest tenth of a second, wherever that begins."""
    ordered = sorted(moments)
    most = max((bisect_right(ordered, at + 0.1) - first for first, at in enumerate(ordered)), default=0)
    return most / max(1, len(ordered))


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
        nodes = Nodes(stage.folder("storm"), os.urandom(20).hex(), stage.cores.server)
        try:
            with on_core(stage.cores.load):
                figures = asyncio.run(_storm(nodes, storm, random.Random(number)))
        finally:
            nodes.close()
        yield Sample(storm.words, name, number, figures)
        if figures["lost"] or figures["wrong"]:
            raise Broken(f"{storm.words}: {figures['lost']:,.0f} lost, {figures['wrong']:,.0f} wrong")


async def _storm(nodes: Nodes, storm: Storm, chance: random.Random) -> dict[str, float]:
    await nodes.start()
    return await Weather(nodes, storm, chance).run()
