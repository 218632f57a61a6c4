"""The files of the journal on disk, apart from what is in them.

    journal.sqlite, -wal, -shm      SQLite's
    journal.sqlite.mark             locked by who has the journal open; the number of the last batch that was answered
    journal.sqlite.broken-<time>    what was found damaged, put aside; the newest :data:`MAX_ASIDE` stay

The mark is written after each commit, without waiting for the disk: it survives the end of the process. A journal
that knows less than its mark has lost batches that were delivered: its log was cut off, or an older copy was put in
its place.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from hopsack_router.streams.store import StoreFailed, StoreRefused

MAX_ASIDE = 3
_SUFFIXES = ("", "-wal", "-shm")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Another one after each start of the machine; empty where nobody tells."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


class Files:
    """:param path: of the database."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mark: int | None = None

    def lock(self) -> None:
        """Take the journal for this process. The lock goes with the process, however it ends.

        :raises StoreRefused: another process has it.
        """
        if self._mark is not None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            mark = os.open(self._beside(".mark"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreFailed(f"{self.path.parent}: {error.strerror}") from error
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(mark)
            raise StoreRefused(f"{self.path} is in use by another node; give each its own HOPSACK_DATA") from error
        self._mark = mark

    def unlock(self) -> None:
        if self._mark is not None:
            os.close(self._mark)
            self._mark = None

    def mark(self) -> int | None:
        """The number of the last batch that was answered; ``None``: nobody knows."""
        assert self._mark is not None
        written = os.pread(self._mark, 9, 0)
        return int.from_bytes(written, "big") if len(written) == 8 else None

    def set_mark(self, number: int) -> None:
        assert self._mark is not None
        os.pwrite(self._mark, number.to_bytes(8, "big"), 0)

    def is_there(self) -> bool:
        return self.path.exists() and self.path.stat().st_size > 0

    def put_aside(self, now: float) -> Path | None:
        """Rename what is there. :returns: the database's new name; ``None``: there was none."""
        when, newest = int(now), self._asides()[-1:]
        number = _age(newest[0])[1] + 1 if newest and _age(newest[0])[0] == when else 0
        aside = self._beside(f".broken-{when}-{number}" if number else f".broken-{when}")
        was_there = self.path.exists()
        for suffix in _SUFFIXES:
            source = Path(f"{self.path}{suffix}")
            if source.exists():
                source.rename(f"{aside}{suffix}")
        self._forget_old()
        return aside if was_there else None

    def remove(self) -> None:
        """Delete what is there."""
        for suffix in _SUFFIXES:
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def _forget_old(self) -> None:
        for old in self._asides()[:-MAX_ASIDE]:
            for suffix in _SUFFIXES:
                Path(f"{old}{suffix}").unlink(missing_ok=True)

    def _asides(self) -> list[Path]:
        """The oldest first."""
        found = self.path.parent.glob(f"{self.path.name}.broken-*")
        return sorted((one for one in found if not one.name.endswith(_SUFFIXES[1:])), key=_age)

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)


def _age(path: Path) -> tuple[int, int]:
    when, _, number = path.name.rpartition(".broken-")[2].partition("-")
    return int(when) if when.isdigit() else 0, int(number) if number.isdigit() else 0
