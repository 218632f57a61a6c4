from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hopsack import DeclaredError
from hopsack.testing import Fabric
from hopsack_contracts import HOST_DESCRIBE, HostName, HostSampleMemory, HostUnknown
from host import reading
from host.sampler import Counters, CpuTimes, Reading
from host.service import Host

SCHEMAS = Path(__file__).parents[3] / "schemas"

FIRST = Reading(
    at=1000.0,
    clock=50.0,
    cores=[CpuTimes(0.0, 0.0)],
    disks={"sda": Counters(0, 0)},
    interfaces={"eth0": Counters(0, 0)},
    memory=HostSampleMemory(total=8, used=2, available=6, percent=25.0),
    disk_used_percent=40.0,
    load=(0.5, 0.25, 0.1),
)


@pytest.fixture
def fabric() -> Iterator[Fabric]:
    with Fabric(SCHEMAS) as fabric:
        yield fabric


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, fabric: Fabric) -> None:
    """One core, a quarter busy; the disk reads and the network sends 1,000 bytes a second."""

    def read() -> Reading:
        now = fabric.now
        return replace(
            FIRST,
            at=1000 + now,
            clock=now,
            cores=[CpuTimes(now / 4, now * 3 / 4)],
            disks={"sda": Counters(int(1000 * now), 0)},
            interfaces={"eth0": Counters(0, int(1000 * now))},
        )

    monkeypatch.setattr(reading, "read", read)


@pytest.mark.usefixtures("machine")
def test_a_sample_a_second_from_the_second_reading_on(fabric: Fabric) -> None:
    samples = fabric.record("host.metrics")
    fabric.start(Host())
    assert samples == []

    fabric.advance(3)

    seen = [event.data for event in samples]
    assert [sample["at"] for sample in seen] == [1001, 1002, 1003]
    assert [sample["cpu"] for sample in seen] == [{"total": 25.0, "per_core": [25.0]}] * 3
    assert [sample["disk"]["read_bytes_per_s"] for sample in seen] == [1000.0] * 3
    assert [sample["network"]["sent_bytes_per_s"] for sample in seen] == [1000.0] * 3


def test_this_machine_describes_itself(fabric: Fabric) -> None:
    host = fabric.start(Host())

    made = fabric.run(fabric.connect("guest").call(HOST_DESCRIBE, HostName(host=host.host)))

    assert made.host == host.host
    assert made.cpus >= 1
    assert made.memory_total > 0


def test_another_hosts_name_is_refused_with_the_one_that_is_known(fabric: Fabric) -> None:
    host = fabric.start(Host())

    with pytest.raises(DeclaredError) as refused:
        fabric.run(fabric.connect("guest").call(HOST_DESCRIBE, HostName(host="elsewhere")))

    assert refused.value.code == HostUnknown.CODE
    assert refused.value.path == "/host"
    assert refused.value.data == {"nearest": host.host}


def test_what_this_machine_says_keeps_the_contract(fabric: Fabric) -> None:
    samples = fabric.record("host.metrics")
    fabric.start(Host())

    fabric.advance(2)

    assert len(samples) == 2
