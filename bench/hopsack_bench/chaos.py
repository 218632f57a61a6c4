"""Calls end: callers on every door, callees that stall, crash, refuse and come back, holders of locks, the node killed.

Each life of the node has two parts. In the calm one nobody is disturbed; in the other callees and holders are stopped
(SIGSTOP), killed and restarted at random, and callers lose their connections. Then the node is killed with SIGKILL, now
and then with SIGTERM, and started again on the same folder and ports. Callers ask all the time. A service that nobody
disturbs is called in both parts: the ratio of its p99 tells what others notice.

The machine is shared, and the bench is no real-time program. Every :data:`BEAT` seconds it looks how late its own loop
is, and how long the node, and the service that is left alone, have waited for a core (``/proc/…/schedstat``): that, and
nothing else, is taken off from how late a call is, and from how long those of that service take. What is disturbed runs
with less priority than what is measured, so that starting a Python process is not taken for the node's slowness.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import msgspec

import hopsack
from hopsack.errors import HopsackError
from hopsack_bench import machine
from hopsack_bench.callers import Caller, Course, HttpCaller, LibraryCaller, RawCaller, WampCaller, asks
from hopsack_bench.checker import SHOWN
from hopsack_bench.outcomes import GRACE, OK, Ledger, Stalls, Verdict, lines_of
from hopsack_bench.peers import BENCH
from hopsack_bench.recovery import Nodes
from hopsack_bench.samples import Sample
from hopsack_bench.servers import Broken
from hopsack_bench.stage import Stage

BEAT = 0.01
LOCKS = {"bench-one": 1, "bench-two": 1, "bench-three": 2}
READY_SECONDS = 40.0
LAST_SECONDS = 3.0
"""For the calls that are under way at the end: all have less than that."""
SETTLE_SECONDS = 1.0
"""After a restart, until everybody is back."""
STEADY_PAUSE = 0.02
NICE = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """:ivar callees: processes that are disturbed. :ivar holders: likewise. :ivar callers: of each kind.

    :ivar calm: seconds of the calm part of each life. :ivar wild: of the other.
    :ivar gentle: every so many kills one is a SIGTERM. :ivar grace: seconds that a call may end after its deadline.
    """

    kills: int
    callees: int
    holders: int
    callers: int
    calm: float
    wild: float
    gentle: int = 3
    grace: float = GRACE
    seed: int | None = None

    @property
    def words(self) -> str:
        gentle = self.kills // self.gentle
        return f"the node: {self.kills - gentle} × SIGKILL, {gentle} × SIGTERM"


class Program:
    """A process that is kept running.

    :ivar ready: it has said that it serves.
    """

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], log: Path, core: int) -> None:
        self.name = name
        self.ready = asyncio.Event()
        self._command, self._environ, self._log, self._core = command, environ, log, core
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def keep(self) -> None:
        """Start it again whenever it ends; to be cancelled."""
        try:
            while True:
                await self._run()
                await asyncio.sleep(0.2)
        finally:
            self.send(signal.SIGKILL)
            if self._process is not None:
                await self._process.wait()

    async def _run(self) -> None:
        on_core = machine.on_core(self._core)

        def prepare() -> None:
            on_core()
            os.nice(NICE)

        with self._log.open("ab") as log:
            process = self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, **self._environ},
                preexec_fn=prepare,
            )
        assert process.stdout is not None
        async for _ in process.stdout:
            self.ready.set()
        await process.wait()

    def send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)


class Heart:
    """Knows when the machine kept the bench, or a process that is measured, from running.

    :param watched: the pids of those; ``None``: one is not there.
    """

    def __init__(self, watched: Callable[[], Sequence[int | None]]) -> None:
        self.stalls = Stalls()
        self._watched = watched

    async def beat(self) -> None:
        """To be cancelled."""
        before, waited = time.monotonic(), dict[int | None, float]()
        while True:
            await asyncio.sleep(BEAT)
            now = time.monotonic()
            was, waited = waited, {pid: _waited(pid) for pid in self._watched()}
            lost = [seconds - was.get(pid, seconds) for pid, seconds in waited.items()]
            self.stalls.beat(now, max(now - before - BEAT, *lost, 0.0))
            before = now


def _waited(pid: int | None) -> float:
    """Seconds in which a process wanted to run, and had no core (Linux, scheduler/sched-stats)."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    return 0.0


