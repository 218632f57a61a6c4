"""WAMP messages at a time when nobody may send them, and messages that are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .attacker import Attacker
from .conftest import Log

pytestmark = pytest.mark.node

Connect = Callable[[], Attacker]

ROLES: dict[str, Any] = {"roles": {name: {} for name in ("caller", "callee", "publisher", "subscriber")}}
REQUESTS = {
    "PUBLISH": [16, 1, {"acknowledge": True}, "demo.news", [{"headline": "x"}]],
    "SUBSCRIBE": [32, 1, {}, "demo.news"],
    "UNSUBSCRIBE": [34, 1, 1],
    "CALL": [48, 1, {}, "presence.list"],
    "CANCEL": [49, 1, {}],
    "REGISTER": [64, 1, {}, "demo.eve.ask"],
    "UNREGISTER": [66, 1, 1],
    "YIELD": [70, 1, {}],
    "ERROR": [8, 68, 1, {}, "demo.declined"],
    "MORE": [513, 48, 1, 1],
}
OF_A_ROUTER = {
    "WELCOME": [2, 1, {"roles": {"broker": {}}}],
    "CHALLENGE": [4, "ticket", {}],
    "PUBLISHED": [17, 1, 1],
    "SUBSCRIBED": [33, 1, 1],
    "UNSUBSCRIBED": [35, 1],
    "EVENT": [36, 1, 1, {}],
    "RESULT": [50, 1, {}],
    "REGISTERED": [65, 1, 1],
    "UNREGISTERED": [67, 1],
    "INVOCATION": [68, 1, 1, {}],
    "INTERRUPT": [69, 1, {}],
}
NONE = {
    "no such type": [7, 1],
    "a type beyond all": [2**60, 1],
    "a negative type": [-1, 1],
    "a type that is no number": ["1", "hopsack", {}],
    "a type that is true": [True, "hopsack", {}],
    "nothing": [],
    "null": None,
    "a number": 1,
    "text": "HELLO",
    "an object": {"type": 1},
    "HELLO without roles": [1, "hopsack", {}],
    "HELLO of a realm that is none": [1, "", ROLES],
    "HELLO of no realm": [1, 5, ROLES],
    "HELLO with too little": [1],
    "PUBLISH with too little": [16, 1, {}],
    "PUBLISH with too much": [16, 1, {}, "demo.news", [], {}, {}],
    "PUBLISH of a list to leave out": [16, 1, {"exclude": "x"}, "demo.news"],
    "CALL with options that are none": [48, 1, [], "demo.add"],
    "CALL of a timeout that is none": [48, 1, {"timeout": -5}, "demo.add"],
    "SUBSCRIBE of a match that is none": [32, 1, {"match": "regex"}, "demo.news"],
    "REGISTER of a policy that is none": [64, 1, {"invoke": "all"}, "demo.eve.ask"],
}


def connected(attacker: Connect) -> Attacker:
    client = attacker()
    client.open("/ws", "Sec-WebSocket-Protocol: wamp.2.json")
    return client


@pytest.mark.parametrize("name", [*REQUESTS, *OF_A_ROUTER])
def test_before_hello(attacker: Connect, log: Log, name: str) -> None:
    client = connected(attacker)

    client.say((REQUESTS | OF_A_ROUTER)[name])

    assert client.closed().code == 1002
    assert len(log.lines("closing", client.peer)) == 1


@pytest.mark.parametrize("name", REQUESTS)
def test_between_hello_and_authenticate(attacker: Connect, name: str) -> None:
    """Nothing is done for who has not proved yet who it is."""
    client = connected(attacker)
    assert client.reply(1, "hopsack", {**ROLES, "authmethods": ["ticket"]})[0] == 4

    client.say(REQUESTS[name])

    assert client.closed().code == 1002


def test_authenticate_unasked(attacker: Connect) -> None:
    assert connected(attacker).reply(5, "x", {})[0] == 3


def test_hello_while_hello_is_answered(attacker: Connect) -> None:
    client = connected(attacker)
    assert client.reply(1, "hopsack", {**ROLES, "authmethods": ["ticket"]})[0] == 4

    client.say([1, "hopsack", ROLES])

    assert client.closed().code == 1002


@pytest.mark.parametrize("name", OF_A_ROUTER)
def test_what_only_a_router_says(attacker: Connect, log: Log, name: str) -> None:
    client = attacker().wamp()

    client.say(OF_A_ROUTER[name])

    assert client.closed().code == 1002
    assert len(log.lines("closing", client.peer)) == 1


@pytest.mark.parametrize("again", [[1, "hopsack", ROLES], [5, "x", {}]], ids=["HELLO", "AUTHENTICATE"])
def test_joining_again(attacker: Connect, again: list[Any]) -> None:
    client = attacker().wamp()

    client.say(again)

    assert client.closed().code == 1002


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_message(attacker: Connect, log: Log, name: str) -> None:
    for client in (connected(attacker), attacker().wamp()):
        client.say(NONE[name])
        client.say([99])  # whoever was only told so goes with this

        assert client.closed().code == 1002
        assert len(log.lines("closing", client.peer)) == 1


@pytest.mark.parametrize("name", REQUESTS)
def test_behind_goodbye(attacker: Connect, name: str) -> None:
    """Who has left is nobody: what it says is not heard, and it may be closed for it."""
    client = attacker().wamp()
    assert client.reply(6, {}, "wamp.close.normal")[0] == 6

    client.say(REQUESTS[name])

    assert client.closed().code == 1002
