"""This machine: which cores to use, and what its kernel knows of processes (Linux, proc(5))."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
"""prctl(2): servers and readers must not outlive a bench that was killed."""

TICK = os.sysconf("SC_CLK_TCK")
FILES = 20_000
"""Open files that servers and readers may have, if the machine lets them: 10,000 connections and some."""


@dataclass(frozen=True, slots=True)
class Cores:
    """The server has one core for itself, everything that loads it another.

    :ivar shared: there is only one, so that figures of time mean little.
    """

    server: int
    load: int

    @property
    def shared(self) -> bool:
        return self.server == self.load


def cores() -> Cores:
    """The first two that this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[1 % len(allowed)])


def on_core(core: int) -> Callable[[], None]:
    """What a child process does before it becomes the program: end with us, stay on one core, be allowed many files."""
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        os.sched_setaffinity(0, {core})
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = max(hard, FILES) if os.geteuid() == 0 else hard
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, FILES)), wanted))

    return prepare


def tree(pid: int) -> Iterator[int]:
    """A process and everything below it."""
    yield pid
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split():
                yield from tree(int(child))


def cpu_seconds(pid: int) -> float:
    """User and system time of a process tree so far.

    Counted by the scheduler in nanoseconds for each thread that lives: utime and stime, which count the same, come in
    steps of 10 ms, too coarse for a server that is near the floor.
    """
    total = 0
    for one in tree(pid):
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{one}/task"):
                total += int(Path(f"/proc/{one}/task/{thread}/schedstat").read_text().split()[0])
    return total / 1e9


def resident_bytes(pid: int) -> int:
    """Resident memory of a process tree; pages that its processes share count for each."""
    total = 0
    for one in tree(pid):
        with suppress(OSError):
            for line in Path(f"/proc/{one}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1]) * 1024
    return total


def busy_seconds(core: int) -> float:
    """How long a core has worked so far, for whomever."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            return (user + nice + system + irq + softirq + steal) / TICK
    return 0.0


@dataclass(frozen=True, slots=True)
class Meter:
    """A reading of one process tree and its core."""

    pid: int
    core: int
    cpu: float
    busy: float
    at: float

    @classmethod
    def read(cls, pid: int, core: int) -> Meter:
        return cls(pid, core, cpu_seconds(pid), busy_seconds(core), time.monotonic())

    def since(self) -> Spent:
        """What has been used since this reading."""
        now = Meter.read(self.pid, self.core)
        wall = max(now.at - self.at, 1e-9)
        cpu = now.cpu - self.cpu
        return Spent(cpu, cpu / wall, max(0.0, now.busy - self.busy - cpu) / wall)


@dataclass(frozen=True, slots=True)
class Spent:
    """:ivar cpu: seconds of CPU. :ivar share: of its core. :ivar others: what others took of that core."""

    cpu: float
    share: float
    others: float


def facts() -> dict[str, Any]:
    """What a reader of the figures wants to know of the machine."""
    model = ""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }
