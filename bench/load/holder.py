"""Programs that take locks in `hopsack bench chaos`, and write down what they believe.

holder.py '{"url": …, "token": …, "log": …, "locks": {name: slots}}'

{"lock": …, "pid": …, "token": …, "holds": true, "at": …}       it may begin; `at` counts on the monotonic clock
{"lock": …, "pid": …, "token": …, "writes": true, "at": …}      it writes to what the lock protects
{"lock": …, "pid": …, "token": …, "holds": false, "at": …}      it has ended, before it gives the lock back
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from typing import Any

import hopsack
from hopsack.errors import HopsackError

AWAY_SECONDS = 0.05


async def take(fabric: hopsack.Connection, log: int, name: str, slots: int) -> None:
    """Hold this lock again and again."""

    def write(token: int, **facts: bool) -> None:
        line = {"lock": name, "pid": os.getpid(), "token": token, **facts, "at": time.monotonic()}
        os.write(log, json.dumps(line).encode() + b"\n")

    while True:
        wait = random.choice((None, 0, 0.05, 1.0))
        try:
            async with fabric.lock(name, slots=slots, wait=wait) as held:
                write(held.token, holds=True)
                try:
                    for _ in range(random.randrange(4)):
                        await asyncio.sleep(random.uniform(0, 0.03))
                        write(held.token, writes=True)
                finally:
                    write(held.token, holds=False)
        except HopsackError:
            await asyncio.sleep(random.uniform(0, AWAY_SECONDS))


async def main(asked: dict[str, Any]) -> None:
    log = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    async with hopsack.connect(asked["url"], asked["token"], patience=30) as fabric:
        await asyncio.gather(*(take(fabric, log, name, slots) for name, slots in asked["locks"].items()))


asyncio.run(main(json.loads(sys.argv[1])))
