"""Requests of one session are carried out in order, however long an authorizer thinks about one of them."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from hopsack_router.routing import turns

from .conftest import Client, Realm
from .test_call_ends import CANCEL, INTERRUPT, invocation
from .test_calls import CALL, ERROR, INVOCATION, REGISTER, REGISTERED, RESULT, YIELD
from .test_events import EVENT, PUBLISH, PUBLISHED, SUBSCRIBE, SUBSCRIBED, details

GOODBYE = 6
ALLOW = {"allow": True, "cache": False, "disclose": False}


class Thinker:
    """A role whose answers about ``slow.`` come when the test gives them."""

    uri = "guest"

    def __init__(self) -> None:
        self.asked: list[Deferred[Any]] = []

    def authorize(self, session: Any, uri: str, action: str, options: dict[str, Any]) -> Deferred[Any]:
        if not uri.startswith("slow."):
            return succeed(dict(ALLOW))
        self.asked.append(Deferred())
        return self.asked[-1]

    def decide(self, answer: Any = None) -> None:
        self.asked.pop(0).callback(dict(ALLOW) if answer is None else answer)


@pytest.fixture
def ours() -> Realm:
    return Realm.ours(catalogue=None)


def thinking(realm: Realm) -> tuple[Thinker, Client, Client]:
    thinker = Thinker()
    realm.node.router.add_role(thinker)
    return thinker, realm.join(authid="ann"), realm.join(authid="bob")


def two_events(realm: Realm) -> list[Any]:
    thinker, ann, bob = thinking(realm)
    for number, topic in enumerate(("slow.note", "quick.note"), 1):
        bob_subscribes(bob, thinker, number, topic)
    ann.send(PUBLISH, 1, {}, "slow.note", ["first"])
    ann.send(PUBLISH, 2, {}, "quick.note", ["second"])
    thinker.decide()
    return [message[4][0] for message in bob.take()]


def bob_subscribes(bob: Client, thinker: Thinker, number: int, topic: str) -> None:
    bob.send(SUBSCRIBE, number, {}, topic)
    if thinker.asked:
        thinker.decide()
        bob.take()


def test_events_stay_in_order_behind_a_slow_decision(ours: Realm) -> None:
    assert two_events(ours) == ["first", "second"]


def test_stock_reorders_them(stock: Realm) -> None:
    assert two_events(stock) == ["second", "first"]


def test_everything_a_session_asks_for_keeps_its_place(ours: Realm) -> None:
    thinker, ann, bob = thinking(ours)

    ann.send(SUBSCRIBE, 1, {}, "slow.note")
    ann.send(REGISTER, 2, {}, "quick.double")
    ann.send(PUBLISH, 3, {"acknowledge": True, "exclude_me": False}, "slow.note", ["hello"])
    ann.send(CALL, 4, {}, "quick.none")
    others = bob.send(CALL, 1, {}, "quick.double")
    before = ann.take()
    thinker.decide()
    then = ann.take()
    thinker.decide()

    assert before == []
    assert others[0][4] == "wamp.error.no_such_procedure", "others do not wait, and nothing of ann's was carried out"
    assert [message[0] for message in then] == [SUBSCRIBED, REGISTERED]
    assert [message[0] for message in ann.take()] == [PUBLISHED, EVENT, ERROR]


def test_a_cancel_waits_for_its_call(ours: Realm) -> None:
    thinker, ann, bob = thinking(ours)
    bob.send(REGISTER, 1, {}, "slow.double")
    thinker.decide()
    bob.take()

    ann.send(CALL, 1, {}, "slow.double")
    ann.send(CANCEL, 1, {"mode": "killnowait"})
    thinker.decide()

    assert [message[0] for message in bob.take()] == [INVOCATION, INTERRUPT]
    assert [message[4] for message in ann.take()] == ["wamp.error.canceled"]


def test_answers_of_a_callee_do_not_wait(ours: Realm) -> None:
    """An authorizer may be a procedure of the very session that waits."""
    _, ann, bob = thinking(ours)
    ann.send(REGISTER, 1, {}, "quick.double")
    bob.send(CALL, 1, {}, "quick.double")
    request = invocation(ann)
    ann.send(PUBLISH, 2, {}, "slow.note", ["hello"])

    ann.send(YIELD, request, {}, [2])

    assert bob.take() == [[RESULT, 1, {}, [2]]]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"allow": False, "cache": False, "disclose": False}, "wamp.error.not_authorized"),
        (Failure(RuntimeError("password of ann")), "wamp.error.authorization_failed"),
        ({"nonsense": True}, "wamp.error.runtime_error"),
    ],
)
def test_a_refusal_lets_the_others_go_on(ours: Realm, answer: Any, error: str) -> None:
    thinker, ann, _ = thinking(ours)
    ann.send(PUBLISH, 1, {"acknowledge": True}, "slow.note", ["hello"])
    ann.send(PUBLISH, 2, {"acknowledge": True}, "quick.note", ["hello"])

    if isinstance(answer, Failure):
        thinker.asked.pop(0).errback(answer)
    else:
        thinker.decide(answer)

    refused, published = ann.take()
    assert (refused[:3], refused[4]) == ([ERROR, PUBLISH, 1], error)
    assert "password" not in str(refused)
    assert published[:2] == [PUBLISHED, 2]


def test_goodbye_waits_for_what_was_asked_before_it(ours: Realm) -> None:
    thinker, ann, bob = thinking(ours)
    bob_subscribes(bob, thinker, 1, "slow.note")
    ann.send(PUBLISH, 1, {}, "slow.note", ["last words"])
    early = ann.send(GOODBYE, {}, "wamp.close.normal")

    thinker.decide()

    assert early == []
    assert [message[4] for message in bob.take()] == [["last words"]]
    assert [message[0] for message in ann.take()] == [GOODBYE]


def test_nothing_of_who_is_gone_is_carried_out(ours: Realm) -> None:
    thinker, ann, bob = thinking(ours)
    bob_subscribes(bob, thinker, 1, "slow.note")
    ann.send(PUBLISH, 1, {}, "slow.note", ["hello"])
    ann.leave()

    thinker.decide()

    assert bob.take() == []


def test_what_waits_is_bounded(ours: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MAX_HELD", 2)
    thinker, ann, _ = thinking(ours)
    options = {"acknowledge": True}

    answers = [ann.send(PUBLISH, n, options, "slow.note", [n]) for n in range(1, 5)]

    (refused,) = answers.pop()
    assert answers == [[], [], []]
    assert details(refused)["code"] == "hopsack.overloaded"
    for _ in range(3):
        thinker.decide()
    assert [message[:2] for message in ann.take()] == [[PUBLISHED, n] for n in range(1, 4)]
