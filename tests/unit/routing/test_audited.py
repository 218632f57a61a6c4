"""What the audit log is told of a realm: who came, who was denied, what operators called."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Realm
from .test_calls import CALL, ERROR, REGISTER
from .test_events import PUBLISH, SUBSCRIBE


class Noted:
    def __init__(self) -> None:
        self.noted: list[tuple[str, dict[str, Any]]] = []

    def note(self, event: str, **facts: Any) -> None:
        self.noted.append((event, {name: value for name, value in facts.items() if value is not None}))


@pytest.fixture
def noted(realm: Realm) -> Noted:
    log, router = Noted(), realm.node.router
    router.audit = router._factory.audit = log
    return log


def test_a_login_says_who_and_how(realm: Realm, noted: Noted) -> None:
    ann = realm.join("user", "ann", "hopsack-python/1")

    assert noted.noted == [
        (
            "login",
            {
                "subject": "ann",
                "role": "user",
                "proof": "guest",
                "session": ann.session,
                "door": "wamp-rawsocket",
                "address": "memory",
                "agent": "hopsack-python/1",
            },
        )
    ]


@pytest.mark.parametrize(
    ("message", "action", "uri"),
    [
        ((PUBLISH, 1, {"acknowledge": True}, "lab.secret", ["x"]), "publish", "lab.secret"),
        ((PUBLISH, 1, {}, "lab.secret", ["x"]), "publish", "lab.secret"),
        ((SUBSCRIBE, 1, {}, "lab.secret"), "subscribe", "lab.secret"),
        ((SUBSCRIBE, 1, {"match": "prefix"}, "lab."), "subscribe", "lab."),
        ((REGISTER, 1, {}, "lab.double"), "register", "lab.double"),
        ((CALL, 1, {}, "hopsack.sessions.list"), "call", "hopsack.sessions.list"),
    ],
)
def test_a_denial_says_who_wanted_what(
    realm: Realm, noted: Noted, message: tuple[Any, ...], action: str, uri: str
) -> None:
    ann = realm.join("guest", "ann")
    noted.noted.clear()

    ann.send(*message)

    ((event, facts),) = noted.noted
    assert (event, facts["subject"], facts["action"], facts["uri"]) == ("denied", "ann", action, uri)


def test_what_is_only_wrong_is_no_denial(realm: Realm, noted: Noted) -> None:
    ann = realm.join("guest", "ann")
    noted.noted.clear()

    assert ann.send(CALL, 1, {}, "lab.double", ["x"])[0][0] == ERROR
    assert ann.send(SUBSCRIBE, 1, {}, "lab.nothing")[0][0] == ERROR

    assert noted.noted == []


def test_what_only_operators_may_call_is_noted_without_its_input(realm: Realm, noted: Noted) -> None:
    op = realm.join("operator", "op")
    noted.noted.clear()

    op.send(CALL, 1, {}, "hopsack.access.restore", [{"subject": "ann"}])
    op.send(CALL, 2, {}, "wamp.session.kill_by_authid", ["nobody"])
    op.send(CALL, 3, {}, "lab.double", [1])
    op.send(CALL, 4, {}, "hopsack.topics.list")
    op.send(CALL, 5, {}, "hopsack.sessions.list")
    op.send(CALL, 6, {}, "wamp.session.count")

    assert [(event, facts["procedure"]) for event, facts in noted.noted] == [
        ("admin", "hopsack.access.restore"),
        ("admin", "wamp.session.kill_by_authid"),
    ]
    assert "ann" not in str(noted.noted)


def test_whose_session_is_killed_is_noted_with_who_did_it(realm: Realm, noted: Noted) -> None:
    ann, op = realm.join("guest", "ann"), realm.join("operator", "op")
    noted.noted.clear()

    op.send(CALL, 1, {}, "wamp.session.kill", [ann.session], {"reason": "com.example.go"})

    assert [event for event, _ in noted.noted] == ["admin", "ended"]
    facts = noted.noted[-1][1]
    assert (facts["subject"], facts["session"], facts["by"], facts["reason"]) == (
        "ann",
        ann.session,
        "op",
        "com.example.go",
    )