@dataclass(slots=True)
class Waits:
    """When calls of the service that is left alone began and ended."""

    calm: list[tuple[float, float]] = field(default_factory=list)
    wild: list[tuple[float, float]] = field(default_factory=list)
    now: list[tuple[float, float]] | None = None


class Trial:
    """All of it, on one node's folder."""

    def __init__(self, nodes: Nodes, plan: Plan, chance: random.Random, core: int) -> None:
        self.nodes, self.plan, self._chance, self._core = nodes, plan, chance, core
        self.course = Course(Ledger())
        self.heart = Heart(lambda: (nodes.place.pid if nodes.place is not None else None, self.steady.pid))
        self.waits = Waits()
        self.disturbances = 0
        self.gone: list[float] = []
        self.ready: list[float] = []
        self.served: list[float] = []
        self._lines = {name: nodes.folder / f"{name}.lines" for name in ("executed", "held")}
        token = nodes.door("service").token
        environ = {"HOPSACK_URL": self._url("tcp"), "HOPSACK_TOKEN": token, "HOPSACK_LOG": "warning"}
        environ["CHAOS_LOG"] = str(self._lines["executed"])
        self.callees = [self._service("worker", number, environ) for number in range(plan.callees)]
        self.steady = self._service("steady", 0, environ)
        self.holders = [self._holder(number, token) for number in range(plan.holders)]
        self.callers = list(self._callers())
        self.libraries = list(self._libraries())
        self._stopped: set[Program] = set()

    def _url(self, kind: str) -> str:
        http, rawsocket = self.nodes.ports["http"], self.nodes.ports["rawsocket"]
        return {"tcp": f"tcp://127.0.0.1:{rawsocket}"}.get(kind) or f"ws://127.0.0.1:{http}{kind}"

    def _service(self, name: str, number: int, environ: Mapping[str, str]) -> Program:
        command = (sys.executable, "-P", "-m", "hopsack.cli", "run", str(BENCH / "load" / name))
        return Program(f"{name}-{number}", command, environ, self.nodes.folder / f"{name}-{number}.log", self._core)

    def _holder(self, number: int, token: str) -> Program:
        asked = {"url": self._url("tcp"), "token": token, "log": str(self._lines["held"]), "locks": LOCKS}
        command = (sys.executable, "-P", str(BENCH / "load" / "holder.py"), json.dumps(asked))
        return Program(f"holder-{number}", command, {}, self.nodes.folder / f"holder-{number}.log", self._core)

    def _callers(self) -> Iterator[Caller]:
        for number in range(self.plan.callers):
            kinds: tuple[type[Caller], ...] = (RawCaller, WampCaller, HttpCaller, HttpCaller)
            for place, kind in enumerate(kinds):
                where = self.nodes.door("user")
                yield kind(f"{kind.__name__}-{number}-{place}", where, self._dice(), self.course)

    def _libraries(self) -> Iterator[LibraryCaller]:
        token = self.nodes.door("user").token
        for number in range(self.plan.callers):
            for kind in ("tcp", "/raw"):
                name = f"library-{kind.strip('/')}-{number}"
                yield LibraryCaller(name, self._url(kind), token, self._dice(), self.course)

    def _dice(self) -> random.Random:
        return random.Random(self._chance.random())

    # ---- the course of it --------------------------------------------------------------------------------------------

    async def run(self) -> Verdict:
        programs = [*self.callees, self.steady, *self.holders]
        tasks = [asyncio.create_task(one.keep(), name=one.name) for one in programs]
        tasks.append(asyncio.create_task(self.heart.beat()))
        try:
            async with asyncio.timeout(READY_SECONDS):
                await asyncio.gather(*(one.ready.wait() for one in (*self.callees, self.steady)))
            callers: list[Caller | LibraryCaller] = [*self.callers, *self.libraries]
            tasks += [asyncio.create_task(one.keep(), name=one.name) for one in callers]
            tasks.append(asyncio.create_task(self._call_steadily()))
            for number in range(1, self.plan.kills + 1):
                await self._live()
                await self._kill(signal.SIGKILL if number % self.plan.gentle else signal.SIGTERM)
                for task in tasks:
                    if task.done():
                        task.result()
            await self._live()
            await self._end()
        except TimeoutError:
            raise Broken("the callees did not begin, or the node did not answer after a restart") from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return self._judged()

    async def _live(self) -> None:
        """One life of the node, but its end."""
        self.waits.now = self.waits.calm
        await asyncio.sleep(self.plan.calm)
        self.waits.now = self.waits.wild
        until = time.monotonic() + self.plan.wild
        while time.monotonic() < until:
            await asyncio.sleep(self._chance.uniform(0.05, 0.5))
            self._disturb()
        self.waits.now = None
        self._go_on()

    def _disturb(self) -> None:
        self.disturbances += 1
        match self._chance.choice(("stall", "stall", "stall", "crash", "leave", "vanish", "vanish", "hold", "free")):
            case "stall":
                self._stall(self._chance.choice(self.callees), 3.0)
            case "crash":
                self._chance.choice(self.callees).send(signal.SIGKILL)
            case "leave":
                self._chance.choice(self.callees).send(signal.SIGTERM)
            case "vanish":
                self._chance.choice(self.callers).vanish()
            case "hold":
                self._stall(self._chance.choice(self.holders), 1.0)
            case _:
                self._crash_holder(self._chance.choice(self.holders))

    def _crash_holder(self, holder: Program) -> None:
        if holder.pid is not None:
            self.course.ledger.killed(holder.pid, time.monotonic())
            holder.send(signal.SIGKILL)

    def _stall(self, one: Program, longest: float) -> None:
        one.send(signal.SIGSTOP)
        self._stopped.add(one)
        asyncio.get_running_loop().call_later(self._chance.uniform(0.1, longest), one.send, signal.SIGCONT)

    def _go_on(self) -> None:
        for one in self._stopped:
            one.send(signal.SIGCONT)
        self._stopped.clear()

    async def _kill(self, number: signal.Signals) -> None:
        # A holder that is stopped would believe in its lock while the next node gives it away.
        await asyncio.sleep(0.1)
        began = time.monotonic()
        self.course.kills += 1
        await self.nodes.end(number)
        self.gone.append(time.monotonic() - began)
        await self.nodes.start()
        self.ready.append(time.monotonic() - began)
        await self._steady_again()
        self.served.append(time.monotonic() - began)
        await asyncio.sleep(SETTLE_SECONDS)

    async def _steady_again(self) -> None:
        """Wait until the service that is left alone is called again."""
        async with hopsack.connect(self._url("tcp"), self.nodes.door("user").token, patience=READY_SECONDS) as fabric:
            async with asyncio.timeout(READY_SECONDS):
                while True:
                    with suppress(HopsackError):
                        await fabric.call("chaos.steady", {"id": "again", "manner": "answer", "seconds": 0})
                        return
                    await asyncio.sleep(BEAT)

    async def _call_steadily(self) -> None:
        token = self.nodes.door("user").token
        under_way: set[asyncio.Task[None]] = set()
        async with hopsack.connect(self._url("tcp"), token, patience=READY_SECONDS) as fabric:
            count = 0
            while not self.course.ends:
                count += 1
                task = asyncio.create_task(self._call_steady(fabric, count))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                await asyncio.sleep(STEADY_PAUSE)
            await asyncio.gather(*under_way)

    async def _call_steady(self, fabric: hopsack.Connection, count: int) -> None:
        waits = self.waits.now
        asked, work = asks(self.course, "steady", count)
        code, value = OK, None
        try:
            value = await fabric.call("chaos.steady", work, timeout=asked.due - asked.began)
        except HopsackError as error:
            code = getattr(error, "code", "hopsack.disconnected")
        now = time.monotonic()
        self.course.ledger.ended(asked, now, code, value)
        if waits is not None and waits is self.waits.now:
            waits.append((asked.began, now))

    async def _end(self) -> None:
        self.course.ends = True
        await asyncio.sleep(LAST_SECONDS)

    def _judged(self) -> Verdict:
        ledger = self.course.ledger
        for name, told in (("executed", ledger.executed), ("held", ledger.held)):
            if self._lines[name].exists():
                for line in lines_of(self._lines[name].read_bytes()):
                    told(msgspec.json.decode(line))
        return ledger.judge(self.heart.stalls, LOCKS, self.plan.grace)


