"""Two stock Autobahn clients: one gives progressive results, the other takes them; one JSON line for each thing it saw.

autobahn_progress.py URL SERIALIZER
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer
from autobahn.wamp.types import CallDetails, CallOptions, RegisterOptions

SERIALIZERS = {"json": JsonSerializer, "msgpack": MsgPackSerializer, "cbor": CBORSerializer}
URL, SERIALIZER = sys.argv[1:]


def say(what: str, value: Any) -> None:
    print(json.dumps([what, value]), flush=True)


class Client(ApplicationSession):  # type: ignore[misc]
    def onConnect(self) -> None:
        self.join("hopsack")

    async def onJoin(self, details: Any) -> None:
        try:
            await self._tour()
        finally:
            self.leave()

    async def _tour(self) -> None:
        async def count(upto: int, details: CallDetails) -> str:
            for number in range(upto):
                if details.progress is not None:
                    details.progress(number)
                await asyncio.sleep(0)  # each leaves in a turn of its own
            return "done"

        async def fail(details: CallDetails) -> None:
            details.progress("first")
            raise ApplicationError("open.failed", "second")

        await self.register(count, "open.count", RegisterOptions(details=True))
        await self.register(fail, "open.fail", RegisterOptions(details=True))
        seen: list[Any] = []
        say("last", await self.call("open.count", 5, options=CallOptions(on_progress=seen.append)))
        say("before", seen[:])
        say("unasked", await self.call("open.count", 5))
        seen.clear()
        try:
            await self.call("open.fail", options=CallOptions(on_progress=seen.append))
        except ApplicationError as error:
            say("failed", [error.error, list(error.args), seen])

    def onUserError(self, failure: Any, message: str) -> None:
        """It would be printed, among the lines."""

    def onLeave(self, details: Any) -> None:
        self.disconnect()

    def onDisconnect(self) -> None:
        asyncio.get_event_loop().stop()


ApplicationRunner(URL, "hopsack", serializers=[SERIALIZERS[SERIALIZER]()]).run(Client, log_level="warn")
