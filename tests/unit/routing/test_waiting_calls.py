"""Calls that wait at the node, on the routing core in memory: for a callee, for room; and how each wait ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hopsack.contracts import load
from hopsack_router.embed import EmbeddedNode
from hopsack_router.routing import queueing
from hopsack_router.routing.departure import Departure

from .conftest import Client, Realm
from .test_call_ends import CANCEL, INTERRUPT, invocation
from .test_calls import CALL, ERROR, INVOCATION, REGISTER, REGISTERED, RESULT, YIELD
from .test_events import details

CONTRACTS = """
procedures:
  lab.patient:
    summary: Waits for its service.
    input: {type: number}
    output: {type: number}
    wait: 2s
    queue: 3
    register: [service]
    call: [guest, service]
  lab.narrow:
    summary: Two at a time for each callee.
    input: {type: number}
    output: {type: number}
    concurrency: 2
    queue: 2
    register: [service]
    call: [guest, service]
  lab.plain:
    summary: As it comes.
    input: {type: number}
    output: {type: number}
    register: [service]
    call: [guest, service]
  lab.text:
    summary: As it comes.
    input: {type: string}
    output: {type: number}
    register: [service]
    call: [guest]
  lab.sharded:
    summary: By its number.
    input: {type: object, required: [n], properties: {n: {type: integer}}}
    output: {type: number}
    shard_by: n
    concurrency: 1
    register: [service]
    call: [guest]