def measure(stage: Stage, name: str, number: int, plan: Plan) -> Iterator[Sample]:
    """One trial.

    :raises Broken: promises were broken, or the trial could not go on; the message says which and where.
    """
    seed = plan.seed if plan.seed is not None else int.from_bytes(os.urandom(4), "big")
    stage.say(f"the seed is {seed}")
    nodes = Nodes(stage.folder("chaos"), os.urandom(20).hex(), stage.cores.server, "chaos")
    try:
        trial, verdict = asyncio.run(_run(nodes, plan, random.Random(seed), stage))
    finally:
        nodes.close()
    confusions = [f"{one.name}: {words}" for one in trial.callers for words in one.confusions]
    yield Sample(plan.words, name, number, figures(trial, verdict, len(confusions)))
    for words, seconds in (("gone", trial.gone), ("ready", trial.ready), ("serving", trial.served)):
        stage.say(f"seconds from the signal until a node was {words}: {[round(one, 1) for one in seconds]}")
    stage.say(", ".join(f"{code}: {count}" for code, count in Counter(verdict.codes).most_common()))
    if confusions or not verdict.is_clean:
        for fault in verdict.faults[:SHOWN]:
            stage.say(f"{fault.kind}: {fault.who}: {fault.words}")
        for words in confusions[:SHOWN]:
            stage.say(f"not understood: {words}")
        for line in nodes.said():
            stage.say(line)
        raise Broken(f"promises were broken, with the seed {seed}: {dict(verdict.counts)}, {confusions[:1]}")


