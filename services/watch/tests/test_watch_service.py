from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hopsack import Connection, DeclaredError, Invalid
from hopsack.testing import Fabric
from hopsack_contracts import (
    WATCH_LIST,
    WATCH_ROOTS,
    WATCH_WALK,
    WatchEntries,
    WatchListing,
    WatchQuery,
    WatchUnknownRoot,
    WatchWalk,
)
from watch import contract
from watch.service import Watch

SCHEMAS = Path(__file__).parents[3] / "schemas"


class Stage:
    """The fabric with the service on it, one watched folder, and everything that is told of it."""

    def __init__(self, fabric: Fabric, folder: Path) -> None:
        self.fabric = fabric
        self.folder = folder
        self.page = fabric.connect("guest")
        self.watch = fabric.start(Watch())
        self._events = fabric.record("watch.home.changed")

    def told(self) -> list[tuple[str, str]]:
        """``(kind, path)`` of every change since the last time."""
        return [(data["kind"], data["path"]) for data in self.data()]

    def data(self) -> list[Any]:
        self.fabric.advance(1)
        found = [event.data for event in self._events]
        self._events.clear()
        return found

    def listing(self, root: str = "home") -> WatchListing:
        return self.fabric.run(self.page.call(WATCH_LIST, WatchQuery(root=root)))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("WATCH_ROOTS", f"home={folder},later={tmp_path / 'later'}")
    with Fabric(SCHEMAS) as fabric:
        yield Stage(fabric, folder)


async def walked(page: Connection, root: str = "home") -> tuple[list[WatchEntries], WatchWalk]:
    async with page.iterate(WATCH_WALK, WatchQuery(root=root)) as walk:
        return [entries async for entries in walk], walk.result


def test_a_walk_gives_everything_in_batches_the_deepest_last(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "BATCH", 2)
    monkeypatch.setattr(contract, "MOST_ENTRIES", 1)
    for name in ("a/b/c", "d", "e"):
        path = stage.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("four")
    stage.told()

    batches, end = stage.fabric.run(walked(stage.page))

    assert sorted(entry.path for batch in batches for entry in batch) == ["a", "a/b", "a/b/c", "d", "e"]
    assert ([len(batch) for batch in batches], batches[-1][-1].path) == ([2, 2, 1], "a/b/c")
    assert (end.root, end.entries, end.truncated) == ("home", 5, False)
    assert stage.listing().truncated


def test_a_walk_of_an_unknown_root_is_its_declared_error(stage: Stage) -> None:
    with pytest.raises(WatchUnknownRoot, match="hme"):
        stage.fabric.run(walked(stage.page, "hme"))


def test_a_change_is_told_as_it_is(stage: Stage) -> None:
    (stage.folder / "note").write_text("four")

    (change,) = stage.data()

    seen = (stage.folder / "note").stat().st_mtime
    assert change.pop("at") > 0
    assert change.pop("modified") == pytest.approx(seen)
    assert change == {"root": "home", "path": "note", "kind": "created", "is_dir": False, "size": 4}


def test_a_folder_has_no_size_and_what_is_gone_has_no_time(stage: Stage) -> None:
    (stage.folder / "sub").mkdir()
    created = stage.data()
    (stage.folder / "sub").rename(stage.folder / "gone")
    moved = stage.data()

    assert [(change["kind"], change["is_dir"], change["size"]) for change in created] == [("created", True, None)]
    assert [(change["kind"], change["path"], change["modified"] is None) for change in moved] == [
        ("moved", "sub", True),
        ("created", "gone", False),
    ]


def test_a_listing_and_the_changes_after_it(stage: Stage) -> None:
    (stage.folder / "b").write_text("xy")
    (stage.folder / "a").mkdir()
    (stage.folder / "a" / "c").write_text("x")
    earlier = stage.data()

    listing = stage.listing()
    (stage.folder / "d").write_text("x")
    later = stage.data()

    assert [(entry.path, entry.is_dir, entry.size) for entry in listing.entries] == [
        ("a", True, None),
        ("a/c", False, 1),
        ("b", False, 2),
    ]
    assert not listing.truncated
    assert all(change["at"] < listing.at for change in earlier)
    assert all(change["at"] > listing.at for change in later)


def test_names_are_data(stage: Stage) -> None:
    for name in ("line\nbreak", "<img src=x>", "caf\udce9"):
        (stage.folder / name).write_text("x")

    told = stage.told()

    assert {path for _, path in told} == {"line\nbreak", "<img src=x>", "caf\ufffde9"}
    assert {entry.path for entry in stage.listing().entries} == {path for _, path in told}


def test_the_roots_by_name_and_one_that_is_not_there_yet(stage: Stage) -> None:
    assert stage.fabric.run(stage.page.call(WATCH_ROOTS)) == ("home", "later")
    assert stage.listing("later").entries == ()


def test_an_unknown_root_is_refused_with_the_known_ones(stage: Stage) -> None:
    with pytest.raises(DeclaredError) as refused:
        stage.listing("hom")

    assert refused.value.code == WatchUnknownRoot.CODE
    assert refused.value.path == "/root"
    assert refused.value.advice == "did you mean home?"
    assert refused.value.data == {"roots": ["home", "later"], "nearest": "home"}


def test_a_path_is_no_root(stage: Stage) -> None:
    with pytest.raises(Invalid):
        stage.listing("../etc")


def test_a_listing_is_bounded_and_says_so(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "MOST_ENTRIES", 2)
    for name in ("a", "b", "c"):
        (stage.folder / name).write_text("x")
    stage.data()

    listing = stage.listing()

    assert len(listing.entries) == 2
    assert listing.truncated


def test_a_listing_is_bounded_in_characters_too(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "MOST_CHARACTERS", 250)
    for name in ("a" * 200, "b" * 200):
        (stage.folder / name).write_text("x")
    stage.data()

    assert len(stage.listing().entries) == 1
    assert stage.listing().truncated


def test_after_an_interruption_readers_are_told_to_read_the_list_again(stage: Stage) -> None:
    (stage.folder / "before").write_text("x")
    stage.told()

    stage.fabric.cut(stage.watch)
    (stage.folder / "meanwhile").write_text("x")
    stage.fabric.advance(30)

    told = stage.told()
    assert sorted(told) == [("created", "meanwhile"), ("rescanned", "")]
    assert {entry.path for entry in stage.listing().entries} == {"before", "meanwhile"}


def test_what_the_node_refuses_is_made_up_for_later(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    publish, refusals = stage.watch.publish, iter([Invalid("no")])

    async def refuse_once(*args: Any, **params: Any) -> None:
        for refusal in refusals:
            raise refusal
        await publish(*args, **params)

    monkeypatch.setattr(stage.watch, "publish", refuse_once)
    (stage.folder / "lost").write_text("x")
    assert stage.told() == []

    (stage.folder / "seen").write_text("x")

    assert stage.told() == [("created", "seen"), ("rescanned", "")]
