"""A bounded thread pool for handlers that block.

Bound: ``workers`` run, ``backlog`` wait; the next is refused with :exc:`~hopsack.errors.Overloaded` and the numbers.
A call that is cancelled is no longer waited for, but a thread cannot be stopped: it keeps its place until it returns.
It may ask :func:`hopsack.remaining` whether anybody waits. What has no time left when a thread is free is not begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Protocol

from hopsack.due import late, remaining
from hopsack.errors import Overloaded

__all__ = ["Threads", "ThreadsLike"]


class ThreadsLike(Protocol):
    """Where blocking functions run."""

    @property
    def is_busy(self) -> bool: ...

    async def run(self, function: Callable[[], Any]) -> Any: ...

    def close(self) -> None: ...


class Threads:
    def __init__(self, workers: int = 8, backlog: int = 64) -> None:
        self._workers = workers
        self._backlog = backlog
        self._taken = 0
        self._executor: ThreadPoolExecutor | None = None

    async def run(self, function: Callable[[], Any]) -> Any:
        """:raises Overloaded: all workers are busy and the backlog is full."""
        if self._taken >= self._workers + self._backlog:
            raise Overloaded(
                f"{self._workers} threads are busy and {self._backlog} calls wait for one",
                advice="try again later, or run more instances of the service",
                data={"retry_after": 1.0},
            )
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._workers, thread_name_prefix="hopsack")
        self._taken += 1
        running = self._executor.submit(copy_context().run, _in_time, function)
        future = asyncio.wrap_future(running)
        future.add_done_callback(self._freed)
        try:
            # The shield keeps the place taken while an abandoned function still runs.
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            running.cancel()  # one that has not begun
            raise

    def _freed(self, future: asyncio.Future[Any]) -> None:
        self._taken -= 1
        if not future.cancelled():
            future.exception()

    @property
    def is_busy(self) -> bool:
        """Whether functions run, or wait for a thread; Python waits for those that run before it ends."""
        return self._taken > 0

    def close(self) -> None:
        """Take no more; functions that run are not waited for."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)


def _in_time(function: Callable[[], Any]) -> Any:
    if remaining() == 0:
        raise late(None)
    return function()
