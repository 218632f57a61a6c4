"""Coroutines that await both worlds, generator handlers, and blocking functions in bounded threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, inlineCallbacks, succeed

from hopsack.bridge import bridged, install
from hopsack.errors import Overloaded
from hopsack.testing.loop import HandTurnedLoop
from hopsack.threads import Threads


def test_a_coroutine_awaits_deferreds_and_futures(loop: HandTurnedLoop) -> None:
    first: Deferred[int] = Deferred()

    async def work() -> list[int]:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, 2)
        return [await first, await future, await succeed(3), await asyncio.sleep(1, 4)]

    task = loop.create_task(bridged(work()))
    loop.settle()
    assert not task.done()
    first.callback(1)
    loop.advance(1)

    assert task.result() == [1, 2, 3, 4]


def test_a_failure_is_raised_where_it_is_awaited(loop: HandTurnedLoop) -> None:
    later: Deferred[int] = Deferred()

    async def work() -> str:
        try:
            await later
        except KeyError as error:
            return f"caught {error}"
        return "not reached"

    task = loop.create_task(bridged(work()))
    loop.settle()
    later.errback(KeyError("x"))
    loop.settle()

    assert task.result() == "caught 'x'"
    with pytest.raises(ValueError, match="at once"):
        loop.run(bridged(fail(ValueError("at once"))))


def test_cancelling_the_task_cancels_the_deferred(loop: HandTurnedLoop) -> None:
    cancelled: list[Deferred[Any]] = []
    waiting: Deferred[Any] = Deferred(cancelled.append)
    cleaned: list[str] = []

    async def work() -> None:
        try:
            await waiting
        finally:
            cleaned.append("up")

    task = loop.create_task(bridged(work()))
    loop.settle()
    task.cancel()
    loop.settle()

    assert task.cancelled()
    assert cancelled == [waiting]
    assert cleaned == ["up"]


def test_a_deferred_that_is_cancelled_elsewhere_is_an_ordinary_error(loop: HandTurnedLoop) -> None:
    waiting: Deferred[Any] = Deferred()
    task = loop.create_task(bridged(waiting))
    loop.settle()

    waiting.cancel()
    loop.settle()

    assert isinstance(task.exception(), CancelledError)


def test_generator_handlers_give_deferreds(loop: HandTurnedLoop) -> None:
    @inlineCallbacks
    def work() -> Generator[Deferred[int], int, int]:
        return 1 + (yield succeed(2))

    assert loop.run(bridged(work())) == 3


def test_an_installed_bridge_reaches_the_tasks_that_handlers_start(loop: HandTurnedLoop) -> None:
    install(loop)
    waiting: list[Deferred[int]] = [Deferred(), Deferred()]

    async def one(deferred: Deferred[int]) -> int:
        return await deferred

    async def work() -> list[int]:
        return await asyncio.gather(*map(one, waiting))

    task = loop.create_task(work())
    loop.settle()
    for number, deferred in enumerate(waiting):
        deferred.callback(number)
    loop.settle()

    assert task.result() == [0, 1]


def test_threads_are_bounded_and_say_so() -> None:
    started, release = threading.Semaphore(0), threading.Event()

    def block() -> str:
        started.release()
        release.wait(10)
        return "done"

    async def main() -> list[Any]:
        threads = Threads(workers=2, backlog=1)
        running = [asyncio.ensure_future(threads.run(block)) for _ in range(3)]
        for _ in range(2):
            await asyncio.to_thread(started.acquire)
        running[0].cancel()
        with pytest.raises(Overloaded, match="2 threads are busy and 1 calls wait for one"):
            await threads.run(lambda: None)
        release.set()
        outcomes = await asyncio.gather(*running, return_exceptions=True)
        assert await threads.run(lambda: "free again") == "free again"
        threads.close()
        return outcomes

    outcomes = asyncio.run(main())

    assert [type(outcome).__name__ for outcome in outcomes] == ["CancelledError", "str", "str"]
