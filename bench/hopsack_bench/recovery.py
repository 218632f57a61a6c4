"""Nothing acknowledged is lost, nothing comes twice: writers and readers on every door, disturbed, and the node killed.

Readers stall, vanish and leave at random, by a seed that is told. The node is killed with SIGKILL, now and then with
SIGTERM, at a random moment, and started again on the same folder and ports. From then on nobody is disturbed until
everybody is *level*: has the first event that the new node acknowledged on each of its topics, or all keys of its map.
Then the next begins.

What goes wrong is told with what the nodes wrote in their logs, and with what visitors were refused: whoever is refused
tries again, so a refusal is no fault, but it may be what led to one.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from hopsack.tokens import mint
from hopsack_bench import maps, peers
from hopsack_bench.checker import SHOWN, History, Verdict
from hopsack_bench.maps import HttpValues, LibraryMap, MapReader, RawMap, RawValues, ValueWriter, WampValues
from hopsack_bench.newest import Newest
from hopsack_bench.programs import PROGRAMS, ProgramReader
from hopsack_bench.samples import Sample
from hopsack_bench.servers import Broken, Place, running
from hopsack_bench.stage import Stage
from hopsack_bench.visitors import (
    RawReader,
    RawSocketReader,
    Reader,
    ReadOnlyReader,
    SseReader,
    Visitor,
    WampReader,
    Wanted,
    Where,
)
from hopsack_bench.writers import HttpWriter, RawWriter, WampWriter, Writer

PREFIX = "bench.stream."
TOPICS = tuple(f"{PREFIX}{name}" for name in ("one", "two", "three"))
LEVEL_SECONDS = 60.0
LOOK_SECONDS = 0.01
LOG_LINES = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """:ivar readers: of each kind and topic. :ivar rate: events a second of each writer.

    :ivar quiet: seconds between the moment when all are level and the next kill, at most.
    :ivar gentle: every so many kills one is a SIGTERM.
    """

    kills: int
    readers: int
    rate: float
    quiet: float
    gentle: int = 4
    seed: int | None = None

    @property
    def words(self) -> str:
        gentle = self.kills // self.gentle
        return f"{self.kills - gentle} × SIGKILL, {gentle} × SIGTERM"


@dataclass(slots=True)
class Life:
    """What is measured. ``level``: for each kill and reader the seconds from the kill until it was level."""

    ready: list[float] = field(default_factory=list)
    level: list[list[float]] = field(default_factory=list)
    disturbances: int = 0


class Nodes:
    """One node after the other, on one folder and the same ports.

    They are started and awaited in one thread of their own: the kernel ends a server with the thread that started it.
    """

    def __init__(self, folder: Path, secret: str, core: int, schemas: str = "checked") -> None:
        self.folder, self._secret, self._core, self._schemas = folder, secret, core, schemas
        self._thread = ThreadPoolExecutor(1)
        self._held = ExitStack()
        self._count = 0
        self.place: Place | None = None

    @property
    def ports(self) -> Mapping[str, int]:
        assert self.place is not None
        return self.place.ports

    def door(self, role: str, port: str = "http") -> Where:
        """Where somebody of this role comes in."""
        return Where(self.ports[port], mint(self._secret, sub=f"checker-{role}", role=role))

    async def start(self) -> Place:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._start)

    def _start(self) -> Place:
        self._count += 1
        ports = self.place.ports if self.place else None
        launch = peers.node(self._schemas, self.folder / "data", self._secret, ports)
        folder = self.folder / f"life-{self._count}"
        folder.mkdir()
        self.place = self._held.enter_context(running(launch, folder, self._secret, self._core))
        return self.place

    async def end(self, number: signal.Signals) -> None:
        """Send a signal, and wait until it is gone."""
        assert self.place is not None
        os.kill(self.place.pid, number)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._held.close)

    def close(self) -> None:
        self._thread.submit(self._held.close).result()
        self._thread.shutdown()

    def said(self) -> Iterator[str]:
        """The end of each node's log."""
        for life in range(1, self._count + 1):
            log = self.folder / f"life-{life}" / "log"
            lines = log.read_text(errors="replace").splitlines() if log.exists() else []
            yield from (f"node {life}: {line}" for line in lines[-LOG_LINES:])


