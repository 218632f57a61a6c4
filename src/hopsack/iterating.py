"""A caller's side of calls that give results, or take inputs, piece by piece.

    async for hit in connection.iterate(FIND, query):       each progressive result; leaving the loop cancels the call
        ...

    async with connection.iterate(FIND, query) as hits:
        async for hit in hits: ...
    total = hits.result                                     the last result, when the call has ended

    idle -> iterated, entered -> under way -> result, error -> ended
                                          -> left           -> ended, and the call is cancelled

The call takes ``window`` progressive results; when half of them have been taken from here, it takes so many more. So a
slow loop makes a slow callee, and no more than a window waits here (and what a callee sends that cannot count: the node
ends a call that is a thousand ahead). Further inputs are given as the callee asks for them.
"""

# A timeout is part of what a request promises here, not something a caller puts around it.
# ruff: noqa: ASYNC109

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from hopsack import session as on
from hopsack.errors import BrokenResult, Deadline, DeclaredError, UsageError
from hopsack.values import read

if TYPE_CHECKING:
    from hopsack.link import Carrier

__all__ = ["WINDOW", "Caller", "Iteration", "Wanted"]

P = TypeVar("P")
O = TypeVar("O")  # noqa: E741

WINDOW = 16

FurtherInputs = Iterable[Any] | AsyncIterable[Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to call.

    :ivar inputs: those that follow the first; ``None``: none do.
    :ivar window: progressive results that are taken at once.
    :ivar progress_type: what they are converted to. :ivar result_type: the same for the last one.
    :ivar declared: gives an error of the contract the class that the program knows it by.
    """

    uri: str
    input: Any
    inputs: FurtherInputs | None
    window: int
    terms: on.Terms | None
    progress_type: Any
    result_type: Any
    declared: Callable[[DeclaredError], DeclaredError]


class Caller(Protocol):
    """What an iteration needs of its connection."""

    async def begin_flow(self, iteration: Iteration[Any, Any], timeout: float | None) -> tuple[Carrier, float]:
        """Wait for a link. :returns: the link, and the seconds that the call may be silent."""
        ...

    def end_flow(self, iteration: Iteration[Any, Any]) -> None: ...


class Iteration(Generic[P, O]):
    """A call under way, as the iterator of its progressive results. Made by ``iterate``, not by hand.

    :ivar ticket: its outcome.
    """

    def __init__(self, caller: Caller, wanted: Wanted, timeout: float | None) -> None:
        self.wanted = wanted
        self.ticket: asyncio.Future[Any] | None = None
        self._caller = caller
        self._timeout = timeout
        self._seconds = 0.0
        self._carrier: Carrier | None = None
        self._queue: deque[on.Payload] = deque()
        self._change = asyncio.Event()
        self._taken = 0
        self._said = self._moved = 0.0
        self._credit = 0
        self._granted = asyncio.Event()
        self._feeder: asyncio.Task[None] | None = None
        self._trouble: BaseException | None = None

    # ---- what a program does ----------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncGenerator[P, None]:
        return self._each()

    async def __aenter__(self) -> Iteration[P, O]:
        await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    @property
    def result(self) -> O:
        """The last result, of a call that has ended well.

        :raises UsageError: it has not.
        """
        if self.ticket is None or not self.ticket.done() or self.ticket.cancelled() or self.ticket.exception():
            raise UsageError(f"{self.wanted.uri} has no result: iterate to the end first")
        value: O = read(self.ticket.result(), self.wanted.result_type, where=self.wanted.uri, error=BrokenResult)
        return value

    async def outcome(self) -> O:
        """Pass over what is left, and return the last result.

        :raises RemoteError: as :meth:`hopsack.Connection.call`.
        """
        async for _ in self:
            pass
        return self.result

    def cancel(self) -> None:
        """End the call, if it has not ended."""
        if self.ticket is not None and not self.ticket.done():
            assert self._carrier is not None
            self._carrier.take(on.CallAbandoned(self.ticket))
            self.ticket.cancel()
        self._end()

    # ---- results ----------------------------------------------------------------------------------------------------

    async def _each(self) -> AsyncGenerator[P, None]:
        await self._begin()
        try:
            while (payload := await self._next()) is not None:
                yield read(payload, self.wanted.progress_type, where=self.wanted.uri, error=BrokenResult)
        finally:
            self.cancel()

    async def _begin(self) -> None:
        if self.ticket is not None:
            return
        loop = asyncio.get_running_loop()
        wanted, self.ticket = self.wanted, loop.create_future()
        flow = on.Flow(True, wanted.window, wanted.inputs is not None)
        try:
            self._carrier, self._seconds = await self._caller.begin_flow(self, self._timeout)
            self.ticket.add_done_callback(self._ended)
            self._said = loop.time()
            self._carrier.take(
                on.CallRequested(self.ticket, wanted.uri, wanted.input, self._seconds, wanted.terms, flow)
            )
        except BaseException:
            self.ticket.cancel()
            raise
        if wanted.inputs is not None:
            self._feeder = loop.create_task(self._feed(wanted.inputs), name=f"inputs of {wanted.uri}")

    async def _next(self) -> on.Payload | None:
        """The next progressive result; ``None``: there are no more, and the call has ended well."""
        assert self.ticket is not None
        while not self._queue:
            if self._trouble is not None:
                raise self._trouble
            if self.ticket.done():
                self._check(self.ticket)
                return None
            await self._changed()
        payload = self._queue.popleft()
        self._take_more()
        return payload

    def _check(self, ticket: asyncio.Future[Any]) -> None:
        """:raises RemoteError: the call has not ended well."""
        try:
            ticket.result()
        except DeclaredError as error:
            raise self.wanted.declared(error) from None
        except asyncio.CancelledError:
            raise UsageError(f"{self.wanted.uri} was cancelled: call it again") from None

    async def _changed(self) -> None:
        """Wait for a result or the end, as long as anything flows in either direction."""
        now = asyncio.get_running_loop().time
        self._change.clear()
        self._moved = now()
        while not self._change.is_set():
            try:
                async with asyncio.timeout_at(self._moved + self._seconds):
                    await self._change.wait()
            except TimeoutError:
                if now() >= self._moved + self._seconds:
                    self._trouble = Deadline(f"nothing came for {self._seconds:g} s", where=self.wanted.uri)
                    self.cancel()
                    return

    def _take_more(self) -> None:
        """Say what is taken, in halves of the window; or sooner, for silence ends the call."""
        assert self.ticket is not None
        assert self._carrier is not None
        self._taken += 1
        if self.ticket.done():
            return
        now = asyncio.get_running_loop().time()
        if self._taken >= (self.wanted.window + 1) // 2 or now - self._said >= self._seconds / 4:
            self._carrier.take(on.MoreWanted(self.ticket, self._taken))
            self._taken, self._said = 0, now

    # ---- inputs -----------------------------------------------------------------------------------------------------

    async def _feed(self, inputs: FurtherInputs) -> None:
        try:
            if isinstance(inputs, AsyncIterable):
                async for value in inputs:
                    await self._give(value)
            else:
                for value in inputs:
                    await self._give(value)
            self._say(on.InputsEnded(self.ticket))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._trouble = error
            self.cancel()

    async def _give(self, value: Any) -> None:
        while self._credit <= 0:
            self._granted.clear()
            await self._granted.wait()
        self._credit -= 1
        self._moved = asyncio.get_running_loop().time()
        self._say(on.InputGiven(self.ticket, value))

    def _say(self, event: on.Input) -> None:
        assert self._carrier is not None
        assert self.ticket is not None
        if not self.ticket.done():
            self._carrier.take(event)

    # ---- what the connection tells ----------------------------------------------------------------------------------

    def came(self, payload: on.Payload) -> None:
        """A progressive result."""
        self._queue.append(payload)
        self._change.set()

    def granted(self, items: int) -> None:
        """So many further inputs may be given."""
        self._credit += items
        self._moved = asyncio.get_running_loop().time()
        self._granted.set()

    def _ended(self, ticket: asyncio.Future[Any]) -> None:
        if not ticket.cancelled():
            ticket.exception()  # whoever iterates is told; if nobody does, nobody is to be
        self._end()
        self._change.set()

    def _end(self) -> None:
        self._caller.end_flow(self)
        feeder, self._feeder = self._feeder, None
        if feeder is not None and feeder is not asyncio.current_task():
            feeder.cancel()
