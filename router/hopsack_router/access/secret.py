"""What is read of a file, and read again when it may have changed: the key that tokens are verified with, and others.

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
from typing import Generic, TypeVar

from twisted.logger import Logger

from hopsack.settings import ConfigError, Settings
from hopsack_router.access.keyring import KeysInvalid, PublicKey, read_keys
from hopsack_router.access.verifying import Issuer

LOG = Logger()

YOUNG = 1_000_000_000
"""Nanoseconds for which a file that was changed is read each time: its date is no finer than a tick of the kernel."""

MOST_BYTES = 256 << 10
"""Of a file with keys."""

T = TypeVar("T")
Mark = tuple[int, int, int, int]


class FromFile(Generic[T]):
    """What a file says, as it is now.

    :param read: reads it, or makes it.
    :param path: the file that it comes from; ``None`` if it cannot change.
    :param now: the clock of the file's dates, in nanoseconds since the epoch.
    """

    def __init__(self, read: Callable[[], T], path: Path | None, now: Callable[[], int] = time.time_ns) -> None:
        self._read, self._path, self._now = read, path, now
        self._kept: T | None = None if path else read()
        self._mark: Mark | None = None

    def __call__(self) -> T:
        """:raises ConfigError: there is none, or what there is cannot be one."""
        mark = self._looked()
        if self._kept is None or mark != self._mark:
            fresh = self._read()
            old = mark is not None and self._now() - mark[1] > YOUNG
            self._kept, self._mark = (fresh, mark) if old else (None, None)
            return fresh
        return self._kept

    def _looked(self) -> Mark | None:
        if self._path is None:
            return None
        try:
            seen = os.stat(self._path)
        except OSError:
            return None
        return seen.st_ino, max(seen.st_mtime_ns, seen.st_ctime_ns), seen.st_size, seen.st_dev


def secret_of(settings: Settings) -> FromFile[str]:
    """The key of one node."""
    return FromFile(settings.secret, None if settings.given_secret is not None else settings.secret_path)


class KeyFile:
    """The public keys of a file. If it is replaced by one that is no good, those of before go on; the log says so.

    :raises ConfigError: it is no good when the node starts.
    """

    def __init__(self, path: Path, issuer: Issuer, now: Callable[[], int] = time.time_ns) -> None:
        self._path, self._issuer = path, issuer
        self._good = self._read()
        self._said = ""
        self._file = FromFile(self._read_again, path, now)

    def __call__(self) -> tuple[PublicKey, ...]:
        return self._file()

    def _read(self) -> tuple[PublicKey, ...]:
        try:
            with self._path.open("rb") as file:
                text = file.read(MOST_BYTES + 1)
            if len(text) > MOST_BYTES:
                raise KeysInvalid(f"it is larger than {MOST_BYTES} bytes")
            return read_keys(text.decode(), self._issuer)
        except OSError as error:
            raise ConfigError(f"HOPSACK_TOKEN_KEYS: cannot read {self._path}: {error.strerror or error}") from error
        except (KeysInvalid, UnicodeDecodeError) as error:
            raise ConfigError(f"HOPSACK_TOKEN_KEYS: {self._path}: {error}", "a PEM file, or a JWK set") from error

    def _read_again(self) -> tuple[PublicKey, ...]:
        try:
            self._good, self._said = self._read(), ""
        except ConfigError as error:
            if self._said != str(error):
                self._said = str(error)
                LOG.warn("{why}; the keys of before go on", why=self._said)
        return self._good
