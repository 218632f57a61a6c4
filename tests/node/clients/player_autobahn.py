"""A stock Autobahn client that does what it is told, one JSON line each, and says what it saw likewise.

player_autobahn.py URL      the lines stand in tests/node/test_client_matrix.py
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp import message
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallDetails, CallOptions, PublishOptions, RegisterOptions

[URL] = sys.argv[1:]


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


class Player(ApplicationSession):  # type: ignore[misc]
    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._calls: set[asyncio.Task[None]] = set()

    def onConnect(self) -> None:
        self.join("hopsack")

    async def onJoin(self, details: Any) -> None:
        say(joined=True)
        try:
            while line := await asyncio.to_thread(sys.stdin.readline):
                asked = json.loads(line)
                if asked["do"] == "call":
                    task = asyncio.ensure_future(self._call(asked))
                    self._calls.add(task)
                    task.add_done_callback(self._calls.discard)
                else:
                    await getattr(self, f"_{asked['do']}")(asked)
        finally:
            self.leave()

    def onMessage(self, msg: Any) -> None:
        if isinstance(msg, message.Invocation):
            say(invoked=msg.args[0] if msg.args else None, timeout=msg.timeout)
        super().onMessage(msg)

    async def _register(self, asked: dict[str, Any]) -> None:
        async def echo(value: Any) -> Any:
            return value

        async def hang(value: Any) -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                say(interrupted=value)

        async def count(upto: int, details: CallDetails) -> str:
            for number in range(upto):
                if details.progress is not None:
                    details.progress(number)
                await asyncio.sleep(0)  # each leaves in a turn of its own
            return "done"

        how = {"echo": echo, "hang": hang, "count": count}[asked["how"]]
        options = RegisterOptions(invoke=asked.get("invoke"), details=True if how is count else None)
        try:
            await self.register(how, asked["procedure"], options)
        except ApplicationError as error:
            say(error=error.error)
        else:
            say(registered=asked["procedure"])

    async def _call(self, asked: dict[str, Any]) -> None:
        seen: list[Any] = []
        options = CallOptions(timeout=asked.get("timeout"), on_progress=seen.append if asked.get("progress") else None)
        try:
            value = await self.call(asked["procedure"], *asked["args"], options=options)
        except ApplicationError as error:
            say(error=error.error)
        else:
            say(result=value, progress=seen)

    async def _cancel(self, asked: dict[str, Any]) -> None:
        """Autobahn's own way of cancelling says no mode."""
        [request] = self._call_reqs
        self._transport.send(message.Cancel(request, asked["mode"]))

    async def _subscribe(self, asked: dict[str, Any]) -> None:
        await self.subscribe(lambda value: say(event=value), asked["topic"])
        say(subscribed=asked["topic"])

    async def _publish(self, asked: dict[str, Any]) -> None:
        await self.publish(asked["topic"], *asked["args"], options=PublishOptions(acknowledge=True))
        say(published=asked["topic"])

    def onUserError(self, failure: Any, message: str) -> None:
        """It would be printed."""

    def onLeave(self, details: Any) -> None:
        self.disconnect()

    def onDisconnect(self) -> None:
        asyncio.get_event_loop().stop()


ApplicationRunner(URL, "hopsack").run(Player, log_level="warn")
