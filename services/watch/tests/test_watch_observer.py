"""The observer on a real loop with real inotify. Every wait is for an event; pytest's own timeout is the only clock."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from watch import observer as shell
from watch.names import matcher
from watch.observer import Observer, Stamps


async def next_changes(observer: Observer, count: int) -> list[tuple[str, str]]:
    """At least so many changes, as ``(kind, path)``."""
    found: list[tuple[str, str]] = []
    async for changes in observer.changes():
        found += [(change.kind, "/".join(change.path)) for _, change in changes]
        if len(found) >= count:
            break
    return found


def test_changes_come_without_asking(tmp_path: Path) -> None:
    async def conversation() -> None:
        (tmp_path / "old").write_text("x")
        observer = Observer(str(tmp_path), matcher([]), warn=pytest.fail)
        await observer.ready()
        before, entries, truncated = observer.listing(10)

        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "file").write_text("x")

        assert [path for path, _ in entries] == [("old",)]
        assert not truncated
        assert await next_changes(observer, 2) == [("created", "new"), ("created", "new/file")]
        after, entries, _ = observer.listing(10)
        assert {path for path, _ in entries} == {("new",), ("old",), ("new", "file")}
        assert after > before
        observer.close()

    asyncio.run(conversation())


def test_while_nobody_takes_them_changes_wait_in_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "MOST_UNTOLD", 3)
    monkeypatch.setattr(shell, "BATCH", 1)

    async def conversation() -> None:
        observer = Observer(str(tmp_path), matcher([]), warn=pytest.fail)
        await observer.ready()
        for number in range(3):
            (tmp_path / f"first-{number}").write_text("x")
        assert await next_changes(observer, 1) == [("created", "first-0")]
        for number in range(3):
            (tmp_path / f"second-{number}").write_text("x")

        rest = await next_changes(observer, 5)

        assert sorted(rest) == [
            ("created", "first-1"),
            ("created", "first-2"),
            *(("created", f"second-{number}") for number in range(3)),
        ]
        observer.close()

    asyncio.run(conversation())


def test_a_reminder_comes_in_its_turn(tmp_path: Path) -> None:
    async def conversation() -> None:
        observer = Observer(str(tmp_path), matcher([]), warn=pytest.fail)
        await observer.ready()

        observer.remind()

        assert await next_changes(observer, 1) == [("rescanned", "")]
        observer.close()

    asyncio.run(conversation())


def test_two_roots_do_not_disturb_each_other(tmp_path: Path) -> None:
    async def conversation() -> None:
        one, two = tmp_path / "one", tmp_path / "two"
        one.mkdir()
        first = Observer(str(one), matcher([]), warn=pytest.fail)
        second = Observer(str(two), matcher([]), warn=pytest.fail)
        await first.ready()
        await second.ready()

        two.mkdir()
        (one / "file").write_text("x")

        assert await next_changes(second, 1) == [("created", "")]
        assert await next_changes(first, 1) == [("created", "file")]
        first.close()
        second.close()

    asyncio.run(conversation())


def test_stamps_tell_an_order_even_when_the_clock_stands_or_goes_back() -> None:
    times = iter([10.0, 10.0, 9.0, 11.0])
    stamps = Stamps(lambda: next(times))

    assert [round(stamps.next(), 6) for _ in range(4)] == [10.0, 10.000001, 10.000002, 11.0]
