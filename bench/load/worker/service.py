"""What is called in `hopsack bench chaos`, and disturbed. It writes down what it carries out before it begins.

    {"run": …, "id": …, "procedure": …, "at": …}     begins; `at` counts on the machine's monotonic clock
    {"run": …, "value": …}                            is about to answer

One line is one write to a file that all instances append to, so none is lost by killing them.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from contextlib import suppress
from typing import Any
from zlib import crc32

from hopsack import Caller, DeclaredError, Service, procedure
from hopsack.errors import HopsackError, Overloaded

LOG = os.open(os.environ["CHAOS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

DEAF_SECONDS = 0.3


class Refused(DeclaredError):
    CODE = "chaos.refused"


def write(**facts: Any) -> None:
    os.write(LOG, json.dumps(facts).encode() + b"\n")


async def work(asked: dict[str, Any], caller: Caller) -> str:
    """:returns: the name of this execution."""
    if asked["manner"] == "overloaded":
        raise Overloaded("as it was asked to be", data={"retry_after": 0.1})
    run = secrets.token_hex(8)
    write(run=run, id=asked["id"], procedure=caller.procedure, at=time.monotonic())
    match asked["manner"]:
        case "refuse":
            raise Refused("as it was asked to")
        case "raise":
            raise ValueError("as it was asked to")
        case "deaf":
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(asked["seconds"])
            await asyncio.sleep(DEAF_SECONDS)
        case _:
            await asyncio.sleep(asked["seconds"])
    return run


def done(asked: dict[str, Any], run: str, inner: int = 0) -> dict[str, Any]:
    value = crc32(f"{asked['id']} {run} {inner}".encode())
    write(run=run, value=value)
    return {"id": asked["id"], "run": run, "value": value}


class Worker(Service):
    name = "worker"

    @procedure("chaos.plain")
    async def plain(self, asked: dict[str, Any], caller: Caller) -> dict[str, Any]:
        return done(asked, await work(asked, caller))

    @procedure("chaos.again")
    async def again(self, asked: dict[str, Any], caller: Caller) -> dict[str, Any]:
        return done(asked, await work(asked, caller))

    @procedure("chaos.keyed")
    async def keyed(self, asked: dict[str, Any], caller: Caller) -> dict[str, Any]:
        return done(asked, await work(asked, caller))

    @procedure("chaos.outer")
    async def outer(self, asked: dict[str, Any], caller: Caller) -> dict[str, Any]:
        run = await work(asked | {"manner": "answer", "seconds": 0}, caller)
        inner = asked | {"id": f"{asked['id']}/"}
        try:
            answer = await self.call("chaos.plain" if crc32(asked["id"].encode()) % 2 else "chaos.again", inner)
        except DeclaredError as error:
            raise Refused("as the inner one") from error
        except HopsackError as error:
            raise Overloaded(f"the inner one: {error}", data={"retry_after": 0.1}) from error
        return done(asked, run, answer["value"])
