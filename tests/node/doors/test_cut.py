"""Events cut off between the node and its reader, with none after them: the reader notices, and reads them back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

import hopsack
from hopsack.options import Options

from ..conftest import Node

pytestmark = pytest.mark.node

CUT = b"cut"
MANY = 100
PATIENCE = 60.0

Frame = tuple[bytes, bytes]
"""Header and payload."""


async def websocket_frame(reader: asyncio.StreamReader) -> Frame:
    """RFC 6455, section 5.2: a server masks nothing."""
    head = await reader.readexactly(2)
    length = head[1] & 0x7F
    extended = await reader.readexactly({126: 2, 127: 8}.get(length, 0))
    return head + extended, await reader.readexactly(int.from_bytes(extended) if extended else length)


async def rawsocket_frame(reader: asyncio.StreamReader) -> Frame:
    head = await reader.readexactly(4)
    return head, await reader.readexactly(int.from_bytes(head[1:]))


def is_event(payload: bytes) -> bool:
    """An event of the raw door, or EVENT in JSON or in MessagePack: no page that is read back."""
    return b'"method":"event"' in payload or payload.startswith(b"[36,") or payload[1:2] == b"\x24"


class Proxy:
    """Between a client and the node: cuts every event that says so, once.

    :ivar cut: how many it has cut.
    """

    def __init__(self, host: str, port: int, is_websocket: bool) -> None:
        self.cut = 0
        self._to = host, port
        self._is_websocket = is_websocket
        self._seen: set[bytes] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        down, up = await asyncio.open_connection(*self._to)
        tasks = {asyncio.create_task(self._copy(reader, up)), asyncio.create_task(self._filter(down, writer))}
        self._tasks |= tasks
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for one in (up, writer):
            one.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()

    async def _filter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await (reader.readuntil(b"\r\n\r\n") if self._is_websocket else reader.readexactly(4)))
        read: Callable[[asyncio.StreamReader], Awaitable[Frame]]
        read = websocket_frame if self._is_websocket else rawsocket_frame
        while True:
            head, payload = await read(reader)
            if CUT in payload and is_event(payload) and payload not in self._seen:
                self._seen.add(payload)
                self.cut += 1
            else:
                writer.write(head + payload)
                await writer.drain()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = Proxy(parts.hostname, parts.port, parts.scheme == "ws")
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield proxy, parts._replace(netloc=f"127.0.0.1:{port}").geturl()
    finally:
        server.close()
        await proxy.close()


@pytest.mark.parametrize("door", ["/raw", "rawsocket", "/ws?codec=json"])
def test_a_hundred_last_events_that_are_cut_off_are_read_all_the_same(node: Node, door: str) -> None:
    topics = [f"demo.lost{'_'.join(filter(str.isalpha, door))}{number}.told" for number in range(MANY)]

    async def main() -> None:
        path, _, query = door.partition("?")
        where = node.rawsocket if path == "rawsocket" else node.ws(path)
        async with (
            hopsack.connect(node.rawsocket) as writing,
            proxied(where + (f"?{query}" if query else "")) as (proxy, url),
            hopsack.connect(url, options=Options(check_interval=1.0)) as reading,
        ):
            seen: dict[str, list[str]] = {topic: [] for topic in topics}
            done = asyncio.Event()

            async def note(event: hopsack.Event[str]) -> None:
                seen[event.topic].append(event.data)
                if all(len(heard) == 2 for heard in seen.values()):
                    done.set()

            for topic in topics:
                await reading.subscribe(topic, note)
            await asyncio.gather(*(writing.publish(topic, "first") for topic in topics))
            await asyncio.gather(*(writing.publish(topic, f"cut from {topic}") for topic in topics))
            async with asyncio.timeout(PATIENCE):
                await done.wait()

            assert proxy.cut == MANY
            assert seen == {topic: ["first", f"cut from {topic}"] for topic in topics}

    asyncio.run(main())
