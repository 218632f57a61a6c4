"""A stock Autobahn client: does what a WAMP tutorial does, and prints one JSON line for each thing it saw.

autobahn_client.py URL SERIALIZER [TOKEN]
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer
from autobahn.wamp.types import Challenge, PublishOptions, SubscribeOptions

SERIALIZERS = {"json": JsonSerializer, "msgpack": MsgPackSerializer, "cbor": CBORSerializer}
URL, SERIALIZER, *TOKEN = sys.argv[1:]


def say(what: str, value: Any) -> None:
    print(json.dumps([what, value]), flush=True)


class Client(ApplicationSession):  # type: ignore[misc]
    def onConnect(self) -> None:
        if TOKEN:
            self.join("hopsack", ["ticket"], "me")
        else:
            self.join("hopsack")

    def onChallenge(self, challenge: Challenge) -> str:
        return TOKEN[0]

    async def onJoin(self, details: Any) -> None:
        try:
            await self._tour(details)
        finally:
            self.leave()

    async def _tour(self, details: Any) -> None:
        say("joined", [details.authrole, details.authid])
        heard: asyncio.Queue[Any] = asyncio.Queue()
        await self.subscribe(lambda text: heard.put_nowait(text), "demo.text")
        await self.subscribe(lambda text: heard.put_nowait(text), "demo.", options=SubscribeOptions(match="prefix"))
        options = PublishOptions(acknowledge=True, exclude_me=False)
        await self.publish("demo.text", "grüße", options=options)
        say("events", [await heard.get(), await heard.get()])
        await self.register(lambda *numbers: sum(numbers), "demo.add")
        await self.register(lambda name: f"hello {name}", "demo.greet")
        say("positional", await self.call("demo.add", 1, 2, 3.5))
        say("keywords", await self.call("demo.greet", name="ann"))
        for procedure, arguments in (("demo.add", ["one"]), ("demo.ad", []), ("host.describe", [{"host": "h"}])):
            try:
                await self.call(procedure, *arguments)
            except ApplicationError as error:
                say("refused", [error.error, error.kwargs["code"], error.kwargs.get("path")])

    def onLeave(self, details: Any) -> None:
        say("left", details.reason)
        self.disconnect()

    def onDisconnect(self) -> None:
        asyncio.get_event_loop().stop()


ApplicationRunner(URL, "hopsack", serializers=[SERIALIZERS[SERIALIZER]()]).run(Client, log_level="warn")
