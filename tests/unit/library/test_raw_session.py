"""The raw door's client replays the recorded conversations, and holds where they do not go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from hopsack import session as on
from hopsack.errors import Disconnected, OutcomeUnknown, RemoteError, Unavailable, UsageError, class_of
from hopsack.raw import RawSession, State, matches

from .test_stream_conversations import speaks_of_streams

CONVERSATIONS = Path(__file__).parents[2] / "conversations"


def recorded() -> Iterator[Any]:
    for path in sorted(CONVERSATIONS.glob("*.jsonl")):
        lines = [
            json.loads(line) for line in path.read_text().splitlines() if line.strip() and not line.startswith("//")
        ]
        if lines[0]["sdk"] and not speaks_of_streams(path):
            yield pytest.param(lines, id=path.stem)


class Replay:
    """One recorded conversation, played against a session (tests/conversations/README.md has the rules)."""

    def __init__(self, head: dict[str, Any]) -> None:
        self.values: dict[str, Any] = head["values"]
        self.bound: dict[str, Any] = {}
        self.sent: list[Any] = []
        self.told: list[dict[str, Any]] = []
        self.opened: dict[str, int] = {}
        self.invocations: dict[str, int] = {}
        self.session: RawSession
        self.identity: on.Identity
        self.connecting = ""

    def play(self, line: dict[str, Any]) -> None:
        match line:
            case {"from": "app", "act": "connect"}:
                self.session = RawSession(token=line["token"])
                self.connecting = line["as"]
                self.feed(on.Opened(1 << 20))
            case {"from": "app"}:
                self.feed(self.asked(line))
            case {"from": "server", "frame": frame}:
                self.feed(on.Received(json.dumps(self.filled(frame)).encode()))
            case {"from": "server", "close": close}:
                self.told.append({"closed": {"code": close["code"]}})
                self.feed(on.Lost(close["reason"]))
            case {"from": "client", "frame": frame}:
                self.expect(frame, self.sent.pop(0))
            case {"from": "client", "close": _}:
                assert self.sent.pop(0) == "close"
            case {"to": "app"}:
                self.expect_told(line)

    def asked(self, line: dict[str, Any]) -> on.Input:
        name = line.get("as")
        match line["act"]:
            case "subscribe":
                return on.SubscribeRequested(name, line["topic"], line["match"])
            case "unsubscribe":
                return on.UnsubscribeRequested(name, self.opened[line["of"]])
            case "publish":
                return on.PublishRequested(name if line["acknowledge"] else None, line["topic"], line["data"])
            case "call":
                return on.CallRequested(name, line["procedure"], line.get("input"))
            case "iterate":
                flow = on.Flow("window" in line, line.get("window"), line.get("inputs", False))
                return on.CallRequested(name, line["procedure"], line.get("input"), flow=flow)
            case "more":
                return on.MoreWanted(line["of"], line["n"])
            case "input":
                return on.InputGiven(line["of"], line["data"])
            case "end":
                return on.InputsEnded(line["of"])
            case "progress":
                return on.Progressed(self.invocations[line["of"]], line["data"])
            case "more_input":
                return on.InputsWanted(self.invocations[line["of"]], line["n"])
            case "cancel":
                return on.CallAbandoned(line["of"])
            case "register":
                return on.RegisterRequested(name, line["procedure"], "exact", "single")
            case "unregister":
                return on.UnregisterRequested(name, self.opened[line["of"]])
            case "answer" if "error" in line:
                error = line["error"]
                return on.Failed(
                    self.invocations[line["of"]],
                    class_of(error["code"])(error.get("message", ""), code=error["code"]),
                )
            case "answer":
                return on.Answered(self.invocations[line["of"]], line["result"])
            case "close":
                return on.LeaveRequested()
        raise AssertionError(f"an act that this replayer does not know: {line}")

    def feed(self, event: on.Input) -> None:
        for effect in self.session.take(event):
            match effect:
                case on.Send(data):
                    self.sent.append(json.loads(data))
                case on.Close():
                    self.sent.append("close")
                case on.Join(identity):
                    self.identity = identity
                case on.Refuse(error):
                    self.told.append({"of": self.connecting, "error": error})
                case on.Confirm(ticket, number):
                    self.opened[str(ticket)] = number
                case on.Resolve(ticket, payload):
                    self.told.append({"of": ticket, "result": payload.read()})
                case on.Revoke(_, number, error):
                    self.told.append({"of": self.named(number), "ended": error})
                case on.Reject(ticket, error):
                    self.told.append({"of": ticket, "error": error})
                case on.Deliver(number, publication, payload):
                    event_ = {"topic": publication.topic, "data": payload.read()}
                    self.told.append({"of": self.named(number), "event": event_})
                case on.Advance(ticket, payload):
                    self.told.append({"of": ticket, "progress": payload.read()})
                case on.InputsGranted(ticket, items):
                    self.told.append({"of": ticket, "granted": items})
                case on.ProgressGranted(invocation, items):
                    self.told.append({"of": self.asked_as(invocation), "granted": items})
                case on.InputCame(invocation, payload):
                    self.told.append({"of": self.asked_as(invocation), "input": payload.read()})
                case on.InputsOver(invocation):
                    self.told.append({"of": self.asked_as(invocation), "over": True})
                case on.Serve(invocation, registration, caller, payload):
                    facts = {"procedure": caller.procedure, "input": payload.read()}
                    if effect.flow is not None:
                        facts["flow"] = {name: value for name, value in asdict(effect.flow).items() if value}
                    self.told.append({"of": self.named(registration), "asked": facts, "invocation": invocation})
                case on.Interrupt(invocation):
                    self.told.append({"of": self.asked_as(invocation), "canceled": True})

    def asked_as(self, invocation: int) -> str:
        return next(name for name, number in self.invocations.items() if number == invocation)

    def named(self, number: int) -> str:
        return next(name for name, opened in self.opened.items() if opened == number)

    # ---- comparing ---------------------------------------------------------------------------------------------------

    def expect_told(self, line: dict[str, Any]) -> None:
        if isinstance(line.get("result"), dict) and line["of"] in self.opened:
            return  # granted, with nothing more to say
        if "result" in line and line["of"] == self.connecting:
            self.expect(line["result"], {name: getattr(self.identity, name) for name in line["result"]})
            return
        told = self.told.pop(0)
        match line:
            case {"closed": closed}:
                assert told["closed"] == closed
            case {"error": error}:
                assert told["of"] == line["of"]
                assert {name: getattr(told["error"], name) for name in error} == self.filled(error)
            case {"ended": wanted}:
                assert told["of"] == line["of"]
                assert {name: getattr(told["ended"], name) for name in wanted} == wanted
            case {"asked": asked}:
                self.invocations[asked.pop("as")] = told.pop("invocation")
                assert told == {"of": line["of"], "asked": asked}
            case _:
                assert told == {name: value for name, value in line.items() if name != "to"}

    def expect(self, pattern: Any, value: Any) -> None:
        match pattern:
            case str() if pattern.startswith("$$"):
                assert value == pattern[1:]
            case "$_":
                pass
            case str() if pattern.startswith("$"):
                assert self.bound.setdefault(pattern[1:], value) == value
            case dict():
                wanted = {name: item for name, item in pattern.items() if name != "$more"}
                assert wanted.keys() <= value.keys() if "$more" in pattern else wanted.keys() == value.keys()
                for name, item in wanted.items():
                    self.expect(item, value[name])
            case list():
                assert len(pattern) == len(value)
                for item, part in zip(pattern, value, strict=True):
                    self.expect(item, part)
            case _:
                assert value == pattern

    def filled(self, pattern: Any) -> Any:
        match pattern:
            case str() if pattern.startswith("$$"):
                return pattern[1:]
            case str() if pattern.startswith("$"):
                return self.bound.setdefault(pattern[1:], self.values.get(pattern[1:]))
            case dict():
                return {name: self.filled(item) for name, item in pattern.items() if name != "$more"}
            case list():
                return [self.filled(item) for item in pattern]
        return pattern


@pytest.mark.parametrize("lines", list(recorded()))
def test_a_recorded_conversation(lines: list[dict[str, Any]]) -> None:
    replay = Replay(lines[0])

    for line in lines[1:]:
        replay.play(line)

    assert [message for message in replay.sent if message != "close"] == []


def joined() -> RawSession:
    session = RawSession()
    session.take(on.Opened(1 << 20))
    result = {"session": 7, "authid": "guest-1", "role": "guest", "realm": "hopsack", "server": "hopsack/0.1.0"}
    session.take(on.Received(json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()))
    assert session.state is State.JOINED
    return session


def test_what_is_lost_in_flight_says_whether_it_may_have_run() -> None:
    session = joined()
    session.take(on.CallRequested("c", "a.b", None))
    session.take(on.SubscribeRequested("s", "t", "exact"))

    rejected = [(e.ticket, type(e.error)) for e in session.take(on.Lost("reset")) if isinstance(e, on.Reject)]

    assert rejected == [("c", OutcomeUnknown), ("s", Disconnected)]


def test_what_a_node_that_stops_has_not_answered_was_never_begun() -> None:
    session = joined()
    for ticket in ("c", "given up"):
        session.take(on.CallRequested(ticket, "a.b", None))
    session.take(on.CallAbandoned("given up"))
    session.take(on.PublishRequested("p", "t", 1))

    rejected = [e for e in session.take(on.Lost("going away", retry_after=2.3)) if isinstance(e, on.Reject)]

    assert [(e.ticket, type(e.error)) for e in rejected] == [
        ("c", Unavailable),
        ("given up", OutcomeUnknown),
        ("p", OutcomeUnknown),
    ]
    first = rejected[0].error
    assert isinstance(first, Unavailable)
    assert (first.where, first.data) == ("a.b", {"retry_after": 2.3})


def test_what_is_no_message_ends_the_session() -> None:
    session = joined()

    [close] = session.take(on.Received(b"{not json"))

    assert isinstance(close, on.Close)
    assert session.state is State.ENDED
    assert session.take(on.Received(b"{not json")) == []


def test_a_refusal_tells_when_to_come_back() -> None:
    session = RawSession()
    session.take(on.Opened(1 << 20))
    data = {"code": "hopsack.unavailable", "retry": "later", "data": {"retry_after": 2.3}}
    error = {"code": 1018, "message": "the node is stopping", "data": data}

    refuse, close = session.take(on.Received(json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode()))

    assert isinstance(refuse, on.Refuse)
    assert (type(refuse.error), refuse.final) == (Unavailable, False)
    assert close == on.Close("the node is stopping", 2.3)


def test_notifications_of_later_versions_are_ignored() -> None:
    assert joined().take(on.Received(b'{"jsonrpc":"2.0","method":"hopsack.news","params":[1]}')) == []


def test_a_procedure_may_be_shared() -> None:
    [sent] = joined().take(on.RegisterRequested("r", "a.b", "exact", "least"))

    assert isinstance(sent, on.Send)
    assert json.loads(sent.data)["params"] == {"procedure": "a.b", "invoke": "least"}


def test_a_pattern_of_procedures_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match="connect to ws://…/ws"):
        joined().take(on.RegisterRequested("r", "a.", "prefix", "single"))


def test_a_request_for_what_is_not_served_is_answered() -> None:
    [sent] = joined().take(on.Received(b'{"jsonrpc":"2.0","id":4,"method":"a.b"}'))

    assert isinstance(sent, on.Send)
    assert json.loads(sent.data)["error"]["data"] == {
        "code": "hopsack.unavailable",
        "message": "this session does not serve that any more",
        "retry": "later",
        "data": {"ran": "no"},
        "where": "a.b",
    }


def test_a_message_that_is_too_large_is_not_sent() -> None:
    session = RawSession()
    session.take(on.Opened(300))
    result = {"session": 7, "authid": "guest-1", "role": "guest", "realm": "hopsack"}
    session.take(on.Received(json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()))

    with pytest.raises(RemoteError, match=r"hopsack\.too_large"):
        session.take(on.CallRequested("c", "a.b", "x" * 300))

    assert session.take(on.Lost("gone")) == []


@pytest.mark.parametrize(
    ("topic", "pattern", "match", "matched"),
    [
        ("a.b", "a.b", "exact", True),
        ("a.b", "a", "exact", False),
        ("a.b.c", "a.", "prefix", True),
        ("b", "a.", "prefix", False),
        ("a.b.c", "a..c", "wildcard", True),
        ("a.b.d", "a..c", "wildcard", False),
        ("a.b.c.d", "a..c", "wildcard", False),
    ],
)
def test_which_events_belong_to_a_subscription(topic: str, pattern: str, match: on.Match, matched: bool) -> None:
    assert matches(topic, pattern, match) is matched
