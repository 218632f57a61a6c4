"""A machine that the network cuts off: what the others see of it, and that it leaves no ghosts when it is back.

The machine is a network namespace, with a link to the node of its own. Nothing is closed and nothing is reset: packets
of both directions are dropped, so only silence tells. Needs root, for the namespace.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import hopsack
from hopsack.connection import Connection
from hopsack.errors import NoCallee, OutcomeUnknown
from hopsack_router.routing.attendance import GRACE

from .conftest import ROOT, Node, declared, running

pytestmark = [pytest.mark.node, pytest.mark.timeout(120)]

NOTICED = 20.0
"""Seconds until a test gives up on silence being noticed. The node asks every 5 s and waits for 5; the rest is for a
machine that is busy."""
CONVERGED = 5.0
"""Seconds that the node may take, once it has noticed, until everything that it tells is true."""
PATIENCE = 40.0
HELD = float(os.environ.get("PARTITION_SECONDS", "0"))
"""By hand: so long it is cut off. Else until everybody has noticed."""

CONTRACTS = """
summary: Work at another place.
undeclared: allow
topics:
  work.room:
    summary: Who is there.
    payload: {type: string}
    presence: true
    publish: [service]
    subscribe: [service, user]
"""

CLIENT = """
import asyncio, json, sys, hopsack
from hopsack.keeper import Connected
from hopsack.options import Options

async def stay(name, url, token):
    async def work(number: int) -> int:
        if number < 0:
            print(json.dumps({"begun": name}), flush=True)
            await asyncio.get_running_loop().create_future()
        return number + 1

    # It tries again often, so that the test is short. How soon the node notices does not depend on it.
    often = Options(open_timeout=2.0, ping_interval=1.0, ping_timeout=1.0, chance=lambda: 0.2)
    async with hopsack.connect(url, token, options=often) as fabric:
        await fabric.register(f"work.{name}", work)
        await fabric.subscribe("work.room")
        async for state in fabric.states():
            if isinstance(state, Connected):
                print(json.dumps({"name": name, "session": state.identity.session}), flush=True)

async def main(places):
    await asyncio.gather(*(stay(name, *place) for name, place in places.items()))

asyncio.run(main(json.loads(sys.argv[1])))
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Island:
    """A namespace with one link to us.

    :ivar here: our address on it, for the node.
    """

    def __init__(self) -> None:
        number = os.getpid() % (1 << 14)
        base = f"198.18.{number >> 6}.{(number & 63) << 2}".rpartition(".")
        self.name, self._ours, self._theirs = f"hopsack-{number}", f"hop{number}a", f"hop{number}b"
        self.here, self._there = (f"{base[0]}.{int(base[2]) + last}" for last in (1, 2))

    def make(self) -> None:
        ip("netns", "add", self.name)
        ip("link", "add", self._ours, "type", "veth", "peer", "name", self._theirs, "netns", self.name)
        ip("address", "add", f"{self.here}/30", "dev", self._ours)
        ip("link", "set", self._ours, "up")
        ip("-n", self.name, "address", "add", f"{self._there}/30", "dev", self._theirs)
        ip("-n", self.name, "link", "set", self._theirs, "up")

    def remove(self) -> None:
        subprocess.run(["ip", "link", "delete", self._ours], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "delete", self.name], check=False, capture_output=True)

    def command(self, *words: str) -> list[str]:
        """What runs this in there."""
        return ["ip", "netns", "exec", self.name, *words]

    def cut(self) -> None:
        rules = "add table inet cut\n"
        for way in ("input", "output"):
            rules += f"add chain inet cut {way} {{ type filter hook {way} priority 0; policy drop; }}\n"
        subprocess.run(self.command("nft", "-f", "-"), check=True, input=rules, capture_output=True, text=True)

    def mend(self) -> None:
        subprocess.run(self.command("nft", "delete", "table", "inet", "cut"), check=True, capture_output=True)


