"""Callers of `hopsack bench chaos`, one class for each door: they ask for work, and tell a ledger how each call ended.

Three of them are written by hand, so that it is the node alone that keeps their deadlines. The fourth is our library.
"""

from __future__ import annotations

import asyncio
import random
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

import hopsack
from hopsack.errors import HopsackError
from hopsack_bench import talk
from hopsack_bench.outcomes import LINK_LOST, OK, Asked, Ledger
from hopsack_bench.peers import REALM
from hopsack_bench.talk import Confused, Refused
from hopsack_bench.visitors import Line, OverLine, WebSocket, Where
from hopsack_bench.writers import either

WIDTH = 3
"""Calls that one caller has under way."""
PAUSE = 0.15
"""Seconds between two of them, at most."""
HANGS = 5.0
"""Seconds after its deadline in which an answer is still awaited."""
REPEATS = 4
"""Times that a keyed call is asked for again, if nobody knows how it ended."""
GIVES_UP = 0.04
"""Part of the calls that their caller cancels."""

_OPEN = frozenset((LINK_LOST, "gave up", "hopsack.canceled", "hopsack.deadline", "hopsack.outcome_unknown"))
_OPEN |= {"hopsack.disconnected", "hopsack.unavailable", "hopsack.no_callee", "hopsack.overloaded"}
_MANNERS = (*("answer",) * 30, *("refuse",) * 2, *("overloaded",) * 2, "raise", "late", "deaf")
_PROCEDURES = ("chaos.plain", "chaos.again", "chaos.keyed", "chaos.outer")

AGAIN: hopsack.Procedure[Any, Any] = hopsack.Procedure("chaos.again", idempotent=True)
"""As our library's users have it: it sends such calls again when its connection was lost."""


@dataclass(frozen=True, slots=True)
class Order:
    """:ivar gives_up: seconds after which its caller cancels it; ``None``: it does not."""

    procedure: str
    work: Mapping[str, Any]
    timeout: float
    key: str | None = None
    gives_up: float | None = None

    @property
    def milliseconds(self) -> int:
        return round(self.timeout * 1000)


class Orders:
    """What one caller asks for, one after the other."""

    def __init__(self, who: str, chance: random.Random) -> None:
        self._who, self._chance = who, chance
        self._count = 0
        self._again: list[tuple[Order, int]] = []

    def next(self) -> Order:
        if self._again and self._chance.random() < 0.3:
            order, _ = self._again[0]
            return order
        self._count += 1
        work = f"{self._who}-{self._count}"
        chance = self._chance
        manner = chance.choice(_MANNERS)
        seconds = 30.0 if manner == "late" else chance.choice((0, 0, 0, 0, 0.01, 0.05, 0.3))
        procedure = chance.choice(_PROCEDURES)
        return Order(
            procedure,
            {"id": work, "manner": manner, "seconds": seconds},
            chance.choice((0.25, 0.5, 1.0, 2.0)),
            work if procedure == "chaos.keyed" else None,
            chance.uniform(0, 0.3) if chance.random() < GIVES_UP else None,
        )

    def came_to(self, order: Order, code: str) -> None:
        """A keyed call whose outcome is open is asked for again, now and then."""
        if order.key is None:
            return
        tries = next((count for one, count in self._again if one == order), 0)
        self._again = [entry for entry in self._again if entry[0] != order]
        if code in _OPEN and tries < REPEATS:
            self._again.append((order, tries + 1))


