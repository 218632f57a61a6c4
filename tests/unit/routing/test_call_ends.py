"""A call always ends for its caller, and a callee's place is taken exactly while it works."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Client, Realm
from .test_calls import CALL, ERROR, INVOCATION, REGISTER, RESULT, YIELD, serve
from .test_events import details

CANCEL, INTERRUPT = 49, 69


def invocation(callee: Client) -> int:
    ((kind, request, *_),) = callee.take()
    assert kind == INVOCATION
    return int(request)


@pytest.mark.parametrize("role", [{"callee": {}}, {"callee": {"features": {"call_canceling": True}}}])
def test_a_timeout_is_in_milliseconds_and_exact(realm: Realm, role: dict[str, Any]) -> None:
    service, guest = realm.join("service", roles=role), realm.join()
    serve(service)
    guest.send(CALL, 1, {"timeout": 1500}, "lab.double", [1])
    invocation(service)

    realm.clock.advance(1.499)
    early = guest.take()
    realm.clock.advance(0.001)
    (error,) = guest.take()

    assert early == []
    assert details(error)["code"] == "hopsack.deadline"
    interrupts = [message[0] for message in service.take()]
    assert interrupts == ([INTERRUPT] if "features" in role["callee"] else [])


@pytest.mark.parametrize("mode", ["skip", "kill", "killnowait"])
def test_a_callee_that_cannot_cancel_keeps_no_caller_waiting(realm: Realm, mode: str) -> None:
    service, guest = realm.join("service", roles={"callee": {}}), realm.join()
    serve(service)
    guest.send(CALL, 1, {}, "lab.double", [1])
    request = invocation(service)

    (error,) = guest.send(CANCEL, 1, {"mode": mode})
    late = service.send(YIELD, request, {}, [2])

    assert error[4] == "wamp.error.canceled"
    assert late == []
    assert guest.take() == []


@pytest.mark.parametrize(
    ("mode", "interrupted", "at_once"), [("skip", False, True), ("killnowait", True, True), ("kill", True, False)]
)
def test_the_three_modes_of_cancel(realm: Realm, mode: str, interrupted: bool, at_once: bool) -> None:
    service, guest = realm.join("service"), realm.join()
    serve(service)
    guest.send(CALL, 1, {}, "lab.double", [1])
    request = invocation(service)

    first = guest.send(CANCEL, 1, {"mode": mode})
    told = service.take()
    service.send(ERROR, INVOCATION, request, {}, "wamp.error.canceled")
    second = guest.take()

    assert [message[0] for message in told] == ([INTERRUPT] if interrupted else [])
    assert [len(first), len(second)] == ([1, 0] if at_once else [0, 1])
    (error,) = first + second
    assert error[:3] == [ERROR, CALL, 1]
    assert error[4] == "wamp.error.canceled"


def end_by_deadline(realm: Realm, guest: Client) -> None:
    realm.clock.advance(1)


def end_by_leaving(realm: Realm, guest: Client) -> None:
    guest.leave()


def end_by_cancel(realm: Realm, guest: Client) -> None:
    guest.send(CANCEL, 1, {"mode": "skip"})


@pytest.mark.parametrize("end", [end_by_deadline, end_by_leaving, end_by_cancel])
def test_a_concurrency_slot_is_taken_while_the_callee_works_and_never_leaks(realm: Realm, end: Any) -> None:
    service, other = realm.join("service"), realm.join(authid="other")
    service.send(REGISTER, 1, {"concurrency": 1}, "lab.double")
    guest = realm.join()
    guest.send(CALL, 1, {"timeout": 1000}, "lab.double", [1])
    request = invocation(service)

    end(realm, guest)
    service.take()
    (while_it_works,) = other.send(CALL, 1, {}, "lab.double", [2])
    service.send(YIELD, request, {}, [2])
    other.send(CALL, 2, {}, "lab.double", [2])
    service.send(YIELD, invocation(service), {}, [4])
    (after,) = other.take()

    assert details(while_it_works)["code"] == "hopsack.overloaded"
    assert after[0] == RESULT


def test_a_progressive_result_of_a_canceled_call_does_not_free_its_slot(realm: Realm) -> None:
    service, other = realm.join("service"), realm.join(authid="other")
    service.send(REGISTER, 1, {"concurrency": 1}, "lab.double")
    guest = realm.join()
    guest.send(CALL, 1, {"receive_progress": True}, "lab.double", [1])
    request = invocation(service)

    guest.send(CANCEL, 1, {"mode": "killnowait"})
    service.send(YIELD, request, {"progress": True}, [1])
    (while_it_works,) = other.send(CALL, 1, {}, "lab.double", [2])

    assert details(while_it_works)["code"] == "hopsack.overloaded"


def test_shared_registrations_pass_over_who_is_full(realm: Realm) -> None:
    policy = {"invoke": "first", "concurrency": 1}
    one, two = realm.join("service", "one"), realm.join("service", "two")
    for service in (one, two):
        service.send(REGISTER, 1, policy, "lab.double")
    guest = realm.join()

    guest.send(CALL, 1, {}, "lab.double", [1])
    guest.send(CALL, 2, {}, "lab.double", [1])

    assert [len(one.take()), len(two.take())] == [1, 1]


def test_round_robin_takes_turns(realm: Realm) -> None:
    services = [realm.join("service", name) for name in ("one", "two", "three")]
    for service in services:
        service.send(REGISTER, 1, {"invoke": "roundrobin"}, "lab.double")
    guest = realm.join()

    for n in range(9):
        guest.send(CALL, n + 1, {}, "lab.double", [1])

    assert [len(service.take()) for service in services] == [3, 3, 3]


def test_progressive_results_arrive_in_order_before_the_last(realm: Realm) -> None:
    service, guest = realm.join("service"), realm.join()
    serve(service)
    guest.send(CALL, 1, {"receive_progress": True}, "lab.double", [1])
    request = invocation(service)

    for n in range(3):
        service.send(YIELD, request, {"progress": True}, [n])
    service.send(YIELD, request, {}, [3])

    seen = [(message[2].get("progress", False), message[3]) for message in guest.take()]
    assert seen == [(True, [0]), (True, [1]), (True, [2]), (False, [3])]


def test_a_payload_passes_as_the_bytes_it_came_as(realm: Realm) -> None:
    service, guest = realm.join("service"), realm.join()
    serve(service)
    frames: list[bytes] = []
    service._link._receive = frames.append
    odd_float = b"\xca\x40\x28\x00\x00"  # 2.625 as a 32-bit float: no encoder of ours would choose that

    guest._link.receive(b"\x95\x30\x01\x80\xaalab.double\x91" + odd_float)
    realm.turn()

    assert frames[0].endswith(b"\x91" + odd_float)


@pytest.mark.parametrize(("asked", "after"), [({}, 0.5), ({"timeout": 200}, 0.2), ({"timeout": 60_000}, 0.5)])
def test_no_call_outlasts_its_contract(realm: Realm, asked: dict[str, Any], after: float) -> None:
    service, guest = realm.join("service"), realm.join()
    serve(service, "lab.slow")
    guest.send(CALL, 1, asked, "lab.slow", [1])
    invocation(service)

    realm.clock.advance(after - 0.001)
    early = guest.take()
    realm.clock.advance(0.001)
    (error,) = guest.take()

    assert early == []
    assert details(error)["code"] == "hopsack.deadline"
