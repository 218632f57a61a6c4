"""Readers that come, stall, vanish and return, one class for each door. What they are given goes to a history.

A reader keeps the last position of each topic that it was given, and comes back with it. It is disturbed from outside:
``stall`` keeps it from reading what its socket has, ``vanish`` resets its connection, ``leave`` closes it.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

from hopsack_bench import talk, wire
from hopsack_bench.checker import History, parse
from hopsack_bench.peers import REALM
from hopsack_bench.talk import Answered, Came, Confused, Granted, Refused, Step, Told

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds that it waits at most until it comes back: full jitter, doubled each time that it is in vain."""

_REQUEST = re.compile(r"^request \d+: ")

PAGE = 500
OPENING_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Where:
    """:ivar token: of whoever may read and publish what the checker does."""

    port: int
    token: str
    host: str = "127.0.0.1"


class Line:
    """One TCP connection that may be kept from reading, or be reset.

    :param may_read: cleared while its owner is stalled.
    """

    def __init__(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter, may_read: asyncio.Event) -> None:
        self._incoming, self._outgoing, self._may_read = incoming, outgoing, may_read

    @classmethod
    async def open(cls, where: Where, may_read: asyncio.Event, receive_bytes: int = 0) -> Line:
        """:param receive_bytes: what the kernel keeps for it; 0: as much as it likes."""
        made = socket.socket()
        made.setblocking(False)
        if receive_bytes:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        try:
            await asyncio.get_running_loop().sock_connect(made, (where.host, where.port))
        except OSError:
            made.close()
            raise
        return cls(*await asyncio.open_connection(sock=made), may_read)

    def write(self, data: bytes) -> None:
        """What cannot be sent any more is not: reading tells that the connection is lost."""
        if not self._outgoing.is_closing():
            self._outgoing.write(data)

    async def read(self) -> bytes:
        """:raises EOFError: the node closed it."""
        await self._may_read.wait()
        data = await self._incoming.read(65536)
        if not data:
            raise EOFError("the node closed the connection")
        return data

    async def exactly(self, size: int) -> bytes:
        async with asyncio.timeout(OPENING_SECONDS):
            return await self._incoming.readexactly(size)

    async def until(self, end: bytes) -> bytes:
        async with asyncio.timeout(OPENING_SECONDS):  # wait_for() would swallow a cancellation now and then
            return await self._incoming.readuntil(end)

    def close(self) -> None:
        self._outgoing.close()

    def reset(self) -> None:
        """The other side gets an RST, as from a machine that went away and came back."""
        made = self._outgoing.get_extra_info("socket")
        if made is not None:
            with suppress(OSError):
                made.setsockopt(*talk.RESET)
        self._outgoing.transport.abort()


class WebSocket:
    """Messages over a line."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._frames = talk.Frames()

    async def open(self, where: Where, path: str, protocol: str = "") -> None:
        """:raises Refused: the node does not let us in."""
        self._line.write(wire.upgrade(path, protocol, {"Authorization": f"Bearer {where.token}"}).send)
        await upgraded(self._line, b" 101 ")

    def send(self, *messages: bytes) -> None:
        self._line.write(b"".join(map(wire.frame, messages)))

    async def messages(self) -> AsyncIterator[bytes]:
        """:raises EOFError: the node closed it, with the code and reason that it gave."""
        while True:
            for code, payload in self._frames.feed(await self._line.read()):
                if code == talk.CLOSE:
                    raise EOFError(f"{int.from_bytes(payload[:2], 'big')} {payload[2:].decode()}")
                if code == talk.PING:
                    self._line.write(b"\x8a" + wire.frame(payload)[1:])
                elif code in (talk.TEXT, talk.BINARY):
                    yield payload


class RawSocket:
    """WAMP messages in JSON over a line (WAMP advanced profile, section 15.1.3)."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def open(self) -> None:
        """:raises Refused: the node speaks no JSON here."""
        self._line.write(talk.RAWSOCKET_JSON)
        answer = await self._line.exactly(4)
        if answer[0] != talk.RAWSOCKET_JSON[0] or answer[1] & 15 != talk.RAWSOCKET_JSON[1] & 15:
            raise Refused(f"the node answered the handshake with {answer.hex()}")

    def send(self, *messages: bytes) -> None:
        self._line.write(b"".join(map(wire.rawsocket_frame, messages)))

    async def messages(self) -> AsyncIterator[bytes]:
        """:raises EOFError: the node closed it."""
        data = bytearray()
        while True:
            data += await self._line.read()
            at = 0
            while len(data) - at >= 4 + (size := int.from_bytes(data[at + 1 : at + 4], "big")):
                payload, kind = bytes(data[at + 4 : at + 4 + size]), data[at]
                at += 4 + size
                if kind == talk.RAWSOCKET_PING:
                    self._line.write(bytes((talk.RAWSOCKET_PONG,)) + wire.rawsocket_frame(payload)[1:])
                elif kind == 0:
                    yield payload
            del data[:at]