class Course:
    """What all callers share.

    :ivar ends: nobody begins anything any more. :ivar kills: how often the node was ended so far.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.ends = False
        self.kills = 0


class Caller(OverLine):
    """A caller written by hand: several calls at once over one connection.

    :cvar width: how many.
    """

    width = WIDTH

    def __init__(self, name: str, where: Where, chance: random.Random, course: Course) -> None:
        super().__init__(name, where, chance)
        self.course = course
        self._orders = Orders(name, chance)
        self._waiting: dict[int, asyncio.Future[tuple[str, Any]]] = {}
        self._request = 0

    async def _work(self, send: Callable[[bytes], None]) -> None:
        while not self.course.ends:
            order = self._orders.next()
            self._request += 1
            await self._ask(self._request, order, send)
            await asyncio.sleep(self._chance.uniform(0, PAUSE))
        await asyncio.get_running_loop().create_future()

    async def _ask(self, request: int, order: Order, send: Callable[[bytes], None]) -> None:
        ledger = self.course.ledger
        answer = self._waiting[request] = asyncio.get_running_loop().create_future()
        asked = ledger.begun(self.name, order.procedure, order.work["id"], time.monotonic(), order.timeout)
        send(self._call(request, order))
        try:
            if order.gives_up is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(order.gives_up):
                        await asyncio.shield(answer)
                if not answer.done():
                    send(self._cancel(request))
            async with asyncio.timeout(order.timeout + HANGS):
                code, value = await asyncio.shield(answer)
        except TimeoutError:
            self._orders.came_to(order, LINK_LOST)
            return
        except asyncio.CancelledError:
            ledger.ended(asked, time.monotonic(), LINK_LOST)
            self._orders.came_to(order, LINK_LOST)
            raise
        ledger.ended(asked, time.monotonic(), code, value)
        self._orders.came_to(order, code)

    def _answered(self, request: int, code: str, value: Any) -> None:
        waiting = self._waiting.pop(request, None)
        if waiting is None:
            self.course.ledger.answered_again(self.name, f"request {request}: {code} {value!r:.100}")
        else:
            waiting.set_result((code, value))

    def _begin(self) -> None:
        """A connection stands: requests are numbered from 1."""
        self._waiting.clear()
        self._request = 0
        self.stands()

    async def _both(self, read: Any, send: Callable[[bytes], None]) -> None:
        """Read and ask until the connection is gone. What then waits for an answer has none."""
        await either(read, *(self._work(send) for _ in range(self.width)))

    @abstractmethod
    def _call(self, request: int, order: Order) -> bytes: ...

    @abstractmethod
    def _cancel(self, request: int) -> bytes: ...


class RawCaller(Caller):
    """The raw door."""

    async def visit(self, line: Line) -> None:
        socket = WebSocket(line)
        await socket.open(self.where, "/raw")
        socket.send(talk.raw("hopsack.hello", talk.HELLO))
        self._begin()
        await self._both(self._read(socket), socket.send)

    async def _read(self, socket: WebSocket) -> None:
        async for text in socket.messages():
            match msgspec.json.decode(text):
                case {"id": 0, "result": _}:
                    pass
                case {"id": 0, "error": {"message": words}}:
                    raise Refused(str(words))
                case {"id": int(request), "result": value}:
                    self._answered(request, OK, value)
                case {"id": int(request), "error": {"data": {"code": str(code)}}}:
                    self._answered(request, code, None)
                case other:
                    raise Confused(f"unexpected: {other!r:.200}")

    def _call(self, request: int, order: Order) -> bytes:
        extra = {"timeout": order.milliseconds} | ({"key": order.key} if order.key else {})
        message = {"jsonrpc": "2.0", "id": request, "method": order.procedure, "params": order.work, "hopsack": extra}
        return msgspec.json.encode(message)

    def _cancel(self, request: int) -> bytes:
        return msgspec.json.encode({"jsonrpc": "2.0", "method": "hopsack.cancel", "params": {"id": request}})


class WampCaller(Caller):
    """Plain WAMP in JSON, that cancels in each of WAMP's modes."""

    async def visit(self, line: Line) -> None:
        socket = WebSocket(line)
        await socket.open(self.where, "/ws", "wamp.2.json")
        said = socket.messages()
        for message, answer in (
            (talk.hello(REALM), talk.CHALLENGE),
            (talk.authenticate(self.where.token), talk.WELCOME),
        ):
            socket.send(message)
            await self._joined(said, answer)
        self._begin()
        await self._both(self._read(said), socket.send)

    @staticmethod
    async def _joined(said: AsyncIterator[bytes], answer: int) -> None:
        async with asyncio.timeout(HANGS):
            code, *more = msgspec.json.decode(await anext(said))
        if code != answer:
            raise Refused(f"{code} in place of {answer}: {more!r:.200}")

    async def _read(self, said: AsyncIterator[bytes]) -> None:
        async for text in said:
            match msgspec.json.decode(text):
                case [talk.RESULT, int(request), _, [value, *_], *_]:
                    self._answered(request, OK, value)
                case [talk.ERROR, 48, int(request), _, str(uri), *more]:
                    known = more[1].get("code", uri) if len(more) > 1 else uri
                    self._answered(request, known, None)
                case [talk.GOODBYE | talk.ABORT, *_] as end:
                    raise Refused(f"the node says goodbye: {end!r:.200}")
                case other:
                    raise Confused(f"unexpected: {other!r:.200}")

    def _call(self, request: int, order: Order) -> bytes:
        options = {"timeout": order.milliseconds} | ({"x_hopsack_key": order.key} if order.key else {})
        return msgspec.json.encode([48, request, options, order.procedure, [order.work]])

    def _cancel(self, request: int) -> bytes:
        return msgspec.json.encode([49, request, {"mode": self._chance.choice(("skip", "kill", "killnowait"))}])


