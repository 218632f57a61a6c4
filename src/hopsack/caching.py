"""A cache in front of something slow: concurrent misses share one computation (:mod:`hopsack.sharing`).

Bound: ``maxsize`` results; one more, and that which nobody has asked for longest goes. Errors are not kept.
"""

from __future__ import annotations

import asyncio
import functools
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, ParamSpec, TypeVar

from hopsack.errors import UsageError
from hopsack.per_instance import PerInstance
from hopsack.sharing import Flights, key_of, told_as

__all__ = ["Cache", "cached"]

P = ParamSpec("P")
R = TypeVar("R")


class Cache:
    """Results by key, and the computations that are in flight.

    :param ttl: seconds that a result is used; ``None``: until it gives way.
    :param now: tells the time, in seconds.
    """

    def __init__(self, maxsize: int, ttl: float | None, now: Callable[[], float]) -> None:
        self._maxsize = maxsize
        self._ttl = ttl
        self._now = now
        self._kept: OrderedDict[Hashable, tuple[Any, float]] = OrderedDict()
        self._flights: Flights[Any] = Flights(self._keep)

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, key: Hashable, begin: Callable[[], Any]) -> Any:
        """What is kept under ``key``, or what ``begin`` comes to."""
        kept = self._kept.get(key)
        if kept is not None:
            value, since = kept
            if self._ttl is None or self._now() < since + self._ttl:
                self._kept.move_to_end(key)
                return value
            del self._kept[key]
        return await self._flights.share(key, begin)

    def forget(self, key: Hashable) -> None:
        """What is kept under ``key``, and what is in flight for it, is not good any more."""
        self._kept.pop(key, None)
        self._flights.forget(key)

    def clear(self) -> None:
        """Nothing is good any more."""
        self._kept.clear()
        self._flights.clear()

    def _keep(self, key: Hashable, value: Any) -> None:
        self._kept[key] = value, self._now()
        self._kept.move_to_end(key)
        while len(self._kept) > self._maxsize:
            self._kept.popitem(last=False)


def cached(
    maxsize: int = 128, ttl: float | None = None, *, now: Callable[[], float] | None = None
) -> Callable[[Callable[P, R]], PerInstance[P, R]]:
    """Keep the results of a function, by its arguments.

    For coroutine functions, ``@inlineCallbacks``, and functions that return a Deferred or an awaitable. Of a method,
    each instance has its own. ``forget(*args)`` and ``clear()`` of the function drop what is not good any more; what
    is in flight then is not kept.

    :param maxsize: results at most; the one that was not asked for longest gives way.
    :param ttl: seconds that a result is used. :param now: tells the time; the clock of the loop, if it is not given.
    """
    if maxsize < 1 or (ttl is not None and ttl <= 0):
        raise UsageError(f"cached(maxsize={maxsize}, ttl={ttl}) keeps nothing: write numbers above zero")

    def made(inner: Callable[..., Any]) -> Callable[..., R]:
        cache = Cache(maxsize, ttl, now or _loop_time)

        async def kept(*args: Any, **kwargs: Any) -> Any:
            return await cache.get(key_of(inner, args, kwargs), functools.partial(inner, *args, **kwargs))

        told: Any = told_as(inner, kept)
        told.forget = lambda *args, **kwargs: cache.forget(key_of(inner, args, kwargs))
        told.clear = cache.clear
        return told  # type: ignore[no-any-return]

    return lambda function: PerInstance(function, made)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
