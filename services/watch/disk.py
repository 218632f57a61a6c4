"""The disk below one root, seen through folders' descriptors.

Every path is walked from the root name by name, and no name may be a symbolic link (``O_NOFOLLOW``): whatever somebody
with write access swaps under our hands, nothing outside the root is ever opened, listed or watched. Only the root's own
path, which the operator configured, may lead through links.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from watch.events import Awaited, Enter, Entered, Facts, Look, Looked, Path, Refused
from watch.inotify import (
    IN_ATTRIB,
    IN_CREATE,
    IN_DELETE_SELF,
    IN_MOVE_SELF,
    IN_MOVED_TO,
    IN_ONLYDIR,
    Inotify,
)

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_ARRIVALS = IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR


class Disk:
    """What a tree asks of the disk, answered at once.

    :param root: path of the root folder, which need not exist.
    :param inotify: where its watches are set.
    :param most: how many names of one folder are read.
    """

    def __init__(self, root: str, inotify: Inotify, most: int) -> None:
        self._root = os.path.abspath(root)
        self._inotify = inotify
        self._most = most

    def look(self, look: Look) -> Looked:
        try:
            with self._folder(look.path[:-1]) as folder:
                # The root itself: its descriptor is its folder's, and it has no name there.
                found = os.stat(look.path[-1], dir_fd=folder, follow_symlinks=False) if look.path else os.fstat(folder)
        except OSError:
            return Looked(look, None)
        return Looked(look, _facts(found))

    def enter(self, enter: Enter) -> Entered | Refused:
        try:
            with self._folder(enter.path) as folder:
                watch = self._watch(folder)
                children = tuple(self._children(folder))
                cut = len(children) > self._most
                return Entered(enter, watch, _facts(os.fstat(folder)), children[: self._most], cut)
        except OSError as error:
            return Refused(enter, error.errno in _GONE, error.strerror or str(error))

    def wait_for_root(self) -> Awaited:
        """Watch the nearest folder above the root. It is asked for again until it is the same before and after, since
        a folder that comes in between would come unseen."""
        while True:
            above = self._nearest_above()
            try:
                with _opened(above) as folder:
                    watch = self._inotify.add(folder, _ARRIVALS)
            except FileNotFoundError:
                continue
            except OSError as error:
                return Awaited(None, self._root_is_there(), error.strerror or str(error))
            if self._nearest_above() == above:
                return Awaited(watch, self._root_is_there())
            self._inotify.remove(watch)

    def _watch(self, folder: int) -> int | None:
        try:
            return self._inotify.add(folder)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                return None
            raise

    def _children(self, folder: int) -> Iterator[tuple[str, Facts]]:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                try:
                    yield entry.name, _facts(entry.stat(follow_symlinks=False))
                except FileNotFoundError:
                    continue  # gone since it was listed; its record is on the way
                if count >= self._most:
                    return

    @contextmanager
    def _folder(self, path: Path) -> Iterator[int]:
        folder = os.open(self._root, _FOLDER)
        try:
            for name in path:
                below = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)

    def _nearest_above(self) -> str:
        path = os.path.dirname(self._root)
        while path != "/" and not os.path.isdir(path):
            path = os.path.dirname(path)
        return path

    def _root_is_there(self) -> bool:
        try:
            with self._folder(()):
                return True
        except OSError:
            return False


@contextmanager
def _opened(path: str) -> Iterator[int]:
    folder = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield folder
    finally:
        os.close(folder)


def _facts(found: os.stat_result) -> Facts:
    return Facts((found.st_dev, found.st_ino), stat.S_ISDIR(found.st_mode), found.st_size, found.st_mtime_ns)
