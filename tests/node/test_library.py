"""The library against a real node: every address, a service process from start to SIGTERM, a node that restarts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import hopsack
from hopsack.errors import Denied, Disconnected, Invalid, LoginRequired, Undeclared
from hopsack.keeper import Connected, Waiting

from .conftest import Node, NodeProcess

pytestmark = pytest.mark.node

DOORS = ["rawsocket", "rawsocket?codec=json", "/ws", "/ws?codec=json", "/raw"]

PROGRAM = """
import os, sys
from pathlib import Path
from hopsack.run import run_folder
from hopsack.settings import Settings
sys.exit(run_folder(Path(sys.argv[1]), Settings.from_environ(os.environ), reload="--reload" in sys.argv))
"""

SERVICE = """
import asyncio
from twisted.internet import reactor
from twisted.internet.task import deferLater
from hopsack import Service, every, procedure, subscribe

class Greeter(Service):
    @procedure("demo.greet")
    async def greet(self, name):
        await deferLater(reactor, 0, lambda: None)
        await asyncio.sleep(0)  # Deferreds and what asyncio has may both be awaited
        return f"GREETING {name['name']}"

    async def stop(self):
        print("stopped", flush=True)
"""

PATIENT = """
import asyncio, signal
from hopsack import Service, procedure

class Patient(Service):
    async def start(self):
        self.may_end = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.may_end.set)

    @procedure("demo.greet")
    async def greet(self, name):
        if name["name"] == "0":
            print("begun", flush=True)
        await self.may_end.wait()
        return f"GREETING {name['name']}"

    async def stop(self):
        print("stopped", flush=True)
