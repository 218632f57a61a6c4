"""A connection replays the recorded conversations that speak of streams (tests/conversations/README.md has the rules).

The others are replayed one floor below, against the session, by ``test_raw_session.py``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hopsack import session as on
from hopsack.connection import Connection
from hopsack.latest import LatestMap
from hopsack.raw import RawSession
from hopsack.resuming import Recovery
from hopsack.session import Event
from hopsack.subscription import Subscription
from hopsack.testing.loop import HandTurnedLoop
from tests.conversations.replay import FOLDER, Bindings, Conversation, load

from .conftest import RawPeer

_ELSEWISE = frozenset({"stream-hole"})
"""Played by the page's client only: it asks again for what is missing, and this library reads it back."""


_FINAL = (4401, 4403)
"""Closes after which a client does not come back."""


def speaks_of_streams(path: Path) -> bool:
    """Whether it is told what a session alone does not know: how it was resumed, what a map holds."""
    with path.open(encoding="utf-8") as lines:
        return json.loads(next(lines)).get("streams", False) is True


def recorded(folder: Path = FOLDER) -> Iterator[Any]:
    for path in sorted(folder.glob("*.jsonl")):
        if path.stem not in _ELSEWISE and speaks_of_streams(path):
            conversation = load(path)
            if conversation.sdk:
                yield pytest.param(conversation, id=path.stem)


class Stage(RawPeer):
    """The peer, whose part is in the file: also the answer to hello."""

    token: str | None = None

    def session(self) -> on.Session:
        return RawSession(token=self.token)


class Play:
    """One conversation."""

    def __init__(self, conversation: Conversation, loop: HandTurnedLoop) -> None:
        self.bindings = Bindings(conversation.values)
        self.loop = loop
        self.peer = Stage(loop)
        self.peer.joins = False
        self.connection: Connection
        self.sent: list[Any] = []
        self.told: list[dict[str, Any]] = []
        self.tasks: dict[str, asyncio.Task[Any]] = {}
        self.dropped: dict[str, int] = {}

    def play(self, line: dict[str, Any]) -> None:
        match line:
            case {"from": "app", "act": "connect"}:
                self.peer.token = line["token"]
                self.connection = self.peer.connect()
            case {"from": "app", "act": "return"}:
                self.loop.advance(4.0)
            case {"from": "app"}:
                self.act(self.bindings.fill(line))
            case {"from": "server", "frame": frame}:
                self.peer.says(self.bindings.fill(frame))
            case {"from": "server", "close": close}:
                self.told += [{"closed": {"code": close["code"]}}] if close["code"] in _FINAL else []
                self.peer.vanishes(self.bindings.fill(close["reason"]))
            case {"from": "client", "frame": frame}:
                self.sent += self.peer.heard()
                sent = self.sent.pop(0)
                if "hopsack" not in frame:
                    sent.pop("hopsack", None)  # a call of this library always says its time
                self.bindings.expect(frame, sent)
            case {"to": "app"}:
                self.loop.settle()
                self.expect(line)

    def act(self, line: dict[str, Any]) -> None:
        name, connection = line.get("as", ""), self.connection
        rate = {"max_rate": line["max_rate"]} if "max_rate" in line else {}
        match line["act"]:
            case "subscribe":
                options = {"match": line["match"], "after": line.get("after"), **rate}
                self.begin(name, self.subscribe(name, line["topic"], **options))
            case "map":
                self.begin(name, connection.map(line["topic"], key=line["key"], **rate))
            case "rate":
                self.begin(f"rate of {line['of']}", self.held(line["of"]).rate(line["max_rate"]))
            case "publish":
                options = {"key": line.get("key"), "acknowledge": line["acknowledge"]}
                self.begin(name, connection.publish(line["topic"], line["data"], **options))
            case "delete":
                self.begin(name, connection.delete(line["topic"], line["key"]))
            case "call":
                self.begin(name, connection.call(line["procedure"], line.get("input")))
            case other:
                raise AssertionError(f"an act that this replayer does not know: {other}")
        self.loop.settle()

    def begin(self, name: str, work: Any) -> None:
        self.tasks[name] = self.loop.create_task(work)

    async def subscribe(self, name: str, topic: str, **options: Any) -> Subscription[Any]:
        async def heard(event: Event[Any]) -> None:
            facts = {"topic": event.topic, "position": event.position, "data": event.data}
            told = {key: value for key, value in facts.items() if value is not None}
            self.told.append({"of": name, "event": told | ({"deleted": True} if event.deleted else {})})

        def recovered(recovery: Recovery) -> None:
            facts = {"recovered": recovery.recovered, "reason": recovery.reason, "missed": recovery.missed}
            self.told.append({"of": name, "recovery": facts})

        return await self.connection.subscribe(topic, heard, on_recovery=recovered, **options)

    def held(self, name: str) -> Any:
        return self.tasks[name].result()

    # ---- comparing ---------------------------------------------------------------------------------------------------

    def expect(self, line: dict[str, Any]) -> None:
        match line:
            case {"map": wanted}:
                assert self.map_of(line["of"]) == (wanted["complete"], sorted(wanted["values"], key=json.dumps))
            case {"gap": gap}:
                dropped = self.held(line["of"]).dropped
                assert dropped - self.dropped.get(line["of"], 0) == gap["dropped"]
                self.dropped[line["of"]] = dropped
            case {"recovery": wanted}:
                told = self.told.pop(0)
                assert told["of"] == line["of"]
                assert {name: told["recovery"][name] for name in wanted} == wanted
            case {"result": wanted}:
                result = self.held(line["of"])
                self.bindings.expect(
                    wanted, {"position": result.position} if isinstance(result, on.Published) else result
                )
            case {"error": wanted}:
                error = self.tasks[line["of"]].exception()
                assert {name: getattr(error, name) for name in wanted} == self.bindings.fill(wanted)
            case _:
                told = self.told.pop(0)
                self.bindings.expect({name: value for name, value in line.items() if name != "to"}, told)

    def map_of(self, name: str) -> tuple[bool, list[Any]]:
        if not self.tasks[name].done():
            return False, []
        latest: LatestMap = self.held(name)
        return latest.is_complete, sorted(latest.values(), key=json.dumps)


@pytest.mark.parametrize("conversation", list(recorded()))
def test_a_recorded_conversation(conversation: Conversation, loop: HandTurnedLoop) -> None:
    play = Play(conversation, loop)

    for line in conversation.lines:
        play.play(dict(line))

    assert [*play.sent, *play.peer.heard()] == []
    assert play.told == []
