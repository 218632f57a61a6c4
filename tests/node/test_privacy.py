"""What the node cannot read crosses it on every door, between our library and stock Autobahn, live and kept."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hopsack import connect
from hopsack.errors import Invalid
from hopsack.privacy import KeyPair, KeyRing

from .conftest import Node, declared, running

pytestmark = pytest.mark.node

CLIENT = Path(__file__).parent / "clients" / "autobahn_keyring.py"
CONTRACTS = """
topics:
  safe.{room}:
    summary: What nobody but its readers can read.
    encrypted: cryptobox
    publish: [user]
    subscribe: [user]
  safe.{room}.log:
    summary: The same, kept.
    encrypted: cryptobox
    stream: {keep: 100}
    publish: [user]
    subscribe: [user]
"""
KEY = KeyPair.generate().private
SECRET = "nobody reads this"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    data = tmp_path_factory.mktemp("privacy")
    with running(data, "--schemas", declared(data, "safe", CONTRACTS)) as node:
        yield node


def urls(node: Node) -> list[str]:
    return [node.rawsocket, node.ws("/ws"), node.ws("/ws?codec=json"), node.ws("/raw")]


@pytest.mark.parametrize("topic", ["safe.hall", "safe.hall.log"])
@pytest.mark.parametrize("path", ["rawsocket", "/ws"])
def test_autobahn_and_our_doors_open_what_the_others_seal(node: Node, topic: str, path: str) -> None:
    async def exchange() -> tuple[list[Any], list[list[Any]]]:
        url = node.rawsocket.replace("tcp", "rs", 1) if path == "rawsocket" else node.ws(path)
        command = [str(CLIENT), url, node.token("user", "stock"), KEY, topic, str(len(urls(node)))]
        pipe = asyncio.subprocess.PIPE
        stock = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=pipe, stdout=pipe)
        assert stock.stdout is not None
        while (line := await stock.stdout.readline()) != b'"ready"\n':
            assert line, "it ended"
        ring = KeyRing({"safe": KEY})
        got: list[list[Any]] = []
        async with asyncio.TaskGroup() as group:
            ready = asyncio.Barrier(len(urls(node)) + 1)
            for url in urls(node):
                group.create_task(one_of_ours(url, ring, ready, got))
            await ready.wait()
            out, _ = await stock.communicate(b"go\n")
        return [json.loads(line) for line in out.splitlines() if line.startswith(b"[")], got

    async def one_of_ours(url: str, ring: KeyRing, ready: asyncio.Barrier, got: list[list[Any]]) -> None:
        async with (
            connect(url, token=node.token("user"), keyring=ring) as fabric,
            await fabric.subscribe(topic) as events,
        ):
            await ready.wait()
            await fabric.publish(topic, {"text": url})
            wanted = set(urls(node)) | {"from Autobahn"}
            if not topic.endswith("log"):
                wanted -= {url}  # live events do not come back to who published them
            heard = []
            async for event in events:
                heard.append(event.data["text"])
                if wanted <= set(heard):
                    break
            got.append(heard)

    seen, ours = asyncio.run(exchange())

    assert sorted(args[0]["text"] for args, _ in seen) == sorted(urls(node))
    assert len(ours) == len(urls(node))


def test_a_page_without_a_key_gets_the_sealed_value_and_history_is_opened(node: Node) -> None:
    async def look() -> None:
        ring, token = KeyRing({"safe": KEY}), node.token("user")
        async with (
            connect(node.rawsocket, token=token, keyring=ring) as ann,
            connect(node.ws("/raw"), token=token) as page,
            await page.subscribe("safe.attic.log") as events,
        ):
            await ann.publish("safe.attic.log", {"text": SECRET})
            event = await anext(aiter(events))
            past = await ann.history("safe.attic.log", last=1)
            blind = await page.history("safe.attic.log", last=1)
            with pytest.raises(Invalid, match="encrypted"):
                await page.publish("safe.attic.log", {"text": "in the clear"})
            async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
                posted = await client.post(f"{node.http}/publish/safe.attic.log", json=ring.seal("safe.attic.log", 7))

        assert event.data.keys() == {"enc_algo", "enc_serializer", "payload"}
        assert ring.open("safe.attic.log", event.data) == {"text": SECRET}
        assert [one.data for one in past] == [{"text": SECRET}]
        assert [one.data for one in blind] == [event.data]
        assert posted.status_code == 200

    asyncio.run(look())

    kept = b"".join(path.read_bytes() for path in node.data.rglob("*") if path.is_file())
    assert SECRET.encode() not in kept
