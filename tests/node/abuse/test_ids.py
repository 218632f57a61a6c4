"""Numbers of requests, calls and subscriptions that are used twice, are somebody else's, or are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from .attacker import TEXT, Attacker

pytestmark = pytest.mark.node

Connect = Callable[[], Attacker]
QUESTION = {"text": "x"}


def ask(client: Attacker, number: int, text: str) -> None:
    client.say([48, number, {}, "demo.victor.ask", [{"text": text}]])


def victor(attacker: Connect) -> Attacker:
    """Who serves ``demo.victor.ask``."""
    callee = attacker().wamp(call_canceling=True)
    assert callee.reply(64, 1, {}, "demo.victor.ask")[0] == 65
    return callee


REQUESTS: list[tuple[Any, ...]] = [
    (16, {"acknowledge": True}, "demo.news", [{"headline": "x"}]),
    (32, {}, "demo.news"),
    (48, {}, "presence.list"),
    (64, {}, "demo.eve.ask"),
    (34, 1),
    (66, 1),
]


@pytest.mark.parametrize("number", [0, -1, 2**53 + 1, 2**64])
def test_a_number_out_of_range(attacker: Connect, number: int) -> None:
    """It is the client's own business: it is closed, or it gets an answer with this number."""
    for kind, *rest in REQUESTS:
        client = attacker().wamp()

        client.say([kind, number, *rest])

        what, payload = client.frame()
        assert number in json.loads(payload)[1:3] if what == TEXT else payload[:2] == (1002).to_bytes(2, "big")


@pytest.mark.parametrize("number", [1.5, 1e300, "1", True, None, [], {}])
def test_a_number_that_is_none(attacker: Connect, number: Any) -> None:
    for kind, *rest in REQUESTS:
        client = attacker().wamp()

        client.say([kind, number, *rest])

        assert client.closed().code == 1002


def test_a_number_in_use(attacker: Connect) -> None:
    """Two calls of one number: each is answered, or refused; the answer of one is not given twice."""
    callee, caller = victor(attacker), attacker().wamp()

    ask(caller, 7, "one")
    ask(caller, 7, "two")
    first = callee.hear()
    callee.say([70, first[1], {}, [first[4][0]["text"]]])

    answers = [caller.hear()]
    assert answers[0][0] in (50, 8), answers
    if answers[0][0] == 8:  # the second was refused at once
        answers.append(caller.hear())
    assert [50, 7, {}, ["one"]] in [[*answer[:2], {}, *answer[3:]] for answer in answers]


def test_answers_for_somebody_else(attacker: Connect) -> None:
    """The numbers of invocations can be guessed. They are good for the callee that was asked, and for nobody else."""
    callee, caller = victor(attacker), attacker().wamp()
    ask(caller, 1, "x")
    asked = callee.hear()[1]

    for forged in (
        [70, asked, {}, ["forged"]],
        [70, asked, {"progress": True}, ["forged"]],
        [8, 68, asked, {}, "demo.declined", ["forged"]],
    ):
        eve = attacker().wamp()
        for number in range(asked + 1, asked + 100):
            eve.say([forged[0], number, *forged[2:]] if forged[0] == 70 else [8, 68, number, *forged[3:]])
        eve.say([513, 68, asked, 100])
        eve.say(forged)
        assert eve.closed().code == 1002
    callee.say([70, asked, {}, ["true"]])

    assert caller.hear()[3] == ["true"]


def test_an_answer_twice(attacker: Connect) -> None:
    callee, caller = victor(attacker), attacker().wamp()
    for number in (1, 2):
        ask(caller, number, "x")
        asked = callee.hear()[1]
        for _ in range(3):
            callee.say([70, asked, {}, [f"answer {number}"]])
            callee.say([8, 68, asked, {}, "demo.declined"])
        assert caller.hear()[:2] == [50, number]
    caller.say([48, 3, {}, "presence.list"])

    assert caller.hear()[:2] == [50, 3]


