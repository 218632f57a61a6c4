"""One end of the calls and events that are measured, with one of three libraries.

    calls.py serve   CLIENT URL TOKEN      answers calls
    calls.py call    CLIENT URL TOKEN      makes them
    calls.py read    CLIENT URL TOKEN      takes events
    calls.py publish CLIENT URL TOKEN      publishes them

It prints a JSON line when it is ready. Then it obeys lines on stdin and answers each with what it saw, and ends with
its stdin. A caller takes ``go IN_FLIGHT SECONDS HELD``, where HELD more calls wait in the service all the time, a
publisher ``go SECONDS``, a reader ``until EVENTS``. The answer to a call is what was asked, so that only the way is
measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

sys.path.insert(0, str(Path(__file__).parents[1]))

from hopsack_bench import wire

ECHO = "bench.echo"
HOLD = "bench.hold"
RELEASE = "bench.release"
TOPIC = "bench.event"
PAYLOAD_BYTES = 200
REALM = "hopsack"
HELD_SECONDS = 120
BURST = 64
"""Events that are published before the publisher waits for the acknowledgement of the last, lest they pile up."""


# ---- the three libraries ---------------------------------------------------------------------------------------------


class Client(Protocol):
    """What each library is asked to do, as its users would do it."""

    async def serve(self) -> None:
        """Answer calls from now on."""

    def call(self) -> Awaitable[Any]: ...

    async def read(self, took: Callable[[], None]) -> None:
        """Subscribe; ``took`` is called for each event from now on."""

    async def publish(self, *, acknowledge: bool) -> None: ...


@runtime_checkable
class Holding(Client, Protocol):
    """A library whose service takes further calls while some wait."""

    def hold(self) -> Awaitable[Any]:
        """Call what is answered only when :meth:`release` is called."""
        ...

    def release(self) -> Awaitable[Any]: ...


class Gate:
    """Where held calls wait."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()

    async def wait(self) -> None:
        await self._opened.wait()

    def open(self) -> None:
        self._opened.set()
        self._opened = asyncio.Event()


class Hopsack:
    def __init__(self, fabric: Any) -> None:
        self._fabric = fabric
        self._payload = wire.event(PAYLOAD_BYTES)

    async def serve(self) -> None:
        gate = Gate()

        async def echo(query: Any) -> Any:
            return query

        async def hold() -> None:
            await gate.wait()

        async def release() -> None:
            gate.open()

        for procedure, handler in ((ECHO, echo), (HOLD, hold), (RELEASE, release)):
            await self._fabric.register(procedure, handler)

    def call(self) -> Awaitable[Any]:
        return self._fabric.call(ECHO, self._payload)  # type: ignore[no-any-return]

    def hold(self) -> Awaitable[Any]:
        return self._fabric.call(HOLD, timeout=HELD_SECONDS)  # type: ignore[no-any-return]

    def release(self) -> Awaitable[Any]:
        return self._fabric.call(RELEASE)  # type: ignore[no-any-return]

    async def read(self, took: Callable[[], None]) -> None:
        async def on_event(_: Any) -> None:
            took()

        await self._fabric.subscribe(TOPIC, on_event)

    async def publish(self, *, acknowledge: bool) -> None:
        await self._fabric.publish(TOPIC, self._payload, acknowledge=acknowledge)


@asynccontextmanager
async def with_hopsack(url: str, token: str) -> AsyncIterator[Client]:
    from hopsack import connect

    async with connect(url, token or None, realm=REALM) as fabric:
        yield Hopsack(fabric)


class Autobahn:
    def __init__(self, session: Any) -> None:
        from autobahn.wamp.types import PublishOptions

        self._session = session
        self._payload = wire.event(PAYLOAD_BYTES)
        self._acknowledged = PublishOptions(acknowledge=True)

    async def serve(self) -> None:
        gate = Gate()

        async def hold() -> None:
            await gate.wait()

        await self._session.register(lambda query: query, ECHO)
        await self._session.register(hold, HOLD)
        await self._session.register(gate.open, RELEASE)

    def call(self) -> Awaitable[Any]:
        return self._session.call(ECHO, self._payload)  # type: ignore[no-any-return]

    def hold(self) -> Awaitable[Any]:
        return self._session.call(HOLD)  # type: ignore[no-any-return]

    def release(self) -> Awaitable[Any]:
        return self._session.call(RELEASE)  # type: ignore[no-any-return]

    async def read(self, took: Callable[[], None]) -> None:
        await self._session.subscribe(lambda _: took(), TOPIC)

    async def publish(self, *, acknowledge: bool) -> None:
        if acknowledge:
            await self._session.publish(TOPIC, self._payload, options=self._acknowledged)
        else:
            self._session.publish(TOPIC, self._payload)


@asynccontextmanager
async def with_autobahn(url: str, token: str) -> AsyncIterator[Client]:
    from autobahn.asyncio.rawsocket import WampRawSocketClientFactory
    from autobahn.asyncio.wamp import ApplicationSession
    from autobahn.wamp.serializer import MsgPackSerializer

    joined: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    class Session(ApplicationSession):  # type: ignore[misc]
        def onConnect(self) -> None:
            self.join(REALM, ["ticket" if token else "anonymous"], "bench" if token else None)

        def onChallenge(self, challenge: Any) -> str:
            return token

        def onJoin(self, details: Any) -> None:
            joined.set_result(self)

        def onLeave(self, details: Any) -> None:
            if not joined.done():
                joined.set_exception(ConnectionError(str(details)))

    _, _, address = url.partition("//")
    host, _, port = address.partition(":")
    factory = WampRawSocketClientFactory(Session, serializer=MsgPackSerializer())
    transport, _ = await asyncio.get_running_loop().create_connection(factory, host, int(port))
    yield Autobahn(await joined)
    transport.close()


