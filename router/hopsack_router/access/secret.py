"""The key that tokens are verified with, read again when it may have changed.

    given in the environment -> the same for the life of the process
    in a file                -> the file's, as long as the file is the same one, unchanged

So a node takes a new key with the first token after the file was replaced, and a storm of joins costs it a look at the
file's date per token, not a reading.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from hopsack.settings import Settings

YOUNG = 1_000_000_000
"""Nanoseconds for which a file that was changed is read each time: its date is no finer than a tick of the kernel."""

Mark = tuple[int, int, int, int]


class Secret:
    """The key of one node.

    :param read: reads it, or makes it.
    :param path: the file that it comes from; ``None`` if it cannot change.
    :param now: the clock of the file's dates, in nanoseconds since the epoch.
    """

    def __init__(self, read: Callable[[], str], path: Path | None, now: Callable[[], int] = time.time_ns) -> None:
        self._read, self._path, self._now = read, path, now
        self._kept: str | None = None if path else read()
        self._mark: Mark | None = None

    @classmethod
    def of(cls, settings: Settings) -> Secret:
        return cls(settings.secret, None if settings.given_secret is not None else settings.secret_path)

    def __call__(self) -> str:
        """:raises ConfigError: there is none, or what there is cannot be one."""
        mark = self._looked()
        if self._kept is None or mark != self._mark:
            secret = self._read()
            old = mark is not None and self._now() - mark[1] > YOUNG
            self._kept, self._mark = (secret, mark) if old else (None, None)
            return secret
        return self._kept

    def _looked(self) -> Mark | None:
        if self._path is None:
            return None
        try:
            seen = os.stat(self._path)
        except OSError:
            return None
        return seen.st_ino, max(seen.st_mtime_ns, seen.st_ctime_ns), seen.st_size, seen.st_dev
