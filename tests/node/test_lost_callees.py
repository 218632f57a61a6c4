"""What callers learn of callees that are killed, fall silent or are told to stop, with many calls in hand."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import hopsack
from hopsack.errors import NoCallee, OutcomeUnknown
from hopsack.keeper import Connected

from .conftest import Node, declared, running
from .test_library import ServiceProcess, service

pytestmark = [pytest.mark.node, pytest.mark.timeout(90)]

CONTRACTS = """
summary: Work that takes its time.
undeclared: allow
"""

FOREVER = 60.0
"""Seconds of a call's deadline: none of these calls is to reach it."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    data = tmp_path_factory.mktemp("node")
    with running(data, "--schemas", declared(data, "work", CONTRACTS)) as node:
        yield node


CALLEE = """
import asyncio, sys, hopsack

async def main(url, token, procedure):
    async def hang(number: int) -> None:
        print(number, flush=True)
        await asyncio.get_running_loop().create_future()

    async with hopsack.connect(url, token) as fabric, await fabric.register(procedure, hang):
        print("ready", flush=True)
        await asyncio.get_running_loop().create_future()

asyncio.run(main(*sys.argv[1:]))
"""

ROUNDS, AT_ONCE = 4, 250


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_callee_is_killed_and_every_caller_is_told_that_nobody_knows(node: Node, number: int) -> None:
    """A thousand calls in all, over three doors, half of them with a key."""
    procedure = f"work.killed{number}"

    async def one(fabric: hopsack.Connection, call: int) -> OutcomeUnknown:
        with pytest.raises(OutcomeUnknown) as caught:
            await fabric.call(procedure, call, timeout=FOREVER, key=f"k{call}" if call % 2 else None)
        return caught.value

    async def main(callee: subprocess.Popen[str]) -> list[OutcomeUnknown]:
        doors = (node.rawsocket, node.ws("/ws"), node.ws("/raw"))
        async with AsyncExitStack() as stack:
            token = node.token("user")
            callers = [await stack.enter_async_context(hopsack.connect(door, token)) for door in doors]
            calls = [asyncio.ensure_future(one(callers[call % 3], call)) for call in range(AT_ONCE)]
            assert callee.stdout is not None
            begun = [await asyncio.to_thread(callee.stdout.readline) for _ in calls]
            assert sorted(map(int, begun)) == list(range(AT_ONCE))
            callee.kill()
            return await asyncio.gather(*calls)

    command = [sys.executable, "-c", CALLEE, node.rawsocket, node.token("service"), procedure]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as callee:
        try:
            assert callee.stdout is not None
            assert callee.stdout.readline() == "ready\n"
            lost = asyncio.run(main(callee))
        finally:
            callee.kill()

    assert {error.data["ran"] for error in lost} == {"maybe"}
    assert {error.where for error in lost} == {procedure}


class Proxy:
    """Passes bytes on, both ways, until it falls silent: then it takes them and passes nothing, and closes nothing."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._is_silent = False
        self._writers: list[asyncio.StreamWriter] = []

    def fall_silent(self) -> None:
        self._is_silent = True

    async def joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_silent:
            self._writers.append(writer)
            return
        there, to = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += writer, to
        await asyncio.gather(self._pass(reader, to), self._pass(there, writer), return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if not self._is_silent:
                writer.write(data)
        if not self._is_silent:
            writer.close()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[str, Proxy]]:
    parts = urlsplit(url)
    assert parts.port is not None
    proxy = Proxy(parts.port)
    server = await asyncio.start_server(proxy.joined, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield parts._replace(netloc=f"127.0.0.1:{port}").geturl(), proxy
    finally:
        proxy.close()
        server.close()


async def _falls_silent(node: Node, door: str) -> None:
    address = node.rawsocket if door == "rawsocket" else node.ws(door)
    procedure = f"work.silent{door.strip('/')}"
    begun = asyncio.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.get_running_loop().create_future()

    async with (
        proxied(address) as (url, proxy),
        hopsack.connect(url, node.token("service")) as callee,
        hopsack.connect(address, node.token("user")) as caller,
    ):
        await callee.register(procedure, hang)
        call = asyncio.ensure_future(caller.call(procedure, timeout=FOREVER))
        await begun.wait()

        proxy.fall_silent()

        with pytest.raises(OutcomeUnknown) as caught:
            await call
        assert caught.value.data == {"ran": "maybe"}
        async for state in callee.states():  # its side learns it as well
            if not isinstance(state, Connected):
                break


def test_a_callee_falls_silent_and_both_sides_learn_it_with_default_settings(node: Node) -> None:
    async def main() -> None:
        await asyncio.gather(*(_falls_silent(node, door) for door in ("rawsocket", "/ws", "/raw")))

    asyncio.run(main())


LEAVING = """
import asyncio, signal
from hopsack import Service, procedure

class Worker(Service):
    async def start(self):
        self.go = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.go.set)

    @procedure("work.held")
    async def held(self, number):
        print(number, flush=True)
        await self.go.wait()
        return number
"""


async def _is_served(operator: hopsack.Connection, procedure: str) -> bool:
    listed = await operator.call("hopsack.procedures.list")
    return any(one["uri"] == procedure and one["callees"] for one in listed)


def test_of_fifty_calls_in_hand_all_finish_and_no_further_one_comes(node: Node, tmp_path: Path) -> None:
    async def main(process: ServiceProcess) -> tuple[list[Any], list[str]]:
        async def line() -> str:
            return await asyncio.to_thread(process.line)

        assert json.loads(await line())["ready"] is True
        async with (
            hopsack.connect(node.rawsocket) as fabric,
            hopsack.connect(node.rawsocket, node.token("operator")) as operator,
        ):
            calls = [asyncio.ensure_future(fabric.call("work.held", number)) for number in range(50)]
            assert sorted([int(await line()) for _ in calls]) == list(range(50))
            os.kill(process.process.pid, signal.SIGTERM)
            assert json.loads(await line())["draining"] is True
            while await _is_served(operator, "work.held"):
                pass  # it has said so, and the node is about to hear it
            for number in range(50, 60):
                with pytest.raises(NoCallee):
                    await fabric.call("work.held", number)
            os.kill(process.process.pid, signal.SIGUSR1)
            results = await asyncio.gather(*calls)
        return results, [await line()]

    with service(tmp_path, node, source=LEAVING) as process:
        results, said = asyncio.run(asyncio.wait_for(main(process), 60))

        assert results == list(range(50))
        assert [json.loads(one) for one in said] == [{"left": True, "service": "worker", "cancelled": 0}]
        assert process.process.wait(20) == 0