async def _run(nodes: Nodes, plan: Plan, chance: random.Random, stage: Stage) -> tuple[Trial, Verdict]:
    await nodes.start()
    trial = Trial(nodes, plan, chance, stage.cores.load)
    try:
        return trial, await trial.run()
    except BaseException:
        for line in nodes.said():
            stage.say(line)
        raise


def figures(trial: Trial, verdict: Verdict, confusions: int) -> dict[str, float]:
    calm, wild = (_p99(waits, trial.heart.stalls) for waits in (trial.waits.calm, trial.waits.wild))
    return {
        "calls": verdict.calls,
        "executions": verdict.executions,
        "grants": verdict.grants,
        "disturbances": trial.disturbances,
        "violations": sum(verdict.counts.values()) + confusions,
        "late_ms": verdict.late * 1000,
        "late_at_all_ms": verdict.late_at_all * 1000,
        "begun_late": verdict.begun_late,
        "calm_p99_ms": calm * 1000,
        "wild_p99_ms": wild * 1000,
        "ratio": wild / calm if calm else 0.0,
        "ready_s": median(trial.ready or [0.0]),
        "served_s": median(trial.served or [0.0]),
        "stalled_s": trial.heart.stalls.total,
        **{f"code {code}": count for code, count in verdict.codes.items()},
    }


def _p99(waits: Sequence[tuple[float, float]], stalls: Stalls) -> float:
    seconds = [max(ended - began - stalls.between(began, ended), 0.0) for began, ended in waits]
    return quantiles(seconds, n=100)[98] if len(seconds) > 1 else 0.0
