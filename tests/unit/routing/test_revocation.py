"""A callee that loses its registration is told, and what it works on ends well. Each test says what stock does."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Client, Realm
from .test_calls import CALL, ERROR, INVOCATION, REGISTER, REGISTERED, RESULT, YIELD
from .test_events import EVENT, SUBSCRIBE

UNREGISTERED = 67
SHARED = {"invoke": "roundrobin"}


def register(client: Client, options: dict[str, Any] | None = None) -> int:
    ((kind, _, registration),) = client.send(REGISTER, 1, options or SHARED, "lab.double")
    assert kind == REGISTERED
    return int(registration)


def shared_by_three(realm: Realm) -> tuple[list[Client], int]:
    callees = [realm.join("service", name) for name in ("one", "two", "three")]
    (registration,) = {register(callee) for callee in callees}
    return callees, registration


def test_who_takes_a_shared_procedure_over_replaces_all(open_realm: Realm) -> None:
    callees, registration = shared_by_three(open_realm)
    newcomer, guest = open_realm.join("service", "new"), open_realm.join()

    (registered,) = newcomer.send(REGISTER, 7, {"force_reregister": True}, "lab.double")
    guest.send(CALL, 1, {}, "lab.double", [1])

    assert registered[:2] == [REGISTERED, 7]
    assert registered[2] != registration
    told = [UNREGISTERED, 0, {"registration": registration, "reason": "wamp.error.unregistered"}]
    assert [callee.take() for callee in callees] == [[told]] * 3
    assert [message[0] for message in newcomer.take()] == [INVOCATION]


def test_stock_leaves_the_newcomer_without_an_answer(stock: Realm) -> None:
    callees, _ = shared_by_three(stock)

    answers = stock.join("service", "new").send(REGISTER, 7, {"force_reregister": True}, "lab.double")

    assert answers == []
    assert [len(callee.take()) for callee in callees] == [1, 0, 1]


def test_calls_of_who_was_replaced_go_on(open_realm: Realm) -> None:
    old, guest = open_realm.join("service", "old"), open_realm.join()
    register(old, {"concurrency": 1})
    guest.send(CALL, 1, {}, "lab.double", [1])
    (full,) = guest.send(CALL, 2, {}, "lab.double", [2])
    ((_, request, *_),) = old.take()

    open_realm.join("service", "new").send(REGISTER, 1, {"force_reregister": True}, "lab.double")
    old.send(YIELD, request, {}, ["done"])

    assert full[:3] == [ERROR, CALL, 2]
    assert guest.take() == [[RESULT, 1, {}, ["done"]]]


def test_calls_of_who_was_replaced_and_leaves_are_canceled(open_realm: Realm) -> None:
    old, guest = open_realm.join("service", "old"), open_realm.join()
    register(old)
    guest.send(CALL, 1, {}, "lab.double", [1])

    open_realm.join("service", "new").send(REGISTER, 1, {"force_reregister": True}, "lab.double")
    old.leave()

    (error,) = guest.take()
    assert error[4] == "wamp.error.canceled"


def test_a_callee_may_replace_itself(open_realm: Realm) -> None:
    service = open_realm.join("service")
    first = register(service)

    told, registered = service.send(REGISTER, 2, {"force_reregister": True}, "lab.double")

    assert told[:2] == [UNREGISTERED, 0]
    assert registered[:2] == [REGISTERED, 2]
    assert registered[2] != first


def remove(realm: Realm, callee: Client, registration: int) -> list[Any]:
    operator = realm.join("operator", "op")
    arguments = [registration, callee.session, "com.example.go"]
    (answer,) = operator.send(CALL, 1, {}, "wamp.registration.remove_callee", arguments)
    return answer


@pytest.mark.parametrize("features", [{}, {"registration_revocation": True}])
def test_a_callee_that_is_removed_is_told(open_realm: Realm, features: dict[str, bool]) -> None:
    one = open_realm.join("service", "one", roles={"callee": {"features": features}})
    two, guest = open_realm.join("service", "two"), open_realm.join()
    registration = register(one)
    register(two)

    answer = remove(open_realm, one, registration)
    told = one.take()
    for number in (1, 2):
        guest.send(CALL, number, {}, "lab.double", [1])

    assert answer[0] == RESULT
    assert told == [[UNREGISTERED, 0, {"registration": registration, "reason": "com.example.go"}]]
    assert [len(one.take()), len(two.take())] == [0, 2]


def test_stock_removes_it_in_silence_and_answers_with_an_error(stock: Realm) -> None:
    one = stock.join("service", "one", roles={"callee": {"features": {"registration_revocation": True}}})
    registration = register(one)

    answer = remove(stock, one, registration)

    assert answer[0] == ERROR
    assert one.take() == []
    assert stock.join().send(CALL, 1, {}, "lab.double", [1])[0][4] == "wamp.error.no_such_procedure"


def test_the_last_callee_takes_the_registration_with_it(open_realm: Realm) -> None:
    one = open_realm.join("service", "one")

    remove(open_realm, one, register(one))

    (error,) = open_realm.join().send(CALL, 1, {}, "lab.double", [1])
    assert error[4] == "wamp.error.no_such_procedure"


def watched(realm: Realm) -> tuple[Client, Client, dict[int, str]]:
    watcher, one = realm.join("service", "watcher"), realm.join("service", "one")
    topics: dict[int, str] = {}
    for number, event in enumerate(("on_create", "on_register", "on_unregister", "on_delete"), 1):
        ((_, _, subscription),) = watcher.send(SUBSCRIBE, number, {}, f"wamp.registration.{event}")
        topics[subscription] = event
    register(one)
    watcher.take()
    return watcher, one, topics


def seen(watcher: Client, topics: dict[int, str]) -> list[tuple[str, Any]]:
    return [(topics[message[1]], message[4][0]) for message in watcher.take() if message[0] == EVENT]


def test_meta_events_name_the_session_that_left(open_realm: Realm, stock: Realm) -> None:
    """Stock Crossbar says that the session ``None`` did it."""
    stories = []
    for realm in (open_realm, stock):
        watcher, one, topics = watched(realm)
        one.leave()
        story = seen(watcher, topics)
        stories.append([(event, "one" if session == one.session else session) for event, session in story])

    assert stories == [
        [("on_unregister", "one"), ("on_delete", "one")],
        [("on_unregister", None), ("on_delete", None)],
    ]


def test_meta_events_tell_of_a_take_over(open_realm: Realm) -> None:
    watcher, one, topics = watched(open_realm)
    newcomer = open_realm.join("service", "new")

    newcomer.send(REGISTER, 1, {"force_reregister": True}, "lab.double")

    old, new = one.session, newcomer.session
    assert seen(watcher, topics) == [
        ("on_unregister", old),
        ("on_delete", old),
        ("on_create", new),
        ("on_register", new),
    ]
