"""A stock Autobahn client in a room that is kept: it reads, comes late, and reads back, and prints a line for each.

autobahn_streams.py URL SERIALIZER ROOM
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer
from autobahn.wamp.types import PublishOptions, SubscribeOptions

SERIALIZERS = {"json": JsonSerializer, "msgpack": MsgPackSerializer, "cbor": CBORSerializer}
URL, SERIALIZER, ROOM = sys.argv[1:]
TOLD, WEATHER = f"demo.{ROOM}.told", f"demo.{ROOM}.weather"


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
        heard: asyncio.Queue[Any] = asyncio.Queue()

        def hear(text: str, details: Any) -> None:
            heard.put_nowait((text, details.publication))

        await self.subscribe(hear, TOLD, options=SubscribeOptions(details=True))
        acknowledged = PublishOptions(acknowledge=True)
        sent = [(await self.publish(TOLD, text, options=acknowledged)).id for text in ("one", "two", "three")]
        events = [await heard.get() for _ in sent]
        say("live", [text for text, _ in events])
        say("numbered alike", [publication for _, publication in events] == sent)
        page = await self.call("hopsack.stream.read", {"topic": TOLD, "after": sent[0]})
        say("read back", [page["recovered"], [event["data"] for event in page["events"]]])
        await self._newest(acknowledged)

    async def _newest(self, acknowledged: PublishOptions) -> None:
        for place, text in (("Oslo", "snow"), ("Rome", "sun"), ("Oslo", "thaw")):
            await self.publish(WEATHER, {"place": place, "text": text}, options=acknowledged)
        heard: asyncio.Queue[Any] = asyncio.Queue()
        late = SubscribeOptions(details=True, get_retained=True)
        await self.subscribe(lambda value, details: heard.put_nowait((value["text"], details.retained)), WEATHER, late)
        say("newest", [await heard.get(), await heard.get()])

    def onLeave(self, details: Any) -> None:
        say("left", details.reason)
        self.disconnect()

    def onDisconnect(self) -> None:
        asyncio.get_event_loop().stop()


ApplicationRunner(URL, "hopsack", serializers=[SERIALIZERS[SERIALIZER]()]).run(Client, log_level="warn")
