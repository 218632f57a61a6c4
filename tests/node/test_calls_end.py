"""Calls on a real node: given up through three levels, and none lost while a service is replaced."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import hopsack
from hopsack.errors import Canceled, Deadline, HopsackError, OutcomeUnknown

from .conftest import Node, NodeProcess, running
from .test_cli import run as command
from .test_library import ServiceProcess, service

pytestmark = pytest.mark.node

CONTRACTS = """
summary: Work that takes its time.
undeclared: allow

procedures:
  work.count:
    summary: It may be asked again.
    output: {type: integer}
    idempotent: true
    timeout: 60s
    wait: 30s
    register: [service]
    call: [user]
  work.pay:
    summary: It may not.
    output: {type: integer}
    timeout: 60s
    wait: 30s
    register: [service]
    call: [user]
"""


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schemas")
    (folder / "work.yaml").write_text(CONTRACTS)
    return folder


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, schemas: Path) -> Iterator[Node]:
    with running(tmp_path_factory.mktemp("node"), "--schemas", str(schemas)) as node:
        yield node


DOORS = ["rawsocket", "/ws?codec=json", "/raw"]


@pytest.mark.parametrize("door", DOORS)
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


@pytest.mark.parametrize("door", DOORS)
def test_two_share_a_procedure_on_every_door(node: Node, door: str) -> None:
    address = node.rawsocket if door == "rawsocket" else node.ws(door)

    async def main() -> None:
        async with (
            hopsack.connect(address, node.token("service")) as one,
            hopsack.connect(address, node.token("service")) as other,
            hopsack.connect(address, node.token("user")) as caller,
        ):
            here: asyncio.Queue[str] = asyncio.Queue()
            is_over = asyncio.Event()

            async def serve(name: str) -> None:
                here.put_nowait(name)
                await is_over.wait()

            await one.register("work.shared", lambda: serve("one"), inline=True)
            await other.register("work.shared", lambda: serve("other"), inline=True)
            calls = [asyncio.ensure_future(caller.call("work.shared")) for _ in range(2)]
            assert {await here.get(), await here.get()} == {"one", "other"}
            is_over.set()
            await asyncio.gather(*calls)

    asyncio.run(asyncio.wait_for(main(), 30))


WORKER = """
import asyncio, os
from hopsack import Service, procedure

class Worker(Service):
    @procedure("work.do")
    async def do(self, number):
        await asyncio.sleep(0.01)  # this is the work: nothing waits for it, and some is always in hand
        return [number, os.getpid()]
"""


class Load:
    """Callers who call again and again, and what became of it."""

    def __init__(self, url: str) -> None:
        self.pids: list[int] = []
        self.failed: list[HopsackError] = []
        self._url = url
        self._news = asyncio.Event()
        self._is_over = False
        self._tasks = [asyncio.create_task(self._call()) for _ in range(4)]

    async def _call(self) -> None:
        async with hopsack.connect(self._url) as fabric:
            number = 0
            while not self._is_over:
                try:
                    [same, pid] = await fabric.call("work.do", number)
                    assert same == number
                    self.pids.append(pid)
                except HopsackError as error:
                    self.failed.append(error)
                number += 1
                self._news.set()

    async def served_by(self, *pids: int) -> None:
        """Wait until each of these has answered calls that began after now."""
        known = len(self.pids) + len(self._tasks)
        while not set(pids) <= set(self.pids[known:]):
            self._news.clear()
            await self._news.wait()

    async def end(self) -> None:
        self._is_over = True
        await asyncio.gather(*self._tasks)


async def replaced(process: ServiceProcess, stop: Any) -> list[dict[str, Any]]:
    """Stop a service process, and return what it says until it has ended, which must be well."""
    stop()
    said = [json.loads(await asyncio.to_thread(process.line)) for _ in range(2)]
    assert await asyncio.to_thread(process.process.wait, 20) == 0
    return said


def test_two_instances_are_replaced_under_load_and_no_call_fails(node: Node, tmp_path: Path) -> None:
    async def main(stack: ExitStack) -> None:
        async def begun() -> ServiceProcess:
            process = stack.enter_context(service(tmp_path, node, source=WORKER))
            assert json.loads(await asyncio.to_thread(process.line)) == {"ready": True, "service": "worker"}
            return process

        instances = [await begun(), await begun()]
        load = Load(node.rawsocket)
        await load.served_by(*(instance.process.pid for instance in instances))
        for _ in range(2):
            old = instances.pop(0)
            draining, left = await replaced(old, lambda old=old: os.kill(old.process.pid, signal.SIGTERM))
            assert (draining["draining"], draining["service"]) == (True, "worker")
            assert left == {"left": True, "service": "worker", "cancelled": 0}
            instances.append(await begun())
            await load.served_by(*(instance.process.pid for instance in instances))
        await load.end()

        assert load.failed == []
        assert len(set(load.pids)) == 4

    with ExitStack() as stack:
        asyncio.run(asyncio.wait_for(main(stack), 90))


STUCK = """
import threading
from hopsack import Service, procedure

class Worker(Service):
    @procedure("work.do")
    def do(self):
        print("begun", flush=True)
        threading.Event().wait()
