"""A stock Autobahn client with a key ring: publishes one sealed event, and prints those that it can open.

autobahn_keyring.py URL TOKEN KEY TOPIC COUNT
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.cryptobox import KeyRing
from autobahn.wamp.types import PublishOptions

URL, TOKEN, KEY, TOPIC, COUNT = sys.argv[1:]


class Client(ApplicationSession):  # type: ignore[misc]
    def onConnect(self) -> None:
        self.join("hopsack", ["ticket"], "me")

    def onChallenge(self, challenge: Any) -> str:
        return TOKEN

    async def onJoin(self, details: Any) -> None:
        ring, heard = KeyRing(), asyncio.Queue[Any]()
        ring.set_key(TOPIC, KEY)
        self.set_payload_codec(ring)
        await self.subscribe(lambda *args, **kwargs: heard.put_nowait([args, kwargs]), TOPIC)
        print(json.dumps("ready"), flush=True)
        sys.stdin.readline()
        await self.publish(TOPIC, {"text": "from Autobahn"}, options=PublishOptions(acknowledge=True, exclude_me=True))
        for _ in range(int(COUNT)):
            print(json.dumps(await heard.get()), flush=True)
        self.leave()

    def onDisconnect(self) -> None:
        asyncio.get_event_loop().stop()


ApplicationRunner(URL, "hopsack").run(Client)
