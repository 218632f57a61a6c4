"""Blocking libraries in a coroutine's world: ``rows = await to_pool(database.execute, query)``.

One pool of threads for each loop (:mod:`hopsack.threads`: 8 run, 64 wait, one more is refused), apart from the threads
in which plain handlers run. Who is cancelled waits no more: what has not begun never does, and what runs goes on to its
end, for a thread cannot be stopped, and keeps its place until then. It may ask :func:`hopsack.remaining`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from hopsack.threads import Threads, ThreadsLike

__all__ = ["pool_of", "to_pool", "use"]

P = ParamSpec("P")
R = TypeVar("R")

_POOLS: WeakKeyDictionary[asyncio.AbstractEventLoop, ThreadsLike] = WeakKeyDictionary()


async def to_pool(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a blocking function in a thread, with the context of the caller.

    :raises hopsack.errors.Overloaded: all threads are busy, and as many calls wait as may.
    :raises hopsack.errors.Deadline: no time was left for it when a thread was free.
    """
    pool = pool_of(asyncio.get_running_loop())
    if pool is None:
        pool = Threads()
        use(asyncio.get_running_loop(), pool)
    result: R = await pool.run(partial(function, *args, **kwargs))
    return result


def pool_of(loop: asyncio.AbstractEventLoop) -> ThreadsLike | None:
    """The pool of a loop; ``None``: nothing has needed one yet."""
    return _POOLS.get(loop)


def use(loop: asyncio.AbstractEventLoop, pool: ThreadsLike) -> None:
    """Let a loop have this pool: for tests, and for another number of threads."""
    _POOLS[loop] = pool
