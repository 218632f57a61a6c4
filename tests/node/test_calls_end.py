"""Calls on a real node: given up through three levels, and none lost while a service is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import hopsack
from hopsack.errors import Deadline

from .conftest import Node, NodeProcess

pytestmark = pytest.mark.node

CONTRACTS = """
summary: Work that takes its time.
undeclared: allow
"""


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schemas")
    (folder / "work.yaml").write_text(CONTRACTS)
    return folder


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, schemas: Path) -> Iterator[Node]:
    process = NodeProcess(tmp_path_factory.mktemp("node"), "--schemas", str(schemas))
    try:
        yield process.ready()
    finally:
        assert process.stop() == 0, process.logged()


@pytest.mark.parametrize("door", ["rawsocket", "/ws?codec=json", "/raw"])
def test_giving_up_is_heard_three_levels_down(node: Node, door: str) -> None:
    address = node.rawsocket if door == "rawsocket" else node.ws(door)

    async def main() -> None:
        async with (
            hopsack.connect(address, node.token("service")) as deep,
            hopsack.connect(address, node.token("service")) as middle,
            hopsack.connect(address, node.token("user")) as caller,
        ):
            begun, ended = asyncio.Event(), asyncio.Event()
            left: list[float | None] = []

            async def wait() -> None:
                left.append(hopsack.remaining())
                begun.set()
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    ended.set()

            async def ask() -> None:
                await middle.call("work.wait", timeout=100.0)

            async with await deep.register("work.wait", wait), await middle.register("work.ask", ask):
                call = asyncio.ensure_future(caller.call("work.ask", timeout=60.0))
                await begun.wait()
                assert left[0] is not None
                assert 0 < left[0] <= 60.0
                call.cancel()
                await ended.wait()

                begun.clear()
                ended.clear()
                with pytest.raises(Deadline):
                    await caller.call("work.ask", timeout=0.2)
                await ended.wait()

    asyncio.run(asyncio.wait_for(main(), 30))
