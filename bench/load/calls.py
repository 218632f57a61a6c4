"""One end of the calls that are measured: a service that answers, or one that asks, with one of three libraries.

    calls.py serve CLIENT URL TOKEN
    calls.py call  CLIENT URL TOKEN

It prints a JSON line when it is ready. A caller then obeys lines on stdin, ``go IN_FLIGHT SECONDS``, and prints what it
saw; both end with their stdin. The answer is what was asked, so that only the way there and back is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from hopsack_bench import wire

PROCEDURE = "bench.echo"
PAYLOAD_BYTES = 200
REALM = "hopsack"

Call = Callable[[], Awaitable[Any]]
Use = Callable[[Call], Awaitable[None]]


# ---- the three libraries: each connects, serves if it must, and hands on how to call ---------------------------------


async def with_hopsack(url: str, token: str, serves: bool, use: Use) -> None:
    from hopsack import connect

    payload = wire.event(PAYLOAD_BYTES)

    async def echo(query: Any) -> Any:
        return query

    async with connect(url, token or None, realm=REALM) as fabric:
        if serves:
            await fabric.register(PROCEDURE, echo)
        await use(lambda: fabric.call(PROCEDURE, payload))


async def with_nats(url: str, token: str, serves: bool, use: Use) -> None:
    import nats
    from nats.aio.msg import Msg

    # Bytes go through as they are: no JSON is read or written, which favours this peer.
    payload = json.dumps(wire.event(PAYLOAD_BYTES), separators=(",", ":")).encode()

    async def echo(message: Msg) -> None:
        await message.respond(message.data)

    client = await nats.connect(url)
    if serves:
        await client.subscribe(PROCEDURE, cb=echo)
        await client.flush()
    await use(lambda: client.request(PROCEDURE, payload, timeout=10))
    await client.close()


async def with_autobahn(url: str, token: str, serves: bool, use: Use) -> None:
    from autobahn.asyncio.rawsocket import WampRawSocketClientFactory
    from autobahn.asyncio.wamp import ApplicationSession
    from autobahn.wamp.serializer import MsgPackSerializer

    payload = wire.event(PAYLOAD_BYTES)
    joined: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    class Client(ApplicationSession):  # type: ignore[misc]
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
    factory = WampRawSocketClientFactory(Client, serializer=MsgPackSerializer())
    transport, _ = await asyncio.get_running_loop().create_connection(factory, host, int(port))
    session = await joined
    if serves:
        await session.register(lambda query: query, PROCEDURE)
    await use(lambda: session.call(PROCEDURE, payload))
    transport.close()


CLIENTS = {"hopsack": with_hopsack, "nats": with_nats, "autobahn": with_autobahn}


# ---- the two roles ---------------------------------------------------------------------------------------------------


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


async def next_line() -> str:
    return await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def serve(_: Call) -> None:
    say(ready=True)
    await next_line()


async def ask(call: Call) -> None:
    await call()
    say(ready=True)
    while line := await next_line():
        _, in_flight, seconds = line.split()
        say(**await load(call, int(in_flight), float(seconds)))


async def load(call: Call, in_flight: int, seconds: float) -> dict[str, Any]:
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


def main() -> None:
    role, client, url, token = sys.argv[1:]
    try:
        asyncio.run(CLIENTS[client](url, token, role == "serve", serve if role == "serve" else ask))
    except Exception as error:
        say(error=f"{type(error).__name__}: {error}")
        sys.exit(1)


main()
