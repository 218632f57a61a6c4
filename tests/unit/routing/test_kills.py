"""A session that an operator ends is over, whatever its client does. Each test says what stock does."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Client, Realm
from .test_call_ends import invocation
from .test_calls import CALL, ERROR, REGISTER, RESULT
from .test_events import EVENT, PUBLISH, SUBSCRIBE

GOODBYE = 6


def kill(operator: Client, verb: str, *arguments: Any, **words: Any) -> list[Any]:
    (answer,) = operator.send(CALL, 9, {}, f"wamp.session.{verb}", list(arguments), words)
    return answer


def after_a_kill(realm: Realm) -> tuple[Client, list[list[Any]], list[list[Any]]]:
    """A client that ignores its GOODBYE: what it is told, and what others see of what it still does."""
    guest, other, operator = realm.join(), realm.join(authid="bob"), realm.join("operator", "op")
    for client in (guest, other):
        client.send(SUBSCRIBE, 1, {}, "lab.note")
    kill(operator, "kill", guest.session, reason="com.example.go", message="bye")
    goodbye = guest.take()

    guest.send(PUBLISH, 2, {}, "lab.note", ["from the dead"])
    guest.send(REGISTER, 3, {}, "lab.double")
    seen = other.send(PUBLISH, 2, {"exclude_me": False}, "lab.note", ["to the dead"])
    return guest, goodbye + guest.take(), seen


def test_who_is_killed_gets_goodbye_and_nothing_else(open_realm: Realm) -> None:
    _, told, seen = after_a_kill(open_realm)

    assert told == [[GOODBYE, {"message": "bye"}, "com.example.go"]]
    assert [one[4] for one in seen] == [["to the dead"]]


def test_stock_lets_it_go_on(stock: Realm) -> None:
    _, told, seen = after_a_kill(stock)

    kinds = [one[0] for one in told]
    assert kinds[0] == GOODBYE
    assert EVENT in kinds
    assert [one[4] for one in seen] == [["from the dead"], ["to the dead"]]


def test_its_connection_is_cut_when_it_does_not_close_it(open_realm: Realm) -> None:
    guest, _, _ = after_a_kill(open_realm)

    open_realm.clock.advance(1.999)
    before = guest._link.isOpen()
    open_realm.clock.advance(0.001)

    assert (before, guest._link.isOpen()) == (True, False)
    assert guest.take() == []


def test_nothing_is_left_to_do_when_it_closes(open_realm: Realm) -> None:
    guest, _, _ = after_a_kill(open_realm)

    guest.leave()

    open_realm.clock.advance(10)  # how long the call had that killed it
    assert open_realm.clock.getDelayedCalls() == []


@pytest.mark.parametrize("verb", ["hello", "goodbye"])
def test_it_cannot_come_back_on_the_same_connection(open_realm: Realm, verb: str) -> None:
    guest, _, _ = after_a_kill(open_realm)
    message = (1, "hopsack", {"roles": {"caller": {}}}) if verb == "hello" else (GOODBYE, {}, "wamp.close.normal")

    assert guest.send(*message) == []


def test_its_calls_and_those_it_works_on_end(open_realm: Realm) -> None:
    service, guest, operator = open_realm.join("service"), open_realm.join(), open_realm.join("operator", "op")
    service.send(REGISTER, 1, {}, "lab.double")
    guest.send(CALL, 1, {}, "lab.double", [1])
    invocation(service)

    kill(operator, "kill", service.session)

    (error,) = guest.take()
    assert error[4] == "wamp.error.canceled"
    assert guest.send(CALL, 2, {}, "lab.double", [1])[0][4] == "wamp.error.no_such_procedure"


def test_others_learn_of_it_once(open_realm: Realm) -> None:
    watcher, guest, operator = open_realm.join("service"), open_realm.join(), open_realm.join("operator", "op")
    watcher.send(SUBSCRIBE, 1, {}, "wamp.session.on_leave")

    kill(operator, "kill", guest.session)
    guest.leave()

    assert [one[4] for one in watcher.take()] == [[guest.session]]
    (listed,) = operator.send(CALL, 1, {}, "wamp.session.list")
    assert guest.session not in listed[3][0]


def test_nobody_kills_its_own_session(open_realm: Realm) -> None:
    mine, other = open_realm.join("operator", "op"), open_realm.join("operator", "op")

    by_role = kill(mine, "kill_by_authrole", "operator")
    by_id = kill(mine, "kill_by_authid", "op")
    alone = kill(mine, "kill", mine.session)

    assert by_role[:2] + by_role[3:] == [RESULT, 9, [[other.session]]]
    assert by_id[3:] == [[[]]]
    assert (alone[0], alone[4]) == (ERROR, "wamp.error.no_such_session")
    assert [one[0] for one in other.take()] == [GOODBYE]


def test_stock_kills_its_caller_too(stock: Realm) -> None:
    """crossbar#2082"""
    mine = stock.join("operator", "op")

    answers = mine.send(CALL, 9, {}, "wamp.session.kill_by_authrole", ["operator"])

    assert GOODBYE in [one[0] for one in answers]


def test_a_whole_role_can_be_killed(open_realm: Realm) -> None:
    guests = [open_realm.join(authid=name) for name in "abc"]

    answer = kill(open_realm.join("operator", "op"), "kill_by_authrole", "guest")

    assert sorted(answer[3][0]) == sorted(guest.session for guest in guests)
    assert [[one[0] for one in guest.take()] for guest in guests] == [[GOODBYE]] * 3


@pytest.mark.parametrize("who", ["the node", "nobody"])
def test_the_node_itself_cannot_be_killed(open_realm: Realm, who: str) -> None:
    router: Any = open_realm.node.router
    own = next(number for number, one in router._session_id_to_session.items() if one._authrole == "trusted")

    answer = kill(open_realm.join("operator", "op"), "kill", own if who == "the node" else 1)

    assert answer[4] == "wamp.error.no_such_session"


def test_a_reason_is_a_uri(open_realm: Realm) -> None:
    guest = open_realm.join()

    answer = kill(open_realm.join("operator", "op"), "kill", guest.session, "go away!")

    assert answer[4] == "wamp.error.invalid_argument"
    assert guest.take() == []


def test_guests_and_services_may_not_kill(realm: Realm) -> None:
    victim = realm.join()

    for role in ("guest", "service"):
        assert kill(realm.join(role, "x"), "kill", victim.session)[4] == "wamp.error.not_authorized"
    assert victim.take() == []
