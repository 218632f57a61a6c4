"""Writers and readers of newest values: what they are told goes to a :class:`~hopsack_bench.newest.Newest`.

Two kinds of readers: one that is given the snapshot and what changes by the raw door, and our library's map, which
comes back by itself. Between the library and the node stands a way that is disturbed in its place.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

import hopsack
from hopsack.errors import HopsackError
from hopsack_bench import talk
from hopsack_bench.checker import History
from hopsack_bench.newest import Change, Floors, Newest
from hopsack_bench.talk import Confused, Refused
from hopsack_bench.visitors import Line, OverLine, Visitor, WebSocket, Where
from hopsack_bench.writers import HttpWriter, RawWriter, WampWriter, Writer, either

TOPICS = ("bench.newest.alone", "bench.newest.kept")
"""One that is nothing else, and one that is a stream too: they are kept in different ways."""

WINDOW = 4
NAMES = tuple(f"key-{number}" for number in range(24))
"""More than all writers of a topic have on their way, so there is always one to change."""

READ_BYTES = 65536


class ValueWriter(Writer):
    """A writer that sets keys and deletes them. What is sent again is the same change."""

    window = WINDOW

    def __init__(self, name: str, where: Where, chance: random.Random, newest: Newest, topic: str, rate: float) -> None:
        super().__init__(name, where, chance, History(), topic, rate)
        self._newest = newest
        self._changes: dict[int, Change] = {}

    def offer(self, number: int) -> bytes:
        if number not in self._changes:
            self._changes[number] = self._newest.offer(self.topic, self.name, self._chance)
        return msgspec.json.encode(self._changes[number].payload)

    def deletes(self, number: int) -> bool:
        return self._changes[number].deleted

    def accepted(self, number: int, position: str | None) -> None:
        self._newest.taken(self.topic, self._changes.pop(number))


class RawValues(ValueWriter, RawWriter):
    """Over the raw door."""


class WampValues(ValueWriter, WampWriter):
    """Plain WAMP."""


class HttpValues(ValueWriter, HttpWriter):
    """``POST`` and ``DELETE``."""


class MapReader(Visitor):
    """Somebody who holds a map.

    :ivar values: what it holds.
    """

    def __init__(self, name: str, where: Where, chance: random.Random, newest: Newest, topic: str) -> None:
        super().__init__(name, where, chance)
        self.newest, self.topic = newest, topic
        self.values: Mapping[str, Any] = {}

    @property
    def fills(self) -> int:
        """How often all keys were in, so far."""
        return self.newest.fills[self.name]

    @property
    def is_level(self) -> bool:
        """Whether it holds exactly what was acknowledged; for a time in which nobody writes."""
        return self.newest.is_exactly(self.topic, self.values)


class RawMap(MapReader, OverLine):
    """The raw door: the snapshot, then each change."""

    receive_bytes = 16384

    async def visit(self, line: Line) -> None:
        socket = WebSocket(line)
        await socket.open(self.where, "/raw")
        floors = self.newest.floors(self.topic)
        socket.send(
            talk.raw("hopsack.hello", talk.HELLO), talk.raw("hopsack.subscribe", talk.SUBSCRIBE, topic=self.topic)
        )
        values: dict[str, Any] = {}
        left: int | None = None
        async for text in socket.messages():
            match msgspec.json.decode(text):
                case {"id": talk.HELLO, "result": _}:
                    continue
                case {"id": talk.SUBSCRIBE, "result": {"snapshot": int(count)}}:
                    left = count
                    self.stands()
                    if not left:
                        self._fill(values, floors)
                case {"id": int(number), "error": {"message": words}}:
                    raise Refused(f"request {number}: {words}")
                case {"method": "event", "params": {"topic": self.topic, "data": {"name": name} as data} as facts}:
                    _put(values, name, None if facts.get("deleted") else data)
                    if not left:
                        self.newest.came(self.name, self.topic, data, facts.get("deleted", False))
                    elif facts.get("retained"):
                        left -= 1
                        if not left:
                            self._fill(values, floors)
                case other:
                    raise Confused(f"unexpected: {other!r:.200}")

    def _fill(self, values: dict[str, Any], floors: Floors) -> None:
        self.values = values
        self.newest.filled(self.name, self.topic, values, floors)


def _put(values: dict[str, Any], name: str, data: Any) -> None:
    values.pop(name, None)
    if data is not None:
        values[name] = data


class LibraryMap(MapReader):
    """``connection.map`` of our library, in this process, over a way that breaks.

    :param path: of the door; empty: RawSocket, and ``where`` is its port.
    """

    def __init__(
        self, name: str, where: Where, chance: random.Random, newest: Newest, topic: str, path: str = ""
    ) -> None:
        super().__init__(name, where, chance, newest, topic)
        self._path = path
        self._floors: Floors = {}
        self._way = Way(where, self._subscribes)

    def _subscribes(self) -> None:
        """A connection begins: what was acknowledged before must be on it."""
        self._floors = self.newest.floors(self.topic)

    async def come(self) -> None:
        async with self._way as port:
            scheme = "ws" if self._path else "tcp"
            try:
                async with hopsack.connect(f"{scheme}://127.0.0.1:{port}{self._path}", self.where.token) as fabric:
                    await self._read(await fabric.map(self.topic, key="name"))
            except HopsackError as error:
                raise Refused(repr(error)) from None

    async def _read(self, latest: hopsack.LatestMap) -> None:
        self.stands()
        told: object = None
        is_due = True
        self.values = latest
        async for _ in latest.changes():
            recoveries = latest.sink.recoveries
            newer = recoveries[-1] if recoveries else None
            is_due, told = is_due or newer is not told, newer  # the map was granted anew
            if is_due and latest.is_complete:
                self.newest.filled(self.name, self.topic, latest, self._floors)
                is_due = False
            else:
                self.newest.shows(self.name, self.topic, latest)
            if self._way.is_left:
                raise EOFError("it left")

    def stall(self) -> None:
        self._way.may_read.clear()

    def go_on(self) -> None:
        self._way.may_read.set()

    def vanish(self) -> None:
        self._way.reset()

    def leave(self) -> None:
        self._way.is_left = True
        self._way.reset()


class Way:
    """A port in front of a node's, which may be kept from reading the node, or lose its connections.

    :param opened: told before a connection reaches the node.
    :ivar is_left: the client is to go, and to come back as a new one.
    """

    def __init__(self, where: Where, opened: Callable[[], None]) -> None:
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.is_left = False
        self._where, self._opened = where, opened
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> int:
        self.is_left = False
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reset(self) -> None:
        """Both sides get an RST."""
        for line in self._lines:
            made = line.get_extra_info("socket")
            if made is not None and made.fileno() >= 0:
                made.setsockopt(*talk.RESET)
            line.transport.abort()

    def _accepted(self, from_client: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        # A coroutine function would do here too, but asyncio complains when its task is cancelled.
        task = asyncio.create_task(self._serve(from_client, client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, from_client: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        lines = [client]
        self._lines.add(client)
        try:
            self._opened()
            from_node, node = await asyncio.open_connection(self._where.host, self._where.port)
            lines.append(node)
            self._lines.add(node)
            await either(_carry(from_client, node), _carry(from_node, client, self.may_read))
        except OSError:
            pass  # the node is not there: the client sees its end, and tries again
        finally:
            for line in lines:
                self._lines.discard(line)
                line.transport.abort()


async def _carry(
    incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter, may_read: asyncio.Event | None = None
) -> None:
    while True:
        if may_read is not None:
            await may_read.wait()
        data = await incoming.read(READ_BYTES)
        if not data:
            return
        outgoing.write(data)
        await outgoing.drain()
