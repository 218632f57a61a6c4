"""The load's side: readers and a publisher in C, on the load's core."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import msgspec

from hopsack_bench import machine
from hopsack_bench.job import Delivered, Failed, Job, Opened, encode
from hopsack_bench.servers import Broken

T = TypeVar("T", bound=msgspec.Struct)


class Readers:
    """One run of ``load/readers.c``: all its readers are open while it is entered.

    :param program: the compiled program.
    :ivar opened: how the opening went.
    :raises Broken: on entry, not all readers could be opened.
    """

    opened: Opened

    def __init__(self, program: Path, job: Job, folder: Path, core: int) -> None:
        self._program, self._job, self._folder, self._core = program, job, folder, core

    def __enter__(self) -> Readers:
        path = self._folder / "job"
        path.write_bytes(encode(self._job))
        self._process = subprocess.Popen(
            [str(self._program), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=machine.on_core(self._core),
        )
        try:
            self.opened = self._answer(Opened)
        except Broken:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    @property
    def pid(self) -> int:
        return self._process.pid

    def go(self, rate: float, events: int, grace: float) -> Delivered:
        """Publish ``events`` at ``rate`` a second and count what comes.

        :param grace: seconds after the last event was due until deliveries that are still missing are given up.
        :raises Broken: the load could not go on.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(b"go %f %d %d\n" % (rate, events, round(grace * 1000)))
        self._process.stdin.flush()
        return self._answer(Delivered)

    def _answer(self, kind: type[T]) -> T:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        try:
            return msgspec.json.decode(line, type=kind)
        except msgspec.DecodeError:
            pass
        try:
            raise Broken(msgspec.json.decode(line, type=Failed).error)
        except msgspec.DecodeError:
            raise Broken(f"the readers ended with {self._process.wait()}: {line!r}") from None

    def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
