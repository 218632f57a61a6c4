"""A long answer flows through a real node: service, node and reader need little memory, and a reader sets the pace.

In pieces of 64 KiB, 64 MiB of them; by hand as many as you like: ``FLOW_MIB=1024 pytest -s tests/node/test_flow.py``
prints the figures.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect as connect_page

import hopsack

from .conftest import Node, NodeProcess
from .test_library import address
from .test_stock_wamp import CLIENTS, MODULES, saw

pytestmark = pytest.mark.node

DOORS = ["rawsocket", "/ws?codec=json", "/raw"]
MIB = int(os.environ.get("FLOW_MIB", "64"))
PIECE = 64 << 10
PIECES = (MIB << 20) // PIECE
GROWTH = 24 << 10
"""KiB that a process may grow by, whatever flows through it."""

CONTRACTS = """
procedures:
  long.answer:
    summary: So many pieces of text.
    input: {type: integer}
    progress: {type: string}
    output: {type: integer}
    register: [service]
    call: [guest, service]
  long.sent:
    summary: How many have been sent since the last answer began.
    output: {type: integer}
    register: [service]
    call: [guest, service]
  long.running:
    summary: How many answers have begun and not ended.
    output: {type: integer}
    register: [service]
    call: [guest, service]
  long.taken:
    summary: How long the pieces are together.
    input: {type: 'null'}
    inputs: {type: string}
    output: {type: integer}
    register: [service]
    call: [guest, service]
"""

SERVICE = f"""
from hopsack import Inputs, Progress, Service, procedure

class Long(Service):
    sent = running = 0

    @procedure("long.answer")
    async def answer(self, pieces: int, progress: Progress[str]) -> int:
        self.sent = 0
        self.running += 1
        text = "x" * {PIECE}
        try:
            for _ in range(pieces):
                await progress.send(text)
                self.sent += 1
        finally:
            self.running -= 1
        return self.sent

    @procedure("long.sent")
    async def how_many(self) -> int:
        return self.sent

    @procedure("long.running")
    async def how_many_run(self) -> int:
        return self.running

    @procedure("long.taken")
    async def taken(self, pieces: Inputs[str]) -> int:
        return sum([len(piece) async for piece in pieces])