"""


def address(node: Node, door: str) -> str:
    path, _, query = door.partition("?")
    where = node.rawsocket if path == "rawsocket" else node.ws(path)
    return f"{where}?{query}" if query else where


@pytest.mark.parametrize("door", DOORS)
def test_every_door_offers_the_same(node: Node, door: str) -> None:
    async def main() -> None:
        url = address(node, door)
        async with hopsack.connect(url, node.token("user")) as serving, hopsack.connect(url) as asking:
            seen = await asking.subscribe("demo.", match="prefix")
            exact = await asking.subscribe("demo.text")

            async def add(numbers: list[float], caller: hopsack.Caller) -> float:
                return sum(numbers)

            async with await serving.register("demo.add", add):
                assert await asking.call("demo.add", [1, 2, 3]) == 6
                with pytest.raises(Invalid) as invalid:
                    await asking.call("demo.add", [1, "2"])
                assert invalid.value.path == "/1"
            with pytest.raises(Undeclared, match=r"did you mean demo\.add"):
                await asking.call("demo.ad", [1])
            with pytest.raises(Denied):
                await asking.publish("host.metrics", {})
            await serving.publish("demo.text", "hello")
            async for event in exact:
                assert (event.topic, event.data) == ("demo.text", "hello")
                break
            async for event in seen:
                assert (event.topic, event.data) == ("demo.text", "hello")
                break
            big = "x" * 90_000
            await serving.publish("demo.text", big, acknowledge=False)
            async for event in exact:
                assert event.data == big
                break

    asyncio.run(main())


@pytest.mark.parametrize("door", DOORS)
def test_a_token_that_is_not_accepted_is_raised_and_not_tried_again(node: Node, door: str) -> None:
    async def main() -> None:
        async with hopsack.connect(address(node, door), "no.such.token", patience=30):
            pass

    with pytest.raises(LoginRequired):
        asyncio.run(main())


def test_many_calls_at_once(node: Node) -> None:
    async def main() -> list[Any]:
        async with hopsack.connect(node.rawsocket) as fabric:
            await fabric.register("demo.add", lambda numbers: sum(numbers), inline=True)
            return await asyncio.gather(*(fabric.call("demo.add", [number, 1]) for number in range(500)))

    assert asyncio.run(main()) == [number + 1 for number in range(500)]


# ---- a service process -----------------------------------------------------------------------------------------------


class ServiceProcess:
    def __init__(self, folder: Path, node: Node, *arguments: str, **variables: str) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("HOPSACK_")} | variables
        environ |= {"HOPSACK_URL": node.rawsocket, "HOPSACK_DATA": str(node.data), "PYTHONDONTWRITEBYTECODE": "1"}
        self.log = (folder / "service.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder), *arguments],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@contextmanager
def service(
    folder: Path, node: Node, *arguments: str, source: str = SERVICE, **variables: str
) -> Iterator[ServiceProcess]:
    (folder / "service.py").write_text(textwrap.dedent(source))
    process = ServiceProcess(folder, node, *arguments, **variables)
    try:
        yield process
    finally:
        process.stop()
        process.log.close()


def test_a_folder_runs_until_sigterm_and_finishes_what_is_in_hand(node: Node, tmp_path: Path) -> None:
    async def main(process: ServiceProcess) -> list[Any]:
        async with hopsack.connect(node.rawsocket) as fabric:
            calls = [asyncio.ensure_future(fabric.call("demo.greet", {"name": str(n)})) for n in range(50)]
            # The node has them, and the service has some: the next call of this connection is behind them all.
            with pytest.raises(Undeclared):
                await fabric.call("demo.gret")
            assert await asyncio.to_thread(process.line) == "begun"
            process.process.send_signal(signal.SIGTERM)
            assert json.loads(await asyncio.to_thread(process.line))["in_hand"] > 0
            process.process.send_signal(signal.SIGUSR1)
            return await asyncio.gather(*calls)

    with service(tmp_path, node, source=PATIENT) as process:
        assert json.loads(process.line()) == {"ready": True, "service": "patient"}
        assert asyncio.run(main(process)) == [f"GREETING {n}" for n in range(50)]
        assert process.line() == "stopped"
        assert json.loads(process.line()) == {"left": True, "service": "patient", "cancelled": 0}
        assert process.stop() == 0
    assert (tmp_path / "service.log").read_text() == ""


def test_a_service_that_may_not_says_why_and_exits_with_the_code_of_it(node: Node, tmp_path: Path) -> None:
    source = SERVICE.replace("demo.greet", "demo.gret")

    with service(tmp_path, node, source=source) as process:
        assert process.line() == "stopped"
        assert process.process.wait(timeout=20) == 7

    [line] = (tmp_path / "service.log").read_text().splitlines()
    assert "did you mean demo.greet" in json.loads(line)["event"]


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [("x = 1", 2, "defines no subclass of hopsack.Service"), ("x = y", 1, "NameError: name 'y' is not defined")],
)
def test_a_file_that_is_no_service(node: Node, tmp_path: Path, source: str, code: int, words: str) -> None:
    with service(tmp_path, node, source=source) as process:
        assert process.process.wait(timeout=20) == code

    assert words in (tmp_path / "service.log").read_text()


def test_a_changed_file_begins_again(node: Node, tmp_path: Path) -> None:
    async def greeting() -> Any:
        async with hopsack.connect(node.rawsocket) as fabric:
            return await fabric.call("demo.greet", {"name": "ann"})

    with service(tmp_path, node, "--reload") as process:
        pid = process.process.pid
        assert json.loads(process.line())["ready"]
        assert asyncio.run(greeting()) == "GREETING ann"

        (tmp_path / "service.py").write_text(SERVICE.replace("GREETING", "GOOD MORNING"))
        assert json.loads(process.line())["draining"]
        assert process.line() == "stopped"
        assert json.loads(process.line())["left"]
        assert json.loads(process.line())["ready"]

        assert asyncio.run(greeting()) == "GOOD MORNING ann"
        assert process.process.pid == pid
        assert process.stop() == 0


def test_a_node_that_restarts_is_a_pause(tmp_path: Path) -> None:
    processes = [NodeProcess(tmp_path)]

    async def main(rawsocket: str) -> None:
        async with hopsack.connect(rawsocket) as fabric:
            await fabric.register("demo.add", lambda numbers: sum(numbers), inline=True)
            seen = await fabric.subscribe("demo.text")
            states = fabric.states()
            assert isinstance(await anext(states), Connected)

            stopping = asyncio.get_running_loop().run_in_executor(None, processes[-1].stop)
            assert isinstance(await anext(states), Waiting)
            assert await stopping == 0
            with pytest.raises(Disconnected):
                await fabric.publish("demo.text", "nobody hears", acknowledge=False)
            processes.append(NodeProcess(tmp_path, "--rawsocket-port", rawsocket.rpartition(":")[2]))

            assert await fabric.call("demo.add", [1, 2], timeout=30) == 3
            async with hopsack.connect(rawsocket) as other:
                await other.publish("demo.text", "again")
            async for event in seen:
                assert event.data == "again"
                break

    try:
        asyncio.run(main(processes[-1].ready().rawsocket))
    finally:
        assert processes[-1].stop() == 0, processes[-1].logged()
