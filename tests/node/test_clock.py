"""The machine's clock jumps by an hour while sessions, streams, calls and tokens live.

libfaketime (https://github.com/wolfcw/libfaketime) stands between the node and the clock: what the wall clock says is
read from a file each time that the node asks. The monotonic clock goes on as it does on such a machine.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent, aconnect_sse
from websockets.asyncio.client import ClientConnection, connect

import hopsack
from hopsack.settings import Settings
from hopsack.subscription import Subscription
from hopsack.tokens import mint

from .conftest import ROOT, Node, running

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(shutil.which("faketime") is None, reason="no faketime: apt-get install faketime"),
]

PATIENCE = 60
CONTRACTS = ROOT / "tests" / "conversations" / "schemas"
TOPIC = "demo.hall.told"
EACH = 20
"""Events before a jump and after it: each is a turn of the node's loop at least, in which whatever is due is done."""

HOUR = 3600


class Clock:
    """What a node takes for the wall clock: the real one and some seconds."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.offset = 0
        self.jump(0)

    def jump(self, seconds: int) -> None:
        """:param seconds: between the real clock and this one, from now on."""
        self.offset = seconds
        written = self._file.with_suffix(".new")
        written.write_text(f"{seconds:+d}\n")
        written.rename(self._file)

    @property
    def environ(self) -> dict[str, str]:
        shown = subprocess.run(["faketime", "-m", "-f", "+0s", "env"], capture_output=True, text=True, check=True)
        library = re.search(r"^LD_PRELOAD=(.+)$", shown.stdout, re.M)
        assert library is not None
        return {
            "LD_PRELOAD": library[1],
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def __call__(self) -> float:
        return time.time() + self.offset


class Here:
    """Somebody on each of several doors, who was there before the clock jumped."""

    def __init__(self, node: Node, clock: Clock) -> None:
        self.node, self.clock = node, clock
        self.published = 0

    def token(self, role: str, ttl: float | None = None, at: float | None = None) -> str:
        """As somebody mints it by this clock, or at another time."""
        secret = Settings.from_environ({}, data=self.node.data).secret()
        return mint(secret, sub=f"{role}-here", role=role, ttl=ttl, now=self.clock if at is None else lambda: at)

    async def tell(self, writer: hopsack.Connection) -> None:
        for _ in range(EACH):
            await writer.publish(TOPIC, str(self.published))
            self.published += 1


@contextmanager
def somebody(folder: Path) -> Iterator[Here]:
    clock = Clock(folder)
    with running(folder, "--schemas", str(CONTRACTS), **clock.environ) as node:
        yield Here(node, clock)


async def hear(events: Subscription[Any], stream: AsyncIterator[ServerSentEvent]) -> list[tuple[str, str]]:
    """What came to two readers: data and position of each event, the same for both."""
    heard = []
    for _ in range(EACH):
        event, sent = await anext(aiter(events)), await anext(stream)
        assert (event.data, str(event.position)) == (sent.json(), sent.id)
        heard.append((sent.json(), sent.id))
    return heard


async def members(fabric: hopsack.Connection) -> set[int]:
    return {member["session"] for member in (await fabric.call("presence.list"))["members"]}


async def status(http: httpx.AsyncClient, token: str) -> int:
    answer = await http.post("/publish/demo.news", json={"headline": "x"}, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code


async def ask(page: ClientConnection, number: int, milliseconds: int) -> None:
    """Call what never answers, with a deadline that the node keeps."""
    params = {"a": 1, "b": 2}
    call = {
        "jsonrpc": "2.0",
        "id": number,
        "method": "demo.add",
        "params": params,
        "hopsack": {"timeout": milliseconds},
    }
    await page.send(json.dumps(call))


async def answered(page: ClientConnection) -> str:
    code: str = json.loads(await page.recv())["error"]["data"]["code"]
    return code


@pytest.mark.timeout(120)
@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["an hour ahead", "an hour back"])
def test_nobody_notices_that_the_clock_jumps(tmp_path: Path, jump: int) -> None:
    with somebody(tmp_path) as here:
        asyncio.run(asyncio.wait_for(while_it_jumps(here, jump), PATIENCE))


async def while_it_jumps(here: Here, jump: int) -> None:
    node, clock = here.node, here.clock
    asked = asyncio.Event()

    async def never(terms: dict[str, int]) -> int:
        asked.set()
        await asyncio.Event().wait()
        return 0

    async with (
        hopsack.connect(node.rawsocket, here.token("service")) as writer,
        hopsack.connect(node.ws("/raw"), here.token("user")) as reader,
        connect(node.ws("/raw")) as page,
        httpx.AsyncClient(base_url=node.http, timeout=PATIENCE) as http,
    ):
        await writer.register("demo.add", never)
        await writer.publish("demo.hall.told", "first")
        events = await reader.subscribe(TOPIC)
        async with aconnect_sse(http, "GET", f"/events?topic={TOPIC}") as source:
            stream = (event async for event in source.aiter_sse() if event.event == TOPIC)
            await here.tell(writer)
            heard = await hear(events, stream)
            before = await members(reader)
            await ask(page, 1, 500)
            await asked.wait()
            for offset in (jump, 0):
                clock.jump(offset)
                await here.tell(writer)
                heard += await hear(events, stream)
                if offset:
                    assert await answered(page) == "hopsack.deadline"
                    await check_tokens(here, http)
            await ask(page, 2, 500)
            assert await answered(page) == "hopsack.deadline"
            assert await status(http, here.token("user", ttl=60)) == 200
            assert before <= await members(reader)

        assert [data for data, _ in heard] == [str(number) for number in range(3 * EACH)]
        check_positions([position for _, position in heard])
        await check_resuming(here, http, heard)


async def check_tokens(here: Here, http: httpx.AsyncClient) -> None:
    """They count by the clock that the node has now."""
    now = here.clock()
    assert await status(http, here.token("user", ttl=60)) == 200
    assert await status(http, here.token("user", ttl=60, at=now - 120)) == 401
    assert await status(http, here.token("user", at=now + 120)) == 401
    assert await status(http, here.token("user", ttl=60, at=time.time())) == 401


def check_positions(positions: list[str]) -> None:
    epochs, offsets = zip(*(position.rsplit(":", 1) for position in positions), strict=True)
    assert len(set(epochs)) == 1
    assert [int(offset) for offset in offsets] == list(range(2, len(positions) + 2))


async def check_resuming(here: Here, http: httpx.AsyncClient, heard: list[tuple[str, str]]) -> None:
    """Who comes back is given all of it, from before the jumps."""
    headers = {"Last-Event-ID": heard[EACH // 2][1]}
    async with aconnect_sse(http, "GET", f"/events?topic={TOPIC}", headers=headers) as source:
        stream = source.aiter_sse()
        rest = [await anext(stream) for _ in heard[EACH // 2 + 1 :]]
    assert [(event.json(), event.id) for event in rest] == heard[EACH // 2 + 1 :]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["an hour ahead", "an hour back"])
def test_sessions_whose_tokens_expire_live_on_and_refresh(tmp_path: Path, jump: int) -> None:
    with somebody(tmp_path) as here:
        asyncio.run(asyncio.wait_for(they_refresh(here, jump), PATIENCE))


async def they_refresh(here: Here, jump: int) -> None:
    """Half an hour's tokens: by the calendar they are over when it jumps ahead, and made in the future when back."""
    node, clock = here.node, here.clock
    first = here.token("user", ttl=HOUR / 2)
    async with (
        hopsack.connect(node.rawsocket, first) as wamp,
        hopsack.connect(node.ws("/raw"), first) as raw,
    ):
        sessions = [wamp.identity, raw.identity]
        clock.jump(jump)
        for fabric in (wamp, raw):
            assert (await fabric.call("hopsack.session.whoami"))["subject"] == "user-here"
            with pytest.raises(hopsack.RemoteError):
                await fabric.call("hopsack.session.refresh", {"token": first})
            if jump > 0:
                newer = here.token("user", ttl=HOUR)
                told = await fabric.call("hopsack.session.refresh", {"token": newer})
                assert abs(told["expires"] - clock() - HOUR) < 60
        clock.jump(0)
        for fabric in (wamp, raw):
            assert (await fabric.call("hopsack.session.whoami"))["subject"] == "user-here"
        assert [wamp.identity, raw.identity] == sessions