def test_a_number_again_after_its_call_was_cancelled(attacker: Connect) -> None:
    """The late answer to the cancelled call is not the answer to the new one."""
    callee, caller = victor(attacker), attacker().wamp(call_canceling=True)
    ask(caller, 1, "old")
    old = callee.hear()[1]
    assert caller.reply(49, 1, {"mode": "killnowait"})[:3] == [8, 48, 1]

    ask(caller, 1, "new")
    heard = [callee.hear(), callee.hear()]
    new = next(one[1] for one in heard if one[0] == 68)
    callee.say([70, old, {}, ["old"]])
    callee.say([70, new, {}, ["new"]])

    assert caller.hear()[3] == ["new"]


def test_cancelling_somebody_elses_call(attacker: Connect) -> None:
    callee, caller, eve = victor(attacker), attacker().wamp(), attacker().wamp(call_canceling=True)
    ask(caller, 5, "x")
    asked = callee.hear()[1]

    for mode in ("kill", "killnowait", "skip"):
        for number in {*range(1, 50), asked}:
            eve.say([49, number, {"mode": mode}])
            eve.say([513, 48, number, 1])
    eve.reply(34, 1, 1)
    callee.say([70, asked, {}, ["true"]])

    assert caller.hear()[3] == ["true"]


def test_somebody_elses_subscription_and_registration(attacker: Connect) -> None:
    victim, eve = attacker().wamp(), attacker().wamp()
    subscription = victim.reply(32, 1, {}, "demo.news")[2]
    registration = victim.reply(64, 2, {}, "demo.vera.ask")[2]

    answers = [eve.reply(34, 1, subscription), eve.reply(66, 2, registration), eve.reply(34, 3, 2**53)]

    assert [answer[4] for answer in answers] == [
        "wamp.error.no_such_subscription", "wamp.error.no_such_registration", "wamp.error.no_such_subscription"
    ]  # fmt: skip
    eve.say([16, 4, {}, "demo.news", [{"headline": "x"}]])
    assert victim.hear()[:2] == [36, subscription]


def test_a_registration_twice_and_once_too_little(attacker: Connect) -> None:
    client = attacker().wamp()
    registration = client.reply(64, 1, {}, "demo.twice.ask")[2]

    again = client.reply(64, 1, {}, "demo.twice.ask")
    gone = [client.reply(66, 2, registration), client.reply(66, 2, registration)]

    assert again[4] == "wamp.error.procedure_already_exists"
    assert [one[0] for one in gone] == [67, 8]


def test_numbers_of_the_raw_door(attacker: Connect) -> None:
    """JSON-RPC leaves it to the client: an answer has the id of its request, whatever that is, of the same type."""
    client = attacker().page()
    for number in (1, 1, 1.0, "1", "", None, -1, 2**63, 1e300, "x" * 1000):
        client.request(number, "hopsack.ping", {})
        answer = client.hear()
        assert (answer["id"], type(answer["id"])) == (number, type(number))
    wrongs: list[Any] = [True, [], {}]
    for wrong in wrongs:
        client.request(wrong, "hopsack.ping", {})
        assert client.hear()["error"]["code"] == -32600


def test_one_number_for_two_calls_of_the_raw_door(attacker: Connect) -> None:
    callee, caller = victor(attacker), attacker().page()
    caller.request(1, "demo.victor.ask", {"text": "one"})
    caller.request("1", "demo.victor.ask", {"text": "two"})
    asked = {message[4][0]["text"]: message[1] for message in (callee.hear(), callee.hear())}

    caller.say({"jsonrpc": "2.0", "method": "hopsack.cancel", "params": {"id": "1"}})

    assert caller.hear()["id"] == "1"
    callee.say([70, asked["one"], {}, ["one"]])
    assert caller.hear() == {"jsonrpc": "2.0", "id": 1, "result": "one"}


def test_answers_that_nobody_waits_for(attacker: Connect) -> None:
    client = attacker().page()
    for number in (*range(1, 9), "1", None, 2**60):
        client.say({"jsonrpc": "2.0", "id": number, "result": "forged"})
        client.say({"jsonrpc": "2.0", "id": number, "error": {"code": 1, "message": "forged"}})
        for method in ("hopsack.progress", "hopsack.more", "hopsack.input", "hopsack.more_input", "hopsack.cancel"):
            client.say({"jsonrpc": "2.0", "method": method, "params": {"id": number, "data": 1, "n": 1}})

    assert client.result("last", "hopsack.ping", {}) == {}
