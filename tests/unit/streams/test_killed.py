"""A process that appends is killed again and again; disks are full in earnest; first the disk, then the answer."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from signal import SIGKILL

import pytest
from twisted.internet.task import Clock

from hopsack_router.streams.files import boot_id
from hopsack_router.streams.position import parse
from tests.unit.streams.appending import TOPICS
from tests.unit.streams.stage import NO_MEMORY, begin, clock, now, read_all, sqlite

PROGRAM = Path(__file__).with_name("appending.py")
LIVES = 20


@contextmanager
def appending(
    folder: Path, life: int, window: int = 30, prefix: tuple[str, ...] = (), limit: Callable[[], None] | None = None
) -> Iterator[subprocess.Popen[str]]:
    command = [*prefix, sys.executable, str(PROGRAM), str(folder), str(life), str(window)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=limit, start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, SIGKILL)  # strace and what it traces
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


def killed_after(folder: Path, life: int, count: int) -> list[tuple[str, int, str]]:
    """Let it run until so many events are acknowledged, and kill it. :returns: all that were."""
    with appending(folder, life) as process:
        told = lines(process, count)
        process.kill()
        assert process.stdout is not None
        told += process.stdout.read().splitlines(keepends=True)
    whole = [line.split() for line in told if line.endswith("\n")]
    return [(topic, int(number), position) for topic, number, position in whole]


@pytest.mark.timeout(180)
def test_a_process_killed_amid_appends_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    chance = Random(4)
    acknowledged: list[tuple[str, int, str]] = []
    for life in range(LIVES):
        acknowledged += killed_after(tmp_path, life, chance.randrange(1, 200))

    journal = begin(sqlite(tmp_path, clock(), boot=boot_id()), clock(), bounds=NO_MEMORY)

    assert len(acknowledged) > LIVES
    for topic in TOPICS:
        events = read_all(journal, topic, limit=500)
        assert isinstance(events, list)
        numbers = [int(event.data) for event in events]
        assert [event.offset for event in events] == list(range(1, len(events) + 1))
        assert numbers == sorted(set(numbers))
        there = {(topic, int(event.data), str(event.position)) for event in events}
        told = [one for one in acknowledged if one[0] == topic]
        assert [one for one in told if one not in there] == []
        assert {parse(position).epoch for _, _, position in told} == {journal.head(topic).epoch}  # type: ignore[union-attr]
        newest = {event.latest: event.offset for event in events}
        assert {event.latest: event.offset for event in journal.newest(topic)} == newest
    now(journal.close())


# ---- a disk that is full --------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    if mount is None or os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only who may mount a file system has a small one")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_refuses_and_recovers_by_itself(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (1 << 20))

    with appending(small_disk, 0) as process:
        assert process.stdout is not None
        told = list(iter(process.stdout.readline, "refused\n"))
        ballast.unlink()
        again = (line for line in iter(process.stdout.readline, "") if line != "refused\n")
        told += [next(again) for _ in range(300)]

    _are_all_there(small_disk, told)


def test_a_file_that_may_not_grow_refuses_and_loses_nothing(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    with appending(tmp_path, 0, limit=limit) as process:
        assert process.stdout is not None
        told = list(iter(process.stdout.readline, "refused\n"))

    assert told
    _are_all_there(tmp_path, told)


def _are_all_there(folder: Path, told: list[str]) -> None:
    time: Clock = clock()
    journal = begin(sqlite(folder, time, boot=boot_id()), time, bounds=NO_MEMORY)
    there = {
        f"{topic} {event.data.decode()} {event.position}\n" for topic in TOPICS for event in _events(journal, topic)
    }
    assert [line for line in told if line not in there] == []
    now(journal.close())


def _events(journal: object, topic: str) -> list:  # type: ignore[type-arg]
    events = read_all(journal, topic, limit=500)  # type: ignore[arg-type]
    assert isinstance(events, list)
    assert [event.offset for event in events] == list(range(1, len(events) + 1))
    return events


# ---- first the disk, then the answer --------------------------------------------------------------------------------

_CALL = re.compile(r"\b(fsync|fdatasync|write)\((\d+)(?:, \"(.*?)(?:\\n)?\")?")


def test_an_event_is_on_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    """One event in flight: between two acknowledgements of durable events something is fsynced."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    log = tmp_path / "calls"
    trace = (strace, "-f", "-s", "200", "-e", "trace=fsync,fdatasync,write", "-o", str(log))
    with appending(tmp_path / "data", 0, window=1, prefix=trace) as process:
        if not lines(process, 30)[-1]:
            pytest.skip("strace may not trace here")

    synced = acknowledged = 0
    for name, number, text in _CALL.findall(log.read_text()):
        if name != "write":
            synced += 1
        elif number == "1":
            acknowledged += 1
            is_durable = bool(int(text.split()[1]) % 3)
            assert synced or not is_durable, text
            synced = 0
    assert acknowledged >= 30
