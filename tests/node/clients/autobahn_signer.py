"""A stock Autobahn client that logs in with a key, and prints who it is taken for.

autobahn_signer.py URL SERIALIZER PRIVATE_KEY_IN_HEX [AUTHID]
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.auth import create_authenticator
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer
from autobahn.wamp.types import Challenge

SERIALIZERS = {"json": JsonSerializer, "msgpack": MsgPackSerializer, "cbor": CBORSerializer}
URL, SERIALIZER, PRIVATE, *AUTHID = sys.argv[1:]


def say(what: str, value: Any) -> None:
    print(json.dumps([what, value]), flush=True)


class Client(ApplicationSession):  # type: ignore[misc]
    def onConnect(self) -> None:
        self.authenticator = create_authenticator("cryptosign", privkey=PRIVATE)
        name = AUTHID[0] if AUTHID else None
        self.join("hopsack", ["cryptosign"], name, authextra=self.authenticator.authextra)

    def onChallenge(self, challenge: Challenge) -> Any:
        return self.authenticator.on_challenge(self, challenge)

    async def onJoin(self, details: Any) -> None:
        say("joined", [details.authmethod, details.authrole, details.authid])
        self.leave()

    def onLeave(self, details: Any) -> None:
        say("left", [details.reason, details.message])
        self.disconnect()

    def onDisconnect(self) -> None:
        asyncio.get_event_loop().stop()


ApplicationRunner(URL, "hopsack", serializers=[SERIALIZERS[SERIALIZER]()]).run(Client, log_level="error")
