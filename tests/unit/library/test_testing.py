"""The clock that is turned by hand, and a connection inside somebody else's asyncio program."""

from __future__ import annotations

import asyncio
import doctest
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import fastapi
import httpx
import pytest

import hopsack
from hopsack.testing import HandTurnedLoop, Stuck
from hopsack.testing import loop as hand_turned

from .test_link import rawsocket_peer


def test_time_stops_at_every_timer_on_the_way(loop: HandTurnedLoop) -> None:
    seen: list[tuple[str, float]] = []

    async def tick(name: str, seconds: float) -> None:
        for _ in range(3):
            await asyncio.sleep(seconds)
            seen.append((name, loop.time()))

    tasks = [loop.create_task(tick("a", 1.0)), loop.create_task(tick("b", 1.25))]
    loop.advance(3.5)

    assert seen == [("a", 1.0), ("b", 1.25), ("a", 2.0), ("b", 2.5), ("a", 3.0)]
    assert loop.time() == 3.5
    assert [task.done() for task in tasks] == [True, False]


def test_time_does_not_move_by_itself(loop: HandTurnedLoop) -> None:
    with pytest.raises(Stuck, match="sleep waits for something"):
        loop.run(asyncio.sleep(0.001))

    assert loop.time() == 0
    assert loop.settle() is None


def test_what_is_ready_runs_in_order_to_the_end(loop: HandTurnedLoop) -> None:
    seen: list[int] = []
    for number in range(3):
        loop.call_soon(loop.call_soon, seen.append, number)

    loop.settle()

    assert seen == [0, 1, 2]


def test_closing_cancels_what_waits() -> None:
    loop = HandTurnedLoop()
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    task = loop.create_task(wait())
    loop.settle()
    loop.close()

    assert ended == ["cancelled"]
    assert task.cancelled()


def test_the_example_of_its_documentation() -> None:
    assert doctest.testmod(hand_turned).failed == 0


def test_inside_a_fastapi_program() -> None:
    async def main() -> Any:
        async with await asyncio.start_server(rawsocket_peer, "127.0.0.1", 0) as server:
            url = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"

            @asynccontextmanager
            async def lifespan(app: fastapi.FastAPI) -> AsyncIterator[None]:
                async with hopsack.connect(url) as app.state.fabric:
                    yield

            app = fastapi.FastAPI(lifespan=lifespan)

            @app.get("/echo/{word}")
            async def echo(word: str) -> Any:
                return await app.state.fabric.call("echo", word)

            async with (
                lifespan(app),
                httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client,
            ):
                return (await client.get("/echo/hello")).json()

    assert asyncio.run(main()) == "hello"
