"""Where keyed calls are remembered: on disk, that a node killed at any moment executes none of them twice.

One SQLite database in WAL mode, ``synchronous=FULL``: a commit is on disk when it returns. A file that is damaged is
put aside, and told: then the node has forgotten its keys.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from twisted.logger import Logger

from hopsack_router.keyed.keys import Key, Row

LOG = Logger()

FILE = "calls.sqlite"
"""Below ``HOPSACK_DATA``."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    procedure TEXT NOT NULL, user TEXT NOT NULL, name TEXT NOT NULL,
    digest BLOB NOT NULL, until REAL NOT NULL, outcome BLOB, PRIMARY KEY (procedure, user, name)
) WITHOUT ROWID
"""


class Store(Protocol):
    """Its methods may wait, and are called one after the other."""

    def open(self) -> list[Row]:
        """What it knows."""
        ...

    def commit(self, rows: Sequence[Row], gone: Sequence[Key]) -> None:
        """Write and forget, together. :raises OSError, sqlite3.Error: neither was done."""
        ...

    def close(self) -> None: ...


class Memory:
    """Of a node that keeps nothing."""

    def open(self) -> list[Row]:
        return []

    def commit(self, rows: Sequence[Row], gone: Sequence[Key]) -> None:
        pass

    def close(self) -> None:
        pass


class Sqlite:
    """:param now: Unix time, for the name of what is put aside."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._path, self._now = path, now
        self._db: sqlite3.Connection | None = None

    def open(self) -> list[Row]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self.close()
            aside = self._path.with_name(f"{self._path.name}.broken-{int(self._now())}")
            for suffix in ("", "-wal", "-shm"):
                source = Path(f"{self._path}{suffix}")
                if source.exists():
                    source.rename(f"{aside}{suffix}")
            LOG.error("keyed calls are forgotten: {error}; the file is {aside} now", error=error, aside=aside)
            return self._open()

    def _open(self) -> list[Row]:
        db = self._db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute(_SCHEMA)
        with closing(db.execute("SELECT procedure, user, name, digest, until, outcome FROM calls")) as found:
            return [Row(Key(*row[:3]), *row[3:]) for row in found]

    def commit(self, rows: Sequence[Row], gone: Sequence[Key]) -> None:
        db = self._db
        if db is None:
            raise OSError("the store of keyed calls is closed")
        db.execute("BEGIN")
        try:
            db.executemany("DELETE FROM calls WHERE procedure = ? AND user = ? AND name = ?", gone)
            db.executemany(
                "INSERT OR REPLACE INTO calls VALUES (?, ?, ?, ?, ?, ?)",
                [(*row.key, row.digest, row.until, row.outcome) for row in rows],
            )
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