class Nats:
    """Not :class:`Holding`: its subscriptions take one message after the other."""

    def __init__(self, client: Any) -> None:
        self._client = client
        # Bytes go through as they are: no JSON is read or written, which favours this peer.
        self._payload = json.dumps(wire.event(PAYLOAD_BYTES), separators=(",", ":")).encode()

    async def serve(self) -> None:
        async def echo(message: Any) -> None:
            await message.respond(message.data)

        await self._client.subscribe(ECHO, cb=echo)
        await self._client.flush()

    def call(self) -> Awaitable[Any]:
        return self._client.request(ECHO, self._payload, timeout=10)  # type: ignore[no-any-return]

    async def read(self, took: Callable[[], None]) -> None:
        async def on_event(_: Any) -> None:
            took()

        await self._client.subscribe(TOPIC, cb=on_event)
        await self._client.flush()

    async def publish(self, *, acknowledge: bool) -> None:
        await self._client.publish(TOPIC, self._payload)
        if acknowledge:
            await self._client.flush()


@asynccontextmanager
async def with_nats(url: str, token: str) -> AsyncIterator[Client]:
    import nats

    client = await nats.connect(url)
    yield Nats(client)
    await client.close()


CLIENTS = {"hopsack": with_hopsack, "nats": with_nats, "autobahn": with_autobahn}


# ---- the four roles --------------------------------------------------------------------------------------------------


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


async def lines() -> AsyncIterator[list[str]]:
    """The words of each line of stdin; before the first, the other side is told that this one is ready."""
    say(ready=True)
    while line := await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
        yield line.split()


async def serve(client: Client) -> None:
    await client.serve()
    async for _ in lines():
        pass


async def call(client: Client) -> None:
    await client.call()
    async for _, in_flight, seconds, held in lines():
        say(**await among(client, int(held), load(client.call, int(in_flight), float(seconds))))


async def read(client: Client) -> None:
    events = 0
    wanted = -1
    there = asyncio.Event()

    def took() -> None:
        nonlocal events
        events += 1
        if events == wanted:
            there.set()

    await client.read(took)
    async for _, number in lines():
        wanted = int(number)
        if events < wanted:
            await there.wait()
        there.clear()
        say(events=events)


async def publish(client: Client) -> None:
    async for _, seconds in lines():
        say(**await publishing(client, float(seconds)))


async def among(client: Client, held: int, loading: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """Load while ``held`` more calls are in the service's hands."""
    if held == 0:
        return await loading
    if not isinstance(client, Holding):
        raise TypeError("the service of this library takes no further calls while one waits")
    holding = [asyncio.ensure_future(client.hold()) for _ in range(held)]
    await client.call()  # once this one is answered, those before it have arrived
    if any(one.done() for one in holding):
        raise RuntimeError("a call that should wait was answered")
    facts = await loading
    await client.release()
    await asyncio.gather(*holding)
    return facts


async def publishing(client: Client, seconds: float) -> dict[str, Any]:
    """Publish as fast as the server takes it."""
    clock = time.perf_counter
    events, began, cpu = 0, clock(), time.process_time()
    while clock() - began < seconds:
        for _ in range(BURST - 1):
            await client.publish(acknowledge=False)
        await client.publish(acknowledge=True)
        events += BURST
    return {"events": events, "seconds": clock() - began, "cpu": time.process_time() - cpu}


async def load(call: Callable[[], Awaitable[Any]], in_flight: int, seconds: float) -> dict[str, Any]:
    """Keep ``in_flight`` calls under way for this long."""
    took: list[int] = []
    clock = time.perf_counter_ns
    began, cpu = clock(), time.process_time()
    ends = began + int(seconds * 1e9)

    async def one_after_the_other() -> None:
        started = clock()
        while started < ends:
            await call()
            ended = clock()
            took.append(ended - started)
            started = ended

    await asyncio.gather(*(one_after_the_other() for _ in range(in_flight)))
    elapsed, cpu = (clock() - began) / 1e9, time.process_time() - cpu
    took.sort()
    quantiles = {name: _quantile(took, q) for name, q in (("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999))}
    return {"calls": len(took), "seconds": elapsed, **quantiles, "cpu": cpu}


def _quantile(took: list[int], q: float) -> float:
    return took[min(len(took) - 1, int(q * len(took)))] / 1e3 if took else 0.0


ROLES = {"serve": serve, "call": call, "read": read, "publish": publish}


async def play(role: str, client: str, url: str, token: str) -> None:
    async with CLIENTS[client](url, token) as connected:
        await ROLES[role](connected)


def main() -> None:
    role, client, url, token = sys.argv[1:]
    try:
        asyncio.run(play(role, client, url, token))
    except Exception as error:
        say(error=f"{type(error).__name__}: {error}")
        sys.exit(1)


main()
