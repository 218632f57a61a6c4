"""The client's WAMP session, told as conversations: what it hears and what it does about it, whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopsack import session as on
from hopsack.errors import (
    Canceled,
    DeclaredError,
    Denied,
    Disconnected,
    Internal,
    OutcomeUnknown,
    RemoteError,
    Unavailable,
    UsageError,
    class_of,
)
from hopsack.keys import PrivateKey
from hopsack.wamp.codec import JSON
from hopsack.wamp.session import State, WampSession

WELCOME = [2, 77, {"authid": "ann", "authrole": "user", "realm": "hopsack", "agent": "hopsack/0.1.0"}]


class Talk:
    """One session, spoken to in plain lists. Errors compare by class and text, payloads by their value."""

    def __init__(self, token: str | None = None, limit: int = 1 << 20, key: PrivateKey | None = None) -> None:
        self.session = WampSession(
            JSON, realm="hopsack", agent="hopsack-python/9", token=token, key=key, service="host"
        )
        self.limit = limit

    def joined(self) -> Talk:
        self.does(on.Opened(self.limit))
        self.hears(WELCOME)
        return self

    def does(self, event: on.Input) -> list[Any]:
        return [plain(effect) for effect in self.session.take(event)]

    def hears(self, message: list[Any]) -> list[Any]:
        return self.does(on.Received(json.dumps(message).encode()))


def plain(effect: on.Effect) -> Any:
    match effect:
        case on.Send(data):
            return ["->", *json.loads(data)]
        case on.Resolve(ticket, payload):
            return "resolve", ticket, payload.read()
        case on.Deliver(_, publication, payload):
            return "deliver", effect.subscription, publication, payload.read()
        case on.Serve(invocation, registration, caller, payload):
            return "serve", invocation, registration, caller, payload.read()
        case on.Reject(ticket, error):
            return "reject", ticket, type(error), str(error)
        case on.Refuse(error, final):
            return "refuse", type(error), str(error), final
        case on.Report(error):
            return "report", type(error), str(error)
    return effect


def test_a_key_signs_the_challenge() -> None:
    key = PrivateKey(bytes(32))
    talk = Talk(key=key)

    [hello] = talk.does(on.Opened(1 << 20))
    [answer] = talk.hears([4, "cryptosign", {"challenge": "ab" * 32, "channel_binding": None}])

    assert hello[3]["authmethods"] == ["cryptosign"]
    assert hello[3]["authextra"] == {"agent": "hopsack-python/9", "service": "host", "pubkey": key.public.hex()}
    assert answer == ["->", 5, key.sign(bytes.fromhex("ab" * 32)).hex() + "ab" * 32, {}]


def test_a_token_goes_before_a_key() -> None:
    talk = Talk("t.o.ken", key=PrivateKey(bytes(32)))

    [hello] = talk.does(on.Opened(1 << 20))

    assert hello[3]["authmethods"] == ["ticket"]
    assert "pubkey" not in hello[3]["authextra"]
    assert talk.hears([4, "ticket", {}]) == [["->", 5, "t.o.ken", {}]]


@pytest.mark.parametrize(
    "challenge",
    [
        ["ticket", {}],
        ["cryptosign", {}],
        ["cryptosign", {"challenge": "ab" * 31}],
        ["cryptosign", {"challenge": "AB" * 32}],
        ["cryptosign", {"challenge": "ab" * 64}],
        ["cryptosign", {"challenge": ["ab"]}],
        ["cryptosign", {"challenge": "ab" * 32, "channel_binding": "tls-unique"}],
    ],
)
def test_nothing_else_is_signed(challenge: list[Any]) -> None:
    talk = Talk(key=PrivateKey(bytes(32)))
    talk.does(on.Opened(1 << 20))

    [abort, *_] = talk.hears([4, *challenge])

    assert abort[1] == 3
    assert abort[3] == "wamp.error.protocol_violation"


def test_a_guest_joins() -> None:
    talk = Talk()

    [hello] = talk.does(on.Opened(1 << 20))
    assert hello[:3] == ["->", 1, "hopsack"]
    assert hello[3] | {"roles": sorted(hello[3]["roles"])} == {
        "roles": ["callee", "caller", "publisher", "subscriber"],
        "agent": "hopsack-python/9",
        "authmethods": ["anonymous"],
        "authextra": {"agent": "hopsack-python/9", "service": "host"},
    }

    assert talk.hears(WELCOME) == [on.Join(on.Identity(77, "ann", "user", "hopsack", "hopsack/0.1.0"))]
    assert talk.session.state is State.JOINED


def test_a_token_is_the_answer_to_the_challenge() -> None:
    talk = Talk(token="t0k3n")

    [hello] = talk.does(on.Opened(1 << 20))
    assert hello[3]["authmethods"] == ["ticket"]
    assert talk.hears([4, "ticket", {}]) == [["->", 5, "t0k3n", {}]]
    assert talk.hears([3, {"message": "the token has expired"}, "wamp.error.authentication_failed"]) == [
        (
            "refuse",
            class_of("hopsack.login_required"),
            "hopsack.login_required: the token has expired",
            True,
        ),
        on.Close("the token has expired"),
    ]


def test_a_refusal_that_may_pass_is_not_final() -> None:
    talk = Talk()
    talk.does(on.Opened(1 << 20))

    effects = talk.hears([3, {"retry_after": 2.5}, "wamp.close.system_shutdown"])

    assert [effects[0][0], effects[0][-1]] == ["refuse", False]
    assert effects[1] == on.Close("wamp.close.system_shutdown", 2.5)


def test_a_challenge_that_was_not_offered_is_a_protocol_violation() -> None:
    talk = Talk()
    talk.does(on.Opened(1 << 20))

    effects = talk.hears([4, "wampcra", {}])

    reason = "a challenge by wampcra, which was not offered"
    assert effects == [["->", 3, {"message": reason}, "wamp.error.protocol_violation"], on.Close(reason)]


def test_a_call_and_its_result() -> None:
    talk = Talk().joined()

    assert talk.does(on.CallRequested("a", "host.describe", {"name": "x"})) == [
        ["->", 48, 1, {}, "host.describe", [{"name": "x"}]]
    ]
    assert talk.does(on.CallRequested("b", "host.list", None)) == [["->", 48, 2, {}, "host.list"]]
    assert talk.hears([50, 2, {}]) == [("resolve", "b", None)]
    assert talk.hears([50, 1, {}, [[1, 2]]]) == [("resolve", "a", [1, 2])]


def test_an_error_of_ours_and_of_a_stock_peer() -> None:
    talk = Talk().joined()
    for ticket in "ab":
        talk.does(on.CallRequested(ticket, "host.describe", None))

    ours = {"code": "hopsack.denied", "message": "no", "retry": "after_login", "where": "host.describe", "path": "/a"}
    assert talk.hears([8, 48, 1, {}, "wamp.error.not_authorized", ["no"], ours]) == [
        ("reject", "a", Denied, "hopsack.denied: no [host.describe at /a]")
    ]
    assert talk.hears([8, 48, 2, {}, "wamp.error.runtime_error", ["boom"]]) == [
        ("reject", "b", Internal, "hopsack.internal: boom [host.describe]")
    ]


def test_an_abandoned_call_is_cancelled_once_and_may_be_answered_twice() -> None:
    talk = Talk().joined()
    talk.does(on.CallRequested("a", "slow", None))

    assert talk.does(on.CallAbandoned("a")) == [["->", 49, 1, {"mode": "killnowait"}]]
    assert talk.does(on.CallAbandoned("a")) == []
    [rejected] = talk.hears([8, 48, 1, {}, "wamp.error.canceled"])
    assert rejected[:3] == ("reject", "a", Canceled)
    assert talk.hears([50, 1, {}, [1]]) == []


def test_an_event_that_the_node_could_not_send_is_no_payload() -> None:
    talk = Talk().joined()
    talk.does(on.SubscribeRequested("s", "big", "prefix"))
    talk.hears([33, 1, 9])

    told = talk.hears([36, 9, 1, {"topic": "big.one", "x_hopsack_dropped": "too_large", "x_hopsack_size": 70_000}])
    untold = talk.hears([36, 9, 2, {"x_hopsack_dropped": "unreadable"}])

    assert told == [on.Withheld("big.one", "too_large", 70_000, 9)]
    assert untold == [on.Withheld("big", "unreadable", None, 9)]


def test_publications_with_and_without_acknowledgement() -> None:
    talk = Talk().joined()

    assert talk.does(on.PublishRequested("p", "t.a", 1)) == [["->", 16, 1, {"acknowledge": True}, "t.a", [1]]]
    assert talk.does(on.PublishRequested(None, "t.a", None)) == [["->", 16, 2, {}, "t.a"]]
    assert talk.hears([17, 1, 900]) == [on.Confirm("p", 900)]


def test_a_subscription_from_first_to_last() -> None:
    talk = Talk().joined()

    assert talk.does(on.SubscribeRequested("s", "t.", "prefix")) == [["->", 32, 1, {"match": "prefix"}, "t."]]
    assert talk.hears([33, 1, 5]) == [on.Confirm("s", 5)]
    assert talk.hears([36, 5, 900, {"topic": "t.b", "publisher": 3, "publisher_authrole": "user"}, [7]]) == [
        ("deliver", 5, on.Publication("t.b", 900, 3, None, "user"), 7)
    ]
    assert talk.hears([36, 5, 901, {}, [], {"a": 1}]) == [("deliver", 5, on.Publication("t.", 901), {"a": 1})]
    assert talk.does(on.UnsubscribeRequested("u", 5)) == [["->", 34, 2, 5]]
    assert talk.hears([35, 2]) == [on.Confirm("u", 0)]
    assert talk.hears([36, 5, 902, {}, [8]]) == []


def test_a_policy_that_wamp_has_no_word_for_is_by_turns_for_others() -> None:
    talk = Talk().joined()

    def options(invoke: on.Invoke) -> dict[str, str]:
        [[*_, options, _]] = talk.does(on.RegisterRequested("r", "a.b", "exact", invoke))
        return dict(options)

    assert options("least") == {"invoke": "roundrobin", "x_hopsack_invoke": "least"}
    assert options("random") == {"invoke": "random"}
    assert options("single") == {}


def test_a_registration_serves_calls() -> None:
    talk = Talk().joined()

    assert talk.does(on.RegisterRequested("r", "a.b", "exact", "roundrobin")) == [
        ["->", 64, 1, {"invoke": "roundrobin"}, "a.b"]
    ]
    assert talk.hears([65, 1, 6]) == [on.Confirm("r", 6)]
    facts = {"caller": 4, "caller_authid": "ann", "caller_authrole": "user"}
    assert talk.hears([68, 10, 6, facts, [1]]) == [("serve", 10, 6, on.Caller(4, "ann", "user", "a.b"), 1)]
    assert talk.hears([68, 11, 6, {"procedure": "a.c"}]) == [("serve", 11, 6, on.Caller(None, None, None, "a.c"), None)]
    assert talk.does(on.Answered(10, {"ok": True})) == [["->", 70, 10, {}, [{"ok": True}]]]
    assert talk.hears([69, 11, {"mode": "killnowait"}]) == [on.Interrupt(11)]
    [failure] = talk.does(on.Failed(11, Canceled("stopped")))
    assert failure == [
        *("->", 8, 68, 11, {}, "wamp.error.canceled", ["stopped"]),
        {"code": "hopsack.canceled", "message": "stopped", "retry": "later"},
    ]
    assert talk.does(on.Answered(11, 1)) == []
    assert talk.does(on.UnregisterRequested("x", 6)) == [["->", 66, 2, 6]]
    assert talk.hears([67, 2]) == [on.Confirm("x", 0)]
    [late] = talk.hears([68, 12, 6, {}])
    assert late[:5] == ["->", 8, 68, 12, {}]


def test_the_node_may_take_away_what_it_gave() -> None:
    talk = Talk().joined()
    talk.does(on.SubscribeRequested("s", "t", "exact"))
    talk.hears([33, 1, 5])

    (revoked,) = talk.hears([35, 0, {"subscription": 5, "reason": "wamp.authentication.lost"}])
    assert (revoked.kind, revoked.id, revoked.error.where) == ("subscription", 5, "t")
    assert revoked.error.message == "the node took it away: wamp.authentication.lost"
    assert talk.hears([35, 0, {"subscription": 5}]) == []


def test_a_node_of_ours_says_why() -> None:
    talk = Talk().joined()
    talk.does(on.RegisterRequested("r", "p.q", "exact", "single"))
    talk.hears([65, 1, 6])

    error = {"code": "hopsack.denied", "message": "role guest may not register p.q", "retry": "after_login"}
    reason = {"registration": 6, "reason": "wamp.error.not_authorized", "x_hopsack_error": error}
    (revoked,) = talk.hears([67, 0, reason])

    assert isinstance(revoked.error, Denied)
    assert (revoked.kind, revoked.id, revoked.error.message) == ("registration", 6, error["message"])


def test_a_broken_answer_is_reported() -> None:
    talk = Talk().joined()

    details = {"code": "hopsack.broken_result", "message": "1 is not a string", "where": "a.b", "path": "/name"}
    [(kind, error, text)] = talk.hears([8, 70, 10, {}, "wamp.error.invalid_argument", ["1 is not a string"], details])

    assert (kind, error) == ("report", class_of("hopsack.broken_result"))
    assert text == "hopsack.broken_result: 1 is not a string [a.b at /name]"


def test_an_error_that_was_not_declared_is_reported_though_its_call_is_over() -> None:
    talk = Talk().joined()
    talk.does(on.RegisterRequested("r", "a.b", "exact", "single"))
    talk.hears([65, 1, 6])
    talk.hears([68, 10, 6, {}])
    talk.does(on.Failed(10, DeclaredError("full", code="a.full")))
    details = {"code": "hopsack.internal", "message": "a.full is not declared", "data": {"incident": "i7"}}

    [(kind, error, text)] = talk.hears([8, 70, 10, {}, "wamp.error.runtime_error", ["a.full is not declared"], details])
    talk.does(on.LeaveRequested())
    [(late, _, _)] = talk.hears([8, 70, 10, {}, "wamp.error.runtime_error", ["a.full is not declared"], details])

    assert (kind, error, late) == ("report", class_of("hopsack.internal"), "report")
    assert "a.full is not declared" in text
    assert talk.hears([8, 48, 3, {}, "wamp.error.runtime_error"]) == []


def _unknown(reason: str, where: str) -> str:
    return f"hopsack.outcome_unknown: the connection was lost before the answer: {reason} [{where}]"


def test_what_is_lost_in_flight_says_whether_it_may_have_run() -> None:
    talk = Talk().joined()
    talk.does(on.CallRequested("c", "a.b", None))
    talk.does(on.PublishRequested("p", "t", 1))
    talk.does(on.SubscribeRequested("s", "t", "exact"))

    assert talk.does(on.Lost("reset by peer")) == [
        ("reject", "c", OutcomeUnknown, _unknown("reset by peer", "a.b")),
        ("reject", "p", OutcomeUnknown, _unknown("reset by peer", "t")),
        ("reject", "s", Disconnected, "the connection was lost: reset by peer"),
    ]
    assert talk.does(on.Lost("again")) == []
    assert talk.does(on.Answered(3, 1)) == []


def test_leaving() -> None:
    talk = Talk().joined()

    assert talk.does(on.LeaveRequested()) == [["->", 6, {}, "wamp.close.normal"]]
    assert talk.hears([36, 5, 900, {}]) == []
    assert talk.hears([6, {}, "wamp.close.goodbye_and_out"]) == [on.Close("left")]


def test_the_node_says_goodbye() -> None:
    talk = Talk().joined()
    talk.does(on.CallRequested("c", "a.b", None))

    assert talk.hears([6, {}, "wamp.close.killed"]) == [
        ["->", 6, {}, "wamp.close.goodbye_and_out"],
        ("reject", "c", OutcomeUnknown, _unknown("wamp.close.killed", "a.b")),
        on.Close("wamp.close.killed", None),
    ]


def test_what_a_node_that_stops_has_not_answered_was_never_begun() -> None:
    talk = Talk().joined()
    for ticket in ("c", "given up"):
        talk.does(on.CallRequested(ticket, "a.b", None))
    talk.does(on.CallAbandoned("given up"))
    talk.does(on.PublishRequested("p", "t", 1))

    answer, refused, *lost, close = talk.hears([6, {"retry_after": 3}, "wamp.close.system_shutdown"])

    assert answer == ["->", 6, {}, "wamp.close.goodbye_and_out"]
    assert refused[:3] == ("reject", "c", Unavailable)
    assert [(one[1], one[2]) for one in lost] == [("given up", OutcomeUnknown), ("p", OutcomeUnknown)]
    assert close == on.Close("wamp.close.system_shutdown", 3.0)


def test_a_probe_is_a_request_without_effect_that_must_be_answered() -> None:
    talk = Talk().joined()
    talk.does(on.SubscribeRequested("s", "t", "exact"))
    talk.hears([33, 1, 1])

    assert talk.does(on.Probed()) == [["->", 34, 2, 2]]
    assert talk.hears([8, 34, 2, {}, "wamp.error.no_such_subscription"]) == []


def test_a_message_that_is_too_large_is_not_sent_and_not_remembered() -> None:
    talk = Talk(limit=1000).joined()

    with pytest.raises(RemoteError, match=r"hopsack\.too_large") as caught:
        talk.does(on.CallRequested("c", "a.b", "x" * 1000))

    assert caught.value.code == "hopsack.too_large"
    assert talk.does(on.Lost("gone")) == []


def test_a_value_without_a_json_form_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="object"):
        Talk().joined().does(on.CallRequested("c", "a.b", object()))


@pytest.mark.parametrize(
    "message",
    [
        [50, 1, {}],
        [33, 9, 9],
        [1, "hopsack", {}],
        [99, {}],
        "not an array",
        [8, 48, 7, {}, "a.b"],
        [2, 77, {}],
    ],
)
def test_what_has_no_place_ends_the_session_with_the_reason(message: Any) -> None:
    talk = Talk().joined()

    effects = talk.hears(message)

    assert effects[0][:2] == ["->", 3]
    assert effects[0][3] == "wamp.error.protocol_violation"
    assert isinstance(effects[-1], on.Close)
    assert talk.session.state is State.ENDED
    assert talk.hears([36, 5, 900, {}]) == []


def test_an_input_that_has_no_place_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="a session that is fresh takes no CallRequested"):
        Talk().does(on.CallRequested("c", "a.b", None))


@given(st.lists(st.sampled_from(["call", "abandon", "publish", "subscribe", "result", "error", "event"]), max_size=40))
def test_every_ticket_gets_exactly_one_outcome(steps: list[str]) -> None:
    talk = Talk().joined()
    outcomes: dict[Any, list[Any]] = {}
    open_calls: list[int] = []
    sent = 0

    def note(effects: list[Any]) -> None:
        for effect in effects:
            if isinstance(effect, tuple) and effect[0] in ("resolve", "reject"):
                outcomes[effect[1]].append(effect)
            elif isinstance(effect, on.Confirm):
                outcomes[effect.ticket].append(effect)

    for step in steps:
        match step:
            case "call" | "publish" | "subscribe":
                sent += 1
                outcomes[sent] = []
                kinds: dict[str, on.Input] = {
                    "call": on.CallRequested(sent, "a.b", None),
                    "publish": on.PublishRequested(sent, "a.b", None),
                    "subscribe": on.SubscribeRequested(sent, "a.b", "exact"),
                }
                note(talk.does(kinds[step]))
                if step == "call":
                    open_calls.append(sent)
            case "abandon" if open_calls:
                note(talk.does(on.CallAbandoned(open_calls[-1])))
            case "result" if open_calls:
                note(talk.hears([50, open_calls.pop(0), {}, [1]]))
            case "error" if open_calls:
                note(talk.hears([8, 48, open_calls.pop(), {}, "a.b"]))
            case "event":
                note(talk.hears([36, 1, 1, {}]))
    note(talk.does(on.Lost("over")))

    assert all(len(seen) == 1 for seen in outcomes.values())
