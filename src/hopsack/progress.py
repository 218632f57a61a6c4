"""A handler's side of calls that give results, or take inputs, piece by piece.

    async def find(self, query: Query, progress: Progress[Hit]) -> Total    await progress.send(hit)
    async def store(self, name: Name, pieces: Inputs[Piece]) -> Receipt     async for piece in pieces
    async def find(self, query: Query) -> AsyncIterator[Hit]                yield hit, which sends it
    def find(self, query: Query) -> Iterator[Hit]                           the same in a thread, step by step

:class:`Pieces` is what stands between: what the caller has granted, and what has come. ``send`` waits until the caller
takes more, so a slow caller makes a slow handler; inputs are asked for as they are taken. Where the caller asked for no
progressive results, they are thrown away; where it gives no further inputs, there are none.

Bounds: :data:`WINDOW` inputs are asked for at once. A node that does not count sends them as it likes.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hopsack import session as on
from hopsack.errors import Disconnected
from hopsack.values import read

if TYPE_CHECKING:
    from hopsack.due import Due
    from hopsack.link import Carrier
    from hopsack.threads import ThreadsLike

__all__ = ["WINDOW", "Inputs", "Pieces", "Progress", "sent", "sent_from_thread", "sent_inline"]

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

WINDOW = 16


class Progress(Generic[T_contra]):
    """What a handler gives progressive results with. A parameter annotated with this class is given it."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces

    @property
    def is_wanted(self) -> bool:
        """Whether the caller asked for progressive results; else they are thrown away, and need not be made."""
        return self._pieces.flow.progress

    async def send(self, value: T_contra) -> None:
        """Give a result before the last one; waits until the caller takes it.

        :raises Disconnected: the connection is lost, and with it the caller.
        """
        await self._pieces.send(value)


class Inputs(Generic[T]):
    """The inputs of a call that follow its first, as they come. A parameter annotated with this class is given it."""

    def __init__(self, pieces: Pieces, type_: Any) -> None:
        self._pieces = pieces
        self._type = type_

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        """:raises Invalid: an input is not of the type. :raises Disconnected: the connection is lost."""
        payload = await self._pieces.take()
        if payload is None:
            raise StopAsyncIteration
        value: T = read(payload, self._type, where=self._pieces.where)
        return value


class Pieces:
    """What flows for one invocation.

    :ivar flow: what its caller asked for. :ivar is_lost: whether the connection is gone, and the caller with it.
    """

    def __init__(self, serve: on.Serve, carrier: Carrier, due: Due) -> None:
        self.flow = serve.flow or on.Flow()
        self.where = serve.caller.procedure
        self._number = serve.invocation
        self._carrier = carrier
        self._due = due
        self._timeout = serve.timeout
        self._credit = on.UNCOUNTED if self.flow.window is None else self.flow.window
        self._queue: deque[on.Payload] = deque()
        self._asked = 0
        self._is_over = not self.flow.inputs
        self.is_lost = False
        self._change = asyncio.Event()

    # ---- results ----------------------------------------------------------------------------------------------------

    async def send(self, value: Any) -> None:
        if not self.flow.progress:
            await asyncio.sleep(0)  # a generator without end must not keep the loop from the INTERRUPT
            return
        while self._credit <= 0 and not self.is_lost:
            await self._changed()
        if self.is_lost:
            raise self._lost()
        if self.flow.window is None:
            self._carrier.check_room(self.where)
            await asyncio.sleep(0)  # nothing else holds this handler back
        self._carrier.take(on.Progressed(self._number, value))
        self._credit -= 1
        self._renew()

    def granted(self, items: int) -> None:
        """The caller takes so many more."""
        self._credit += items
        self._renew()
        self._change.set()

    # ---- inputs -----------------------------------------------------------------------------------------------------

    async def take(self) -> on.Payload | None:
        """The next input; ``None``: there are no more."""
        while True:
            if self._asked <= WINDOW // 2 and not self._is_over:
                self._carrier.take(on.InputsWanted(self._number, WINDOW - self._asked))
                self._asked = WINDOW
                self._renew()
            if self._queue:
                self._asked -= 1
                return self._queue.popleft()
            if self.is_lost:
                raise self._lost()
            if self._is_over:
                return None
            await self._changed()

    def came(self, payload: on.Payload) -> None:
        self._queue.append(payload)
        self._renew()
        self._change.set()

    def over(self) -> None:
        """No more inputs come."""
        self._is_over = True
        self._change.set()

    def lost(self) -> None:
        self.is_lost = True
        self._change.set()

    # ---- small parts ------------------------------------------------------------------------------------------------

    def _lost(self) -> Disconnected:
        return Disconnected(f"{self.where}: the connection was lost, and with it the caller")

    def _renew(self) -> None:
        """Something flows, and the deadline is the longest silence."""
        if self._timeout is not None and self._due.at is not None and self._due.at > 0:
            self._due.at = self._due.now() + self._timeout

    async def _changed(self) -> None:
        self._change.clear()
        await self._change.wait()


# ---- handlers that yield ---------------------------------------------------------------------------------------------


async def sent(generator: AsyncGenerator[Any, Any], pieces: Pieces) -> None:
    """Send what an asynchronous generator yields; it is closed however this ends."""
    try:
        async for value in generator:
            await pieces.send(value)
    finally:
        await generator.aclose()


async def sent_inline(generator: Generator[Any, Any, Any], pieces: Pieces) -> Any:
    """The same for a plain generator that runs on the loop.

    :returns: what it returns.
    """
    try:
        while True:
            try:
                value = next(generator)
            except StopIteration as stop:
                return stop.value
            await pieces.send(value)
    finally:
        generator.close()


async def sent_from_thread(make: Callable[[], Generator[Any, Any, Any]], pieces: Pieces, threads: ThreadsLike) -> Any:
    """The same for a plain generator, each step of which runs in a thread.

    :returns: what it returns.
    """
    steps = _Steps(await threads.run(make))
    try:
        while True:
            is_over, value = await threads.run(steps.next)
            if is_over:
                return value
            await pieces.send(value)
    finally:
        if steps.close():
            # Whoever cancels this waits for nothing that a thread still does.
            asyncio.ensure_future(threads.run(steps.finish)).add_done_callback(_seen)


class _Steps:
    """A generator that one thread at a time runs. One that is told to close in the middle of a step closes after it."""

    def __init__(self, generator: Generator[Any, Any, Any]) -> None:
        self._generator = generator
        self._lock = threading.Lock()
        self._is_closing = self._is_over = False

    def next(self) -> tuple[bool, Any]:
        """:returns: whether it has ended, and what it yielded or returned."""
        with self._lock:
            try:
                value = next(self._generator)
            except StopIteration as stop:
                self._is_over = True
                return True, stop.value
            except BaseException:
                self._is_over = True
                raise
            if self._is_closing:
                self._generator.close()
            return False, value

    def close(self) -> bool:
        """:returns: whether :meth:`finish` is to be called, in a thread."""
        self._is_closing = True
        return not self._is_over

    def finish(self) -> None:
        with self._lock:
            self._generator.close()


def _seen(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
