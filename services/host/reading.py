"""This machine's counters, by psutil: the one file that asks the system."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from hopsack_contracts import HostDescription, HostSampleMemory
from host.sampler import Counters, CpuTimes, Reading


def read() -> Reading:
    """What the kernel counts now; some 0.2 ms."""
    memory = psutil.virtual_memory()
    disks = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
    interfaces = psutil.net_io_counters(pernic=True, nowrap=False) or {}
    return Reading(
        at=time.time(),
        clock=time.monotonic(),
        # As htop counts: waiting for a disk is idle time, and the guests' time is in the user's already.
        cores=[
            CpuTimes(busy=sum(t) - t.guest - t.guest_nice - t.idle - t.iowait, idle=t.idle + t.iowait)
            for t in psutil.cpu_times(percpu=True)
        ],
        disks={name: Counters(disks[name].read_bytes, disks[name].write_bytes) for name in _real("block", disks)},
        interfaces={
            name: Counters(interfaces[name].bytes_recv, interfaces[name].bytes_sent)
            for name in _real("class/net", interfaces)
        },
        memory=HostSampleMemory(
            total=memory.total, used=memory.used, available=memory.available, percent=memory.percent
        ),
        disk_used_percent=psutil.disk_usage("/").percent,
        load=os.getloadavg(),
    )


def describe(host: str) -> HostDescription:
    """What this machine is made of."""
    return HostDescription(
        host=host,
        system=platform.system(),
        release=platform.release(),
        machine=platform.machine(),
        cpus=psutil.cpu_count() or 1,
        cpu_model=_cpu_model(),
        memory_total=psutil.virtual_memory().total,
        boot_time=psutil.boot_time(),
        python=platform.python_version(),
    )


def _real(kind: str, names: Iterable[str]) -> list[str]:
    """The devices that stand for hardware. A byte that passes a bridge, a bond or an encrypted disk passes the
    hardware below it too, and counts once. Where there is no hardware (a container's network), all but the loopback."""
    names = [name for name in names if name != "lo"]
    return [name for name in names if Path("/sys", kind, name, "device").exists()] or names


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
