"""A reader with Autobahn, which knows nothing of positions: prints one JSON line for each thing that it is given.

    stock_reader.py '{"url": …, "token": …, "realm": …, "topic": …, "after": …}'

It subscribes, reads back with ``hopsack.stream.read`` what came behind the last publication that it was given, and
leaves out of what came live meanwhile what it has read already. ``after`` is a publication id, or a position as long as
it has none. It ends when its session ends. What the lines mean stands in ``hopsack_bench/programs.py``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.serializer import JsonSerializer
from autobahn.wamp.types import Challenge, SubscribeOptions

ASKED: dict[str, Any] = json.loads(sys.argv[1])


def say(facts: dict[str, Any]) -> None:
    print(json.dumps(facts), flush=True)


def came(publication: int, data: Any) -> None:
    say({"came": ASKED["topic"], "position": None, "publication": publication, "data": data})


class Reader(ApplicationSession):  # type: ignore[misc]
    def onConnect(self) -> None:
        self.join(ASKED["realm"], ["ticket"], "checker")

    def onChallenge(self, challenge: Challenge) -> str:
        return str(ASKED["token"])

    async def onJoin(self, details: Any) -> None:
        self.held: list[tuple[int, Any]] | None = []
        await self.subscribe(self.heard, ASKED["topic"], options=SubscribeOptions(details=True))
        read = await self.catch_up()
        held, self.held = self.held or [], None
        for publication, data in held:
            if publication not in read:
                came(publication, data)

    def heard(self, data: Any, details: Any = None) -> None:
        if self.held is None:
            came(details.publication, data)
        else:
            self.held.append((details.publication, data))

    async def catch_up(self) -> set[int]:
        """:returns: the publications that it has read."""
        after = ASKED["after"]
        read: set[int] = set()
        if after is None:
            page = await self.call("hopsack.stream.read", {"topic": ASKED["topic"], "last": 1})
            say({"granted": ASKED["topic"], "position": page["position"]})
            after = page["position"]
            read.update(one["publication"] for one in page["events"])
        end = False
        while not end:
            page = await self.call("hopsack.stream.read", {"topic": ASKED["topic"], "after": after})
            say({"recovered": page["recovered"], "reason": page.get("reason")})
            for one in page["events"]:
                came(one["publication"], one["data"])
                read.add(one["publication"])
            after, end = page["position"], page["end"]
        return read

    def onLeave(self, details: Any) -> None:
        self.disconnect()


async def main() -> None:
    """Not the runner's own loop: that goes on for ever where a connection is lost before its session begins."""
    runner = ApplicationRunner(ASKED["url"], ASKED["realm"], serializers=[JsonSerializer()])
    _, protocol = await runner.run(Reader, start_loop=False, log_level="error")
    await protocol.is_closed


asyncio.run(main())
