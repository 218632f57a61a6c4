"""Two worlds in one handler: a coroutine that may await asyncio futures and Twisted's Deferreds.

An asyncio task understands only asyncio's futures: a Deferred that reaches it is a "bad yield". :func:`bridged` stands
between the two. What the coroutine yields is either passed on to the task, or, if it is a Deferred, waited for with a
future in its place. Cancelling the task cancels the Deferred.

Twisted is never imported here: who has made a Deferred has imported it already.
"""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Awaitable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

__all__ = ["bridged", "drive", "install", "is_deferred"]

T = TypeVar("T")


async def bridged(awaitable: Awaitable[T]) -> T:
    """Await a coroutine, an asyncio future or a Deferred from an asyncio task, whatever it awaits in turn."""
    coroutine = awaitable if isinstance(awaitable, Coroutine) else _awaiting(awaitable)
    return await drive(coroutine)


def install(loop: asyncio.AbstractEventLoop) -> None:
    """Bridge every task of ``loop``, also those that handlers start themselves (``asyncio.gather``, ``TaskGroup``)."""

    def bridged_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(bridged(coroutine), loop=loop, **options)

    loop.set_task_factory(bridged_task)


def is_deferred(value: object) -> TypeGuard[Deferred[Any]]:
    defer = sys.modules.get("twisted.internet.defer")
    return defer is not None and isinstance(value, defer.Deferred)


async def _awaiting(awaitable: Awaitable[T]) -> T:
    return await awaitable


@types.coroutine
def drive(coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Run ``coroutine`` step by step, replacing the Deferreds among what it yields."""
    error: BaseException | None = None
    while True:
        try:
            yielded = coroutine.send(None) if error is None else coroutine.throw(error)
        except StopIteration as stop:
            result: T = stop.value
            return result
        error = None
        try:
            if is_deferred(yielded):
                yield from _fired(yielded)
            else:
                yield yielded
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as thrown:
            error = thrown


def _fired(deferred: Deferred[Any]) -> Generator[Any, Any, None]:
    """Wait until the Deferred has a result. The coroutine reads the result itself when it is resumed."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fired(result: Any) -> Any:
        if not future.done():
            future.set_result(None)
        return result

    deferred.addBoth(fired)
    try:
        yield from future
    except BaseException:
        # Nobody will read what cancel() leaves behind, and an unread failure is logged as an error of the program.
        deferred.addErrback(lambda _failure: None)
        deferred.cancel()
        raise
