"""How others learn whether this process serves everything: a file that vouches for it, and changes told as they come.

    everything is served    the file is touched every BEAT seconds
    anything is missing     the file is removed; so it is at the end

A check looks whether the file is there and how old it is: a process whose loop stands still, or that was killed, cannot
touch it. ``docker/service_ready.py`` is such a check. A supervisor reads the changes instead: :func:`changes`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

from hopsack.keeper import Closed, Connected, State

__all__ = ["BEAT", "LOOK", "Observed", "changes", "vouch"]

log = logging.getLogger("hopsack")

BEAT = 1.0
"""Seconds between two touches."""

LOOK = 0.1
"""Seconds between two looks while a new link is asked for what the old one had."""


class Observed(Protocol):
    """What :func:`changes` needs of a :class:`~hopsack.connection.Connection`."""

    @property
    def state(self) -> State: ...
    @property
    def is_restored(self) -> bool: ...
    def states(self) -> AsyncIterator[State]: ...


async def changes(
    connection: Observed, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> AsyncIterator[bool]:
    """Whether everything is served, whenever that changes; it begins as served, and ends when the connection does.

    :param sleep: waits so many seconds.
    """
    was = True
    async for state in connection.states():
        if isinstance(state, Closed):
            return
        while isinstance(connection.state, Connected) and not connection.is_restored:
            if was:
                was = False
                yield was
            await sleep(LOOK)
        if connection.is_restored is not was:
            was = not was
            yield was


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
