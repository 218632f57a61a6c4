"""The recorded conversations, replayed against the raw door's machines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from autobahn.wamp import message
from tests.conversations.replay import FOLDER, Bindings, Conversation, load, load_all

from hopsack.errors import from_details
from hopsack_router.doors import envelopes, jsonrpc, places, raw, reading
from hopsack_router.doors.closing import NO_PROGRESS, reason_of, slow_reader
from hopsack_router.doors.effects import Join, Route
from hopsack_router.doors.jsonrpc import Close, Joined, Send
from hopsack_router.doors.patterns import after_of, patterns_of
from hopsack_router.doors.reading import Dismiss, Refuse, Start, Tell
from hopsack_router.routing import asked, ended
from hopsack_router.routing.backlog import Channel, Why
from hopsack_router.routing.fanout import Delivery
from hopsack_router.routing.farewell import Farewell
from hopsack_router.routing.router import YieldError
from hopsack_router.routing.unread import Carried

CONVERSATIONS = load_all()

_MESSAGES = {
    kind.MESSAGE_TYPE: kind
    for kind in (
        message.Result,
        message.Published,
        message.Subscribed,
        message.Unsubscribed,
        message.Registered,
        message.Unregistered,
        message.Invocation,
        message.Interrupt,
        message.Error,
        message.Goodbye,
    )
}


def _message(line: dict[str, Any]) -> message.Message:
    wamp = line["wamp"]
    if "granted" in line:
        return asked.Subscribed(wamp[1], wamp[2], asked.Granted(**line["granted"]))
    if "position" in line:
        return asked.Published(wamp[1], wamp[2], line["position"])
    if wamp[:2] == [message.Error.MESSAGE_TYPE, message.Yield.MESSAGE_TYPE]:  # not in WAMP, so not in Autobahn
        return YieldError(wamp[2], wamp[4], wamp[5], wamp[6])
    if wamp[0] == message.Goodbye.MESSAGE_TYPE and "retry_after" in wamp[1]:
        return Farewell(wamp[1]["retry_after"])
    if "of" in line:
        told = SimpleNamespace(**line["of"], id=wamp[2].get("subscription") or wamp[2]["registration"])
        kind = ended.Unsubscribed if wamp[0] == message.Unsubscribed.MESSAGE_TYPE else ended.Unregistered
        msg = kind(told, from_details(wamp[2]["x_hopsack_error"]))
        assert msg.marshal() == wamp
        return msg
    if wamp[0] == asked.More.MESSAGE_TYPE:
        return asked.More.parse(wamp)
    if wamp[0] == message.Invocation.MESSAGE_TYPE:
        known, args = message.Invocation.parse(wamp), wamp[4] if len(wamp) > 4 else None
        ours = {name: wamp[3].get(name) for name in ("progress", "x_hopsack_window", "receive_progress", "timeout")}
        return asked.Invocation(*wamp[1:3], args=args, procedure=known.procedure, **ours)
    return _MESSAGES[wamp[0]].parse(wamp)


def _recorded(msg: Any) -> dict[str, Any]:
    """What the door asks of its session, as the recordings write it."""
    if isinstance(msg, asked.Rate):
        return {"rate": [msg.request, msg.subscription, msg.max_rate]}
    wamp = msg.marshal()
    beside = {name: getattr(msg, name, None) for name in ("after", "max_rate", "key", "delete")}
    ours = {f"x_hopsack_{name}": value for name, value in beside.items() if value not in (None, False)}
    if ours:
        wamp[2] |= ours
    return {"wamp": wamp}


class Replay:
    """The door's side of one conversation: feed what client and session say, expect what server and door say."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.bindings = Bindings(conversation.values)
        self.machine: Any
        self.seen: list[dict[str, Any]] = []
        self.connect()

    def connect(self) -> None:
        conversation = self.conversation
        query = urlsplit(conversation.path).query
        patterns = patterns_of(query)
        if patterns:
            after = places.read(after_of(query), patterns)
            self.machine = reading.Reader(patterns, conversation.token, after)
            self.record(self.machine.opened())
        else:
            self.machine = jsonrpc.Connection("hopsack/0.1.0", conversation.token)

    def feed_client(self, line: Any) -> None:
        if isinstance(self.machine, reading.Reader):
            return  # the shell does not hand a reader's messages on
        if "close" in line:
            self.record(self.machine.lost())
            return
        text = line["text"].encode() if "text" in line else envelopes.encode(self.bindings.fill(line["frame"]))
        self.record(self.machine.received(text, line.get("binary", False)))

    def feed_session(self, line: Any) -> None:
        if "joined" in line:
            told = self.bindings.fill(line["joined"])
            who = {name: told.pop(name) for name in ("session", "authid", "role", "realm")}
            facts = Joined(**who, facts=told)
            self.record(
                self.machine.joined() if isinstance(self.machine, reading.Reader) else self.machine.joined(facts)
            )
        elif "refused" in line:
            self.record(self.machine.refused(from_details(self.bindings.fill(line["refused"]))))
        elif "event" in line:
            event = self.bindings.fill(line["event"])
            carried = Carried(None, [event.pop("data")], None)
            delivery = Delivery(subscription=1, match="exact", publication=1, carried=carried, **event)
            self.seen.append({"from": "server", "frame": unframe(raw.FORMAT.event(delivery))})
        elif "gap" in line:
            gap = line["gap"]
            self.seen.append(
                {"from": "server", "frame": unframe(raw.FORMAT.gap(Channel(gap["topic"]), gap["dropped"]))}
            )
        elif "stalled" in line:
            reason = slow_reader(Why[line["stalled"]], line["retry_after"])
            self.seen.append({"from": "server", "close": {"code": NO_PROGRESS.number, "reason": reason}})
        elif "rated" in line:
            self.record(self.machine.routed(asked.Rated(line["rated"])))
        else:
            self.record(self.machine.routed(_message(self.bindings.fill(line))))

    def record(self, effects: list[Any]) -> None:
        for effect in effects:
            match effect:
                case Join(token):
                    self.seen.append({"from": "door", "join": {"token": token}})
                case Route(msg):
                    self.seen.append({"from": "door"} | _recorded(msg))
                case Send(body, binary):
                    line = {"from": "server", "frame": msgspec.json.decode(envelopes.encode(body))}
                    self.seen.append(line | ({"binary": True} if binary else {}))
                case Close(code, reason):
                    self.seen.append({"from": "server", "close": {"code": code, "reason": reason}})
                case Refuse(code, error):
                    close = {"code": code.number, "reason": reason_of(error)}
                    self.seen.append({"from": "server", "close": close})
                case Dismiss(code):
                    self.seen.append({"from": "server", "close": {"code": code.number, "reason": effect.reason}})
                case Tell(facts):
                    frame = {"jsonrpc": "2.0", "method": "hopsack.revoked", "params": facts}
                    self.seen.append({"from": "server", "frame": frame})
                case Start(_, lost):
                    told = [{"jsonrpc": "2.0", "method": "recovery", "params": one} for one in lost]
                    self.seen += [{"from": "server", "frame": frame} for frame in told]

    def expect(self, line: Any) -> None:
        assert self.seen, f"nothing was said, expected {line}"
        self.bindings.expect(line, self.seen.pop(0))


def unframe(frame: bytes) -> Any:
    assert frame[0] == 0x81
    short = frame[1]
    start = 2 if short < 126 else 4 if short == 126 else 10
    return msgspec.json.decode(frame[start:])


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=str)
def test_the_door_keeps_to_the_recording(conversation: Conversation) -> None:
    replay = Replay(conversation)

    for line in conversation.lines:
        match line.get("from"):
            case "client":
                replay.feed_client(line)
            case "session":
                replay.feed_session(line)
            case "app" if line["act"] == "return":
                replay.connect()
            case "server" | "door":
                replay.expect(line)

    assert replay.seen == []


def test_every_file_is_named_like_its_conversation() -> None:
    for path in FOLDER.glob("*.jsonl"):
        assert load(path).name == path.stem
