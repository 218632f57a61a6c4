"""The tree against a real disk and the real inotify, turned by hand: no loop, no sleep, no clock but a counter.

The kernel queues its records within the system call that causes them, so whatever was done is there to be read.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watch.events import Change, Noticed
from watch.inotify import IN_Q_OVERFLOW, Record
from watch.names import matcher
from watch.observer import Stamps, Walk
from watch.tree import Tree

Listing = dict[tuple[str, ...], tuple[bool, int | None]]
"""Path → whether it is a folder, and the size if it is none."""


class Watched:
    """A root, its walk, and a reader who only knows what was published."""

    def __init__(self, root: Path, ignored: Callable[[str], bool] = lambda _: False, most: int = 100_000) -> None:
        self.root = root
        self.warnings: list[str] = []
        self.walk = Walk(str(root), Tree(ignored, most=most), self.warnings.append, Stamps(lambda: 0.0))
        self.now = 0.0
        self.reader: Listing = {}

    def step(self) -> None:
        if self.walk.todo:
            self.walk.step(self.now)

    def wake(self) -> None:
        if self.walk.wake_at is not None:
            self.now = max(self.now, self.walk.wake_at)
            self.walk.wake(self.now)

    def lose(self) -> None:
        """What the kernel does when its queue is full: the rest is dropped, and said to be."""
        while self.walk.inotify.read():
            pass
        self.walk._tell(Noticed((Record(-1, IN_Q_OVERFLOW, 0, ""),)), self.now)

    def settle(self) -> list[tuple[str, str]]:
        """Go on until nothing is left to do; the changes since the last time, as ``(kind, path)``."""
        for _ in range(100_000):
            self.walk.read(self.now)
            if self.walk.todo:
                self.step()
            elif self.walk.wake_at is not None:
                self.wake()
            else:
                return self.replay()
        raise AssertionError("the walk never comes to rest")

    def replay(self) -> list[tuple[str, str]]:
        changes = [change for _, change in self.walk.told]
        self.walk.told.clear()
        for change in changes:
            apply(self.reader, change)
        return [(change.kind, "/".join(change.path)) for change in changes]

    def start(self) -> None:
        assert self.settle() == []
        self.reader = self.known()

    def known(self) -> Listing:
        return {
            path: (facts.is_dir, None if facts.is_dir else facts.size)
            for path, facts in self.walk.tree.entries(100_000)[0]
        }


def apply(listing: Listing, change: Change) -> None:
    """What a reader does with a change: strict, so that a change that makes no sense fails the test."""
    path = change.path
    if change.kind == "rescanned":
        return
    facts = change.facts
    assert facts is not None
    if change.kind in ("deleted", "moved"):
        assert path == () or path in listing, change
        for each in [each for each in listing if each[: len(path)] == path]:
            del listing[each]
        return
    assert (path in listing) == (change.kind == "modified"), change
    assert len(path) < 2 or listing[path[:-1]][0], change
    if path:
        listing[path] = (facts.is_dir, None if facts.is_dir else facts.size)


def on_disk(root: Path) -> Listing:
    found: Listing = {}
    for folder, _, _ in os.walk(root):
        for name in os.listdir(folder):
            facts = os.lstat(os.path.join(folder, name))
            path = tuple(os.path.relpath(os.path.join(folder, name), root).split("/"))
            is_dir = stat.S_ISDIR(facts.st_mode)
            found[path] = (is_dir, None if is_dir else facts.st_size)
    return found


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    root = tmp_path / "root"
    root.mkdir()
    it = Watched(root)
    it.start()
    yield it
    it.walk.inotify.close()


def test_a_burst_of_writes_is_one_change(watched: Watched) -> None:
    with (watched.root / "log").open("w") as log:
        for line in range(100):
            log.write(f"{line}\n")
            log.flush()

    assert watched.settle() == [("created", "log")]
    (watched.root / "log").write_text("short")
    assert watched.settle() == [("modified", "log")]
    assert watched.known() == {("log",): (False, 5)}


def test_a_folder_that_is_filled_before_its_watch_is_set(watched: Watched) -> None:
    (watched.root / "a" / "b" / "c").mkdir(parents=True)
    (watched.root / "a" / "b" / "c" / "file").write_text("x")

    assert watched.settle() == [("created", "a"), ("created", "a/b"), ("created", "a/b/c"), ("created", "a/b/c/file")]
    (watched.root / "a" / "b" / "c" / "file").write_text("xy")
    assert watched.settle() == [("modified", "a/b/c/file")]


def test_a_file_that_is_saved_by_renaming_over_it_is_modified(watched: Watched) -> None:
    (watched.root / "note").write_text("old")
    watched.settle()

    (watched.root / "note.tmp").write_text("newer")
    (watched.root / "note.tmp").rename(watched.root / "note")

    assert watched.settle() == [("modified", "note")]
    assert watched.known() == {("note",): (False, 5)}


def test_a_folder_that_moves_below_the_root(watched: Watched) -> None:
    (watched.root / "old" / "sub").mkdir(parents=True)
    (watched.root / "old" / "sub" / "file").write_text("x")
    watched.settle()

    (watched.root / "old").rename(watched.root / "new")

    assert watched.settle() == [
        ("moved", "old"),
        ("created", "new"),
        ("created", "new/sub"),
        ("created", "new/sub/file"),
    ]
    (watched.root / "new" / "sub" / "file").write_text("xy")
    assert watched.settle() == [("modified", "new/sub/file")]


def test_a_folder_that_moves_out_is_no_longer_watched_and_back_in_is_new(watched: Watched) -> None:
    outside = watched.root.parent / "outside"
    (watched.root / "here").mkdir()
    (watched.root / "here" / "file").write_text("x")
    watched.settle()

    (watched.root / "here").rename(outside)
    assert watched.settle() == [("deleted", "here")]
    (outside / "other").write_text("not ours")
    assert watched.settle() == []
    outside.rename(watched.root / "back")
    assert sorted(watched.settle()) == [("created", "back"), ("created", "back/file"), ("created", "back/other")]


def test_a_folder_that_is_made_again_at_once_is_another_folder(watched: Watched) -> None:
    (watched.root / "a").mkdir()
    watched.settle()

    (watched.root / "a").rmdir()
    (watched.root / "a").mkdir()  # on many file systems with the same inode number
    (watched.root / "a" / "file").write_text("x")
    changes = watched.settle()

    assert changes[-1] == ("created", "a/file")
    (watched.root / "a" / "file").write_text("xy")
    assert watched.settle() == [("modified", "a/file")]


def test_a_link_is_listed_and_never_followed(watched: Watched) -> None:
    outside = watched.root.parent / "outside"
    outside.mkdir()
    (watched.root / "link").symlink_to(outside)
    watched.settle()

    (outside / "secret").write_text("x")

    assert watched.settle() == []
    assert list(watched.known()) == [("link",)]


def test_a_folder_swapped_for_a_link_leads_nowhere(watched: Watched) -> None:
    outside = watched.root.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text("x")
    (watched.root / "folder").mkdir()
    watched.walk.read(watched.now)
    watched.wake()
    watched.step()  # looked at, and about to be entered
    (watched.root / "folder").rmdir()
    (watched.root / "folder").symlink_to(outside)

    watched.settle()

    assert watched.known() == on_disk(watched.root)
    assert watched.known()["folder",][0] is False


def test_lost_records_lead_to_a_rescan_that_tells_the_differences(watched: Watched) -> None:
    (watched.root / "kept").mkdir()
    (watched.root / "gone").write_text("x")
    watched.settle()

    (watched.root / "gone").unlink()
    (watched.root / "kept" / "new").mkdir()
    (watched.root / "kept" / "new" / "file").write_text("x")
    watched.lose()

    changes = watched.settle()
    assert sorted(changes[:-1]) == [("created", "kept/new"), ("created", "kept/new/file"), ("deleted", "gone")]
    assert changes[-1] == ("rescanned", "")
    (watched.root / "kept" / "new" / "file").write_text("xy")
    assert watched.settle() == [("modified", "kept/new/file")]


def test_a_root_that_goes_and_comes_back(watched: Watched) -> None:
    (watched.root / "file").write_text("x")
    watched.settle()

    shutil.rmtree(watched.root)
    assert watched.settle()[-1] == ("deleted", "")
    assert watched.known() == {}
    watched.root.mkdir()
    (watched.root / "again").write_text("x")
    assert watched.settle() == [("created", ""), ("created", "again")]
    (watched.root / "again").unlink()
    assert watched.settle() == [("deleted", "again")]


def test_a_root_that_moves_away_and_another_takes_its_place(watched: Watched) -> None:
    (watched.root / "first").write_text("x")
    watched.settle()

    watched.root.rename(watched.root.parent / "elsewhere")
    watched.root.mkdir()
    (watched.root / "second").write_text("x")

    assert watched.settle() == [("deleted", ""), ("created", ""), ("created", "second")]
    (watched.root.parent / "elsewhere" / "third").write_text("x")
    assert watched.settle() == []


def test_a_root_that_comes_late_with_the_folders_above_it(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "one" / "two" / "root")
    assert watched.settle() == []
    assert watched.walk.ready

    watched.root.mkdir(parents=True)
    (watched.root / "file").write_text("x")

    assert watched.settle() == [("created", ""), ("created", "file")]
    watched.walk.inotify.close()


def test_names_are_data(watched: Watched) -> None:
    names = ["line\nbreak", "<b>bold", "caf\udce9", "caf\udce8", " ", "-rf", "snow\u2603", '"']
    for name in names:
        (watched.root / name).write_text("x")

    watched.settle()

    assert {path for (path,) in watched.known()} == set(names)


def test_ignored_names_are_passed_over_with_all_below(tmp_path: Path) -> None:
    (tmp_path / ".git" / "objects").mkdir(parents=True)
    watched = Watched(tmp_path, matcher([".*", "node_modules"]))
    watched.start()

    (tmp_path / ".git" / "objects" / "x").write_text("x")
    (tmp_path / "sub" / "node_modules" / "y").mkdir(parents=True)
    (tmp_path / "seen").write_text("x")
    (tmp_path / "seen").rename(tmp_path / ".seen")
    (tmp_path / "sub" / "z").write_text("x")

    assert watched.settle() == [("created", "sub"), ("created", "sub/z")]
    watched.walk.inotify.close()


def test_what_is_known_is_bounded_and_room_is_used_again(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / str(number)).write_text("x")
    watched = Watched(tmp_path, most=3)
    watched.start()

    assert len(watched.known()) == 3
    assert watched.walk.tree.entries(10)[1], "it says that there is more"
    assert len(watched.warnings) == 1
    for path in watched.known():
        (tmp_path / path[0]).unlink()
    watched.lose()
    watched.settle()
    assert watched.known() == on_disk(tmp_path)
    assert not watched.walk.tree.entries(10)[1]
    watched.walk.inotify.close()


class Operation(NamedTuple):
    what: str
    at: tuple[str, ...]
    to: tuple[str, ...]


# Few names, so that operations meet; made with their folders, so that most of them do something.
_PATHS = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=3).map(tuple)
_DOINGS = ["write", "folder", "folder", "remove", "tree", "move", "move", "move", "move", "out", "in", "link", "root"]
_MEANWHILE = ["read", "read", "wake", "wake", "step", "step", "step", "step", "lose", "settle", "settle", "settle"]
_OPERATIONS = st.builds(Operation, st.sampled_from(_DOINGS + _MEANWHILE), _PATHS, _PATHS)


def do(watched: Watched, operation: Operation) -> None:
    at, to = (watched.root.joinpath(*path) for path in (operation.at, operation.to))
    outside = watched.root.parent / "outside"
    try:
        match operation.what:
            case "write":
                at.parent.mkdir(parents=True, exist_ok=True)
                with at.open("a") as file:
                    file.write("x")
            case "folder":
                at.mkdir(parents=True)
            case "remove":
                at.rmdir() if at.is_dir() and not at.is_symlink() else at.unlink()
            case "tree":
                shutil.rmtree(at)
            case "move":
                at.rename(to)
            case "out":
                at.rename(outside)
            case "in":
                outside.rename(at)
            case "link":
                at.symlink_to(to)
            case "root":
                watched.root.rename(watched.root.parent / "old-root")
                watched.root.mkdir()
            case "read":
                watched.walk.read(watched.now)
            case "step":
                watched.step()
            case "wake":
                watched.wake()
            case "lose":
                watched.lose()
            case "settle":
                watched.settle()
    except OSError:
        pass  # what cannot be done is not done


@given(st.lists(_OPERATIONS, max_size=50))
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_any_operations_between_any_steps_end_in_the_truth(operations: list[Operation]) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place, "root")
        root.mkdir()
        watched = Watched(root)
        watched.start()
        try:
            for operation in operations:
                do(watched, operation)

            watched.settle()

            assert watched.known() == on_disk(root)
            assert watched.reader == watched.known()
            assert not watched.warnings
        finally:
            watched.walk.inotify.close()
