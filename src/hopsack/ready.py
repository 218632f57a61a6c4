"""A file that vouches for this process, for health checks that cannot ask it.

    everything is served    the file is touched every BEAT seconds
    anything is missing     the file is removed; so it is at the end

A check looks whether the file is there and how old it is: a process whose loop stands still, or that was killed, cannot
touch it. ``docker/service_ready.py`` is such a check.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

__all__ = ["BEAT", "vouch"]

log = logging.getLogger("hopsack")

BEAT = 1.0
"""Seconds between two touches."""


async def vouch(
    path: Path, is_ready: Callable[[], bool], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Keep the file as long as this task runs.

    :param is_ready: whether everything is served at this moment.
    :param sleep: waits so many seconds.
    """
    try:
        while True:
            _show(path, is_ready())
            await sleep(BEAT)
    finally:
        _show(path, False)


def _show(path: Path, ready: bool) -> None:
    try:
        if ready:
            path.touch()
        else:
            path.unlink(missing_ok=True)
    except OSError as error:  # a full disk: the health check will tell, and the services go on
        log.warning("cannot keep %s: %s", path, error.strerror or error)