def missing() -> str | None:
    """What a partition needs and this machine has not."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "nothing shows that a partition leaves no ghosts: that needs root on Linux (network namespaces)"
    absent = [tool for tool in ("ip", "nft") if shutil.which(tool) is None]
    return (
        f"nothing shows that a partition leaves no ghosts: that needs {absent} (iproute2, nftables)" if absent else None
    )


@pytest.fixture
def island() -> Iterator[Island]:
    if why := missing():
        pytest.skip(why)
    made = Island()
    try:
        try:
            made.make()
        except subprocess.CalledProcessError as error:
            pytest.skip(
                f"nothing shows that a partition leaves no ghosts: no network namespace: {error.stderr.strip()}"
            )
        yield made
    finally:
        made.remove()


class Visitors:
    """The program on the island, with a connection on each door.

    :ivar sessions: the last of each name that it said.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.sessions: dict[str, int] = {}

    async def said(self) -> Mapping[str, Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "the program on the island ended"
        facts: dict[str, Any] = json.loads(line)
        if "session" in facts:
            self.sessions[facts["name"]] = facts["session"]
        return facts

    async def until_new(self, count: int, before: Mapping[str, int]) -> None:
        """So many have a session that they had not."""
        while sum(before.get(name) != session for name, session in self.sessions.items()) < count:
            await self.said()


@asynccontextmanager
async def visitors(island: Island, node: Node) -> AsyncIterator[tuple[Visitors, list[str]]]:
    urls = {"rawsocket": node.rawsocket, "wamp": node.ws("/ws"), "raw": node.ws("/raw")}
    places = {name: (url, node.token("service", name)) for name, url in urls.items()}
    process = await asyncio.create_subprocess_exec(
        *island.command(sys.executable, "-c", CLIENT, json.dumps(places)), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Visitors(process), sorted(urls)
    finally:
        process.kill()
        await process.wait()


async def ghosts(fabric: Connection) -> tuple[dict[str, list[int]], list[str]]:
    """Sessions by authid, and who has what procedure, as the node tells it."""
    present: dict[str, list[int]] = {}
    listed = await fabric.call("presence.list")
    for member in listed["members"]:
        present.setdefault(member["authid"], []).append(member["session"])
    assert listed["count"] == len(listed["members"])
    registered = [one["uri"] for one in await fabric.call("hopsack.procedures.list") if one["callees"]]
    return present, sorted(uri for uri in registered if uri.startswith("work."))


async def left(events: Any, sessions: set[int]) -> None:
    """All of them have left."""
    async for event in events:
        sessions.discard(event.data["session"])
        if not sessions:
            return
    raise AssertionError("the subscription ended")


async def holds(members: hopsack.LatestMap, names: set[str]) -> None:
    """The members of the room are these."""
    async for now in members.changes():
        if set(now) == names:
            return


def test_who_is_cut_off_is_gone_and_leaves_no_ghost_when_it_is_back(island: Island, tmp_path: Path) -> None:
    async def main(node: Node) -> None:
        async with (
            hopsack.connect(node.rawsocket, node.token("operator", "ann")) as fabric,
            visitors(island, node) as (away, names),
        ):
            everybody = {*names, "ann"}
            leaves = await fabric.subscribe("presence.left")
            members = await fabric.map("work.room.members", key="authid")
            await away.until_new(len(names), {})
            await holds(members, set(names))
            before = dict(away.sessions)
            calls = [asyncio.ensure_future(fabric.call(f"work.{name}", -1, timeout=PATIENCE)) for name in names]
            for _ in calls:
                assert "begun" in await away.said()
            assert (await ghosts(fabric))[1] == [f"work.{name}" for name in names]

            cut = asyncio.get_running_loop().time()
            island.cut()
            async with asyncio.timeout(NOTICED):
                await left(leaves, set(before.values()))
            print(f"noticed after {asyncio.get_running_loop().time() - cut:.1f} s")
            async with asyncio.timeout(CONVERGED):
                told = await asyncio.gather(*calls, return_exceptions=True)
                present, procedures = await ghosts(fabric)
                for name in names:
                    with pytest.raises(NoCallee):
                        await fabric.call(f"work.{name}", 1)
            async with asyncio.timeout(GRACE + CONVERGED):
                await holds(members, set())
            assert {type(error) for error in told} == {OutcomeUnknown}
            assert set(present) == {"ann"}
            assert procedures == []

            if HELD:  # by hand, time itself is what is tried
                await asyncio.sleep(cut + HELD - asyncio.get_running_loop().time())
            mended = asyncio.get_running_loop().time()
            island.mend()
            await away.until_new(len(names), before)
            await holds(members, set(names))
            print(f"back after {asyncio.get_running_loop().time() - mended:.1f} s")
            assert [await fabric.call(f"work.{name}", 1) for name in names] == [2, 2, 2]
            present, procedures = await ghosts(fabric)
            assert set(present) == everybody
            assert {name: present[name] for name in names} == {name: [away.sessions[name]] for name in names}
            assert procedures == [f"work.{name}" for name in names]

    async def bounded(node: Node) -> None:
        async with asyncio.timeout(PATIENCE + NOTICED + HELD):
            await main(node)

    with running(tmp_path, "--schemas", declared(tmp_path, "work", CONTRACTS), "--host", island.here) as node:
        asyncio.run(bounded(node))
