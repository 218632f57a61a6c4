"""One computation for all who ask for the same at the same time.

    first asks   -> it begins, in a task of its own
    others ask   -> they wait for the same one
    it ends      -> all have its result, or its error; whoever asks now begins another
    one gives up -> the others wait on
    all give up  -> it is cancelled; whoever asks now begins another

It belongs to nobody alone, so it is not bound by the deadline of the call that happened to be the first.

Bound: one computation for each key that somebody waits for.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context, copy_context
from typing import Any, Generic, ParamSpec, TypeVar

from hopsack.bridge import bridged, is_deferred
from hopsack.due import DUE
from hopsack.errors import UsageError
from hopsack.per_instance import PerInstance, is_inline_callbacks, name_of

__all__ = ["Flights", "key_of", "single_flight", "told_as", "unbound"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class _Flight:
    __slots__ = ("task", "waiters")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.waiters = 0


class Flights(Generic[T]):
    """Computations in flight, by key.

    :param landed: told the result of each that came to its end and was not forgotten meanwhile.
    """

    def __init__(self, landed: Callable[[Hashable, T], object] = lambda _key, _value: None) -> None:
        self._landed = landed
        self._flights: dict[Hashable, _Flight] = {}

    async def share(self, key: Hashable, begin: Callable[[], Any]) -> T:
        """The result of the computation that is in flight, or of the one that ``begin`` makes."""
        flight = self._flights.get(key)
        if flight is None:
            task = asyncio.get_running_loop().create_task(_result(begin), context=unbound())
            flight = self._flights[key] = _Flight(task)
            task.add_done_callback(functools.partial(self._ended, key, flight))
        flight.waiters += 1
        try:
            result: T = await asyncio.shield(flight.task)
            return result
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                self._remove(key, flight)
                flight.task.cancel()

    def forget(self, key: Hashable) -> None:
        """Whoever asks from now on begins another; those who wait get what they wait for."""
        self._flights.pop(key, None)

    def clear(self) -> None:
        """Forget all of them."""
        self._flights.clear()

    def _ended(self, key: Hashable, flight: _Flight, task: asyncio.Task[Any]) -> None:
        is_current = self._remove(key, flight)
        # Reading the exception says that it was seen: each who waits is told it, and there may be none.
        if not task.cancelled() and task.exception() is None and is_current:
            self._landed(key, task.result())

    def _remove(self, key: Hashable, flight: _Flight) -> bool:
        if self._flights.get(key) is not flight:
            return False
        del self._flights[key]
        return True


def single_flight(function: Callable[P, R]) -> PerInstance[P, R]:
    """Let those who call with the same arguments at the same time share one run.

    For coroutine functions, ``@inlineCallbacks``, and functions that return a Deferred or an awaitable. An error is
    everybody's who waited. Who gives up does not stop it for the others; when the last gives up, it is cancelled.
    """

    def made(inner: Callable[..., Any]) -> Callable[..., R]:
        flights: Flights[Any] = Flights()

        async def shared(*args: Any, **kwargs: Any) -> Any:
            key = key_of(inner, args, kwargs)
            return await flights.share(key, functools.partial(inner, *args, **kwargs))

        return told_as(inner, shared)

    return PerInstance(function, made)


def key_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
    """What calls with the same arguments have in common.

    :raises UsageError: an argument has no hash.
    """
    key = (args, tuple(sorted(kwargs.items())))
    try:
        hash(key)
    except TypeError as error:
        raise UsageError(f"{name_of(function)} is told apart by its arguments, and one has no hash: {error}") from error
    return key


def told_as(inner: Callable[..., Any], shared: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """``shared`` in the kind of ``inner``: callers of ``@inlineCallbacks`` get a Deferred, all others a coroutine."""
    if not is_inline_callbacks(inner):
        return functools.wraps(inner)(shared)

    @functools.wraps(inner)
    def deferred(*args: Any, **kwargs: Any) -> Any:
        from twisted.internet.defer import Deferred

        return Deferred.fromFuture(asyncio.ensure_future(shared(*args, **kwargs)))

    return deferred


def unbound() -> Context:
    """A copy of the present context that no call's deadline binds."""
    context = copy_context()
    context.run(DUE.set, None)
    return context


async def _result(begin: Callable[[], Any]) -> Any:
    result = begin()
    return await bridged(result) if is_deferred(result) or inspect.isawaitable(result) else result
