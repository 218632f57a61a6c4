from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from watch.disk import Disk
from watch.events import Enter, Entered, Look, Refused
from watch.inotify import Inotify


class Exhausted(Inotify):
    """The kernel without a watch left."""

    def add(self, folder: int, mask: int = 0) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_without_a_watch_left_a_folder_is_listed_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    inotify = Exhausted()

    seen = Disk(str(tmp_path), inotify, 10).enter(Enter(()))

    assert isinstance(seen, Entered)
    assert seen.watch is None
    assert [name for name, _ in seen.children] == ["file"]
    inotify.close()


def test_no_more_names_are_read_than_are_kept(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / str(number)).write_text("x")
    inotify = Inotify()
    disk = Disk(str(tmp_path), inotify, 4)

    seen = disk.enter(Enter(()))
    assert isinstance(seen, Entered)
    assert (len(seen.children), seen.cut) == (4, True)

    (tmp_path / "4").unlink()
    seen = disk.enter(Enter(()))
    assert isinstance(seen, Entered)
    assert (len(seen.children), seen.cut) == (4, False)
    inotify.close()


@pytest.mark.parametrize("path", [("link",), ("link", "below"), ("file", "below"), ("nothing",)])
def test_what_is_no_folder_below_the_root_is_not_entered(tmp_path: Path, path: tuple[str, ...]) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (outside / "below").mkdir(parents=True)
    root.mkdir()
    (root / "file").write_text("x")
    (root / "link").symlink_to(outside)
    inotify = Inotify()
    disk = Disk(str(root), inotify, 10)

    seen = disk.enter(Enter(path))

    assert isinstance(seen, Refused)
    assert seen.gone
    if len(path) == 2:
        assert disk.look(Look(path)).facts is None
    inotify.close()


def test_a_root_may_be_reached_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    inotify = Inotify()

    assert isinstance(Disk(str(tmp_path / "link"), inotify, 10).enter(Enter(())), Entered)
    inotify.close()


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    inotify = Inotify()
    disk = Disk(str(tmp_path), inotify, 10)
    before = os.listdir("/proc/self/fd")

    disk.enter(Enter(("a", "b")))
    disk.enter(Enter(("a", "nothing")))
    disk.look(Look(("a", "b")))
    disk.look(Look(("nothing", "b")))
    disk.wait_for_root()

    assert len(os.listdir("/proc/self/fd")) == len(before)
    inotify.close()


def test_no_instance_left_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(Inotify, "_checked", staticmethod(fail))

    with pytest.raises(OSError, match="max_user_instances"):
        Inotify()
