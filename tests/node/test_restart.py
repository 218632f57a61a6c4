"""A node that stops and comes back, from outside: what clients of every door see of it, and that it is only a pause."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import hopsack
from hopsack.backoff import FIRST
from hopsack.connection import Connection
from hopsack.errors import Canceled, Disconnected, OutcomeUnknown, Unavailable
from hopsack.keeper import Connected, State, Waiting
from hopsack_router.drain import LEAST

from .conftest import Node, NodeProcess
from .test_library import service

pytestmark = pytest.mark.node

PATIENCE = 120
"""Seconds until a test gives up; nothing here waits for time to pass."""

CALLS = 20


class Adder:
    """A callee that answers when it is told to."""

    def __init__(self) -> None:
        self.at_work = 0
        self.all_at_work = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def add(self, numbers: list[float]) -> float:
        self.at_work += 1
        if self.at_work == CALLS:
            self.all_at_work.set()
        await self.may_answer.wait()
        return sum(numbers)


@asynccontextmanager
async def in_flight(node: Node, door: str = "rawsocket") -> AsyncIterator[tuple[Connection, Connection, Adder, Any]]:
    """A callee with calls in hand, their caller, and the calls."""
    url = node.rawsocket if door == "rawsocket" else node.ws(door)
    async with hopsack.connect(url, node.token("service", "adder")) as serving, hopsack.connect(url) as asking:
        adder = Adder()
        await serving.register("demo.add", adder.add)
        calls = asyncio.gather(
            *(asking.call("demo.add", [n, 1], timeout=PATIENCE) for n in range(CALLS)), return_exceptions=True
        )
        await adder.all_at_work.wait()
        yield serving, asking, adder, calls


async def turns(connection: Connection, kind: type[State]) -> Any:
    """Wait until a connection is in a state."""
    async for state in connection.states():
        if isinstance(state, kind):
            return state
    raise AssertionError(f"never {kind.__name__}")


def pauses(*connections: Connection) -> list[asyncio.Task[Waiting]]:
    """What makes each of them wait for the first time from now on."""
    return [asyncio.create_task(turns(connection, Waiting)) for connection in connections]


async def unready(http: httpx.AsyncClient) -> httpx.Response:
    """Ask /readyz until it says no."""
    while True:
        answer = await http.get("/readyz")
        if answer.status_code != 200:
            return answer


async def ended(process: subprocess.Popen[str]) -> int:
    return await asyncio.get_running_loop().run_in_executor(None, process.wait, PATIENCE)


async def present(fabric: Connection) -> list[str]:
    listed = await fabric.call("presence.list", timeout=PATIENCE)
    assert listed["count"] == len(listed["members"]) == sum(listed["roles"].values())
    return sorted(member["authid"] for member in listed["members"])


def run(main: Any) -> None:
    asyncio.run(asyncio.wait_for(main, PATIENCE))


@contextmanager
def nodes(tmp_path: Path, *arguments: str, **variables: str) -> Iterator[list[NodeProcess]]:
    """A node, and its successors on the same ports; the last one must end cleanly."""
    processes = [NodeProcess(tmp_path, *arguments, **variables)]
    try:
        yield processes
    finally:
        code = processes[-1].stop()
        for process in processes:
            process.log.close()
    assert code == 0, Path(processes[-1].log.name).read_text()


async def succeed(processes: list[NodeProcess], node: Node) -> None:
    """Start a node where the last one was, and wait until it is ready."""
    ports = ("--port", node.http.rpartition(":")[2], "--rawsocket-port", node.rawsocket.rpartition(":")[2])
    processes.append(NodeProcess(node.data, *ports))
    await asyncio.get_running_loop().run_in_executor(None, processes[-1].ready)


# ---- SIGTERM ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["rawsocket", "/ws", "/raw"])
def test_it_says_that_it_is_not_ready_and_finishes_what_is_in_flight(tmp_path: Path, door: str) -> None:
    async def main(process: NodeProcess, node: Node) -> None:
        async with (
            httpx.AsyncClient(base_url=node.http, timeout=PATIENCE) as http,
            hopsack.connect(node.rawsocket) as idle,
            in_flight(node, door) as (serving, asking, adder, calls),
        ):
            first, *others = pauses(idle, asking, serving)
            assert (await http.get("/readyz")).status_code == 200

            process.process.send_signal(signal.SIGTERM)
            no = await unready(http)
            states = (serving.state, asking.state)
            sent_away = await first
            with pytest.raises(Unavailable) as refused:
                await asking.call("demo.add", [1, 2])
            healthy = await http.get("/healthz")
            adder.may_answer.set()

            assert (no.status_code, no.json()) == (503, {"ready": False})
            assert all(isinstance(state, Connected) for state in states)
            assert sent_away.delay >= LEAST
            assert sent_away.reason == "wamp.close.system_shutdown"
            assert refused.value.data["retry_after"] >= LEAST
            assert healthy.status_code == 200
            assert await calls == [n + 1 for n in range(CALLS)]
            assert all(other.delay >= LEAST for other in await asyncio.gather(*others))
            assert await ended(process.process) == 0, process.logged()

    with nodes(tmp_path, HOPSACK_DRAIN="100") as [process]:
        run(main(process, process.ready()))


def test_who_comes_meanwhile_is_told_when_to_come_back_on_every_door(tmp_path: Path) -> None:
    async def main(process: NodeProcess, node: Node) -> None:
        async with (
            httpx.AsyncClient(base_url=node.http, timeout=PATIENCE) as http,
            in_flight(node) as (*_, adder, calls),
        ):
            process.process.send_signal(signal.SIGTERM)
            await unready(http)

            called = await http.post("/call/demo.add", json=[1, 2])
            read = await http.get("/events?topic=demo.text")
            browser = await http.get("/events?topic=demo.text", headers={"Accept": "text/event-stream"})
            talking, hello = await closed(node.ws("/raw"), {"jsonrpc": "2.0", "id": 1, "method": "hopsack.hello"})
            reading, _ = await closed(node.ws("/raw?topic=demo.text"))
            with pytest.raises(Disconnected, match="the node is stopping"):
                async with hopsack.connect(node.rawsocket, patience=0):
                    pass
            adder.may_answer.set()

            for answer in (called, read):
                assert (answer.status_code, answer.json()["type"]) == (503, "/errors#hopsack.unavailable")
                assert int(answer.headers["Retry-After"]) >= 1
            assert browser.status_code == 200
            assert re.fullmatch(r"retry: \d{3,4}\n", browser.text)
            assert hello["error"]["data"]["code"] == "hopsack.unavailable"
            assert hello["error"]["data"]["data"]["retry_after"] >= LEAST
            for code, reason in (talking, reading):
                assert code == 1001
                assert re.search(r" \(retry_after=\d+(\.\d+)?\)$", reason)
            assert await calls == [n + 1 for n in range(CALLS)]
            assert await ended(process.process) == 0, process.logged()

    async def closed(url: str, *messages: Any) -> tuple[tuple[int, str], Any]:
        """How the node closes a connection, and the last that it said."""
        said = None
        async with connect(url) as socket:
            for message in messages:
                await socket.send(json.dumps(message))
            async for text in socket:
                said = json.loads(text)
        return (socket.close_code or 0, socket.close_reason or ""), said

    with nodes(tmp_path, HOPSACK_DRAIN="100") as [process]:
        run(main(process, process.ready()))


def test_readers_are_told_when_to_come_back(tmp_path: Path) -> None:
    async def main(process: NodeProcess, node: Node) -> None:
        async with (
            httpx.AsyncClient(base_url=node.http, timeout=PATIENCE) as http,
            http.stream("GET", "/events?topic=demo.text") as stream,
            connect(node.ws("/raw?topic=demo.text")) as page,
        ):
            chunks = stream.aiter_text()
            first = await anext(chunks)

            process.process.send_signal(signal.SIGTERM)
            rest = "".join([chunk async for chunk in chunks])
            with pytest.raises(ConnectionClosed) as closed:
                await page.recv()

            assert first.startswith("retry: ")
            assert re.fullmatch(r"(:\n)*retry: \d{3,4}\n", rest)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
            assert re.fullmatch(r"The node is going away\. \(retry_after=\d\.\d+\)", closed.value.rcvd.reason)
            assert await ended(process.process) == 0, process.logged()

    with nodes(tmp_path) as [process]:
        run(main(process, process.ready()))


def test_a_call_that_does_not_end_in_time_is_ended(tmp_path: Path) -> None:
    async def main(process: NodeProcess, node: Node) -> None:
        async with in_flight(node) as (*_, calls):
            process.process.send_signal(signal.SIGTERM)

            assert {(type(one), str(one.message)) for one in await calls} == {
                (Canceled, "the node stopped before the callee answered")
            }
            assert await ended(process.process) == 0, process.logged()

    with nodes(tmp_path, HOPSACK_DRAIN="0.1") as [process]:
        run(main(process, process.ready()))


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async def main(process: NodeProcess, node: Node) -> None:
        async with httpx.AsyncClient(base_url=node.http, timeout=PATIENCE) as http, in_flight(node) as (*_, calls):
            process.process.send_signal(signal.SIGTERM)
            await unready(http)
            process.process.send_signal(signal.SIGTERM)

            assert await ended(process.process) == -signal.SIGTERM
            assert {type(one) for one in await calls} == {OutcomeUnknown}

    process = NodeProcess(tmp_path, HOPSACK_DRAIN="600")
    try:
        run(main(process, process.ready()))
    finally:
        process.stop(signal.SIGKILL)


def test_a_full_crossbar_node_finishes_what_is_in_flight_too(tmp_path: Path) -> None:
    async def main(process: NodeProcess, node: Node) -> None:
        async with (
            httpx.AsyncClient(base_url=node.http, timeout=PATIENCE) as http,
            hopsack.connect(node.rawsocket) as idle,
            in_flight(node) as (_, asking, adder, calls),
        ):
            first, other = pauses(idle, asking)
            process.process.send_signal(signal.SIGTERM)
            await unready(http)
            sent_away = await first
            adder.may_answer.set()

            assert sent_away.delay >= LEAST
            assert await calls == [n + 1 for n in range(CALLS)]
            assert (await other).delay >= LEAST
            assert await ended(process.process) == 0, process.logged()

    with nodes(tmp_path, "--controller", HOPSACK_DRAIN="20") as [process]:
        run(main(process, process.ready()))


# ---- and back --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("door", "number"), [("rawsocket", signal.SIGTERM), ("/raw", signal.SIGTERM), ("rawsocket", signal.SIGKILL)]
)
def test_everybody_comes_back_subscribed_and_registered_and_nobody_else_is_there(
    tmp_path: Path, door: str, number: int
) -> None:
    async def main(processes: list[NodeProcess], node: Node) -> None:
        url = node.rawsocket if door == "rawsocket" else node.ws(door)
        async with (
            hopsack.connect(url, node.token("service", "adder")) as serving,
            hopsack.connect(url, node.token("user", "reader")) as reading,
        ):
            await serving.register("demo.add", lambda numbers: sum(numbers), inline=True)
            texts, joins = await reading.subscribe("demo.text"), await reading.subscribe("presence.joined")
            leaves = await reading.subscribe("presence.left")
            await reading.subscribe("console.notice")
            members = await reading.map("console.notice.members", key="authid")
            since = members["reader"]["since"]

            told = pauses(serving, reading)
            await present(reading)
            processes[0].process.send_signal(number)
            paused = await asyncio.gather(*told)
            assert await ended(processes[0].process) == (0 if number == signal.SIGTERM else -number)
            await succeed(processes, node)
            back = [await turns(one, Connected) for one in (serving, reading)]

            if number == signal.SIGTERM:
                assert all(one.delay >= LEAST for one in paused)
            else:  # nobody told them, so it is their own jitter
                assert all(0 <= one.delay < FIRST for one in paused)
            assert await reading.call("demo.add", [1, 2], timeout=PATIENCE) == 3
            assert await present(reading) == ["adder", "reader"]
            assert {one["session"] for one in (await reading.call("presence.list"))["members"]} == {
                one.identity.session for one in back
            }
            async with hopsack.connect(url, node.token("user", "guest")) as guest:
                assert (await guest.map("console.notice.members", key="authid"))["reader"]["since"] == since
                await guest.publish("demo.text", "again")
                session = guest.identity.session if guest.identity else 0
                assert (await anext(aiter(texts))).data == "again"
                assert await of(joins, session) == "guest"
            assert await of(leaves, session) == "guest"
            assert await present(reading) == ["adder", "reader"]

    async def of(events: Any, session: int) -> str:
        """Who it was, from the event about a session."""
        async for event in events:
            if event.data["session"] == session:
                return str(event.data["authid"])
        raise AssertionError("the subscription ended")

    with nodes(tmp_path) as processes:
        run(main(processes, processes[0].ready()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_service_process_comes_back(tmp_path: Path, number: int) -> None:
    async def main(processes: list[NodeProcess], node: Node) -> None:
        loop = asyncio.get_running_loop()
        with service(tmp_path, node) as greeter:
            assert json.loads(await loop.run_in_executor(None, greeter.line)) == {"ready": True, "service": "greeter"}

            processes[0].process.send_signal(number)
            assert json.loads(await loop.run_in_executor(None, greeter.line)) == {"ready": False, "service": "greeter"}
            await ended(processes[0].process)
            await succeed(processes, node)
            assert json.loads(await loop.run_in_executor(None, greeter.line)) == {"ready": True, "service": "greeter"}

            async with hopsack.connect(node.rawsocket, node.token("operator", "ann")) as fabric:
                assert await fabric.call("demo.greet", {"name": "ann"}) == "GREETING ann"
                assert await present(fabric) == ["ann", "greeter"]

    with nodes(tmp_path) as processes:
        run(main(processes, processes[0].ready()))