"""


def test_a_thread_that_never_returns_does_not_keep_a_service_from_ending(node: Node, tmp_path: Path) -> None:
    async def main(process: ServiceProcess) -> None:
        await asyncio.to_thread(process.line)
        async with hopsack.connect(node.rawsocket) as fabric:
            call = asyncio.ensure_future(fabric.call("work.do"))
            assert await asyncio.to_thread(process.line) == "begun"
            draining, left = await replaced(process, process.process.terminate)

            assert (draining["in_hand"], left["cancelled"]) == (1, 1)
            with pytest.raises(Canceled):
                await call

    with service(tmp_path, node, source=STUCK, HOPSACK_FINISH="0.1") as process:
        asyncio.run(asyncio.wait_for(main(process), 30))


def test_an_operator_sees_the_instances_and_lets_them_leave(node: Node, tmp_path: Path) -> None:
    with service(tmp_path, node, source=WORKER) as one, service(tmp_path, node, source=WORKER) as other:
        for process in (one, other):
            assert json.loads(process.line())["ready"]
        assert command(node, "call", "work.do", "1", "--timeout", "5", "--wait", "1", "--retry", "0")[0] == 0

        rows = [json.loads(line) for line in command(node, "services", "ls")[1].splitlines()]
        [told, _] = [json.loads(line) for line in command(node, "services", "info", "worker")[1].splitlines()]
        instance = rows[0]["instance"]
        code, drained, _ = command(node, "drain", "worker", "--instance", instance)

        assert [row["name"] for row in rows] == ["worker", "worker"]
        assert [sum(row[name] for row in rows) for name in ("num_requests", "num_errors")] == [1, 0]
        assert (told["name"], [one["subject"] for one in told["endpoints"]]) == ("worker", ["work.do"])
        assert (code, json.loads(drained)["id"]) == (0, instance)
        assert [row["instance"] for row in map(json.loads, command(node, "services", "ls")[1].splitlines())] == [
            rows[1]["instance"]
        ]
        assert command(node, "drain", "worker")[0] == 0
        for process in (one, other):
            assert json.loads(process.line())["draining"]
            assert json.loads(process.line()) == {"left": True, "service": "worker", "cancelled": 0}
            assert process.process.wait(20) == 0
        code, _, error = command(node, "drain", "worker")
        assert (code, "no service worker is connected" in error) == (2, True)
        assert command(node, "call", "work.do", "1", "--timeout", "0.2", "--wait", "5")[0] == 6


def test_who_is_no_operator_may_not_drain(node: Node, tmp_path: Path) -> None:
    with service(tmp_path, node, source=WORKER) as process:
        assert json.loads(process.line())["ready"]

        code, _, error = command(node, "drain", "worker", "--token", node.token("service"))

        assert code == 5
        assert "[hopsack.denied]" in error
        assert process.stop() == 0


BOTH = (
    WORKER
    + """
class Other(Service):
    @procedure("work.other")
    async def other(self):
        return "here"
"""
)


def test_of_two_services_in_one_process_the_other_stays(node: Node, tmp_path: Path) -> None:
    with service(tmp_path, node, source=BOTH) as process:
        assert {json.loads(process.line())["service"] for _ in range(2)} == {"worker", "other"}

        assert command(node, "drain", "worker")[0] == 0
        assert [json.loads(process.line())["service"] for _ in range(2)] == ["worker", "worker"]
        assert command(node, "call", "work.other") == (0, '"here"\n', "")
        assert command(node, "drain", "other")[0] == 0

        assert [json.loads(process.line())["service"] for _ in range(2)] == ["other", "other"]
        assert process.process.wait(20) == 0


def test_a_node_that_is_killed_costs_an_idempotent_call_nothing_but_time(tmp_path: Path, schemas: Path) -> None:
    processes = [NodeProcess(tmp_path, "--schemas", str(schemas))]
    count: hopsack.Procedure[None, int] = hopsack.Procedure("work.count", None, int, idempotent=True)

    async def main(node: Node) -> None:
        begun = asyncio.Queue[str]()
        is_over = asyncio.Event()

        async def serve(caller: hopsack.Caller) -> int:
            begun.put_nowait(caller.procedure)
            await is_over.wait()
            return 7

        async with (
            hopsack.connect(node.rawsocket, node.token("service")) as callee,
            hopsack.connect(node.rawsocket, node.token("user")) as caller,
        ):
            await callee.register("work.count", serve)
            await callee.register("work.pay", serve)
            again = asyncio.ensure_future(caller.call(count, timeout=60.0))
            once = asyncio.ensure_future(caller.call("work.pay", timeout=60.0))
            assert {await begun.get(), await begun.get()} == {"work.count", "work.pay"}

            processes[-1].process.kill()
            await asyncio.to_thread(processes[-1].process.wait)
            with pytest.raises(OutcomeUnknown):
                await once
            port = node.rawsocket.rpartition(":")[2]
            processes.append(NodeProcess(tmp_path, "--schemas", str(schemas), "--rawsocket-port", port))

            assert await begun.get() == "work.count"
            is_over.set()
            assert await again == 7
            assert begun.empty()

    try:
        asyncio.run(asyncio.wait_for(main(processes[-1].ready()), 60))
    finally:
        assert processes[-1].stop() == 0, processes[-1].logged()
