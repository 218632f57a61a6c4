"""Locks as procedures of the node, for clients that speak WAMP."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import LogLevel, globalLogPublisher

from hopsack.contracts import Source, build
from hopsack_router.embed import EmbeddedNode
from hopsack_router.routing.departure import Departure
from tests.unit.routing.conftest import Client, Realm

CALL, CANCEL, RESULT, ERROR, EVENT = 48, 49, 50, 8, 36


@pytest.fixture
def realm() -> Realm:
    return Realm.ours(build([Source("lab.yaml", "lab.yaml", "topics: {}")]))


def _acquire(client: Client, request: int, options: dict[str, Any] | None = None, **asked: Any) -> list[list[Any]]:
    return client.send(CALL, request, options or {}, "hopsack.locks.acquire", [{"name": "door", **asked}])


def _token(answer: list[list[Any]]) -> Any:
    ((kind, _, _, (value,)),) = answer
    assert kind == RESULT
    return value["token"]


def test_a_second_service_gets_it_when_the_first_gives_it_back(realm: Realm) -> None:
    first, second = realm.join("service", "first"), realm.join("service", "second")
    token = _token(_acquire(first, 1))
    assert _acquire(second, 1) == []

    released = first.send(CALL, 2, {}, "hopsack.locks.release", [{"name": "door", "token": token}])

    assert released == [[RESULT, 2, {}, [None]]]
    assert _token(second.take()) > token


def test_a_second_service_gets_it_when_the_first_vanishes(realm: Realm) -> None:
    first, second = realm.join("service", "first"), realm.join("service", "second")
    token = _token(_acquire(first, 1))
    _acquire(second, 1)

    first.leave()

    assert _token(second.take()) > token


@pytest.mark.parametrize("how", ["deadline", "skip", "kill", "killnowait"])
def test_waiting_ends_with_the_call(realm: Realm, how: str) -> None:
    first, second, third = (realm.join("service", name) for name in ("first", "second", "third"))
    token = _token(_acquire(first, 1))
    _acquire(second, 7, {"timeout": 500})
    _acquire(third, 1)

    if how == "deadline":
        realm.clock.advance(0.5)
    else:
        second.send_only(CANCEL, 7, {"mode": how})
    (ended,) = second.take()
    first.send(CALL, 2, {}, "hopsack.locks.release", [{"name": "door", "token": token}])

    assert ended[:3] == [ERROR, CALL, 7]
    assert second.take() == []
    assert _token(third.take()) > token


def test_a_grant_that_got_lost_is_given_back_by_its_attempt(realm: Realm) -> None:
    first, second = realm.join("service", "first"), realm.join("service", "second")
    _acquire(first, 1, attempt="one")
    _acquire(second, 1)

    first.send(CALL, 2, {}, "hopsack.locks.release", [{"name": "door", "attempt": "one"}])

    assert isinstance(_token(second.take()), int)


def test_an_attempt_that_waits_is_given_up_by_its_name(realm: Realm) -> None:
    first, second = realm.join("service", "first"), realm.join("service", "second")
    _acquire(first, 1)
    _acquire(second, 1, attempt="one")

    told = second.send(CALL, 2, {}, "hopsack.locks.release", [{"name": "door", "attempt": "one"}])

    assert sorted(message[:3] for message in told if message[0] == ERROR) == [[ERROR, CALL, 1]]
    assert [message for message in told if message[0] == RESULT] == [[RESULT, 2, {}, [None]]]


def test_who_does_not_wait_gets_no_token(realm: Realm) -> None:
    first, second = realm.join("service", "first"), realm.join("service", "second")
    _acquire(first, 1)

    assert _token(_acquire(second, 1, wait=False)) is None


def test_who_does_not_hold_it_cannot_give_it_back(realm: Realm) -> None:
    first, second = realm.join("service", "first"), realm.join("service", "second")
    token = _token(_acquire(first, 1))

    ((kind, _, _, _, uri, _, details),) = second.send(
        CALL, 1, {}, "hopsack.locks.release", [{"name": "door", "token": token}]
    )

    assert (kind, uri, details["code"], details["where"]) == (ERROR, "hopsack.not_held", "hopsack.not_held", "door")


def test_guests_have_no_locks(realm: Realm) -> None:
    ((kind, _, _, _, uri, *_),) = _acquire(realm.join("guest", "ann"), 1)

    assert (kind, uri) == (ERROR, "wamp.error.not_authorized")


def test_who_watches_is_told(realm: Realm) -> None:
    operator, service = realm.join("operator", "olga"), realm.join("service", "first")
    operator.send(32, 1, {}, "hopsack.locks.changed")

    token = _token(_acquire(service, 1))
    ((kind, _, _, _, (taken,)),) = operator.take()
    listed = operator.send(CALL, 2, {}, "hopsack.locks.list")
    service.leave()
    (freed,) = [message[4][0] for message in operator.take() if message[0] == EVENT]

    holder = {"session": service.session, "authid": "first", "token": token, "since": realm.clock.seconds()}
    assert (kind, taken) == (EVENT, {"name": "door", "slots": 1, "waiting": 0, "holders": [holder]})
    assert listed[0][3] == [[taken]]
    assert freed == {"name": "door", "slots": 0, "waiting": 0, "holders": []}


def test_a_node_that_stops_grants_nothing_any_more(realm: Realm) -> None:
    assert isinstance(realm.node, EmbeddedNode)
    first, second = realm.join("service", "first"), realm.join("service", "second")
    _acquire(first, 1)
    _acquire(second, 1)

    departure = Departure(realm.node.router, lambda: 0.7)
    departure.end_calls()
    ((*kind, _, _, _, told),) = second.take()
    first.leave()

    assert kind == [ERROR, CALL, 1]
    assert (told["code"], told["data"]) == ("hopsack.unavailable", {"retry_after": 0.7, "ran": "no"})
    assert second.take() == []
    assert departure.calls == 0


def test_who_gives_up_waiting_is_no_fault_of_the_nodes(realm: Realm) -> None:
    first, second = realm.join("service", "first"), realm.join("service", "second")
    _acquire(first, 1)
    _acquire(second, 1)
    logged: list[Any] = []
    globalLogPublisher.addObserver(logged.append)  # type: ignore[arg-type] # whatever takes an event
    try:
        second.send_only(CANCEL, 1, {"mode": "killnowait"})
    finally:
        globalLogPublisher.removeObserver(logged.append)  # type: ignore[arg-type]

    assert [event for event in logged if event["log_level"] in (LogLevel.warn, LogLevel.error)] == []
