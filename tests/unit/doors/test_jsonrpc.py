"""The raw door's machine where the recorded conversations do not go: bounds, races, and noise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from autobahn.wamp import message
from hypothesis import given
from hypothesis import strategies as st

from hopsack.errors import LoginRequired, Unavailable
from hopsack_router.doors.effects import Join, Route
from hopsack_router.doors.jsonrpc import Close, Connection, Joined, Limits, Send, State
from hopsack_router.nesting import bound_nesting

ANN = Joined(11, "ann", "user")


def connection(limits: Limits | None = None, *, joined: bool = True) -> Connection:
    made = Connection("hopsack/test", limits=limits)
    if joined:
        say(made, "hopsack.hello", id=0)
        made.joined(ANN)
    return made


def say(machine: Connection, method: str, params: Any = None, **more: Any) -> list[Any]:
    return hear(machine, {"jsonrpc": "2.0", "method": method, "params": params} | more)


def hear(machine: Connection, value: Any) -> list[Any]:
    return machine.received(json.dumps(value).encode())


def codes(effects: list[Any]) -> list[str]:
    return [one.body["error"]["data"]["code"] for one in effects if isinstance(one, Send) and "error" in one.body]


def routed(effects: list[Any]) -> list[list[Any]]:
    return [one.message.marshal() for one in effects if isinstance(one, Route)]


def test_unanswered_requests_are_bounded() -> None:
    machine = connection(Limits(unanswered=2))

    first = [say(machine, "demo.add", {"a": 1}, id=number) for number in (1, 2)]
    third = say(machine, "demo.add", {"a": 1}, id=3)
    machine.routed(message.Result(1, args=[3]))
    fourth = say(machine, "demo.add", {"a": 1}, id=4)

    assert [len(routed(effects)) for effects in first] == [1, 1]
    assert codes(third) == ["hopsack.overloaded"]
    assert routed(third) == []
    assert len(routed(fourth)) == 1


def test_pages_may_share_a_procedure() -> None:
    machine = connection()

    effects = say(machine, "hopsack.register", {"procedure": "demo.ask", "invoke": "least", "concurrency": 2}, id=1)
    alone = say(machine, "hopsack.register", {"procedure": "demo.own"}, id=2)
    wrong = say(machine, "hopsack.register", {"procedure": "demo.ask", "invoke": "cheapest"}, id=3)

    assert routed(effects) == [[64, 1, {"invoke": "least", "concurrency": 2}, "demo.ask"]]
    assert routed(alone) == [[64, 2, {}, "demo.own"]]
    assert codes(wrong) == ["hopsack.invalid"]


def test_what_waits_for_the_join_is_bounded_in_number_and_in_bytes() -> None:
    few = connection(Limits(unanswered=1), joined=False)
    small = connection(Limits(waiting_bytes=100), joined=False)

    assert say(few, "demo.add", id=1) == [Join(None)]
    assert codes(say(few, "demo.add", id=2)) == ["hopsack.overloaded"]
    assert codes(say(small, "demo.add", "x" * 200, id=1)) == ["hopsack.overloaded"]
    assert small.state is State.CONNECTING


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("hopsack.subscribe", {"topic": "demo.a b"}),
        ("hopsack.subscribe", {"topic": "demo."}),
        ("hopsack.subscribe", {"topic": "demo.a b", "match": "prefix"}),
        ("hopsack.publish", {"topic": "demo..said", "data": 1}),
        ("hopsack.publish", {"topic": "demo.#", "data": 1}),
        ("hopsack.register", {"procedure": ""}),
        ("hopsack.register", {"procedure": "demo. ", "match": "wildcard"}),
        ("demo.room.a b", None),
        ("demo.", {}),
    ],
)
def test_a_name_that_can_be_none_goes_no_further(method: str, params: Any) -> None:
    machine = connection()

    asked, told = say(machine, method, params, id=1), say(machine, method, params)

    assert (codes(asked), routed(asked)) == (["hopsack.invalid_uri"], [])
    assert told == []


def test_patterns_may_have_empty_parts() -> None:
    machine = connection()

    assert routed(say(machine, "hopsack.subscribe", {"topic": "demo.", "match": "prefix"}, id=1))
    assert routed(say(machine, "hopsack.subscribe", {"topic": "demo..said", "match": "wildcard"}, id=2))


@pytest.mark.parametrize(
    ("method", "nearest", "meant"),
    [
        ("hopsack.subscrib", "hopsack.services.list", "hopsack.subscribe"),
        ("hopsack.hallo", None, "hopsack.hello"),
        ("hopsack.service.list", "hopsack.services.list", "hopsack.services.list"),
        ("demo.ad", "demo.add", "demo.add"),
        ("hopsack.zzzzzzzzzz", None, None),
    ],
)
def test_a_misspelt_method_may_be_the_doors_own(method: str, nearest: str | None, meant: str | None) -> None:
    machine = connection()
    say(machine, method, {}, id=1)
    facts: dict[str, Any] = {"code": "hopsack.undeclared", "advice": f"did you mean {nearest}?"}

    effects = machine.routed(
        message.Error(48, 1, "wamp.error.no_such_procedure", kwargs=facts | {"data": {"nearest": nearest}})
    )

    [told] = [one.body["error"]["data"] for one in effects if isinstance(one, Send)]
    assert told.get("data", {}).get("nearest") == meant
    assert told["advice"] == f"did you mean {meant}?"


def test_a_batch_is_bounded() -> None:
    machine = connection(Limits(batch=2))

    assert codes(hear(machine, [{"jsonrpc": "2.0", "method": "a", "id": n} for n in range(3)])) == [
        "hopsack.bad_request"
    ]


def test_a_silent_connection_is_closed_and_a_talking_one_is_not() -> None:
    silent, talking = connection(joined=False), connection()

    [closed] = silent.waited()

    assert isinstance(closed, Close)
    assert closed.code == 4408
    assert talking.waited() == []


def test_a_refused_guest_takes_the_queued_requests_along() -> None:
    machine = connection(joined=False)
    say(machine, "demo.add", id=1)
    say(machine, "demo.add", id=2)

    effects = machine.refused(LoginRequired("guests are not welcome here"))

    assert codes(effects) == ["hopsack.login_required"] * 2
    assert effects[-1] == Close(4401, "hopsack.login_required: guests are not welcome here")
    assert say(machine, "demo.add", id=3) == []


def test_who_comes_while_the_node_stops_is_told_when_to_come_back() -> None:
    machine = connection(joined=False)
    say(machine, "hopsack.hello", id=1)

    effects = machine.refused(Unavailable("the node is stopping", data={"retry_after": 2.3}))

    assert codes(effects) == ["hopsack.unavailable"]
    assert effects[-1] == Close(1001, "hopsack.unavailable: the node is stopping (retry_after=2.3)")


def test_nothing_is_said_after_the_connection_is_gone() -> None:
    machine = connection(joined=False)
    say(machine, "hopsack.hello", id=1)

    machine.lost()

    assert machine.joined(ANN) == []
    assert machine.routed(message.Goodbye()) == []
    assert machine.received(b"{}") == []


def test_a_notification_is_carried_out_and_not_answered() -> None:
    machine = connection()

    call = say(machine, "demo.add", {"a": 1})
    bad = say(machine, "hopsack.subscribe", {"topik": "x"})

    assert routed(call) == [[48, 1, {}, "demo.add", [{"a": 1}]]]
    assert machine.routed(message.Result(1, args=[3])) == []
    assert bad == []


@pytest.mark.parametrize("identity", ["a", "", 0, -1, 1.5, None, 2**60])
def test_an_answer_carries_the_id_of_its_request(identity: Any) -> None:
    machine = connection()
    say(machine, "demo.add", {"a": 1}, id=identity)

    assert machine.routed(message.Result(1, args=[3])) == [Send({"jsonrpc": "2.0", "id": identity, "result": 3})]


@pytest.mark.parametrize("value", ["text", 12, True, [1, 2], {"a": None}])
def test_any_json_value_may_be_an_input(value: Any) -> None:
    assert routed(say(connection(), "demo.any", value, id=1)) == [[48, 1, {}, "demo.any", [value]]]


def test_a_call_says_how_long_it_may_take_and_a_page_is_told_what_is_left() -> None:
    machine = connection()
    machine.routed(message.Registered(1, 7))

    call = say(machine, "demo.add", {"a": 1}, id=1, hopsack={"timeout": 1500, "colour": "later versions say more"})
    ask = machine.routed(message.Invocation(51, 7, procedure="demo.ann.ask", args=["?"], timeout=1400))

    assert routed(call) == [[48, 1, {"timeout": 1500}, "demo.add", [{"a": 1}]]]
    assert ask == [
        Send({"jsonrpc": "2.0", "id": 51, "method": "demo.ann.ask", "params": "?", "hopsack": {"timeout": 1400}})
    ]


@pytest.mark.parametrize(
    ("extra", "path"),
    [("soon", "/hopsack"), ({"timeout": 0}, "/hopsack/timeout"), ({"timeout": "2s"}, "/hopsack/timeout")],
)
def test_a_call_whose_time_is_none_is_refused(extra: Any, path: str) -> None:
    [answer] = say(connection(), "demo.add", {"a": 1}, id=1, hopsack=extra)

    assert answer.body["error"]["data"]["code"] == "hopsack.bad_request"
    assert answer.body["error"]["data"]["path"] == path


def test_cancelling_looks_at_the_type_of_the_id() -> None:
    machine = connection()
    say(machine, "demo.add", id=1)
    say(machine, "demo.add", id="1")
    say(machine, "hopsack.subscribe", {"topic": "demo.news"}, id=1)

    assert routed(say(machine, "hopsack.cancel", {"id": "1"})) == [[49, 2, {"mode": "killnowait"}]]


def test_errors_of_stock_callees_keep_their_name() -> None:
    machine = connection()
    say(machine, "demo.add", id=1)

    [sent] = machine.routed(message.Error(48, 1, "com.example.broken", args=["It broke."], kwargs={"part": 7}))

    assert isinstance(sent, Send)
    assert sent.body["error"] == {
        "code": 1016,
        "message": "It broke.",
        "data": {
            "code": "com.example.broken",
            "message": "It broke.",
            "retry": "never",
            "where": "demo.add",
            "data": {"part": 7},
        },
    }


def test_a_result_that_is_not_one_value() -> None:
    machine = connection()
    say(machine, "demo.add", id=1)

    assert codes(machine.routed(message.Result(1, args=[1, 2]))) == ["hopsack.broken_result"]


def test_progress_and_reports_are_not_answers() -> None:
    machine = connection()
    say(machine, "demo.add", id=1)
    report = message.Error(message.Invocation.MESSAGE_TYPE, 1, "hopsack.broken_result")

    assert machine.routed(message.Result(1, args=[0.5], progress=True)) == []
    assert machine.routed(report) == []
    assert machine.routed(message.Result(1, args=[3])) == [Send({"jsonrpc": "2.0", "id": 1, "result": 3})]


def test_a_page_that_answers_nobody_is_bounded() -> None:
    machine = connection(Limits(unanswered=1))
    ask = message.Invocation(51, 7, procedure="demo.ann.ask", args=["?"])
    again = message.Invocation(52, 7, procedure="demo.ann.ask", args=["?"])

    assert isinstance(machine.routed(ask)[0], Send)
    [refused] = routed(machine.routed(again))

    assert refused[2] == 52
    assert refused[4] == "hopsack.overloaded"


@pytest.mark.parametrize(
    ("answer", "uri"),
    [
        ({"result": 1, "error": {"code": 1, "message": "x"}}, "wamp.error.runtime_error"),
        ({"error": "broken"}, "wamp.error.runtime_error"),
        ({"error": {"code": -32601, "message": "no such method"}}, "jsonrpc.error"),
        ({"error": {"code": 1, "message": "no", "data": {"code": "demo.declined"}}}, "demo.declined"),
    ],
)
def test_a_call_ends_however_the_page_answers(answer: dict[str, Any], uri: str) -> None:
    machine = connection()
    machine.routed(message.Invocation(51, 7, procedure="demo.ann.ask", args=["?"]))

    [error] = routed(hear(machine, {"jsonrpc": "2.0", "id": 51} | answer))

    assert error[:5] == [8, 68, 51, {}, uri]


def test_a_page_answers_once() -> None:
    machine = connection()
    machine.routed(message.Invocation(51, 7, procedure="demo.ann.ask"))
    answer = {"jsonrpc": "2.0", "id": 51, "result": "yes"}

    assert routed(hear(machine, answer)) == [[70, 51, {}, ["yes"]]]
    assert hear(machine, answer) == []
    assert hear(machine, {"jsonrpc": "2.0", "id": "51", "result": "yes"}) == []


def test_a_revoked_registration_is_forgotten() -> None:
    machine = connection()
    say(machine, "hopsack.register", {"procedure": "demo.ann.ask"}, id=1)
    machine.routed(message.Registered(1, 7))

    machine.routed(message.Unregistered(0, registration=7))

    assert routed(machine.routed(message.Invocation(51, 7)))[0][4] == "hopsack.overloaded"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
requests = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0")},
    optional={
        "id": json_values,
        "method": st.sampled_from(
            [
                "hopsack.hello",
                "hopsack.subscribe",
                "hopsack.unsubscribe",
                "hopsack.publish",
                "hopsack.register",
                "hopsack.unregister",
                "hopsack.cancel",
                "demo.add",
            ]
        )
        | json_values,
        "params": st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("topic", "match", "data", "subscription", "procedure", "id"), json_values)
        )
        | json_values,
        "result": json_values,
        "error": json_values,
    },
)


@given(st.lists(json_values | requests | st.lists(requests, max_size=5), max_size=6), st.booleans())
def test_no_message_breaks_the_machine(values: list[Any], joined: bool) -> None:
    machine = connection(joined=joined)

    for value in values:
        for effect in hear(machine, value):
            if isinstance(effect, Join):
                machine.joined(ANN)

    assert machine.state in (State.CONNECTING, State.JOINED)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_machine(noise: bytes) -> None:
    connection().received(noise)


def test_nesting_has_an_end() -> None:
    bound_nesting()

    assert codes(connection().received(b"[" * 100_000)) == ["hopsack.malformed"]