class HttpCaller(Caller):
    """``POST /call/<procedure>``, one after the other. It cancels by going away."""

    width = 1

    async def visit(self, line: Line) -> None:
        self._begin()
        await self._both(self._read(line), line.write)

    async def _read(self, line: Line) -> None:
        data = bytearray()
        while True:
            while (end := data.find(b"\r\n\r\n")) < 0:
                data += await line.read()
            first, *lines = data[:end].decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
            size = end + 4 + int(headers["content-length"])
            while len(data) < size:
                data += await line.read()
            body = msgspec.json.decode(data[end + 4 : size])
            del data[:size]
            if " 200 " in first:
                self._answered(self._request, OK, body)
            else:
                self._answered(self._request, body["code"], None)

    def _call(self, request: int, order: Order) -> bytes:
        body = msgspec.json.encode(order.work)
        head = [f"POST /call/{order.procedure} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
        head += [f"Authorization: Bearer {self.where.token}", f"Hopsack-Timeout: {order.milliseconds}"]
        head += [f'Idempotency-Key: "{order.key}"'] if order.key else []
        return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body

    def _cancel(self, request: int) -> bytes:
        self.vanish()
        return b""


class LibraryCaller:
    """Our library, over any of its addresses.

    :ivar refusals: what it was told when it could not connect at all.
    """

    def __init__(self, name: str, url: str, token: str, chance: random.Random, course: Course) -> None:
        self.name, self.course = name, course
        self._url, self._token, self._chance = url, token, chance
        self._orders = Orders(name, chance)

    async def keep(self) -> None:
        async with hopsack.connect(self._url, self._token, patience=30) as fabric:
            await asyncio.gather(*(self._work(fabric) for _ in range(WIDTH)))

    async def _work(self, fabric: hopsack.Connection) -> None:
        while not self.course.ends:
            order = self._orders.next()
            kills = self.course.kills
            began = time.monotonic()
            asked = self.course.ledger.begun(self.name, order.procedure, order.work["id"], began, order.timeout)
            code, value = await self._ask(fabric, order)
            asked.sends += self.course.kills - kills
            self.course.ledger.ended(asked, time.monotonic(), code, value)
            self._orders.came_to(order, code)
            await asyncio.sleep(self._chance.uniform(0, PAUSE))

    async def _ask(self, fabric: hopsack.Connection, order: Order) -> tuple[str, Any]:
        procedure = AGAIN if order.procedure == AGAIN.uri else order.procedure
        try:
            async with asyncio.timeout(order.gives_up):
                return OK, await fabric.call(procedure, dict(order.work), timeout=order.timeout, key=order.key)
        except TimeoutError:
            return "gave up", None
        except HopsackError as error:
            return getattr(error, "code", "hopsack.disconnected"), None


def asks(course: Course, name: str, count: int) -> tuple[Asked, dict[str, Any]]:
    """One call of the service that is left alone."""
    work = f"{name}-{count}"
    asked = course.ledger.begun(name, "chaos.steady", work, time.monotonic(), 2.0)
    return asked, {"id": work, "manner": "answer", "seconds": 0}
