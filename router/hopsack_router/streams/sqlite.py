"""The journal on disk: one SQLite database in WAL mode (https://www.sqlite.org/wal.html).

    open     -> locks it, checks it after an unclean stop, reads all but the events
    commit   -> one transaction; a durable one is fsynced (``synchronous=FULL``), another is not (``NORMAL``)
    read     -> on another thread, over a connection of its own that cannot write

A row of ``events`` is numbered ``topic << 40 | offset``, so a topic's events lie together, in order. Each statement
of Python's ``sqlite3`` gives up the interpreter and may wait 5 ms to get it back while the reactor works (measured:
66 µs for each row of a plain ``SELECT``). So rows go in some hundred to a statement, and a page of events comes out
as one row.

Damage: what is no database, has a broken page, or has a row that fails its checksum is put aside
(:mod:`~hopsack_router.streams.files`) and a fresh one begun. After a machine stopped without closing it, events that
were not durable may be missing that were delivered: that is told as a doubt, and events stay. Bounds: the log is
checkpointed at 4 MiB; the ledger says what goes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hopsack_router.streams import records
from hopsack_router.streams.events import Stored
from hopsack_router.streams.files import Files
from hopsack_router.streams.moments import Moment
from hopsack_router.streams.runs import MARK_BYTES, mark
from hopsack_router.streams.store import (
    Batch,
    KeyRow,
    LatestRow,
    Recovered,
    RunRow,
    Span,
    StoreError,
    StoreFailed,
    StoreRefused,
    StoreTorn,
    TopicRow,
)

APPLICATION = 0x484F504A
"""``PRAGMA application_id``: that the file is a journal of ours."""
VERSION = 2
"""1: without births, marks and steady time. It is brought up to this one when it is opened."""

OFFSET_BITS = 40
_OFFSET = (1 << OFFSET_BITS) - 1
_CHUNKS = (1, 4, 16, 64, 256)

_SCHEMA = """
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL, birth TEXT NOT NULL, boot TEXT NOT NULL, clean INTEGER NOT NULL
);
CREATE TABLE topics (id INTEGER PRIMARY KEY, uri TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL, head INTEGER NOT NULL);
CREATE TABLE events (
    id INTEGER PRIMARY KEY, publication INTEGER NOT NULL, record BLOB NOT NULL, checksum INTEGER NOT NULL
);
CREATE TABLE runs (id INTEGER PRIMARY KEY, last INTEGER NOT NULL, size INTEGER NOT NULL, newest REAL NOT NULL);
CREATE TABLE keys (
    number INTEGER PRIMARY KEY, topic INTEGER NOT NULL, key TEXT NOT NULL,
    offset INTEGER NOT NULL, publication INTEGER NOT NULL, time REAL NOT NULL
);
CREATE TABLE latest (
    topic INTEGER NOT NULL, key TEXT NOT NULL, changed INTEGER NOT NULL,
    epoch TEXT NOT NULL, record BLOB NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (topic, key)
) WITHOUT ROWID;
"""
"""Version 1."""

_SECOND = """
ALTER TABLE meta ADD COLUMN wall REAL;
ALTER TABLE meta ADD COLUMN steady REAL;
ALTER TABLE meta ADD COLUMN counted REAL;
CREATE TABLE births (contract TEXT PRIMARY KEY, epoch TEXT NOT NULL) WITHOUT ROWID;
ALTER TABLE topics ADD COLUMN contract TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN ended REAL NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN marks BLOB NOT NULL DEFAULT x'';
ALTER TABLE keys ADD COLUMN taken REAL NOT NULL DEFAULT 0;
UPDATE runs SET ended = newest;
UPDATE keys SET taken = time;
"""
"""What makes version 2 of it. The epochs of its topics are those of no contract, and no contract's birth is one of
them (:func:`~hopsack_router.streams.position.epoch_of`)."""

_READ = """
SELECT min(id), max(id), {records}, group_concat(length(record)), group_concat(checksum)
FROM (SELECT id, record, checksum FROM events WHERE id BETWEEN ? AND ? ORDER BY id)
"""
_AS_BLOB = "CAST(group_concat(record, '') AS BLOB)"
_AS_HEX = "group_concat(hex(record), '')"
_FIND = "SELECT id, marks FROM runs WHERE id BETWEEN ? AND ? AND instr(marks, ?) ORDER BY id DESC"


class SqliteStore:
    """Implements :class:`~hopsack_router.streams.store.Store`.

    :param path: of the database; its folder is made.
    :param boot: tells one start of the machine from another (:func:`~hopsack_router.streams.files.boot_id`).
    :param now: Unix seconds, for the names of what is put aside.
    :param max_pages: of 4 KiB that the database may have; beyond, it is full.
    """

    is_local = False

    def __init__(self, path: Path, *, boot: str, now: Callable[[], float], max_pages: int | None = None) -> None:
        self._files = Files(path)
        self._boot, self._now, self._max_pages = boot, now, max_pages
        self._db: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None
        self._generation = self._reading_generation = 0
        self._synchronous = ""
        self._is_half_made = False
        self._read_page = _how_to_read()

    # ---- opening ----------------------------------------------------------------------------------------------------

    def open(self) -> Recovered:
        self._files.lock()
        path, was_there = self._files.path, self._files.is_there()
        if not was_there:
            self._files.put_aside(self._now())  # a log without its database is nothing
        try:
            found = self._load(self._connect())
            if found.birth is None and self._files.mark():
                found = replace(found, lost=f"{path} is {'empty' if was_there else 'missing'}")
            return found
        except StoreTorn as error:
            what = self.replace()
            return Recovered(lost=f"{error}; {what}")

    def _connect(self) -> sqlite3.Connection:
        try:
            db = self._db = sqlite3.connect(self._files.path, isolation_level=None, check_same_thread=False)
            is_new = not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            (application,) = db.execute("PRAGMA application_id").fetchone()
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if not is_new and application != APPLICATION:
                raise StoreTorn(f"{self._files.path} is not a journal")
            if version > VERSION:
                raise StoreRefused(
                    f"{self._files.path} is of a newer version of Hopsack ({version}, this is {VERSION})"
                )
            db.execute("PRAGMA journal_mode=WAL")
            self._synchronous = ""
            db.execute(f"PRAGMA journal_size_limit={64 << 20}")
            db.execute("PRAGMA cache_size=-16000")
            if self._max_pages is not None:
                db.execute(f"PRAGMA max_page_count={self._max_pages}")
            if version < VERSION:
                _build(db, version)
        except sqlite3.Error as error:
            raise self._meaning(error) from error
        return db

    def _load(self, db: sqlite3.Connection) -> Recovered:
        try:
            row = db.execute("SELECT number, birth, boot, clean, wall, steady, counted FROM meta").fetchone()
            if row is None:
                return Recovered(number=self._files.mark() or 0)
            number, birth, boot, clean, *at = row
            if not clean:
                (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
                if verdict != "ok":
                    raise StoreTorn(f"{self._files.path}: {' '.join(verdict.split())}")
            mark = self._files.mark()
            return Recovered(
                birth=birth,
                number=max(number, mark or 0),
                at=None if None in at else Moment(*at),
                same_start=boot == self._boot != "",
                births=db.execute("SELECT contract, epoch FROM births").fetchall(),
                topics=[TopicRow(*row) for row in db.execute("SELECT id, uri, epoch, head, contract FROM topics")],
                runs=_runs(db.execute("SELECT id, last, size, newest, ended FROM runs ORDER BY id")),
                keys=[KeyRow(*row) for row in db.execute("SELECT * FROM keys ORDER BY number")],
                latest=_latest(db),
                doubt=None if _is_trusted(number, mark, clean, boot == self._boot != "") else _doubt(number, mark),
            )
        except sqlite3.Error as error:
            raise self._meaning(error) from error

    # ---- writing ----------------------------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> None:
        try:
            if self._db is None:
                self.replace()
            db = self._db
            assert db is not None
            self._set_synchronous(db, "FULL" if batch.durable else "NORMAL")
            db.execute("BEGIN IMMEDIATE")
            try:
                self._apply(db, batch)
                db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                raise
            with suppress(OSError):  # it is committed, whatever becomes of its mark: to refuse it now would be a lie
                self._files.set_mark(batch.number)
        except sqlite3.Error as error:
            raise self._meaning(error) from error

    def _set_synchronous(self, db: sqlite3.Connection, mode: str) -> None:
        if mode != self._synchronous:
            db.execute(f"PRAGMA synchronous={mode}")
            self._synchronous = mode

    def _apply(self, db: sqlite3.Connection, batch: Batch) -> None:
        meta = (1, batch.number, batch.birth, self._boot, 0, *batch.at)
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?, ?, ?, ?, ?, ?, ?)", meta)
        db.executemany("INSERT OR REPLACE INTO births VALUES (?, ?)", batch.births)
        for topic in batch.dropped:
            db.execute("DELETE FROM topics WHERE id = ?", (topic,))
            db.execute("DELETE FROM latest WHERE topic = ?", (topic,))
        for span in _joined(batch.trimmed):
            db.execute("DELETE FROM events WHERE id BETWEEN ? AND ?", _ends(span))
            db.execute("DELETE FROM runs WHERE id BETWEEN ? AND ?", _ends(span))
        if batch.keys_upto:
            db.execute("DELETE FROM keys WHERE number <= ?", (batch.keys_upto,))
        topics = [(row.id, row.uri, row.epoch, row.head, row.contract) for row in batch.topics]
        _insert(db, "topics", 5, topics)
        _insert(db, "events", 4, [_event_row(topic, event) for topic, event in batch.events])
        _insert(db, "runs", 6, [_run_row(run) for run in batch.runs])
        _insert(db, "keys", 7, [_key_row(row) for row in batch.keys])
        for row in batch.latest:
            if row.event is None:
                db.execute("DELETE FROM latest WHERE topic = ? AND key = ?", (row.topic, row.key))
        _insert(db, "latest", 6, [_latest_row(row, row.event) for row in batch.latest if row.event is not None])

    # ---- reading, on the other thread -------------------------------------------------------------------------------

    def read(self, span: Span, uri: str, epoch: str) -> list[Stored]:
        first, last, found, lengths, checksums = self._ask(self._read_page, _ends(span))
        if first is None:
            return []
        as_bytes = found if isinstance(found, bytes) else bytes.fromhex(found)
        events = records.decode(as_bytes, _numbers(lengths), _numbers(checksums), first, uri, epoch)
        if len(events) != last - first + 1:
            raise StoreTorn(f"{uri} has a gap behind offset {first & _OFFSET}")
        return events

    def find(self, span: Span, publication: int) -> int | None:
        """The marks of a run are together: one row to look at for so many events, and that without its payloads."""
        sought = mark(publication)
        first, last = _id(span.topic, 0), _id(span.topic, span.end)
        try:
            for number, marks in self._reader().execute(_FIND, (first, last, sought)):
                for offset in _marked(number & _OFFSET, marks, sought):
                    if span.start <= offset <= span.end and self._is(_id(span.topic, offset), publication):
                        return offset
        except sqlite3.Error as error:
            raise self._meaning(error) from error
        return None

    def _is(self, number: int, publication: int) -> bool:
        row = self._reader().execute("SELECT publication FROM events WHERE id = ?", (number,)).fetchone()
        return row is not None and row[0] == publication

    def _ask(self, sql: str, values: Any) -> Sequence[Any]:
        """The one row of an answer."""
        try:
            row: Sequence[Any] = self._reader().execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise self._meaning(error) from error
        return row

    def _reader(self) -> sqlite3.Connection:
        if self._reading is None or self._reading_generation != self._generation:
            self._reading_generation = self._generation
            if self._reading is not None:
                self._reading.close()
            name = f"file:{quote(str(self._files.path))}?mode=ro"
            self._reading = sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False)
        return self._reading

    # ---- the end, and a new beginning -------------------------------------------------------------------------------

    def replace(self) -> str:
        try:
            self._disconnect()
            aside = None
            if self._is_half_made:  # to put that aside too would soon push out what was damaged
                self._files.remove()
            else:
                aside = self._files.put_aside(self._now())
            self._is_half_made = True
            self._generation += 1
            self._connect()
            self._is_half_made = False
        except OSError as error:
            raise StoreFailed(str(error.strerror)) from error
        return f"{self._files.path} was put aside as {aside}" if aside else f"{self._files.path} was begun afresh"

    def close(self) -> None:
        try:
            if self._db is not None and self._db.execute("SELECT count(*) FROM meta").fetchone()[0]:
                self._set_synchronous(self._db, "FULL")
                self._db.execute("UPDATE meta SET clean = 1")
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise self._meaning(error) from error
        finally:
            if self._reading is not None:
                self._reading.close()
                self._reading = None
            self._disconnect()
            self._files.unlock()

    def _disconnect(self) -> None:
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    def _meaning(self, error: sqlite3.Error) -> StoreError:
        """A damaged database is one thing, one that cannot be written just now another."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        words = f"{self._files.path}: {error}"
        torn = code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "no such table" in str(error)
        return StoreTorn(words) if torn else StoreFailed(words)


