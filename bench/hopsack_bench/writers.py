"""Writers of numbered events, one class for each door. Each event has a key, and is sent again until acknowledged.

A writer sends its events in the order of their numbers, several on their way at once. After a lost connection it sends
again, in order, whatever it has no answer for, with the same keys: the node must not take any of it twice.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import msgspec

from hopsack_bench import talk
from hopsack_bench.checker import History, event
from hopsack_bench.peers import REALM
from hopsack_bench.talk import Confused, Refused, Step, Taken, Told
from hopsack_bench.visitors import OPENING_SECONDS, Line, OverLine, WebSocket, Where

WINDOW = 16
"""Events on their way at once."""

_FIRST = 2
"""Requests before this number belong to joining, as the raw door's do."""


async def either(*works: Coroutine[object, object, None]) -> None:
    """Do all of it until one ends, as that one ends."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


class Writer(OverLine):
    """:param rate: events a second that it has to say, on average.

    :param told: called with topic and position of whatever is acknowledged.
    :param size: of the events' notes, as the history has it.
    :ivar window: events on their way at once.
    """

    window = WINDOW

    def __init__(
        self,
        name: str,
        where: Where,
        chance: random.Random,
        history: History,
        topic: str,
        rate: float,
        told: Callable[[str, str | None], None] = lambda topic, position: None,
        size: int = 0,
    ) -> None:
        super().__init__(name, where, chance)
        self.history, self.topic = history, topic
        self._told = told
        self._pause = 1 / rate
        self._size = size
        self._offered = 0
        self._sent = 0
        self._acknowledged = 0
        self._answered: set[int] = set()
        self._more = asyncio.Event()
        self.is_over = asyncio.Event()
        """It has nothing more to say, and everything is acknowledged."""
        self._ends = False

    async def think(self) -> None:
        """Have something to say now and then, unless too much waits; to be cancelled, or ended with :meth:`end`."""
        while not self._ends:
            if self._offered < self._acknowledged + 2 * self.window:
                self.say(1)
            await asyncio.sleep(self._chance.uniform(0, 2) * self._pause)

    def say(self, count: int) -> None:
        """It has so many events more to say."""
        self._offered += count
        self._more.set()

    def end(self) -> None:
        self._ends = True
        if self._acknowledged == self._offered:
            self.is_over.set()

    def again(self) -> None:
        """A new connection: what has no answer is sent again."""
        self._sent = self._acknowledged
        self._more.set()

    async def due(self) -> list[tuple[int, bytes]]:
        """Number and payload of the events to be sent now; waits until there are some."""
        while True:
            await self._may_read.wait()
            last = min(self._offered, self._acknowledged + self.window)
            if last > self._sent:
                break
            self._more.clear()
            await self._more.wait()
        numbers = [number for number in range(self._sent + 1, last + 1) if number not in self._answered]
        self._sent = last
        return [(number, self.offer(number)) for number in numbers]

    def offer(self, number: int) -> bytes:
        """It is about to send this, for the first time or again; :returns: the payload."""
        self.history.offered(self.name, number)
        return msgspec.json.encode(event(self.name, number, self._size))

    def deletes(self, number: int) -> bool:
        """Whether this takes a newest value away."""
        return False

    def accepted(self, number: int, position: str | None) -> None:
        """This is acknowledged."""
        self.history.acknowledged(self.topic, self.name, number, position)

    def key(self, number: int) -> str:
        """Empty: none, so what is sent again is another event."""
        return f"{self.name}-{number}"

    def taken(self, number: int, position: str | None) -> None:
        self.accepted(number, position)
        self._answered.add(number)
        while self._acknowledged + 1 in self._answered:
            self._acknowledged += 1
            self._answered.remove(self._acknowledged)
        self._more.set()
        self._told(self.topic, position)
        if self._ends and self._acknowledged == self._offered:
            self.is_over.set()


class RawWriter(Writer):
    """The raw door."""

    async def visit(self, line: Line) -> None:
        socket = WebSocket(line)
        await socket.open(self.where, "/raw")
        socket.send(talk.raw("hopsack.hello", talk.HELLO))
        self.again()
        await either(self._read(socket), self._send(socket))

    async def _read(self, socket: WebSocket) -> None:
        async for text in socket.messages():
            match talk.read_raw(text):
                case Taken(request, position):
                    self.stands()
                    self.taken(request - _FIRST, position)
                case None:
                    pass
                case other:
                    raise Confused(f"unexpected: {other!r:.200}")

    async def _send(self, socket: WebSocket) -> None:
        while True:
            for number, payload in await self.due():
                data = msgspec.Raw(payload)
                params: dict[str, Any] = {"topic": self.topic, "data": data} | (
                    {"key": key} if (key := self.key(number)) else {}
                )
                if self.deletes(number):
                    params["delete"] = True
                socket.send(talk.raw("hopsack.publish", number + _FIRST, **params))


class WampWriter(Writer):
    """Plain WAMP in JSON; its acknowledgements do not say a position."""

    async def visit(self, line: Line) -> None:
        socket = WebSocket(line)
        await socket.open(self.where, "/ws", "wamp.2.json")
        said = (talk.read_wamp(text) async for text in socket.messages())
        for message, answer in (
            (talk.hello(REALM), talk.CHALLENGE),
            (talk.authenticate(self.where.token), talk.WELCOME),
        ):
            socket.send(message)
            async with asyncio.timeout(OPENING_SECONDS):
                if await anext(said) != Step(answer):
                    raise Confused(f"waited for {answer}")
        self.again()
        numbers: dict[int, int] = {}
        await either(self._read(said, numbers), self._send(socket, numbers))

    async def _read(self, said: AsyncIterator[Told], numbers: dict[int, int]) -> None:
        async for told in said:
            if not isinstance(told, Taken):
                raise Confused(f"unexpected: {told!r:.200}")
            self.stands()
            self.taken(numbers.pop(told.request), told.position)

    async def _send(self, socket: WebSocket, numbers: dict[int, int]) -> None:
        """Requests of a session are numbered from 1 (WAMP, section 2.1.2)."""
        request = 0
        while True:
            for number, payload in await self.due():
                request += 1
                numbers[request] = number
                data, key = msgspec.Raw(payload), self.key(number)
                socket.send(talk.wamp_publish(request, self.topic, data, key, delete=self.deletes(number)))


class HttpWriter(Writer):
    """``POST /publish/<topic>`` with an ``Idempotency-Key``, over one connection, one after the other."""

    async def visit(self, line: Line) -> None:
        self.again()
        while True:
            for number, payload in await self.due():
                method = "DELETE" if self.deletes(number) else "POST"
                head = [f"{method} /publish/{self.topic} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
                head += [f"Authorization: Bearer {self.where.token}", f'Idempotency-Key: "{self.key(number)}"']
                head += [f"Content-Length: {len(payload)}"]
                line.write("\r\n".join([*head, "", ""]).encode() + payload)
                answer = await self._answer(line)
                self.stands()
                self.taken(number, answer.get("position"))

    @staticmethod
    async def _answer(line: Line) -> dict[str, str]:
        head = await line.until(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
        body = await line.exactly(int(headers.get("content-length", 0)))
        if " 200 " not in first:
            raise Refused(f"{first}: {body!r:.200}")
        answer: dict[str, str] = msgspec.json.decode(body)
        return answer
