"""A caller and its callees in one process, for what the node does about calls: ``policies.py URL TOKEN``.

It prints a JSON line when it is ready. Then it obeys lines on stdin, answers each with what it saw, and ends with its
stdin:

    cost PROCEDURE IN_FLIGHT SECONDS OWN    one callee that answers at once; OWN 1: each call has a deadline of its own
    share PROCEDURE RATE SECONDS            four callees that take FAST seconds for an answer, and one of them SLOW:
                                            calls are due at fixed times, whatever becomes of those before
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from hopsack import connect
from hopsack_bench import wire

REALM = "hopsack"
CALLEES = 4
FAST, SLOW = 0.002, 0.5
PATIENCE = 10.0
PAYLOAD_BYTES = 200


async def lines() -> AsyncIterator[list[str]]:
    print(json.dumps({"ready": True}), flush=True)
    while line := await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
        yield line.split()


def quantile(took: list[float], q: float) -> float:
    return took[min(len(took) - 1, int(q * len(took)))] * 1e6 if took else 0.0


def seen(took: list[float], seconds: float, cpu: float, **more: Any) -> dict[str, Any]:
    took.sort()
    quantiles = {name: quantile(took, q) for name, q in (("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999))}
    return {"calls": len(took), "seconds": seconds, "cpu": cpu, **quantiles, **more}


async def cost(url: str, token: str, procedure: str, in_flight: int, seconds: float, own: bool) -> dict[str, Any]:
    payload, numbers = wire.event(PAYLOAD_BYTES), count()
    clock = time.perf_counter
    took: list[float] = []

    async def echo(query: Any) -> Any:
        return query

    async with connect(url, token, realm=REALM) as callee, connect(url, token, realm=REALM) as caller:
        await callee.register(procedure, echo)
        ends = clock() + seconds

        async def one_after_the_other() -> None:
            started = clock()
            while started < ends:
                # No two alike: as the time that is left to a handler is for the calls that it makes.
                timeout = PATIENCE - next(numbers) % 5000 / 1000 if own else PATIENCE
                await caller.call(procedure, payload, timeout=timeout)
                ended = clock()
                took.append(ended - started)
                started = ended

        began, cpu = clock(), time.process_time()
        await asyncio.gather(*(one_after_the_other() for _ in range(in_flight)))
        return seen(took, clock() - began, time.process_time() - cpu)


async def share(url: str, token: str, procedure: str, rate: float, seconds: float) -> dict[str, Any]:
    payload, clock = wire.event(PAYLOAD_BYTES), time.perf_counter
    took: list[float] = []
    slow = 0

    async with AsyncExitStack() as there:
        for number in range(CALLEES):
            callee = await there.enter_async_context(connect(url, token, realm=REALM))

            async def answer(query: Any, is_slow: bool = number == 0) -> Any:
                nonlocal slow
                slow += is_slow
                await asyncio.sleep(SLOW if is_slow else FAST)
                return query

            await callee.register(procedure, answer)
        caller = await there.enter_async_context(connect(url, token, realm=REALM))

        async def one(due: float) -> None:
            await caller.call(procedure, payload, timeout=PATIENCE)
            took.append(clock() - due)

        began, cpu, calls = clock(), time.process_time(), []
        for number in range(round(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(due - clock(), 0))
            calls.append(asyncio.ensure_future(one(due)))
        await asyncio.gather(*calls)
        return seen(took, clock() - began, time.process_time() - cpu, slow=slow / len(calls))


async def main(url: str, token: str) -> None:
    async for verb, procedure, *words in lines():
        if verb == "cost":
            in_flight, seconds, own = words
            facts = await cost(url, token, procedure, int(in_flight), float(seconds), own == "1")
        else:
            rate, seconds = words
            facts = await share(url, token, procedure, float(rate), float(seconds))
        print(json.dumps(facts), flush=True)


try:
    asyncio.run(main(*sys.argv[1:]))
except Exception as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
    sys.exit(1)
