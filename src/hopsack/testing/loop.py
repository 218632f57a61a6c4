"""An asyncio loop whose clock is turned by hand.

It never waits. :meth:`HandTurnedLoop.settle` runs what is ready until nothing is, in the order it became ready, so a
test is the same every time. Time stands still until :meth:`HandTurnedLoop.advance` moves it from one timer to the next.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hopsack.errors import UsageError

__all__ = ["HandTurnedLoop", "Stuck"]

T = TypeVar("T")


class Stuck(UsageError):
    """What was run waits for something that cannot come until time is moved."""

    def __init__(self, coroutine: object) -> None:
        super().__init__(
            f"{getattr(coroutine, '__qualname__', coroutine)} waits for something that has not happened:"
            " begin it as a task, let it happen (turn the clock with advance()), then look at the result"
        )


class _IdleSelector(selectors.SelectSelector):
    """Tells when the loop would have waited, and for how long, instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.idle: Callable[[], None] = lambda: None
        self.wait: float | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found and (timeout is None or timeout > 0):
            self.wait = timeout
            self.idle()
        return found


class HandTurnedLoop(asyncio.SelectorEventLoop):
    """
    >>> loop = HandTurnedLoop()
    >>> naps = loop.create_task(asyncio.sleep(60))
    >>> loop.advance(60)
    >>> naps.done()
    True
    >>> loop.close()
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._idle_selector = _IdleSelector()
        super().__init__(self._idle_selector)
        self._idle_selector.idle = self.stop

    def time(self) -> float:
        """Seconds that the clock has been turned."""
        return self._now

    def settle(self) -> float | None:
        """Run until nothing is ready. Returns seconds to the next timer, or ``None`` if there is none."""
        self.run_forever()
        return self._idle_selector.wait

    def advance(self, seconds: float) -> None:
        """Move time, stopping at each timer on the way."""
        until = self._now + seconds
        while (wait := self.settle()) is not None and self._now + wait <= until:
            self._now += wait
        self._now = until
        self.settle()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run to the end without moving time.

        :raises Stuck: it waits for time, or for something that nobody does.
        """
        task = self.create_task(coroutine)
        self.settle()
        if not task.done():
            task.cancel()
            self.settle()
            raise Stuck(coroutine)
        return task.result()

    def close(self) -> None:
        """Cancel what still waits, and end."""
        if not self.is_closed():
            # Tasks that are cancelled may start others on their way out.
            while tasks := asyncio.all_tasks(self):
                for task in tasks:
                    task.cancel()
                self.settle()
            self.run(self.shutdown_asyncgens())
        super().close()
