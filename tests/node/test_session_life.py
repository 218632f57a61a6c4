"""Sessions of a real node, on every door: they refresh, expire, are revoked and kicked, and the audit log has it."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent, aconnect_sse
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

import hopsack
from hopsack.errors import Denied, HopsackError, LoginRequired, Revoked
from hopsack.keeper import Closed
from hopsack.settings import Settings
from hopsack.tokens import mint

from .conftest import ROOT, Node, NodeProcess

pytestmark = pytest.mark.node

CONTRACTS = ROOT / "tests" / "conversations" / "schemas"
PATIENCE = 30
GRACE = 1


@pytest.fixture
def process(tmp_path: Path) -> Iterator[NodeProcess]:
    process = begin(tmp_path)
    yield process
    assert process.stop() == 0, process.logged()


def begin(folder: Path) -> NodeProcess:
    return NodeProcess(folder, "--schemas", str(CONTRACTS), HOPSACK_GRACE=str(GRACE))


def token(node: Node, sub: str, role: str, ttl: float | None = None) -> str:
    return mint(Settings.from_environ({}, data=node.data).secret(), sub=sub, role=role, ttl=ttl)


def run(work: Any) -> None:
    asyncio.run(asyncio.wait_for(work, PATIENCE))


def audit(node: Node) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(node.data) / "audit.jsonl").read_text().splitlines()]


@asynccontextmanager
async def streaming(http: httpx.AsyncClient, topic: str, bearer: str) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
    headers = {"Authorization": f"Bearer {bearer}"}
    async with aconnect_sse(http, "GET", f"/events?topic={topic}", headers=headers) as source:
        yield source.aiter_sse()


async def end_of(socket: ClientConnection) -> tuple[int, str]:
    """The code and the reason that the node closes with."""
    try:
        while True:
            await socket.recv()
    except ConnectionClosed as end:
        close = end.rcvd
    assert close is not None
    return close.code, close.reason


async def given_up(connection: hopsack.Connection) -> HopsackError | None:
    """Why a connection does not come back."""
    async for state in connection.states():
        if isinstance(state, Closed):
            return state.error
    raise AssertionError("states end with the end")


async def hello(socket: ClientConnection, bearer: str) -> dict[str, Any]:
    await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "hopsack.hello", "params": {"token": bearer}}))
    answer: dict[str, Any] = json.loads(await socket.recv())["result"]
    return answer


@pytest.mark.parametrize("door", ["tcp", "/ws", "/raw"])
def test_a_connection_outlives_its_tokens(process: NodeProcess, door: str) -> None:
    """Four lives of a token long, with one that is given a newer one each time."""
    node = process.ready()
    made: list[str] = []

    def newer() -> str:
        made.append(token(node, "ann", "user", ttl=3))
        return made[-1]

    async def live() -> None:
        url = node.rawsocket if door == "tcp" else node.ws(door)
        async with (
            hopsack.connect(url, newer) as ann,
            hopsack.connect(node.rawsocket, token(node, "s", "service")) as service,
        ):
            who, events = ann.identity, await ann.subscribe("demo.news")
            while len(made) < 4:
                await service.publish("demo.news", {"headline": "still here"})
                assert (await anext(aiter(events))).data == {"headline": "still here"}
            assert who is not None
            assert ann.identity is not None
            assert ann.identity.session == who.session

    run(live())
    assert [line["event"] for line in audit(node)].count("refreshed") >= 2
    for one in made:
        assert one.encode() not in (Path(node.data) / "audit.jsonl").read_bytes()
        assert one not in process.logged()


@pytest.mark.parametrize("door", ["tcp", "/ws", "/raw"])
def test_what_a_newer_token_does_not_allow_ends_with_a_reason(process: NodeProcess, door: str) -> None:
    node = process.ready()

    async def live() -> None:
        url = node.rawsocket if door == "tcp" else node.ws(door)
        async with hopsack.connect(url, token(node, "ann", "service")) as ann:
            secret, news = await ann.subscribe("demo.secret"), await ann.subscribe("demo.news")

            told = await ann.call("hopsack.session.refresh", {"token": token(node, "ann", "user")})

            assert told["kept"] == 1
            assert [(one["kind"], one["uri"]) for one in told["ended"]] == [("subscription", "demo.secret")]
            with pytest.raises(Denied):
                await anext(aiter(secret))
            await ann.publish("demo.news", {"headline": "x"})
            async with hopsack.connect(node.rawsocket, token(node, "s", "service")) as s:
                await s.publish("demo.secret", "for services")
                await s.publish("demo.news", {"headline": "y"})
            assert (await anext(aiter(news))).data == {"headline": "y"}
            assert (await ann.call("hopsack.session.whoami"))["role"] == "user"
            with pytest.raises(Denied):
                await ann.call("hopsack.session.refresh", {"token": token(node, "bob", "user")})

    run(live())


def test_a_request_over_http_has_nothing_to_refresh(process: NodeProcess) -> None:
    node = process.ready()
    bearer = token(node, "ann", "user")
    headers = {"Authorization": f"Bearer {bearer}"}

    answer = httpx.post(f"{node.http}/call/hopsack.session.refresh", json={"token": bearer}, headers=headers)
    who = httpx.post(f"{node.http}/call/hopsack.session.whoami", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "hopsack.bad_request")
    assert (who.json()["subject"], who.json()["door"]) == ("ann", "http")


def test_an_expired_session_ends_on_every_door(process: NodeProcess) -> None:
    node = process.ready()

    async def live() -> None:
        bearer = token(node, "ann", "user", ttl=2)
        headers = {"Authorization": f"Bearer {bearer}"}
        async with (
            connect(node.ws("/raw")) as raw,
            connect(node.ws("/raw?topic=demo.news"), additional_headers=headers) as reader,
            httpx.AsyncClient(base_url=node.http, timeout=PATIENCE) as http,
            streaming(http, "demo.news", bearer) as events,
        ):
            who = await hello(raw, bearer)
            assert 0 < who["expires_in"] <= 2
            async with hopsack.connect(node.rawsocket, bearer) as wamp:
                said = [await end_of(raw), await end_of(reader)]
                told = [event async for event in events if event.event == "hopsack.ended"]
                assert isinstance(await given_up(wamp), LoginRequired)
        assert said == [(4401, "hopsack.expired: the token has expired, and no newer one has come")] * 2
        assert [event.json()["code"] for event in told] == ["hopsack.expired"]

    run(live())
    reasons = [line["reason"] for line in audit(node) if line["event"] == "ended"]
    assert set(reasons) == {"hopsack.expired"}
    assert len(reasons) >= 4  # a program may be let in again while clocks may differ


def cli(node: Node, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {"HOPSACK_URL": node.rawsocket, "HOPSACK_DATA": str(node.data), "PATH": "/usr/bin:/bin"}
    words = ("-m", "hopsack.cli", *words)
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environ, timeout=PATIENCE)


def test_revoking_ends_every_session_at_once_and_outlasts_a_restart(tmp_path: Path) -> None:
    process = begin(tmp_path)
    node = process.ready()
    bearer = token(node, "ann", "user")

    async def live() -> None:
        headers = {"Authorization": f"Bearer {bearer}"}
        async with (
            connect(node.ws("/raw")) as raw,
            connect(node.ws("/raw?topic=demo.news"), additional_headers=headers) as reader,
            httpx.AsyncClient(base_url=node.http, timeout=PATIENCE) as http,
            streaming(http, "demo.news", bearer) as events,
            hopsack.connect(node.rawsocket, bearer) as wamp,
            hopsack.connect(node.rawsocket, token(node, "bob", "user")) as bob,
        ):
            await hello(raw, bearer)
            told = await asyncio.to_thread(cli, node, "revoke", "ann", "--reason", "lost")
            assert told.returncode == 0, told.stderr
            assert len(json.loads(told.stdout)["ended"]) == 4
            said = [await end_of(raw), await end_of(reader)]
            heard = [event.json()["code"] async for event in events if event.event == "hopsack.ended"]
            assert isinstance(await given_up(wamp), Revoked)
            assert (await bob.call("hopsack.session.whoami"))["subject"] == "bob"
            assert {code for code, _ in said} == {4401}
            assert heard == ["hopsack.revoked"]

    try:
        run(live())
        assert refused(node, bearer)
        assert [json.loads(line)["subject"] for line in cli(node, "revoke", "--list").stdout.splitlines()] == ["ann"]
    finally:
        assert process.stop() == 0, process.logged()

    process = begin(tmp_path)
    node = process.ready()
    try:
        assert refused(node, bearer)
        assert cli(node, "revoke", "ann", "--restore").returncode == 0
        assert not refused(node, bearer)
    finally:
        assert process.stop() == 0, process.logged()
    events = [line["event"] for line in audit(node)]
    assert [event for event in events if event in ("revoked", "restored")] == ["revoked", "restored"]
    assert bearer not in (Path(node.data) / "audit.jsonl").read_text()
    assert stat.S_IMODE((Path(node.data) / "audit.jsonl").stat().st_mode) == 0o600


def refused(node: Node, bearer: str) -> bool:
    headers = {"Authorization": f"Bearer {bearer}"}
    answer = httpx.post(f"{node.http}/call/hopsack.session.whoami", headers=headers)
    assert answer.status_code in (200, 401)
    assert answer.status_code == 200 or answer.json()["code"] == "hopsack.revoked"
    return answer.status_code == 401


def test_a_session_is_kicked(process: NodeProcess) -> None:
    node = process.ready()

    async def live() -> None:
        async with connect(node.ws("/raw")) as raw:
            session = (await hello(raw, token(node, "ann", "user")))["session"]
            told = await asyncio.to_thread(cli, node, "sessions", "kick", str(session), "--reason", "Too loud.")
            assert json.loads(told.stdout) == {"ended": [session]}
            assert await end_of(raw) == (4403, "Too loud.")
        again = await asyncio.to_thread(cli, node, "sessions", "kick", str(session))
        assert again.returncode == 1

    run(live())
    lines = audit(node)
    (ended,) = [line for line in lines if line["event"] == "ended"]
    assert (ended["subject"], ended["by"], ended["message"]) == ("ann", "cli", "Too loud.")
    assert [line["procedure"] for line in lines if line["event"] == "admin"] == ["hopsack.sessions.end"] * 2


def test_what_is_kept_of_revocations_must_be_readable(tmp_path: Path) -> None:
    data = tmp_path / "data"
    process = begin(tmp_path)
    node = process.ready()
    data = Path(node.data)
    assert process.stop() == 0
    (data / "revoked.json").write_text("{")

    process = begin(tmp_path)

    with pytest.raises(AssertionError, match=r"revoked\.json"):
        process.ready()
    process.stop()