Carrier = WebSocket | RawSocket


async def upgraded(line: Line, status: bytes) -> None:
    head = await line.until(b"\r\n\r\n")
    first = head.partition(b"\r\n")[0]
    if status not in first + b" ":
        raise Refused(first.decode())


class Visitor(ABC):
    """Whoever keeps coming back.

    :ivar confusions: what it was told and did not understand: none of it may be.
    :ivar visits: connections that stood.
    :ivar refusal: why the last one ended, if none has stood since.
    :ivar refusals: how often it was told what, and tried again.
    """

    def __init__(self, name: str, where: Where, chance: random.Random) -> None:
        self.name = name
        self.where = where
        self.confusions: list[str] = []
        self.visits = 0
        self.refusal = ""
        self.refusals: Counter[str] = Counter()
        self._chance = chance
        self._vain = 0
        self._stands = False

    async def keep(self) -> None:
        """Come back for ever; to be cancelled."""
        while True:
            try:
                await self.come()
            except (OSError, EOFError, TimeoutError) as error:
                self.refusal = repr(error)
            except Refused as error:
                self.refusal = str(error)
                self.refusals[_REQUEST.sub("", self.refusal)] += 1
            except Confused as error:
                self.confusions.append(str(error))
            self._stands = False
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2**self._vain)
            self._vain = min(self._vain + 1, 10)
            await asyncio.sleep(self._chance.uniform(0, longest))

    def stands(self) -> None:
        """The connection does what it is for."""
        self.visits += not self._stands
        self._stands = True
        self.refusal = ""
        self._vain = 0

    @abstractmethod
    async def come(self) -> None:
        """Once, until it is over."""

    @abstractmethod
    def stall(self) -> None: ...

    @abstractmethod
    def go_on(self) -> None: ...

    @abstractmethod
    def vanish(self) -> None: ...

    @abstractmethod
    def leave(self) -> None: ...