"""


class Fabric:
    """A node and its service, in processes of their own."""

    def __init__(self, node: Node, service: subprocess.Popen[str]) -> None:
        self.node = node
        self.pids = {"node": node.pid, "service": service.pid}

    def memory(self) -> dict[str, int]:
        """KiB that each has ever had in memory at once."""
        return {name: _peak(pid) for name, pid in self.pids.items()}

    def grown(self, before: dict[str, int]) -> dict[str, int]:
        return {name: now - before[name] for name, now in self.memory().items()}


def _peak(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1])


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fabric]:
    folder = tmp_path_factory.mktemp("flow")
    (folder / "schemas").mkdir()
    (folder / "schemas" / "long.yaml").write_text(CONTRACTS)
    (folder / "schemas" / "open.yaml").write_text("undeclared: allow\n")
    (folder / "long").mkdir()
    (folder / "long" / "service.py").write_text(SERVICE)
    process = NodeProcess(folder, "--schemas", str(folder / "schemas"))
    node = process.ready()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HOPSACK_")}
    environ |= {"HOPSACK_URL": node.rawsocket, "HOPSACK_TOKEN": node.token("service", "long")}
    command = [sys.executable, "-m", "hopsack.cli", "run", str(folder / "long")]
    service = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True)
    try:
        assert service.stdout is not None
        assert json.loads(service.stdout.readline())["ready"]
        yield Fabric(node, service)
    finally:
        service.terminate()
        assert service.wait(timeout=20) == 0
        assert process.stop() == 0, process.logged()


@pytest.mark.parametrize("door", ["rawsocket", "raw"])
def test_a_long_answer_needs_little_memory(fabric: Fabric, door: str) -> None:
    url = fabric.node.rawsocket if door == "rawsocket" else fabric.node.ws("/raw")

    async def read(pieces: int) -> tuple[int, int]:
        size = 0
        async with hopsack.connect(url) as page, page.iterate("long.answer", pieces) as answer:
            async for piece in answer:
                size += len(piece)
            return size, answer.result

    asyncio.run(read(100))
    before, mine = fabric.memory(), _peak(os.getpid())
    began = os.times().elapsed

    assert asyncio.run(read(PIECES)) == (PIECES * PIECE, PIECES)

    grown = fabric.grown(before) | {"reader": _peak(os.getpid()) - mine}
    seconds = os.times().elapsed - began
    print(f"\n{door}: {MIB} MiB in {seconds:.1f} s, MiB/s {MIB / seconds:.0f}; peak {before} KiB, grown by {grown}")
    assert max(grown.values()) < GROWTH


def test_many_inputs_need_little_memory(fabric: Fabric) -> None:
    async def write(pieces: int) -> int:
        text = "x" * PIECE
        async with hopsack.connect(fabric.node.rawsocket) as page:
            taken: int = await page.iterate("long.taken", inputs=(text for _ in range(pieces))).outcome()
            return taken

    asyncio.run(write(100))
    before, mine = fabric.memory(), _peak(os.getpid())

    assert asyncio.run(write(512)) == 512 * PIECE

    grown = fabric.grown(before) | {"writer": _peak(os.getpid()) - mine}
    # The service of this test keeps all of their lengths, and nothing of them.
    assert max(grown.values()) < GROWTH


def test_a_slow_loop_makes_a_slow_service(fabric: Fabric) -> None:
    async def read() -> list[int]:
        ahead = []
        async with hopsack.connect(fabric.node.rawsocket) as page:
            taken = 0
            async for _ in page.iterate("long.answer", 100, window=8):
                taken += 1
                ahead.append(await page.call("long.sent") - taken)
        return ahead

    ahead = asyncio.run(read())

    assert len(ahead) == 100
    assert max(ahead) <= 8


def test_a_page_that_does_not_read_stops_the_service(fabric: Fabric) -> None:
    """It says nothing of a window, so the node counts for it: what its connection does not take is not asked for."""
    before = fabric.memory()
    call = {"jsonrpc": "2.0", "id": 1, "method": "long.answer", "params": 4000, "hopsack": {"progress": True}}

    async def sent(last: int) -> int:
        """How many, when it has sent no more for as long as other calls take."""
        async with hopsack.connect(fabric.node.rawsocket) as other:
            while True:
                now = last
                for _ in range(50):
                    now = await other.call("long.sent")
                if now == last > 0:
                    return now
                last = now

    with connect_page(fabric.node.ws("/raw"), max_size=1 << 20, compression=None) as page:
        page.send(json.dumps(call))
        assert json.loads(page.recv(timeout=20))["method"] == "hopsack.progress"

        # What the two kernels hold, and half of the budget of a guest.
        assert asyncio.run(sent(0)) < 1000

        frames = [json.loads(page.recv(timeout=20)) for _ in range(4000)]

    assert frames[-1] == {"jsonrpc": "2.0", "id": 1, "result": 4000}
    assert max(fabric.grown(before).values()) < GROWTH


def test_a_page_that_vanishes_stops_the_service(fabric: Fabric) -> None:
    call: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "long.answer", "params": 1_000_000}
    with connect_page(fabric.node.ws("/raw")) as page:
        page.send(json.dumps(call | {"hopsack": {"progress": True, "window": 4}}))
        page.recv(timeout=20)

    async def ended() -> bool:
        async with hopsack.connect(fabric.node.rawsocket) as other:
            for _ in range(1000):
                if await other.call("long.running") == 0:
                    return True
        return False

    assert asyncio.run(ended()), "the service still works for a page that is gone"


@pytest.mark.parametrize("serving", DOORS)
@pytest.mark.parametrize("asking", DOORS)
def test_every_door_gives_and_takes_piece_by_piece(fabric: Fabric, serving: str, asking: str) -> None:
    async def count(upto: int) -> AsyncIterator[int]:
        for number in range(upto):
            yield number

    async def echo(said: hopsack.Inputs[str], progress: hopsack.Progress[str]) -> str:
        async for word in said:
            await progress.send(word)
        return "bye"

    async def main() -> None:
        async with (
            hopsack.connect(address(fabric.node, serving)) as callee,
            hopsack.connect(address(fabric.node, asking)) as caller,
            await callee.register("open.count", count),
            await callee.register("open.echo", echo),
        ):
            assert [number async for number in caller.iterate("open.count", 100)] == list(range(100))
            words = [f"wört {number}" for number in range(100)]
            async with caller.iterate("open.echo", inputs=words, window=3) as said:
                assert [word async for word in said] == words
                assert said.result == "bye"

    asyncio.run(main())


def cli(fabric: Fabric, *words: str, stdin: str = "") -> list[Any]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HOPSACK_")}
    command = [sys.executable, "-m", "hopsack.cli", "call", *words, "--url", fabric.node.rawsocket]
    environ |= {"HOPSACK_DATA": str(fabric.node.data)}
    ran = subprocess.run(command, input=stdin, env=environ, capture_output=True, text=True, timeout=50, check=False)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_the_command_line_prints_what_comes_before_the_result(fabric: Fabric) -> None:
    lines = cli(fabric, "long.answer", "2", "--progress")

    assert lines == [{"progress": "x" * PIECE}, {"progress": "x" * PIECE}, {"result": 2}]


def test_the_command_line_gives_further_inputs_from_a_pipe(fabric: Fabric) -> None:
    assert cli(fabric, "long.taken", "--inputs", stdin='"four"\n\n"six.."\n') == [{"result": 9}]


# ---- stock WAMP clients ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_progressive_results_of_autobahn(fabric: Fabric, serializer: str) -> None:
    seen = saw(sys.executable, str(CLIENTS / "autobahn_progress.py"), fabric.node.ws("/ws"), serializer)

    assert seen == [
        ["last", "done"],
        ["before", [0, 1, 2, 3, 4]],
        ["unasked", "done"],
        ["failed", ["open.failed", ["second"], ["first"]]],
    ]


@pytest.mark.skipif(not (MODULES / "wampy").is_dir() or shutil.which("node") is None, reason="needs node and wampy")
def test_progressive_results_and_invocations_of_wampy(fabric: Fabric) -> None:
    seen = saw("node", str(CLIENTS / "wampy_progress.mjs"), str(MODULES), fabric.node.ws("/ws"))

    assert seen == [["last", "done"], ["before", [0, 1, 2, 3, 4]], ["taken", 10]]
