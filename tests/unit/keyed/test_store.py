"""Keyed calls on disk."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from hopsack_router.keyed.keys import Key, Row
from hopsack_router.keyed.store import Sqlite

ROW = Row(Key("shop.buy", "user:ann", "k1"), b"digest", 60.0, None)
OTHER = ROW._replace(key=ROW.key._replace(name="k2"))


def _store(path: Path) -> Sqlite:
    return Sqlite(path / "data" / "calls.sqlite", lambda: 7.0)


def test_it_knows_what_was_committed(tmp_path: Path) -> None:
    store = _store(tmp_path)
    assert store.open() == []

    store.commit([ROW, OTHER], [])
    store.commit([ROW._replace(outcome=b"done")], [OTHER.key])

    assert _store(tmp_path).open() == [ROW._replace(outcome=b"done")]


def test_a_key_that_goes_and_comes_in_one_batch_is_there(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.open()
    store.commit([ROW._replace(outcome=b"old")], [])

    store.commit([ROW], [ROW.key])

    assert _store(tmp_path).open() == [ROW]


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.open()
    store.close()
    (tmp_path / "data" / "calls.sqlite").write_bytes(b"no database" * 1000)

    again = _store(tmp_path)

    assert again.open() == []
    again.commit([ROW], [])
    assert (tmp_path / "data" / "calls.sqlite.broken-7").read_bytes().startswith(b"no database")


def test_a_disk_that_is_full_commits_nothing(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.open()
    assert store._db is not None
    store._db.execute("PRAGMA max_page_count = 4")

    with pytest.raises(sqlite3.OperationalError, match="full"):
        store.commit([ROW, OTHER._replace(outcome=b"x" * 100_000)], [])

    assert _store(tmp_path).open() == []


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="closed"):
        _store(tmp_path).commit([ROW], [])