class OverLine(Visitor):
    """A visitor with a connection in this process.

    :cvar receive_bytes: what the kernel keeps for it; 0: as much as it likes.
    """

    receive_bytes = 0

    def __init__(self, name: str, where: Where, chance: random.Random) -> None:
        super().__init__(name, where, chance)
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._line: Line | None = None

    async def come(self) -> None:
        self._line = await Line.open(self.where, self._may_read, self.receive_bytes)
        try:
            await self.visit(self._line)
        finally:
            self._line.close()
            self._line = None

    @abstractmethod
    async def visit(self, line: Line) -> None:
        """One connection, until it ends."""

    def stall(self) -> None:
        self._may_read.clear()

    def go_on(self) -> None:
        self._may_read.set()

    def vanish(self) -> None:
        if self._line is not None:
            self._line.reset()

    def leave(self) -> None:
        if self._line is not None:
            self._line.close()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader reads.

    :ivar topic: a topic, or with ``match`` a pattern.
    :ivar topics: all that it is about.
    """

    topic: str
    topics: tuple[str, ...]
    match: str = "exact"


class Reader(Visitor):
    """A visitor that reads.

    :ivar places: the last position of each topic.
    """

    def __init__(self, name: str, where: Where, chance: random.Random, history: History, wanted: Wanted) -> None:
        super().__init__(name, where, chance)
        self.history = history
        self.topic, self.topics, self.match = wanted.topic, wanted.topics, wanted.match
        self.places: dict[str, str] = {}

    @property
    def exact(self) -> str | None:
        return self.topic if self.match == "exact" else None

    @property
    def after(self) -> str | dict[str, str] | None:
        if not self.places:
            return None
        return dict(self.places) if self.exact is None else self.places[self.topic]

    def take(self, told: Told | None) -> None:
        """
        :raises Confused: it has no position.
        """
        match told:
            case Granted(positions, recovered, reason):
                self.stands()
                for topic, position in positions.items():
                    resumed = topic in self.places
                    self.history.granted(self.name, topic, position, resumed=resumed, recovered=recovered, why=reason)
                    if not resumed:
                        self.places[topic] = position
                if reason and not positions:
                    raise Confused(reason)
            case Came(topic, position, data):
                if position is None:
                    raise Confused(f"an event of {topic} without a position")
                self.history.came(self.name, topic, position, data)
                self.places[topic] = position


class LineReader(Reader, OverLine):
    """A reader with a connection in this process, of which the kernel keeps little.

    So one that stalls does so for the node too.
    """

    receive_bytes = 16384


class RawReader(LineReader):
    """The raw door: JSON-RPC 2.0 over WebSocket."""

    async def visit(self, line: Line) -> None:
        socket = WebSocket(line)
        await socket.open(self.where, "/raw")
        asked = {"topic": self.topic, "match": self.match}
        more = {} if self.after is None else {"after": self.after}
        socket.send(
            talk.raw("hopsack.hello", talk.HELLO), talk.raw("hopsack.subscribe", talk.SUBSCRIBE, **asked, **more)
        )
        async for text in socket.messages():
            self.take(talk.read_raw(text, self.topic))


class ReadOnlyReader(LineReader):
    """``/raw?topic=…&after=…``: it says nothing after its URL."""

    async def visit(self, line: Line) -> None:
        socket = WebSocket(line)
        after = talk.last_event_id(self.exact, self.places)
        await socket.open(self.where, f"/raw?topic={quote(self.topic)}" + (f"&after={quote(after)}" if after else ""))
        self.stands()
        async for text in socket.messages():
            self.take(talk.read_raw(text, self.topic))


class SseReader(LineReader):
    """``/events?topic=…`` with ``Last-Event-ID``, as a browser reads it."""

    async def visit(self, line: Line) -> None:
        after = talk.last_event_id(self.exact, self.places)
        head = [f"GET /events?topic={quote(self.topic)} HTTP/1.1", "Host: 127.0.0.1", "Accept: text/event-stream"]
        head += [f"Authorization: Bearer {self.where.token}"] + ([f"Last-Event-ID: {after}"] if after else [])
        line.write("\r\n".join([*head, "", ""]).encode())
        await upgraded(line, b" 200 ")
        self.stands()
        chunks, blocks = talk.Chunks(), talk.Blocks(self.exact)
        while True:
            for told in blocks.feed(chunks.feed(await line.read())):
                self.take(told)


class WampReader(LineReader):
    """Plain WAMP in JSON, over WebSocket. For one topic.

    It subscribes, reads back with ``hopsack.stream.read`` what it missed, then takes what is live.
    """

    async def visit(self, line: Line) -> None:
        socket = await self.carrier(line)
        said = (talk.read_wamp(text, self.topic) async for text in socket.messages())
        socket.send(talk.hello(REALM))
        await self._step(said, talk.CHALLENGE)
        socket.send(talk.authenticate(self.where.token))
        await self._step(said, talk.WELCOME)
        socket.send(talk.wamp_subscribe(1, self.topic, "exact"))
        await self._step(said, talk.SUBSCRIBED)
        live = await self._catch_up(socket, said)
        for one in live:
            self._take_live(one)
        async for told in said:
            self._take_live(told)

    async def carrier(self, line: Line) -> Carrier:
        socket = WebSocket(line)
        await socket.open(self.where, "/ws", "wamp.2.json")
        return socket

    @staticmethod
    async def _step(said: AsyncIterator[Told], code: int) -> None:
        async with asyncio.timeout(OPENING_SECONDS):
            told = await anext(said)
        if told != Step(code):
            raise Confused(f"waited for {code}: {told!r:.200}")

    async def _catch_up(self, socket: Carrier, said: AsyncIterator[Told]) -> list[Told]:
        """Read until there is no more; :returns: what came live meanwhile."""
        live: list[Told] = []
        number, end = 1, False
        while not end:
            number += 1
            place = self.places.get(self.topic)
            asked = {"last": 1} if place is None else {"after": place, "limit": PAGE}
            socket.send(talk.wamp_call(number, "hopsack.stream.read", topic=self.topic, **asked))
            page = talk.page_of(await self._answer(said, number, live))
            if place is None:
                self.take(Granted({self.topic: page.position}, False))
                continue
            if not page.recovered:
                self.take(Granted({self.topic: place}, False, page.reason))
            for position, data in page.events:
                self.take(Came(self.topic, position, data))
            end = page.end
        self.stands()
        return live

    @staticmethod
    async def _answer(said: AsyncIterator[Told], number: int, live: list[Told]) -> object:
        async for told in said:
            if isinstance(told, Answered) and told.request == number:
                return told.value
            live.append(told)
        raise EOFError

    def _take_live(self, told: Told) -> None:
        """What the pages had already is not for the program."""
        if isinstance(told, Came) and told.position:
            here, there = parse(told.position), parse(self.places[self.topic])
            if here.epoch == there.epoch and here.offset <= there.offset:
                return
        self.take(told)


class RawSocketReader(WampReader):
    """The same over RawSocket; its place is the node's port for that."""

    async def carrier(self, line: Line) -> Carrier:
        socket = RawSocket(line)
        await socket.open()
        return socket
