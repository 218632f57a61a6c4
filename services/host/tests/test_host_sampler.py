from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopsack_contracts import HostSampleMemory
from host.sampler import Counters, CpuTimes, Reading, cpu, rates, sample

NOTHING = Reading(
    at=1000.0,
    clock=50.0,
    cores=[CpuTimes(100.0, 900.0), CpuTimes(0.0, 1000.0)],
    disks={"sda": Counters(0, 0)},
    interfaces={"eth0": Counters(5_000, 1_000)},
    memory=HostSampleMemory(total=8, used=2, available=6, percent=25.0),
    disk_used_percent=40.0,
    load=(0.5, 0.25, 0.1),
)


def test_a_sample_is_the_difference_of_two_readings() -> None:
    later = replace(
        NOTHING,
        at=1002.0,
        clock=52.0,
        cores=[CpuTimes(101.5, 900.5), CpuTimes(0.5, 1001.5)],
        disks={"sda": Counters(4096, 8192)},
        interfaces={"eth0": Counters(5_500, 2_000)},
    )

    made = sample("web-1", NOTHING, later)

    assert (made.host, made.at, made.load) == ("web-1", 1002.0, (0.5, 0.25, 0.1))
    assert made.cpu.per_core == (75.0, 25.0)
    assert made.cpu.total == 50.0
    assert (made.disk.read_bytes_per_s, made.disk.write_bytes_per_s, made.disk.used_percent) == (2048.0, 4096.0, 40.0)
    assert (made.network.received_bytes_per_s, made.network.sent_bytes_per_s) == (250.0, 500.0)
    assert made.memory == later.memory


def test_a_counter_that_was_reset_counts_from_zero() -> None:
    before = {"eth0": Counters(2**32 - 10, 500)}

    assert rates(before, {"eth0": Counters(90, 600)}, 1.0) == (90.0, 100.0)


def test_a_device_that_comes_or_goes_has_no_rate() -> None:
    before = {"eth0": Counters(100, 100), "usb0": Counters(10**9, 10**9)}

    assert rates(before, {"eth0": Counters(200, 300), "wlan0": Counters(10**12, 10**12)}, 2.0) == (50.0, 100.0)


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_two_readings_at_once_have_no_rate(seconds: float) -> None:
    assert rates({"sda": Counters(0, 0)}, {"sda": Counters(10, 10)}, seconds) == (0.0, 0.0)


def test_a_core_that_comes_is_idle_for_one_sample_and_iowait_may_go_back() -> None:
    made = cpu([CpuTimes(10.0, 100.0)], [CpuTimes(11.0, 99.9), CpuTimes(500.0, 500.0)])

    assert made.per_core == (100.0, 0.0)
    assert made.total == 100.0


def test_no_cores_no_percent() -> None:
    assert cpu([], []).total == 0.0


_counters = st.dictionaries(st.sampled_from("abc"), st.builds(Counters, st.integers(0, 2**64), st.integers(0, 2**64)))
_cores = st.lists(st.builds(CpuTimes, st.floats(0, 1e9), st.floats(0, 1e9)), max_size=4)


@given(_counters, _counters, st.floats(-10, 1e6))
def test_rates_are_never_negative(previous: dict[str, Counters], current: dict[str, Counters], seconds: float) -> None:
    received, sent = rates(previous, current, seconds)

    assert received >= 0
    assert sent >= 0


@given(_cores, _cores)
def test_percents_stay_percents_and_the_total_lies_among_them(
    previous: list[CpuTimes], current: list[CpuTimes]
) -> None:
    made = cpu(previous, current)

    assert len(made.per_core) == len(current)
    assert all(0 <= core <= 100 for core in (*made.per_core, made.total))
    assert not made.per_core or made.total <= max(made.per_core) + 0.01
