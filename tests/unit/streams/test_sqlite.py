"""The journal on disk: what it knows when it is opened again, and what it says when its files are spoilt."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from hopsack import errors
from hopsack_router.streams import sqlite as sqlite_module
from hopsack_router.streams.events import Gone, Page, Recoverable, Retention
from hopsack_router.streams.files import Files
from hopsack_router.streams.journal import Journal
from hopsack_router.streams.position import Position
from hopsack_router.streams.sqlite import _FIND, APPLICATION, SqliteStore
from hopsack_router.streams.store import StoreError, StoreRefused
from tests.unit.streams.stage import (
    MANY,
    NO_MEMORY,
    Held,
    append,
    as_killed,
    begin,
    clock,
    draft,
    held,
    now,
    read_all,
    sqlite,
    texts,
)

EVENTS = [f"{number:0200}" for number in range(2000)]


@pytest.fixture
def time() -> Clock:
    return clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "one"


def begun(folder: Path, time: Clock, retention: Retention = MANY, boot: str = "boot-1") -> Journal:
    return begin(sqlite(folder, time, boot=boot), time, retention, bounds=NO_MEMORY, seed=int(time.seconds()) % 1000)


# ---- opened again ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["closed", "killed"])
def test_a_journal_goes_on_where_it_ended(folder: Path, tmp_path: Path, time: Clock, ends: str) -> None:
    journal = begun(folder, time, Retention(keep=3))
    append(journal, "a.b", *"abc", durable=False)
    append(journal, "a.b", *"de")
    now(journal.append("a.c", draft("x", 5, key="k", latest="one")))
    journal.keep("a.state", draft("on", latest="lamp"))
    journal.keep("a.state", draft("off", latest="door"))
    journal.keep("a.state", draft("dim", latest="lamp"))
    heads = [journal.head(topic) for topic in ("a.b", "a.c", "a.never")]
    if ends == "closed":
        now(journal.close())
    else:
        folder = as_killed(folder, tmp_path / "copy")

    again = begun(folder, time, Retention(keep=3))

    assert [again.head(topic) for topic in ("a.b", "a.c", "a.never")] == heads
    assert texts(read_all(again, "a.b")) == ["c", "d", "e"]  # type: ignore[arg-type]
    assert texts(again.newest("a.state")) == ["off", "dim"]
    assert [event.position for event in again.newest("a.c")] == [heads[1]]
    assert now(again.append("a.c", draft("x", 6, key="k"))).position == heads[1]
    assert append(again, "a.b", "f")[0].position == Position(heads[0].epoch, 6)
    assert now(again.position_of("a.c", 5)) == heads[1]
    now(again.close())


def test_a_key_counts_for_two_minutes_across_a_restart(folder: Path, time: Clock) -> None:
    journal = begun(folder, time)
    now(journal.append("a.b", draft("one", key="k")))
    now(journal.close())
    time.advance(119)

    again = begun(folder, time)
    assert now(again.append("a.b", draft("one", key="k"))).repeated
    now(again.close())
    time.advance(1)
    later = begun(folder, time)
    assert now(later.append("a.b", draft("one", key="k"))).offset == 2
    now(later.close())


def test_a_topic_whose_events_have_gone_counts_on(folder: Path, time: Clock) -> None:
    journal = begun(folder, time, Retention(keep=10, seconds=60.0))
    append(journal, "a.b", *"abc")
    head = journal.head("a.b")
    now(journal.close())
    time.advance(60)

    for _ in range(2):
        again = begun(folder, time, Retention(keep=10, seconds=60.0))
        assert (again.head("a.b"), again.where("a.b", head)) == (head, Recoverable(0))
        now(again.close())
    with sqlite3.connect(folder / "journal.sqlite") as db:
        assert db.execute("SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM runs)").fetchone() == (0, 0)


def test_what_has_gone_is_gone_from_the_disk_too(folder: Path, time: Clock) -> None:
    journal = begun(folder, time, Retention(keep=100))
    append(journal, "a.b", *EVENTS, durable=False)
    now(journal.close())

    with sqlite3.connect(folder / "journal.sqlite") as db:
        assert db.execute("SELECT count(*) FROM events").fetchone()[0] <= 100 + 2 * 64
    assert (folder / "journal.sqlite").stat().st_size < len(EVENTS) * 200


def test_a_second_node_is_refused_in_one_line(folder: Path, time: Clock) -> None:
    journal = begun(folder, time)

    with pytest.raises(StoreRefused, match="in use by another node; give each its own HOPSACK_DATA"):
        begun(folder, time)

    assert append(journal, "a.b", "one")[0].offset == 1
    now(journal.close())
    now(begun(folder, time).close())


def test_a_newer_version_is_refused_and_left_alone(folder: Path, time: Clock) -> None:
    now(begun(folder, time).close())
    with sqlite3.connect(folder / "journal.sqlite") as db:
        db.execute("PRAGMA user_version=99")

    with pytest.raises(StoreRefused, match="newer version"):
        begun(folder, time)

    assert [path.name for path in folder.glob("*broken*")] == []


FIRST = """
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL, birth TEXT NOT NULL, boot TEXT NOT NULL, clean INTEGER NOT NULL
);
CREATE TABLE topics (id INTEGER PRIMARY KEY, uri TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL, head INTEGER NOT NULL);
CREATE TABLE runs (id INTEGER PRIMARY KEY, last INTEGER NOT NULL, size INTEGER NOT NULL, newest REAL NOT NULL);
CREATE TABLE keys (
    number INTEGER PRIMARY KEY, topic INTEGER NOT NULL, key TEXT NOT NULL,
    offset INTEGER NOT NULL, publication INTEGER NOT NULL, time REAL NOT NULL
);
INSERT INTO meta SELECT one, number, birth, boot, clean FROM new.meta;
INSERT INTO topics SELECT id, uri, epoch, head FROM new.topics;
INSERT INTO runs SELECT id, last, size, newest FROM new.runs;
INSERT INTO keys SELECT number, topic, key, offset, publication, time FROM new.keys;
CREATE TABLE events AS SELECT * FROM new.events;
CREATE TABLE latest AS SELECT * FROM new.latest;
PRAGMA user_version=1;
"""


def test_a_journal_of_the_first_version_goes_on(folder: Path, tmp_path: Path, time: Clock) -> None:
    journal = begun(folder, time)
    for number, text in enumerate(EVENTS[:300]):
        now(journal.append("a.b", draft(text, 1000 + number), durable=False))
    now(journal.append("a.c", draft("x", 5, key="k", latest="one")))
    heads = [journal.head(topic) for topic in ("a.b", "a.c")]
    now(journal.close())
    _as_first(folder)

    again = begun(folder, time)

    assert [again.head(topic) for topic in ("a.b", "a.c")] == heads
    assert texts(read_all(again, "a.b")) == EVENTS[:300]  # type: ignore[arg-type]
    assert now(again.position_of("a.b", 1150)) == Position(heads[0].epoch, 151)
    assert now(again.append("a.c", draft("x", 6, key="k"))).position == heads[1]
    assert texts(again.newest("a.c")) == ["x"]
    assert append(again, "a.b", "next")[0].position == Position(heads[0].epoch, 301)
    now(again.close())


def _as_first(folder: Path) -> None:
    """Rewrite the tables as the first version had them."""
    path = folder / "journal.sqlite"
    path.rename(folder / "new")
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA application_id={APPLICATION}")
        db.execute("ATTACH ? AS new", (str(folder / "new"),))
        db.executescript(FIRST)


def test_an_event_is_found_by_its_publication_without_a_look_at_every_event(folder: Path, time: Clock) -> None:
    journal = begun(folder, time)
    for number in range(3000):
        journal.append("a.b", draft("x", (number << 32) + number % 100), durable=False)  # many have the same mark
    now(journal.append("a.b", draft("x", 77)))
    epoch = journal.head("a.b").epoch
    store = journal._store
    assert isinstance(store, SqliteStore)

    assert now(journal.position_of("a.b", (1234 << 32) + 34)) == Position(epoch, 1235)
    assert now(journal.position_of("a.b", 77)) == Position(epoch, 3001)
    assert now(journal.position_of("a.b", 12345)) is None
    plan = " ".join(str(row) for row in store._reader().execute(f"EXPLAIN QUERY PLAN {_FIND}", (1, 2, b"x")))
    assert "SEARCH runs USING INTEGER PRIMARY KEY" in plan
    now(journal.close())


def test_events_of_two_lives_are_found(folder: Path, time: Clock) -> None:
    for life in range(3):
        journal = begun(folder, time)
        for number in range(10):
            now(journal.append("a.b", draft("x", 100 * life + number)))
        now(journal.close())
    journal = begun(folder, time)

    found = [now(journal.position_of("a.b", publication)) for publication in (3, 109, 205)]

    assert [place and place.offset for place in found] == [4, 20, 26]
    now(journal.close())


# ---- damaged --------------------------------------------------------------------------------------------------------


def _cut(folder: Path) -> None:
    path = folder / "journal.sqlite"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 + 100)


def _garbage(part: float, size: int = 5000) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "journal.sqlite"
        with path.open("r+b") as file:
            file.seek(int(path.stat().st_size * part))
            file.write(b"\xa5garbage" * (size // 8))

    return spoil


def _empty(folder: Path) -> None:
    (folder / "journal.sqlite").write_bytes(b"")


def _missing(folder: Path) -> None:
    for path in folder.glob("journal.sqlite*"):
        if not path.name.endswith(".mark"):
            path.unlink()


def _another(folder: Path) -> None:
    _missing(folder)
    with sqlite3.connect(folder / "journal.sqlite") as db:
        db.execute("CREATE TABLE something (else_ TEXT)")


DAMAGES = {
    "cut in half": _cut,
    "garbage at the head": _garbage(0.0),
    "garbage in the middle": _garbage(0.5),
    "garbage in a row": _garbage(0.6, 16),
    "garbage at the end": _garbage(0.95),
    "emptied": _empty,
    "missing": _missing,
    "something else": _another,
}


@pytest.mark.parametrize("ends", ["closed", "killed"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_leads_to_new_epochs_and_a_line_in_the_log_never_to_a_wrong_answer(
    folder: Path, tmp_path: Path, time: Clock, damage: Callable[[Path], None], ends: str
) -> None:
    journal = begun(folder, time)
    append(journal, "a.b", *EVENTS, durable=False)
    old = journal.head("a.b")
    if ends == "killed":  # all but the newest is in the database, not in its log
        sqlite3.connect(folder / "journal.sqlite").execute("PRAGMA wal_checkpoint")
        append(journal, "a.b", "the newest")
        old = journal.head("a.b")
        folder = as_killed(folder, tmp_path / "copy")
    else:
        now(journal.close())
    damage(folder)
    time.advance(1)

    with capturedLogs() as logs:
        again = begun(folder, time)
        answer = _read_or_refused(again, Position(old.epoch, 0))

    if isinstance(answer, Gone):
        assert answer.reason == "epoch"
        assert again.head("a.b").epoch != old.epoch
        errors_told = [formatEvent(log) for log in logs if log["log_level"].name == "error"]
        assert errors_told
        assert all("streams begin anew" in line or "put aside" in line for line in errors_told)
    else:  # what was spoilt held no event
        assert answer[: len(EVENTS)] == EVENTS
    event = now(again.append("a.b", draft("next")))
    assert texts(read_all(again, "a.b"))[-1] == "next"  # type: ignore[arg-type]
    assert event.position == again.head("a.b")
    now(again.close())


def test_damage_that_many_readers_find_is_put_aside_once(folder: Path, time: Clock) -> None:
    journal = begun(folder, time)
    append(journal, "a.b", *EVENTS, durable=False)
    now(journal.close())
    with sqlite3.connect(folder / "journal.sqlite") as db:
        db.execute("UPDATE events SET record = x'00'")
    lanes: list[Held] = []
    journal = held(folder, time, lanes, bounds=NO_MEMORY)
    writer, reader = lanes
    reads = [journal.read("a.b", None) for _ in range(3)]
    writer.stop()

    reader.turn()
    reader.turn()
    writer.stop()
    reader.turn()
    writer.stop()

    for read in reads[:2]:
        with pytest.raises(errors.StoreFailed, match="is damaged"):
            now(read)
    assert now(reads[2]) == Page((), True, None, journal.head("a.b"))
    assert len(list(folder.glob("*.broken-*[0-9]"))) == 1
    kept = journal.append("a.b", draft("next"))
    writer.stop()
    assert now(kept).offset == 1


def _read_or_refused(journal: Journal, after: Position) -> list[str] | Gone:
    """What a reader gets that tries again when it is refused."""
    for _ in range(3):
        try:
            found = read_all(journal, "a.b", after, limit=500)
        except errors.StoreFailed:
            continue
        return found if isinstance(found, Gone) else texts(found)
    raise AssertionError("it is refused again and again")


@pytest.mark.parametrize("what", ["cut", "garbage", "missing"])
def test_a_log_that_was_spoilt_is_noticed_though_the_database_is_whole(
    folder: Path, tmp_path: Path, time: Clock, what: str
) -> None:
    journal = begun(folder, time)
    append(journal, "a.b", *EVENTS[:50])
    old = journal.head("a.b")
    folder = as_killed(folder, tmp_path / "copy")
    log = folder / "journal.sqlite-wal"
    match what:
        case "cut":
            log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
        case "garbage":
            whole = bytearray(log.read_bytes())
            whole[len(whole) // 2 : len(whole) // 2 + 100] = b"x" * 100
            log.write_bytes(whole)
        case _:
            log.unlink()
    time.advance(1)

    with capturedLogs() as logs:
        again = begun(folder, time)

    assert isinstance(again.where("a.b", old), Gone)
    told = [formatEvent(log) for log in logs]
    assert any("cannot resume" in line or "begin anew" in line for line in told)
    assert append(again, "a.b", "next")[0].epoch != old.epoch
    now(again.close())


@pytest.mark.parametrize("has_mark", [True, False], ids=["with its mark", "alone"])
def test_an_older_copy_in_its_place_is_noticed(folder: Path, tmp_path: Path, time: Clock, has_mark: bool) -> None:
    journal = begun(folder, time)
    append(journal, "a.b", "one")
    now(journal.close())
    shutil.copy(folder / "journal.sqlite", tmp_path / "backup")
    journal = begun(folder, time)
    append(journal, "a.b", "two")
    old = journal.head("a.b")
    now(journal.close())
    shutil.copy(tmp_path / "backup", folder / "journal.sqlite")
    if not has_mark:
        (folder / "journal.sqlite.mark").unlink()
    time.advance(1)

    again = begun(folder, time)

    assert isinstance(again.where("a.b", old), Gone)
    assert texts(read_all(again, "a.b")) == ["one"]  # type: ignore[arg-type]
    append(again, "a.b", "another than two")
    assert isinstance(again.where("a.b", old), Gone)  # else its reader would take it for the one that it has
    now(again.close())


def test_what_is_put_aside_has_a_bound(folder: Path, time: Clock) -> None:
    for _ in range(5):
        now(begun(folder, time).close())
        _garbage(0.0)(folder)
    now(begun(folder, time).close())

    asides = sorted(path.name for path in folder.glob("*.broken-*"))
    assert asides == [f"journal.sqlite.broken-{1_000_000}-{number}" for number in (2, 3, 4)]


def test_what_is_put_aside_stays_though_a_full_disk_has_no_room_for_another(
    folder: Path, time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = sqlite(folder, time)
    store.open()
    build, full = sqlite_module._build, sqlite3.OperationalError("database or disk is full")

    def fail(db: sqlite3.Connection, version: int) -> None:
        raise full

    monkeypatch.setattr(sqlite_module, "_build", fail)
    for _ in range(5):
        with pytest.raises(StoreError):
            store.replace()
        time.advance(1)
    monkeypatch.setattr(sqlite_module, "_build", build)
    store.replace()

    (aside,) = folder.glob("*.broken-*[0-9]")
    assert aside.name == "journal.sqlite.broken-1000000"
    store.close()


# ---- the machine stopped --------------------------------------------------------------------------------------------


def test_after_a_stop_of_the_machine_positions_are_new_and_events_are_still_there(
    folder: Path, tmp_path: Path, time: Clock
) -> None:
    journal = begun(folder, time, boot="boot-1")
    append(journal, "a.b", "one", "two")
    old = journal.head("a.b")
    time.advance(1)
    first = as_killed(folder, tmp_path / "first")

    with capturedLogs() as logs:
        again = begun(first, time, boot="boot-2")

    new = again.head("a.b")
    assert isinstance(again.where("a.b", old), Gone)
    assert (new.offset, texts(read_all(again, "a.b"))) == (2, ["one", "two"])  # type: ignore[arg-type]
    assert any("the machine stopped" in formatEvent(log) for log in logs)
    time.advance(1)
    killed = begun(as_killed(first, tmp_path / "second"), time, boot="boot-2")
    assert killed.head("a.b") == new
    now(again.close())
    now(killed.close())


def test_a_journal_that_was_closed_does_not_mind_a_restart_of_the_machine(folder: Path, time: Clock) -> None:
    journal = begun(folder, time, boot="boot-1")
    append(journal, "a.b", "one")
    head = journal.head("a.b")
    now(journal.close())

    again = begun(folder, time, boot="boot-2")

    assert again.head("a.b") == head
    now(again.close())


# ---- full -----------------------------------------------------------------------------------------------------------


def test_a_full_store_refuses_with_a_clear_error_and_recovers_by_itself(folder: Path, time: Clock) -> None:
    store = sqlite(folder, time, max_pages=60)
    journal = begin(store, time, Retention(keep=1_000_000, seconds=600.0), bounds=NO_MEMORY)
    kept: list[str] = []
    with capturedLogs() as logs:
        error = _fill(journal, kept)
    head = journal.head("a.b")

    assert (error.code, error.kind.status, error.retry, error.where) == ("hopsack.store_failed", 507, "later", "a.b")
    assert "database or disk is full" in error.message
    assert error.data == {"retry_after": 1.0}
    (line,) = (formatEvent(log) for log in logs if log["log_level"].name == "error")
    assert line.startswith("the journal cannot be written, publishes to streams are refused: ")
    assert texts(read_all(journal, "a.b")) == kept  # type: ignore[arg-type]
    assert head.offset == len(kept)

    with capturedLogs() as logs:
        time.advance(601)  # room comes, as old events go
        event = _until_kept(journal, time, kept)
    assert event == Position(head.epoch, len(kept) + 1)
    assert "the journal can be written again" in [formatEvent(log) for log in logs]
    now(journal.close())


def _fill(journal: Journal, kept: list[str]) -> errors.StoreFailed:
    for text in EVENTS:
        try:
            kept += texts([now(journal.append("a.b", draft(text, key=text[-40:]), durable=False))])
        except errors.StoreFailed as error:
            return error
    raise AssertionError("it is never full")


def _until_kept(journal: Journal, time: Clock, kept: list[str]) -> Position | None:
    for _ in range(20):
        try:
            return now(journal.append("a.b", draft(EVENTS[len(kept)], key=EVENTS[len(kept)][-40:]))).position
        except errors.StoreFailed:
            time.advance(1)
    raise AssertionError("it does not recover")


def test_what_is_committed_is_not_refused_for_the_sake_of_its_mark(
    folder: Path, time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(files: Files, number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    journal = begun(folder, time)
    monkeypatch.setattr(Files, "set_mark", fail)

    stored = now(journal.append("a.b", draft("one")))

    kept = read_all(journal, "a.b")
    assert stored.position == journal.head("a.b")
    assert not isinstance(kept, Gone)
    assert texts(kept) == ["one"]


def test_a_page_of_many_events_is_one_page(folder: Path, time: Clock) -> None:
    journal = begun(folder, time)
    for text in EVENTS:
        journal.append("a.b", draft(text), durable=False)

    page = now(journal.read("a.b", None, limit=5000, max_bytes=10 << 20))

    assert isinstance(page, Page)
    assert (texts(page.events), page.end) == (EVENTS, True)
    now(journal.close())
