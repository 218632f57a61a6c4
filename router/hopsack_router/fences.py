"""Fencing tokens: numbers that only grow, though the node is killed, its clock set back, or its folder lost.

They are reserved on disk :data:`BLOCK` at a time, before the first of them is given. A node that finds no reservation
begins with the time in microseconds, which is more than all tokens given until now, unless the clock was set back too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

BLOCK = 1 << 20
LARGEST = (1 << 53) - 1
"""What every client can hold (WAMP ids have the same bound)."""


def in_memory(now: Callable[[], float]) -> Callable[[], int]:
    """For a node that keeps nothing: greater than before as long as the clock goes on.

    :param now: Unix time, in seconds.
    """
    last = int(now() * 1_000_000)

    def token() -> int:
        nonlocal last
        last += 1
        return last

    return token


class Fences:
    """
    :param file: where the reservation stands. :param now: Unix time, in seconds.
    """

    def __init__(self, file: Path, now: Callable[[], float]) -> None:
        self._file, self._now = file, now
        self._last = self._reserved = 0

    def __call__(self) -> int:
        """The next token.

        :raises OSError: none can be reserved, because the disk is full for instance.
        """
        if self._last >= self._reserved:
            first = self._last or max(self._read(), int(self._now() * 1_000_000))
            self._write(first + BLOCK)
            self._last, self._reserved = first, first + BLOCK
        self._last += 1
        return self._last

    def _read(self) -> int:
        try:
            found = int(self._file.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return 0
        return found if 0 < found <= LARGEST else 0

    def _write(self, number: int) -> None:
        """The whole number or the one before stands there, whatever happens meanwhile."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        with new.open("w", encoding="ascii") as file:
            file.write(f"{number}\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file)
        folder = os.open(self._file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