"""
UNREGISTER = 66


@pytest.fixture
def realm(tmp_path: Path) -> Realm:
    (tmp_path / "lab.yaml").write_text(CONTRACTS)
    return Realm.ours(load(tmp_path))


def serve(realm: Realm, procedure: str, name: str = "sam", **options: Any) -> Client:
    """Whoever waits for it is asked at once: what it is asked stays to be taken."""
    service = realm.join("service", name)
    service.send_only(REGISTER, 1, options, procedure)
    realm.turn()
    assert service.received.pop(0)[0] == REGISTERED
    return service


def kept(realm: Realm) -> int:
    """How many calls the node has not ended."""
    assert isinstance(realm.node, EmbeddedNode)
    dealer = realm.node.router._dealer
    calls = int(dealer.calls)
    if not calls:
        assert not dealer._waiting
        assert not dealer._patient
        assert not dealer._delayed
        assert not dealer._invocations_by_call
    return calls


# ---- for a callee ---------------------------------------------------------------------------------------------------


def test_a_call_waits_for_its_callee_and_is_told_what_is_left(realm: Realm) -> None:
    guest = realm.join()
    early = guest.send(CALL, 1, {"timeout": 3000}, "lab.patient", [1])
    realm.clock.advance(1.5)

    service = serve(realm, "lab.patient")
    ((_, request, _, told, _),) = service.take()
    service.send(YIELD, request, {}, [2])

    assert early == []
    assert told["timeout"] == 1500
    assert guest.take()[0][:2] == [RESULT, 1]
    assert kept(realm) == 0


def test_a_pattern_that_covers_it_wakes_it_too(realm: Realm) -> None:
    guest = realm.join()
    guest.send(CALL, 1, {}, "lab.patient", [1])

    service = serve(realm, "lab.", match="prefix")

    assert [one[0] for one in service.take()] == [INVOCATION]


def test_those_who_wait_are_asked_in_their_order(realm: Realm) -> None:
    guest = realm.join()
    for number in (1, 2, 3):
        guest.send(CALL, number, {}, "lab.patient", [number])

    service = serve(realm, "lab.patient")

    assert [one[4] for one in service.take()] == [[1], [2], [3]]


def test_what_waits_for_a_procedure_has_a_bound_in_bytes(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queueing, "MOST_BYTES", 3000)
    guest = realm.join()
    for number in (1, 2, 3):
        guest.send_only(CALL, number, {"x_hopsack_wait": 2000}, "lab.text", ["x" * 1200])
    (error,) = guest.take()
    guest.send(CANCEL, 1, {})
    guest.send(CANCEL, 2, {})

    assert (error[2], details(error)["code"]) == (3, "hopsack.overloaded")
    assert guest.send(CALL, 4, {"x_hopsack_wait": 2000}, "lab.text", ["x" * 2500]) == []


def test_nobody_comes_in_time(realm: Realm) -> None:
    guest = realm.join()
    guest.send(CALL, 1, {}, "lab.patient", [1])

    realm.clock.advance(1.999)
    early = guest.take()
    realm.clock.advance(0.001)
    (error,) = guest.take()

    assert early == []
    assert details(error)["code"] == "hopsack.no_callee"
    assert details(error)["data"] == {"retry_after": 1.0}
    assert kept(realm) == 0


def test_the_deadline_counts_while_it_waits(realm: Realm) -> None:
    guest = realm.join()
    guest.send(CALL, 1, {"timeout": 700}, "lab.patient", [1])

    realm.clock.advance(0.7)
    (error,) = guest.take()

    assert details(error)["code"] == "hopsack.deadline"
    assert details(error)["data"] == {"ran": "no"}
    assert kept(realm) == 0


@pytest.mark.parametrize("mode", ["skip", "kill", "killnowait"])
def test_a_call_that_waits_can_be_canceled(realm: Realm, mode: str) -> None:
    guest = realm.join()
    guest.send(CALL, 1, {}, "lab.patient", [1])

    (error,) = guest.send(CANCEL, 1, {"mode": mode})
    service = serve(realm, "lab.patient")

    assert details(error)["code"] == "hopsack.canceled"
    assert details(error)["data"] == {"ran": "no"}
    assert service.take() == []
    assert kept(realm) == 0


def test_who_leaves_waits_no_more(realm: Realm) -> None:
    guest = realm.join()
    guest.send(CALL, 1, {}, "lab.patient", [1])

    guest.leave()
    service = serve(realm, "lab.patient")

    assert service.take() == []
    assert kept(realm) == 0


def test_one_more_than_may_wait_is_told_when_to_come_back(realm: Realm) -> None:
    guest = realm.join()
    for number in range(3):
        assert guest.send(CALL, number + 1, {}, "lab.patient", [1]) == []

    (error,) = guest.send(CALL, 4, {}, "lab.patient", [1])

    assert details(error)["code"] == "hopsack.overloaded"
    assert details(error)["data"]["retry_after"] > 0
    assert kept(realm) == 3


def test_a_caller_may_wait_where_the_contract_does_not_say_so_and_the_other_way_round(realm: Realm) -> None:
    guest = realm.join()

    waits = guest.send(CALL, 1, {"x_hopsack_wait": 500}, "lab.plain", [1])
    (error,) = guest.send(CALL, 2, {"x_hopsack_wait": 0}, "lab.patient", [1])
    realm.clock.advance(0.5)
    (late,) = guest.take()

    assert waits == []
    assert details(error)["code"] == details(late)["code"] == "hopsack.no_callee"


def test_the_node_stops_and_nobody_waits_any_more(realm: Realm) -> None:
    assert isinstance(realm.node, EmbeddedNode)
    service, guest = serve(realm, "lab.narrow"), realm.join()
    for number in range(3):
        guest.send(CALL, number + 1, {}, "lab.narrow", [1])
    guest.send(CALL, 4, {}, "lab.patient", [1])
    departure = Departure(realm.node.router, lambda: 1.5)

    departure.end_calls()
    errors = guest.take()

    assert [error[2] for error in errors] == [3, 4]
    for error in errors:
        assert details(error)["code"] == "hopsack.unavailable"
        assert details(error)["data"] == {"retry_after": 1.5, "ran": "no"}
    assert (len(service.take()), departure.calls) == (2, 2)


# ---- for room -------------------------------------------------------------------------------------------------------


def test_a_callee_has_no_more_in_hand_than_the_contract_allows(realm: Realm) -> None:
    service, guest = serve(realm, "lab.narrow"), realm.join()
    for number in range(4):
        guest.send(CALL, number + 1, {}, "lab.narrow", [number])
    (refused,) = guest.send(CALL, 5, {}, "lab.narrow", [4])

    first, second = service.take()
    service.send_only(YIELD, second[1], {}, [1])
    realm.turn()
    (third,) = service.take()
    service.send_only(ERROR, INVOCATION, first[1], {}, "wamp.error.canceled")
    realm.turn()
    (fourth,) = service.take()

    assert [one[4] for one in (first, second, third, fourth)] == [[0], [1], [2], [3]]
    assert details(refused)["code"] == "hopsack.overloaded"


def test_with_wamps_own_limit_the_smaller_one_counts(realm: Realm) -> None:
    service, guest = serve(realm, "lab.narrow", concurrency=1), realm.join()

    for number in range(3):
        guest.send(CALL, number + 1, {}, "lab.narrow", [number])

    assert len(service.take()) == 1


def test_a_call_may_refuse_to_wait(realm: Realm) -> None:
    serve(realm, "lab.narrow")
    guest = realm.join()
    for number in range(2):
        guest.send(CALL, number + 1, {}, "lab.narrow", [number])

    (error,) = guest.send(CALL, 3, {"x_hopsack_queue": False}, "lab.narrow", [1])

    assert details(error)["code"] == "hopsack.overloaded"


def test_a_new_callee_takes_who_waits(realm: Realm) -> None:
    _, guest = serve(realm, "lab.narrow", invoke="roundrobin"), realm.join()
    for number in range(4):
        guest.send(CALL, number + 1, {}, "lab.narrow", [number])

    second = serve(realm, "lab.narrow", "tom", invoke="roundrobin")

    assert [one[4] for one in second.take()] == [[2], [3]]


def test_abandoned_work_makes_room_when_it_is_done(realm: Realm) -> None:
    service, guest, other = serve(realm, "lab.narrow"), realm.join(), realm.join()
    for number in range(2):
        guest.send(CALL, number + 1, {}, "lab.narrow", [number])
    other.send(CALL, 1, {}, "lab.narrow", [9])
    first, _ = service.take()

    guest.leave()
    told = service.take()
    service.send_only(ERROR, INVOCATION, first[1], {}, "wamp.error.canceled")
    realm.turn()

    assert [one[0] for one in told] == [INTERRUPT] * 2
    assert [one[4] for one in service.take()] == [[9]]


def test_who_comes_later_does_not_overtake(realm: Realm) -> None:
    service, guest = serve(realm, "lab.narrow", concurrency=1), realm.join()
    guest.send(CALL, 1, {}, "lab.narrow", [0])
    guest.send(CALL, 2, {}, "lab.narrow", [1])
    ((_, request, *_),) = service.take()

    service.send_only(YIELD, request, {}, [1])
    guest.send_only(CALL, 3, {}, "lab.narrow", [2])  # in the same turn
    realm.turn()

    assert [one[4] for one in service.take()] == [[1]]


def test_those_who_wait_for_room_lose_their_callee(realm: Realm) -> None:
    service, guest = serve(realm, "lab.narrow"), realm.join()
    for number in range(3):
        guest.send(CALL, number + 1, {}, "lab.narrow", [number])

    service.leave()
    errors = {error[2]: details(error) for error in guest.take()}

    assert {number: error["code"] for number, error in errors.items()} == {
        1: "hopsack.outcome_unknown",
        2: "hopsack.outcome_unknown",
        3: "hopsack.no_callee",
    }
    assert kept(realm) == 0


def test_a_callee_that_stalls_while_calls_wait_is_found_out(realm: Realm) -> None:
    """One has room and is stalled, the other one is full: calls wait for that, until it is stalled as well."""
    one, two = (serve(realm, "lab.narrow", name, invoke="roundrobin") for name in ("one", "two"))
    guest = realm.join()
    guest.send(CALL, 1, {}, "lab.narrow", [0])
    realm.clock.advance(0.8)
    for number in (2, 3):
        guest.send(CALL, number, {}, "lab.narrow", [number])
    waits = guest.send(CALL, 4, {}, "lab.narrow", [4])
    before = [len(one.take()), len(two.take())]

    for _ in range(8):
        realm.clock.advance(0.25)

    assert (waits, before) == ([], [1, 2])
    assert [message[4] for message in one.take()] == [[4]]


def test_a_key_waits_for_its_own_callee(realm: Realm) -> None:
    callees = [serve(realm, "lab.sharded", name) for name in ("one", "two")]
    guest = realm.join()
    for number in range(10):
        guest.send(CALL, number + 1, {}, "lab.sharded", [{"n": number % 2 * 7}])

    done: dict[str, set[int]] = {"one": set(), "two": set()}
    for _ in range(10):
        for name, callee in zip(done, callees, strict=True):
            for message in callee.take():
                done[name].add(message[4][0]["n"])
                callee.send_only(YIELD, message[1], {}, [1])
        realm.turn()

    assert len([one for one in guest.take() if one[0] == RESULT]) == 10
    assert not done["one"] & done["two"]


def test_a_call_that_its_callee_cannot_read_fails_when_its_turn_comes(realm: Realm) -> None:
    guest = realm.join()
    guest.send(CALL, 1, {"x_hopsack_wait": 1000}, "lab.text", ["x" * 2000])
    small = realm.join("service", "small", max_size=1024)

    small.send(REGISTER, 1, {}, "lab.text")

    (error,) = guest.take()
    assert details(error)["code"] == "hopsack.too_large"
    assert kept(realm) == 0


def test_a_callee_that_unregisters_is_asked_no_more(realm: Realm) -> None:
    service, guest = serve(realm, "lab.patient"), realm.join()
    guest.send(CALL, 1, {}, "lab.patient", [1])
    request = invocation(service)
    registration = service_registration(realm, "lab.patient")

    service.send(UNREGISTER, 2, registration)
    waits = guest.send(CALL, 2, {}, "lab.patient", [2])
    service.send(YIELD, request, {}, [1])

    assert waits == []
    assert guest.take()[0][:2] == [RESULT, 1]
    assert serve(realm, "lab.patient", "next").take()[0][4] == [2]


def service_registration(realm: Realm, procedure: str) -> int:
    assert isinstance(realm.node, EmbeddedNode)
    return int(realm.node.router._dealer._registration_map.get_observation(procedure).id)


def test_who_waited_for_a_callee_is_asked_before_who_comes_with_it(realm: Realm) -> None:
    guest = realm.join()
    guest.send(CALL, 1, {}, "lab.patient", [1])
    service = realm.join("service", "sam")

    service.send_only(REGISTER, 1, {}, "lab.patient")
    guest.send_only(CALL, 2, {}, "lab.patient", [2])  # in the same turn
    realm.turn()

    assert [one[4] for one in service.take() if one[0] == INVOCATION] == [[1], [2]]


def test_who_changes_the_line_keeps_its_turn(realm: Realm) -> None:
    """It waits for room at a callee that leaves, and a later one waits for a callee to come."""
    service, guest = serve(realm, "lab.patient", concurrency=1), realm.join()
    for number in (1, 2):
        guest.send_only(CALL, number, {}, "lab.patient", [number])
    guest.send_only(CALL, 3, {"x_hopsack_queue": False, "x_hopsack_wait": 0}, "lab.patient", [3])
    service._link.lost()
    guest.send_only(CALL, 4, {}, "lab.patient", [4])
    realm.turn()

    assert [one[4] for one in serve(realm, "lab.patient", "tom").take()] == [[2], [4]]


def test_a_key_that_moves_keeps_its_order(realm: Realm) -> None:
    callees = [serve(realm, "lab.sharded", name) for name in ("one", "two", "three")]
    guest = realm.join()
    for number in range(4):
        guest.send(CALL, number + 1, {}, "lab.sharded", [{"n": 7}])
    (owner,) = [one for one in callees if one.take()]

    callees.remove(owner)
    owner.leave()
    order = []
    for _ in range(4):
        for callee in callees:
            for message in callee.take():
                if message[0] == INVOCATION:
                    order.append(callee)
                    callee.send_only(YIELD, message[1], {}, [1])

    answers = [one[1] for one in guest.take() if one[0] == RESULT]
    assert answers == [2, 3, 4]
    assert len(set(map(id, order))) == 1
