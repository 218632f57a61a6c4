"""A realm lets its clients go: on the routing core in memory."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from autobahn.wamp import message
from msgspec.msgpack import decode, encode

from hopsack_router.embed import EmbeddedNode
from hopsack_router.routing.departure import Departure, turn_away
from hopsack_router.routing.farewell import Farewell, NotNow

from .conftest import Client, Realm
from .test_call_ends import INTERRUPT, invocation
from .test_calls import CALL, ERROR, INVOCATION, RESULT, YIELD, serve
from .test_events import details

ABORT, GOODBYE = 3, 6
SHUTDOWN = "wamp.close.system_shutdown"


@pytest.fixture
def hint() -> Callable[[], float]:
    """1, 2, 3 … seconds: everybody is told another number."""
    return map(float, count(1)).__next__


@pytest.fixture
def departure(realm: Realm, hint: Callable[[], float]) -> Departure:
    assert isinstance(realm.node, EmbeddedNode)
    return Departure(realm.node.router, hint)


def goodbyes(*clients: Client) -> list[Any]:
    """What each was told of when to come back; ``None`` for who may stay."""
    heard = [[message for message in client.take() if message[0] == GOODBYE] for client in clients]
    assert all(message[2] == SHUTDOWN for messages in heard for message in messages)
    return [messages[0][1]["retry_after"] if messages else None for messages in heard]


def test_everybody_is_told_once_and_each_another_time(realm: Realm, departure: Departure) -> None:
    ann, ben = realm.join(), realm.join(authid="ben")

    departure.part(everybody=False)
    departure.part(everybody=True)

    assert departure.clients == 2
    assert goodbyes(ann, ben) == [1.0, 2.0]
    ann.send(GOODBYE, {}, "wamp.close.goodbye_and_out")
    assert departure.clients == 1


def test_a_call_in_flight_ends_with_its_result_before_its_sides_go(realm: Realm, departure: Departure) -> None:
    service, caller, reader = realm.join("service"), realm.join(), realm.join()
    serve(service)
    caller.send(CALL, 1, {}, "lab.double", [1])
    request = invocation(service)

    departure.end_calls()
    departure.part(everybody=False)
    away = goodbyes(service, caller, reader)
    service.send(YIELD, request, {}, [2])
    result = caller.take()

    assert away == [None, None, 1.0]
    assert result == [[RESULT, 1, {}, [2]]]
    assert departure.calls == 0
    departure.part(everybody=True)
    assert goodbyes(service, caller) == [2.0, 3.0]


def test_a_new_call_is_refused_with_when_to_come_back(realm: Realm, departure: Departure) -> None:
    service, caller = realm.join("service"), realm.join()
    serve(service)

    departure.end_calls()
    (error,) = caller.send(CALL, 1, {}, "lab.double", [1])

    assert error[4] == "hopsack.unavailable"
    assert details(error) == {
        "code": "hopsack.unavailable",
        "message": "the node is stopping",
        "retry": "later",
        "where": "lab.double",
        "advice": "connect again after the time given",
        "data": {"retry_after": 1.0},
    }
    assert service.take() == []


def test_a_callee_at_work_may_still_call_and_finds_its_callees(realm: Realm, departure: Departure) -> None:
    service, helper, caller = realm.join("operator"), realm.join("service"), realm.join()
    serve(service, "lab.slow")
    serve(helper)
    caller.send(CALL, 1, {}, "lab.slow", [1])
    request = invocation(service)

    departure.end_calls()
    departure.part(everybody=False)
    service.send(CALL, 1, {}, "lab.double", [1])

    (asked,) = helper.take()
    assert asked[0] == INVOCATION
    helper.send(YIELD, asked[1], {}, [2])
    assert service.take() == [[RESULT, 1, {}, [2]]]
    service.send(YIELD, request, {}, [2])
    assert caller.take() == [[RESULT, 1, {}, [2]]]
    (error,) = service.send(CALL, 2, {}, "lab.double", [1])
    assert error[4] == "hopsack.unavailable"


def test_a_call_that_takes_too_long_is_ended_before_its_sides_go(realm: Realm, departure: Departure) -> None:
    service, caller = realm.join("service"), realm.join()
    serve(service)
    caller.send(CALL, 1, {}, "lab.double", [1])
    request = invocation(service)

    departure.part(everybody=True)

    error, goodbye = caller.take()
    assert (error[0], details(error)["code"]) == (ERROR, "hopsack.canceled")
    assert details(error)["message"] == "the node stopped before the callee answered"
    assert goodbye[0] == GOODBYE
    assert [message[0] for message in service.take()] == [INTERRUPT, GOODBYE]
    assert service.send(YIELD, request, {}, [2]) == []


def test_who_comes_now_is_turned_away(realm: Realm, hint: Callable[[], float]) -> None:
    assert isinstance(realm.node, EmbeddedNode)
    received: list[Any] = []
    turn_away(realm.node._sessions, hint)

    link = realm.node.open_link(lambda data: received.append(decode(data)), "guest", "late")
    link.receive(encode([1, "hopsack", {"roles": {"caller": {}}}]))
    realm.turn()
    link.lost()

    assert received == [[ABORT, {"message": "the node is stopping", "retry_after": 1.0}, SHUTDOWN]]


def test_a_stock_client_reads_both_as_what_they_are() -> None:
    goodbye, abort = message.Goodbye.parse(Farewell(2.3).marshal()), message.Abort.parse(NotNow(2.3).marshal())

    assert (goodbye.reason, goodbye.message) == (SHUTDOWN, "the node is stopping")
    assert (abort.reason, abort.message) == (SHUTDOWN, "the node is stopping")
