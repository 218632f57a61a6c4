"""A WAMP reader over Autobahn's WebSocket that offers compression: one JSON line for each thing it saw.

compressing_client.py URL TOPIC EVENTS
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any
from urllib.parse import urlsplit

from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateResponseAccept
from autobahn.websocket.types import ConnectionResponse

URL, TOPIC, EVENTS = sys.argv[1:]
HELLO: list[Any] = [1, "hopsack", {"roles": {"subscriber": {}}}]
WELCOME, SUBSCRIBED, EVENT = 2, 33, 36


def say(what: str, value: Any) -> None:
    print(json.dumps([what, value]), flush=True)


class Reader(WebSocketClientProtocol):  # type: ignore[misc]
    missing = int(EVENTS)

    def onConnect(self, response: ConnectionResponse) -> None:
        say("agreed", response.headers.get("sec-websocket-extensions"))

    def onOpen(self) -> None:
        self._send(HELLO)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        kind, *fields = json.loads(payload)
        if kind == WELCOME:
            self._send([32, 1, {}, TOPIC])
        elif kind == SUBSCRIBED:
            say("subscribed", True)
        elif kind == EVENT:
            say("event", fields[3][0])
            self.missing -= 1
            if not self.missing:
                self.sendClose(1000)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        say("closed", code)
        asyncio.get_running_loop().stop()

    def _send(self, message: Any) -> None:
        self.sendMessage(json.dumps(message).encode())


def accept(response: Any) -> Any:
    return PerMessageDeflateResponseAccept(response)


factory = WebSocketClientFactory(URL, protocols=["wamp.2.json"])
factory.protocol = Reader
factory.setProtocolOptions(perMessageCompressionOffers=[PerMessageDeflateOffer()], perMessageCompressionAccept=accept)
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
factory.loop = loop
where: Any = urlsplit(URL)
loop.run_until_complete(loop.create_connection(factory, where.hostname, where.port))
loop.run_forever()
