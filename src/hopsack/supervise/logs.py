"""One bounded log file per program, and reading them back in the order of time.

Bound: :data:`ROTATE_AT` bytes a file, with :data:`KEPT` older ones beside it (``host.log.1`` is the newest of them);
the oldest is dropped. A line is ``<RFC 3339 time, UTC> <text>``; the reader of the program's output cuts a text at
:data:`LONGEST_LINE`.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

ROTATE_AT = 5 * 1024 * 1024
KEPT = 2
LONGEST_LINE = 16 * 1024


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One line that a program wrote.

    :ivar time: when, as written in the file: RFC 3339, UTC, milliseconds; compares as text.
    """

    time: str
    service: str
    text: str


class LogFile:
    """The log that one program's lines go to. A full disk loses lines, never the program."""

    def __init__(self, path: Path, rotate_at: int = ROTATE_AT) -> None:
        self.path = path
        self._rotate_at = rotate_at
        self._size = 0
        self._file: BinaryIO | None = None

    def write(self, text: str, now: float) -> None:
        """Append one line. ``now`` is in seconds since the epoch."""
        data = f"{timestamp(now)} {text}\n".encode("utf-8", "replace")
        try:
            file = self._file or self._open()
            if self._size + len(data) > self._rotate_at and self._size:
                self.close()
                self._rotate()
                file = self._open()
            file.write(data)
            self._size += len(data)
        except OSError:
            self.close()

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _open(self) -> BinaryIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("ab", buffering=0)  # a crash loses no line, and followers see each at once
        self._size = self._file.tell()
        return self._file

    def _rotate(self) -> None:
        for number in range(KEPT, 0, -1):
            older = _older(self.path, number - 1) if number > 1 else self.path
            with contextlib.suppress(FileNotFoundError):
                os.replace(older, _older(self.path, number))


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def timestamp(now: float) -> str:
    """RFC 3339 in UTC with milliseconds: sorts as text."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def names(folder: Path) -> list[str]:
    """The programs that have a log, sorted."""
    return sorted(path.name.removesuffix(".log") for path in folder.glob("*.log"))


def parse(service: str, raw: str) -> Line:
    time, _, text = raw.rstrip("\n").partition(" ")
    return Line(time, service, text)


def read(folder: Path, services: Sequence[str], last: int) -> list[Line]:
    """The last lines of several programs in the order of time; of a tie, in the order they were written."""
    found: list[Line] = []
    for service in services:
        kept: deque[Line] = deque(maxlen=last)
        path = folder / f"{service}.log"
        for part in [*(_older(path, number) for number in range(KEPT, 0, -1)), path]:
            kept.extend(_lines_of(part, service))
        found.extend(kept)
    found.sort(key=lambda line: line.time)
    return found[-last:] if last else []


def _lines_of(path: Path, service: str) -> Iterator[Line]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from (parse(service, raw) for raw in file)
    except FileNotFoundError:
        return


class Follower:
    """What was appended to one log since the last look; follows it through a rotation."""

    def __init__(self, folder: Path, service: str, *, from_end: bool = True) -> None:
        self._path = folder / f"{service}.log"
        self._service = service
        self._offset = 0
        self._inode = 0
        self._rest = b""
        if from_end:
            with contextlib.suppress(FileNotFoundError):
                status = self._path.stat()
                self._offset, self._inode = status.st_size, status.st_ino

    def lines(self) -> list[Line]:
        """The new whole lines; an unfinished one waits for the next look."""
        data = b""
        try:
            with self._path.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                if self._inode not in (0, inode):
                    data += self._end_of_the_rotated()
                    self._offset = 0
                self._inode = inode
                file.seek(self._offset)
                data += file.read()
                self._offset = file.tell()
        except FileNotFoundError:
            return []
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [parse(self._service, raw.decode("utf-8", "replace")) for raw in whole]

    def _end_of_the_rotated(self) -> bytes:
        try:
            with _older(self._path, 1).open("rb") as file:
                if os.fstat(file.fileno()).st_ino != self._inode:
                    return b""
                file.seek(self._offset)
                return file.read()
        except FileNotFoundError:
            return b""
