"""Many asks in a short time, one run: for what is to happen after something has changed, however often it has.

    asked                -> it waits so many seconds     (until_idle: from the last ask)
    asked while it waits -> one run for all, with the arguments of the last
    asked while it runs  -> it waits again when that run has ended; there is never more than one

What a run raises is logged. Bound: one run and one ask that waits.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from hopsack.bridge import bridged, is_deferred
from hopsack.errors import UsageError
from hopsack.per_instance import PerInstance, name_of
from hopsack.sharing import unbound

__all__ = ["Debounce", "debounced"]

log = logging.getLogger("hopsack")

P = ParamSpec("P")
R = TypeVar("R")


class Debounce:
    """One function and who asked for it.

    :ivar is_waiting: it was asked for, and has not begun.
    """

    def __init__(self, function: Callable[..., Any], seconds: float, until_idle: bool) -> None:
        self._function = function
        self._seconds = seconds
        self._until_idle = until_idle
        self._asked: Callable[[], Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._run: asyncio.Task[None] | None = None

    @property
    def is_waiting(self) -> bool:
        return self._asked is not None

    def ask(self, *args: Any, **kwargs: Any) -> None:
        self._asked = functools.partial(self._function, *args, **kwargs)
        if self._timer is not None and self._until_idle:
            self._cancel_timer()
        if self._timer is None and self._run is None:
            self._wait()

    def cancel(self) -> None:
        """Forget who asked. A run that has begun goes on."""
        self._asked = None
        self._cancel_timer()

    async def flush(self) -> None:
        """Run at once what waits, and wait until all has run: before the program ends."""
        while self._asked is not None or self._run is not None:
            self._cancel_timer()
            if self._run is None:
                self._begin()
            assert self._run is not None
            await asyncio.shield(self._run)

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._due, context=unbound())

    def _due(self) -> None:
        self._timer = None
        self._begin()

    def _begin(self) -> None:
        asked, self._asked = self._asked, None
        assert asked is not None
        self._run = asyncio.get_running_loop().create_task(self._once(asked), context=unbound())

    async def _once(self, asked: Callable[[], Any]) -> None:
        try:
            result = asked()
            if is_deferred(result) or inspect.isawaitable(result):
                await bridged(result)
        except Exception:
            log.exception("%s failed", name_of(self._function))
        finally:
            self._run = None
            if self._asked is not None:
                self._wait()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def debounced(seconds: float, *, until_idle: bool = False) -> Callable[[Callable[P, Any]], PerInstance[P, None]]:
    """Run a function ``seconds`` after it was called, once for all calls until then, with the last one's arguments.

    A call returns at once, and returns nothing. There is never more than one run at a time: calls that come during one
    are answered by another, ``seconds`` after it. Of a method, each instance has its own. The function may be a
    coroutine function, one under ``@inlineCallbacks``, or a plain one that does not block; what it raises is logged.
    ``flush()`` of the function runs at once what waits, ``cancel()`` drops it, ``is_waiting()`` says whether any does.

    :param until_idle: wait until nobody has called for so long, instead of counting from the first call.
    """
    if seconds < 0:
        raise UsageError(f"debounced({seconds:g}) would run before it is called: write seconds")

    def made(inner: Callable[..., Any]) -> Callable[..., None]:
        debounce = Debounce(inner, seconds, until_idle)

        @functools.wraps(inner)
        def ask(*args: Any, **kwargs: Any) -> None:
            debounce.ask(*args, **kwargs)

        told: Any = ask
        told.flush, told.cancel = debounce.flush, debounce.cancel
        told.is_waiting = lambda: debounce.is_waiting
        return told  # type: ignore[no-any-return]

    return lambda function: PerInstance(function, made)