def _build(db: sqlite3.Connection, version: int) -> None:
    """Make a database of this version of one of an earlier; 0: of an empty one."""
    db.execute("BEGIN IMMEDIATE")
    try:
        for script in (_SCHEMA, _SECOND)[version:]:
            for statement in filter(str.strip, script.split(";")):
                db.execute(statement)
        if version == 1:
            _mark_runs(db)
        db.execute(f"PRAGMA application_id={APPLICATION}")
        db.execute(f"PRAGMA user_version={VERSION}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _mark_runs(db: sqlite3.Connection) -> None:
    """Give the runs of an earlier version the marks of their events."""
    for number, last in db.execute("SELECT id, last FROM runs").fetchall():
        end = number & ~_OFFSET | last
        events = db.execute("SELECT publication FROM events WHERE id BETWEEN ? AND ? ORDER BY id", (number, end))
        marks = b"".join(mark(publication) for (publication,) in events)
        db.execute("UPDATE runs SET marks = ? WHERE id = ?", (marks, number))


def _how_to_read() -> str:
    """A version of SQLite may end a joined text at its first zero byte; where this one does, records come in hex."""
    joining = f"SELECT {_AS_BLOB} FROM (SELECT x'610062' AS record)"  # noqa: S608
    with closing(sqlite3.connect(":memory:")) as db:
        (joined,) = db.execute(joining).fetchone()
    return _READ.format(records=_AS_BLOB if joined == b"a\0b" else _AS_HEX)


def _numbers(text: str) -> Iterable[int]:
    return map(int, text.split(","))


def _marked(start: int, marks: bytes, sought: bytes) -> Iterable[int]:
    """Offsets of events with this mark, the newest first."""
    for at in range(len(marks) - MARK_BYTES, -1, -MARK_BYTES):
        if marks[at : at + MARK_BYTES] == sought:
            yield start + at // MARK_BYTES


def _ends(span: Span) -> tuple[int, int]:
    return _id(span.topic, span.start), _id(span.topic, span.end)


def _id(topic: int, offset: int) -> int:
    return topic << OFFSET_BITS | offset


def _event_row(topic: int, event: Stored) -> tuple[Any, ...]:
    number = _id(topic, event.offset)
    return number, event.publication, *records.encode(event, number)


def _run_row(run: RunRow) -> tuple[Any, ...]:
    return _id(run.topic, run.start), run.end, run.size, run.newest, run.ended, run.marks


def _key_row(row: KeyRow) -> tuple[Any, ...]:
    return row.number, row.topic, row.key, row.offset, row.publication, row.time, row.taken


def _latest_row(row: LatestRow, event: Stored) -> tuple[Any, ...]:
    return row.topic, row.key, row.changed, event.epoch, *records.encode(event, row.changed)


def _insert(db: sqlite3.Connection, table: str, width: int, rows: Sequence[tuple[Any, ...]]) -> None:
    """Many rows to a statement. Statements are few, filled up with rows of NULL: SQLite compiles each once."""
    at = 0
    while at < len(rows):
        chunk = next((size for size in _CHUNKS if size >= len(rows) - at), _CHUNKS[-1])
        part = rows[at : at + chunk]
        values = [value for row in part for value in row]
        values += [None] * ((chunk - len(part)) * width)
        db.execute(_statement(table, width, chunk), values)
        at += chunk


def _statement(table: str, width: int, chunk: int) -> str:
    rows = ", ".join([f"({', '.join('?' * width)})"] * chunk)
    return f"INSERT OR REPLACE INTO {table} SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"  # noqa: S608


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Runs that follow each other go in one statement."""
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1].topic == span.topic and joined[-1].end + 1 == span.start:
            joined[-1] = Span(span.topic, joined[-1].start, span.end)
        else:
            joined.append(span)
    return joined


def _runs(rows: Iterable[tuple[int, int, int, float, float]]) -> list[RunRow]:
    runs: list[RunRow] = []
    for number, last, size, newest, ended in rows:
        run = RunRow(number >> OFFSET_BITS, number & _OFFSET, last, size, newest, ended)
        follows = not runs or runs[-1].topic != run.topic or runs[-1].end + 1 == run.start
        if not follows or run.end < run.start or run.size < 0:
            raise StoreTorn(f"the events of topic {run.topic} have a gap before offset {run.start}")
        runs.append(run)
    return runs


def _latest(db: sqlite3.Connection) -> list[LatestRow]:
    uris = dict(db.execute("SELECT id, uri FROM topics"))
    rows = []
    for topic, key, changed, epoch, record, checksum in db.execute("SELECT * FROM latest"):
        (event,) = records.decode(record, [len(record)], [checksum], changed, uris.get(topic, ""), epoch)
        rows.append(LatestRow(topic, key, changed, event))
    return rows


def _is_trusted(number: int, mark: int | None, clean: int, same_boot: bool) -> bool:
    """Whether everything that was delivered is there: after a stop of the machine, only if it was closed before.

    Without a mark nobody knows: it may be an older copy that was put in its place.
    """
    return bool(clean or same_boot) and mark is not None and mark <= number


def _doubt(number: int, mark: int | None) -> str:
    if mark is not None and mark > number:
        return f"the journal knows batches up to {number:,}, and {mark:,} were delivered"
    if mark is None:
        return "the journal's mark is missing, so it may be an older copy"
    return "the machine stopped before the journal was closed"