class Trial:
    """All of it, on one node's folder.

    :param core: for readers with processes of their own.
    :ivar history: what everybody saw of streams. :ivar newest: and of newest values.
    """

    def __init__(self, nodes: Nodes, plan: Plan, chance: random.Random, core: int) -> None:
        self.nodes, self.plan, self.chance, self.core = nodes, plan, chance, core
        self._writing, self._reading = (nodes.door(role) for role in ("service", "user"))
        self.history = History()
        self.newest = Newest(maps.TOPICS, maps.NAMES)
        self.life = Life()
        self._fresh: dict[str, int] = {}
        self._fills: dict[str, int] = {}
        self._is_up = True
        self._stalled: set[Visitor] = set()
        self.writers = list(self._writers())
        self.readers = list(self._readers())
        self.values = list(self._values())
        self.maps = list(self._maps())

    def _writers(self) -> Iterator[Writer]:
        for topic in TOPICS:
            for kind in (RawWriter, WampWriter, HttpWriter):
                name = f"{kind.__name__}-{topic.removeprefix(PREFIX)}"
                yield kind(name, self._writing, self._dice(), self.history, topic, self.plan.rate, self._told)

    def _readers(self) -> Iterator[Reader]:
        exact = [Wanted(topic, (topic,)) for topic in TOPICS]
        every = Wanted(PREFIX, TOPICS, "prefix")
        for number in range(self.plan.readers):
            for kind in (RawReader, ReadOnlyReader, SseReader, WampReader, RawSocketReader):
                where = self.nodes.door("user", "rawsocket") if kind is RawSocketReader else self._reading
                for wanted in exact if issubclass(kind, WampReader) else (*exact, every):
                    name = f"{kind.__name__} {number} of {wanted.topic}"
                    yield kind(name, where, self._dice(), self.history, wanted)
        yield from self._programs(exact[0], every)

    def _programs(self, exact: Wanted, every: Wanted) -> Iterator[Reader]:
        for program in PROGRAMS:
            if program.missing():
                continue
            for wanted in (exact, every) if program.reads_patterns else (exact,):
                name = f"{program.name} of {wanted.topic}"
                log = self.nodes.folder / f"{program.name}.log"
                here = (program, self.nodes.ports["rawsocket"], log, self.core)
                yield ProgramReader(name, self._reading, self._dice(), self.history, wanted, *here)

    def _values(self) -> Iterator[ValueWriter]:
        for topic in maps.TOPICS:
            for kind in (RawValues, WampValues, HttpValues):
                name = f"{kind.__name__}-{topic.rpartition('.')[2]}"
                yield kind(name, self._writing, self._dice(), self.newest, topic, self.plan.rate)

    def _maps(self) -> Iterator[MapReader]:
        rawsocket = self.nodes.door("user", "rawsocket")
        for number in range(self.plan.readers):
            for topic in maps.TOPICS:
                asked = (self._dice(), self.newest, topic)
                yield RawMap(f"map-raw {number} of {topic}", self._reading, *asked)
                yield LibraryMap(f"map-library-raw {number} of {topic}", self._reading, *asked, "/raw")
                yield LibraryMap(f"map-library-rawsocket {number} of {topic}", rawsocket, *asked)

    def _dice(self) -> random.Random:
        return random.Random(self.chance.random())

    def _told(self, topic: str, position: str | None) -> None:
        """An acknowledgement. The first of a new node on each topic is what readers are to reach."""
        if self._is_up and position is not None:
            self._fresh.setdefault(topic, self.history.head(topic))

    @property
    def visitors(self) -> Sequence[Visitor]:
        return [*self.writers, *self.readers, *self.values, *self.maps]

    @property
    def refusals(self) -> Counter[str]:
        """What its visitors were refused."""
        return sum((one.refusals for one in self.visitors), Counter())

    @property
    def kinds(self) -> set[str]:
        """Classes and programs of which at least one reader read something."""
        read = [one for one in (*self.readers, *self.maps) if one.visits]
        return {one.name.partition(" ")[0] for one in read}

    # ---- the course of it --------------------------------------------------------------------------------------------

    async def run(self) -> Verdict:
        """:raises Broken: somebody was not level in time, though nothing else is wrong."""
        tasks = [asyncio.create_task(one.keep(), name=one.name) for one in self.visitors]
        tasks += [asyncio.create_task(writer.think()) for writer in (*self.writers, *self.values)]
        try:
            await self._level(time.monotonic())
            for number in range(1, self.plan.kills + 1):
                await self._disturb(self.chance.uniform(0.3, 1) * self.plan.quiet)
                await self._kill(signal.SIGKILL if number % self.plan.gentle else signal.SIGTERM)
                self._not_ended(tasks)
            await self._disturb(self.plan.quiet)
            await self._end()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return self.history.judge()

    @staticmethod
    def _not_ended(tasks: Sequence[asyncio.Task[None]]) -> None:
        for task in tasks:
            if task.done():
                task.result()

    async def _disturb(self, seconds: float) -> None:
        """Random readers stall, vanish and leave; at the end all of them may go on."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(self.chance.uniform(0, 0.05))
            victim = self.chance.choice(self.visitors)
            self.life.disturbances += 1
            match self.chance.choice(("stall", "stall", "vanish", "leave", "go on")):
                case "stall":
                    victim.stall()
                    self._stalled.add(victim)
                case "vanish":
                    victim.vanish()
                case "leave":
                    victim.leave()
                case _:
                    self._go_on()

    def _go_on(self) -> None:
        for one in self._stalled:
            one.go_on()
        self._stalled.clear()

    async def _kill(self, number: signal.Signals) -> None:
        self._is_up = False
        self._fresh.clear()
        self._fills = {one.name: one.fills for one in self.maps}
        began = time.monotonic()
        await self.nodes.end(number)
        self._go_on()
        await self.nodes.start()
        self.life.ready.append(time.monotonic() - began)
        self._is_up = True
        self.life.level.append(await self._level(began))

    async def _level(self, began: float) -> list[float]:
        """Wait until each reader has what the node acknowledged first on each of its topics, and each map is filled."""
        deadline = time.monotonic() + LEVEL_SECONDS
        waiting = {reader.name: reader for reader in self.readers}
        empty = {one.name: one for one in self.maps}
        took = []
        while waiting or empty:
            await asyncio.sleep(LOOK_SECONDS)
            now = time.monotonic()
            for reader in [one for one in waiting.values() if self._has(one, self._fresh)]:
                del waiting[reader.name]
                took.append(now - began)
            for one in [one for one in empty.values() if one.fills > self._fills.get(one.name, 0)]:
                del empty[one.name]
                took.append(now - began)
            if now > deadline:
                raise Broken(self._why(f"not level after {LEVEL_SECONDS:g} s", waiting, empty))
        return took

    def _has(self, reader: Reader, heads: Mapping[str, int]) -> bool:
        return all(topic in heads and self.history.last(reader.name, topic) >= heads[topic] for topic in reader.topics)

    async def _end(self) -> None:
        """Everything is acknowledged, and everybody has read to the end or had the time to."""
        self._go_on()
        writers = [*self.writers, *self.values]
        for writer in writers:
            writer.end()
        try:
            await asyncio.wait_for(asyncio.gather(*(one.is_over.wait() for one in writers)), LEVEL_SECONDS)
        except TimeoutError:
            late = [f"{one.name}: {one.confusions[-1:]} {one.refusal}" for one in writers if not one.is_over.is_set()]
            raise Broken("events are never acknowledged:\n" + "\n".join(late)) from None
        deadline = time.monotonic() + LEVEL_SECONDS / 2
        heads = {topic: self.history.head(topic) for topic in TOPICS}
        while not (all(self._has(one, heads) for one in self.readers) and all(one.is_level for one in self.maps)):
            await asyncio.sleep(LOOK_SECONDS)
            if time.monotonic() > deadline:
                break
        for one in self.maps:
            self.newest.shows(one.name, one.topic, one.values, self.newest.floors(one.topic))

    def _why(self, words: str, waiting: Mapping[str, Reader], empty: Mapping[str, MapReader]) -> str:
        lines = [words]
        for reader in waiting.values():
            places = {topic: self.history.last(reader.name, topic) for topic in reader.topics}
            said = [*reader.confusions[-1:], reader.refusal]
            lines.append(f"{reader.name} is at {places} of {self._fresh}, {reader.visits} visits, {said}")
        lines += [
            f"{one.name} was not told all keys, {one.visits} visits, {[*one.confusions[-1:], one.refusal]}"
            for one in empty.values()
        ]
        lines += [f"{one.name}: {one.confusions[-1]}" for one in self.writers if one.confusions]
        lines += [f"{fault.who}: {fault.kind}: {fault.words}" for fault in self.history.judge().faults]
        return "\n".join(lines[:20])


def measure(stage: Stage, name: str, number: int, plan: Plan) -> Iterator[Sample]:
    """One trial.

    :raises Broken: promises were broken, or the trial could not go on; the message says which and where.
    """
    seed = plan.seed if plan.seed is not None else int.from_bytes(os.urandom(4), "big")
    stage.say(f"the seed is {seed}")
    for program in PROGRAMS:
        if missing := program.missing():
            stage.say(f"without {program.name}: {missing}")
    nodes = Nodes(stage.folder("recovery"), os.urandom(20).hex(), stage.cores.server)
    try:
        trial, verdict = asyncio.run(_run(nodes, plan, random.Random(seed), stage))
    finally:
        nodes.close()
    confusions = [f"{one.name}: {words}" for one in trial.visitors for words in one.confusions]
    yield Sample(plan.words, name, number, figures(trial, verdict, len(confusions)))
    if confusions or not verdict.is_clean or trial.newest.faults:
        for fault in verdict.faults[:SHOWN]:
            stage.say(f"{fault.kind}: {fault.who}: {fault.words}")
        for false in trial.newest.faults:
            stage.say(f"{false.kind}: {false.who}: {false.words}")
        for words in confusions[:SHOWN]:
            stage.say(f"not understood: {words}")
        _tell(stage, trial)
        raise Broken(
            f"promises were broken, with the seed {seed}: {dict(verdict.counts)}, of maps "
            f"{dict(trial.newest.counts)}, {len(confusions)} not understood"
        )


async def _run(nodes: Nodes, plan: Plan, chance: random.Random, stage: Stage) -> tuple[Trial, Verdict]:
    await nodes.start()
    trial = Trial(nodes, plan, chance, stage.cores.load)
    try:
        return trial, await trial.run()
    except BaseException:
        _tell(stage, trial)
        raise


def _tell(stage: Stage, trial: Trial) -> None:
    """What may have led to it."""
    for words, count in trial.refusals.most_common(SHOWN):
        stage.say(f"refused {count} times: {words}")
    for line in trial.nodes.said():
        stage.say(line)


def figures(trial: Trial, verdict: Verdict, confusions: int) -> dict[str, float]:
    life = trial.life
    every = [seconds for kill in life.level for seconds in kill] or [0.0]
    return {
        "acknowledged": verdict.acknowledged,
        "values": trial.newest.acknowledged,
        "maps": trial.newest.fills.total(),
        "maps_wrong": sum(trial.newest.counts.values()),
        "deliveries": verdict.deliveries,
        "visits": sum(one.visits for one in trial.visitors),
        "kinds": len(trial.kinds),
        "disturbances": life.disturbances,
        "lost": verdict.counts.get("lost", 0),
        "doubled": verdict.counts.get("doubled", 0),
        "wrong": sum(count for kind, count in verdict.counts.items() if kind not in ("lost", "doubled")) + confusions,
        "ready_s": median(life.ready or [0.0]),
        "level_s": median(every),
        "level_max_s": max(every),
    }
