"""Locks of the whole fabric, and being the one that leads.

    async with connection.lock("reindex") as held:
        await write(rows, fence=held.token)

While it waits, a call is in flight at the node. While it is held, the connection is watched: the node frees what a
session held when the session ends, so a lost connection is a lost lock. The block is then cancelled, and
:exc:`~hopsack.errors.NotHeld` is raised in its place. Between the loss and its discovery somebody else may hold the
lock already: hand ``token`` on to what you write to, and let that refuse smaller ones than it has seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from hopsack.due import no_deadline
from hopsack.errors import Deadline, Disconnected, HopsackError, NotHeld, OutcomeUnknown, Unavailable
from hopsack.keeper import Connected

if TYPE_CHECKING:
    from hopsack.connection import Connection

__all__ = ["Held", "Lock", "lead"]

T = TypeVar("T")

ACQUIRE, RELEASE = "hopsack.locks.acquire", "hopsack.locks.release"

AT_A_TIME = 3600.0
"""Seconds that one call waits, where the program waits without end."""

AWAY = (Disconnected, OutcomeUnknown, Unavailable)
"""The session is gone, and its place in the queue with it."""


class Held:
    """A lock that is held, as far as is known here.

    :ivar token: the fencing token, greater than that of every grant before.
    :ivar lost: done when the lock is lost, with the reason in words.
    """

    def __init__(self, name: str, token: int, session: int) -> None:
        self.name = name
        self.token = token
        self.session = session
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def is_held(self) -> bool:
        return not self.lost.done()


class Lock:
    """Made by :meth:`~hopsack.connection.Connection.lock`. Enter it once.

    :param slots: how many may hold it at once; all its users say the same.
    :param wait: seconds; 0: do not wait; ``None``: as long as it takes.
    """

    def __init__(self, connection: Connection, name: str, slots: int = 1, wait: float | None = None) -> None:
        self._connection = connection
        self._name, self._slots, self._wait = name, slots, wait
        self._attempt = connection.options.incident()
        self._held: Held | None = None
        self._watch: asyncio.Task[None] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0

    async def __aenter__(self) -> Held:
        """
        :raises Deadline: nobody gave it back in time. :raises NotHeld: it is held, and this does not want to wait.
        :raises RemoteError: refused.
        """
        held = self._held = await self._acquire()
        self._task = asyncio.current_task()
        assert self._task is not None
        self._cancelling = self._task.cancelling()
        self._watch = asyncio.create_task(self._look(held), name=f"lock {self._name}")
        return held

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._held is not None
        assert self._watch is not None
        assert self._task is not None
        held, task = self._held, self._task
        self._task = None
        self._watch.cancel()
        if not held.is_held:
            if error is None or (kind is asyncio.CancelledError and task.uncancel() <= self._cancelling):
                raise NotHeld(f"the lock was lost: {held.lost.result()}", where=self._name) from error
            return
        # Whatever ends the block, the lock goes back; without a connection it goes by itself.
        released = asyncio.ensure_future(self._release(token=held.token))
        try:
            await asyncio.shield(released)
        except AWAY:
            pass
        finally:
            held.lost.set_result("it was given back")

    async def _acquire(self) -> Held:
        loop = asyncio.get_running_loop()
        ends = None if self._wait is None else loop.time() + self._wait
        while True:
            begun = loop.time()
            seconds = AT_A_TIME if ends is None else max(ends - begun, 0.0)
            try:
                token = await self._ask(seconds if self._wait != 0 else None)
            except Deadline:
                # Where this is called by somebody with a deadline of their own, that has passed, not ours.
                if ends is not None or loop.time() - begun < AT_A_TIME:
                    raise
                continue
            except AWAY as error:
                if ends is not None and loop.time() >= ends:
                    raise
                if isinstance(error, Unavailable):
                    await asyncio.sleep(self._pause(error, ends))
                continue
            identity = self._connection.identity
            if identity is not None:
                return Held(self._name, token, identity.session)

    def _pause(self, error: Unavailable, ends: float | None) -> float:
        """Seconds until a node that stops is asked again; it says goodbye meanwhile, and its successor is asked."""
        given = error.data.get("retry_after")
        pause = self._connection.options.chance() * (given if isinstance(given, int | float) else 1.0)
        return pause if ends is None else max(min(pause, ends - asyncio.get_running_loop().time()), 0.0)

    async def _ask(self, seconds: float | None) -> int:
        """
        :param seconds: to wait; ``None``: do not.
        """
        question = {"name": self._name, "slots": self._slots, "attempt": self._attempt, "wait": seconds is not None}
        try:
            answer = await self._connection.call(ACQUIRE, question, timeout=seconds)
        except (asyncio.CancelledError, Deadline):
            # The grant may be on its way.
            giving_up = asyncio.create_task(self._abandon(), name=f"lock {self._name} is given up")
            with suppress(asyncio.CancelledError):
                await asyncio.shield(giving_up)
            raise
        token: int | None = answer["token"]
        if token is None:
            raise NotHeld("somebody else holds it", where=self._name, advice="wait for it, or try again later")
        return token

    async def _abandon(self) -> None:
        with suppress(HopsackError):
            await self._release(attempt=self._attempt)

    async def _release(self, **what: Any) -> None:
        with no_deadline():  # also at the end of a call that has no time left
            await self._connection.call(RELEASE, {"name": self._name, **what}, timeout=self._connection.options.timeout)

    async def _look(self, held: Held) -> None:
        """Follow the connection to the end of this session."""
        async for state in self._connection.states():
            if not isinstance(state, Connected) or state.identity.session != held.session:
                break
        held.lost.set_result("the connection was lost")
        if self._task is not None:
            self._task.cancel()


async def lead(connection: Connection, name: str, run: Callable[[Held], Awaitable[T]]) -> T:
    """Run as the only one of all who do this by this name, as soon as it is our turn.

    :param run: is cancelled when leadership is lost, and run again when it is won again.
    :returns: what ``run`` returns, when it returns.
    """
    while True:
        lock = Lock(connection, name)
        try:
            async with lock as held:
                return await run(held)
        except NotHeld as error:
            if error.where != name:
                raise
