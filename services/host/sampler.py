"""Two readings of a machine's counters make one sample. No I/O; the service takes the readings (``reading.py``).

    (previous, current) -> HostSample

A device's counter that went down was reset (the device came back, the kernel's counter wrapped): what it counts since
then is all that is known, so that a rate may be too small for one sample and is never negative. A device that was not
there before has no rate yet. Times of a core that go down are the kernel's rounding (proc(5) says so of iowait) and
count as no time. Rates are means over the monotonic time between the readings, so that a step of the wall clock does
not bend them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hopsack_contracts import HostSample, HostSampleCpu, HostSampleDisk, HostSampleMemory, HostSampleNetwork


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Seconds one core has spent since boot."""

    busy: float
    idle: float


@dataclass(frozen=True, slots=True)
class Counters:
    """Bytes that went into and came out of one device, since it was there."""

    received: int
    sent: int


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything the kernel counts, at one moment.

    :ivar at: seconds since the Unix epoch.
    :ivar clock: seconds of a clock that never goes back.
    :ivar cores: by number.
    :ivar disks: by device; what is received is read from it.
    :ivar interfaces: by name.
    :ivar memory, disk_used_percent, load: values that need no second reading.
    """

    at: float
    clock: float
    cores: Sequence[CpuTimes]
    disks: Mapping[str, Counters]
    interfaces: Mapping[str, Counters]
    memory: HostSampleMemory
    disk_used_percent: float
    load: tuple[float, float, float]


def sample(host: str, previous: Reading, current: Reading) -> HostSample:
    """The load of ``host`` between two readings."""
    seconds = current.clock - previous.clock
    disk = rates(previous.disks, current.disks, seconds)
    network = rates(previous.interfaces, current.interfaces, seconds)
    return HostSample(
        host=host,
        at=current.at,
        cpu=cpu(previous.cores, current.cores),
        memory=current.memory,
        disk=HostSampleDisk(
            read_bytes_per_s=disk[0], write_bytes_per_s=disk[1], used_percent=current.disk_used_percent
        ),
        network=HostSampleNetwork(received_bytes_per_s=network[0], sent_bytes_per_s=network[1]),
        load=current.load,
    )


def cpu(previous: Sequence[CpuTimes], current: Sequence[CpuTimes]) -> HostSampleCpu:
    """Busy percent of each core and of all together. A core that was not there before counts as idle for one sample."""
    spent = [
        (max(0.0, new.busy - old.busy), max(0.0, new.idle - old.idle))
        for old, new in zip(previous, current, strict=False)
    ]
    spent += [(0.0, 0.0)] * (len(current) - len(spent))
    busy, idle = (sum(times) for times in zip(*spent, strict=True)) if spent else (0.0, 0.0)
    return HostSampleCpu(total=percent(busy, busy + idle), per_core=tuple(percent(b, b + i) for b, i in spent))


def rates(previous: Mapping[str, Counters], current: Mapping[str, Counters], seconds: float) -> tuple[float, float]:
    """Bytes per second ``(received, sent)``, of all devices that are in both readings together."""
    if seconds <= 0:
        return 0.0, 0.0
    pairs = [(previous[name], new) for name, new in current.items() if name in previous]
    received = sum(increase(old.received, new.received) for old, new in pairs)
    sent = sum(increase(old.sent, new.sent) for old, new in pairs)
    return round(received / seconds, 1), round(sent / seconds, 1)


def increase(previous: int, current: int) -> int:
    """How much a counter has counted; one that went down was reset and has counted from zero since."""
    return current - previous if current >= previous else current


def percent(part: float, whole: float) -> float:
    """Rounded to what the kernel's ticks (100 a second) can tell."""
    return round(min(100.0, max(0.0, 100.0 * part / whole)), 2) if whole > 0 else 0.0
