"""Further tries and breakers, on the routing core in memory."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from hopsack.contracts import load
from hopsack_router import metrics
from hopsack_router.embed import EmbeddedNode

from .conftest import Client, Realm
from .test_call_ends import CANCEL, INTERRUPT, invocation
from .test_calls import CALL, ERROR, INVOCATION, REGISTER, RESULT, YIELD
from .test_events import details
from .test_waiting_calls import kept
from .test_waiting_calls import serve as serve_waiting

CONTRACTS = """
procedures:
  lab.look:
    summary: Harmless.
    input: {type: number}
    output: {type: number}
    idempotent: true
    errors: [lab.unknown]
    register: [service]
    call: [guest, service]
  lab.wait:
    summary: Harmless, and patient.
    input: {type: number}
    output: {type: number}
    idempotent: true
    wait: 2s
    register: [service]
    call: [guest]
  lab.do:
    summary: Once is enough.
    input: {type: number}
    output: {type: number}
    register: [service]
    call: [guest]
  lab.fragile:
    summary: Left in peace when it fails.
    input: {type: number}
    output: {type: number}
    errors: [lab.unknown]
    breaker: {failures: 2, within: 10s, open: 2s}
    timeout: 1s
    register: [service]
    call: [guest, service]
"""


@pytest.fixture
def realm(tmp_path: Path) -> Realm:
    (tmp_path / "lab.yaml").write_text(CONTRACTS)
    realm = Realm.ours(load(tmp_path))
    assert isinstance(realm.node, EmbeddedNode)
    realm.node.router._dealer.random = Random(1)
    return realm


def serve(realm: Realm, procedure: str, *names: str, invoke: str = "first") -> list[Client]:
    services = [realm.join("service", name) for name in names or ("sam",)]
    for one in services:
        one.send(REGISTER, 1, {"invoke": invoke}, procedure)
    return services


def says_no(service: Client, request: int, code: str) -> None:
    service.send(ERROR, INVOCATION, request, {}, code, ["no"], {"code": code, "message": "no"})


def later(realm: Realm) -> None:
    """Longer than any wait for the first two tries."""
    realm.clock.advance(0.1)
    realm.turn()


@pytest.mark.parametrize("code", ["hopsack.overloaded", "hopsack.unavailable", "wamp.error.canceled"])
def test_what_one_callee_cannot_do_another_one_is_asked_for(realm: Realm, code: str) -> None:
    one, two = serve(realm, "lab.look", "one", "two")
    guest = realm.join()
    guest.send(CALL, 1, {}, "lab.look", [1])

    if code.startswith("wamp"):
        one.send(ERROR, INVOCATION, invocation(one), {}, code)
    else:
        says_no(one, invocation(one), code)
    told = guest.take()
    later(realm)
    two.send(YIELD, invocation(two), {}, [2])

    assert told == []
    assert guest.take()[0][:2] == [RESULT, 1]
    assert kept(realm) == 0


def test_a_lost_callee_is_made_good_by_another_and_the_time_goes_on(realm: Realm) -> None:
    one, two = serve(realm, "lab.look", "one", "two")
    guest = realm.join()
    guest.send(CALL, 1, {"timeout": 1000}, "lab.look", [1])
    realm.clock.advance(0.5)

    one.leave()
    later(realm)
    ((_, request, _, told, _),) = two.take()
    two.send(YIELD, request, {}, [2])

    assert told["timeout"] < 500
    assert guest.take()[0][:2] == [RESULT, 1]


def test_what_is_not_idempotent_is_not_tried_again(realm: Realm) -> None:
    one, two = serve(realm, "lab.do", "one", "two")
    guest = realm.join()
    guest.send(CALL, 1, {}, "lab.do", [1])

    one.leave()
    (error,) = guest.take()
    later(realm)

    assert details(error)["code"] == "hopsack.outcome_unknown"
    assert two.take() == []


@pytest.mark.parametrize("code", ["lab.unknown", "hopsack.internal", "hopsack.denied", "hopsack.deadline"])
def test_an_answer_is_an_answer(realm: Realm, code: str) -> None:
    one, two = serve(realm, "lab.look", "one", "two")
    guest = realm.join()
    guest.send(CALL, 1, {}, "lab.look", [1])

    says_no(one, invocation(one), code)
    (error,) = guest.take()
    later(realm)

    assert details(error)["code"] == code
    assert two.take() == []


def test_nobody_is_asked_twice_who_said_no(realm: Realm) -> None:
    (one,) = serve(realm, "lab.look")
    guest = realm.join()
    guest.send(CALL, 1, {}, "lab.look", [1])

    says_no(one, invocation(one), "hopsack.overloaded")
    later(realm)

    (error,) = guest.take()
    assert details(error)["code"] == "hopsack.overloaded"
    assert one.take() == []
    assert kept(realm) == 0


def test_after_the_last_try_its_caller_gets_what_that_came_to(realm: Realm) -> None:
    services = serve(realm, "lab.look", "one", "two", "three", "four")
    guest = realm.join()
    guest.send(CALL, 1, {}, "lab.look", [1])

    for service in services[:3]:
        says_no(service, invocation(service), "hopsack.overloaded")
        realm.clock.advance(1)

    assert details(guest.take()[0])["code"] == "hopsack.overloaded"
    assert services[3].take() == []


def test_that_an_earlier_try_may_have_run_is_not_forgotten(realm: Realm) -> None:
    one, two = serve(realm, "lab.look", "one", "two")
    guest = realm.join()
    guest.send(CALL, 1, {"x_hopsack_retry": 1}, "lab.look", [1])

    one.leave()
    later(realm)
    says_no(two, invocation(two), "hopsack.overloaded")

    (error,) = guest.take()
    assert details(error)["code"] == "hopsack.overloaded"
    assert details(error)["data"]["ran"] == "maybe"


def test_a_patient_call_outlives_the_restart_of_its_only_callee(realm: Realm) -> None:
    (service,) = serve(realm, "lab.wait")
    guest = realm.join()
    guest.send(CALL, 1, {}, "lab.wait", [1])

    service.leave()
    realm.clock.advance(1)
    again = serve_waiting(realm, "lab.wait", "again")
    again.send(YIELD, invocation(again), {}, [2])

    assert guest.take()[0][:2] == [RESULT, 1]


def test_a_call_between_two_tries_can_be_canceled_and_ends_at_its_deadline(realm: Realm) -> None:
    one, two = serve(realm, "lab.look", "one", "two")
    guest = realm.join()
    for number in (1, 2):
        guest.send(CALL, number, {"timeout": 500}, "lab.look", [1])
    one.leave()

    (canceled,) = guest.send(CANCEL, 1, {"mode": "kill"})
    later(realm)
    (asked,) = two.take()
    realm.clock.advance(0.4)
    (error,) = guest.take()

    assert details(canceled)["code"] == "hopsack.canceled"
    assert details(error)["code"] == "hopsack.deadline"
    assert [message[:2] for message in two.take()] == [[INTERRUPT, asked[1]]]
    assert kept(realm) == 0


def test_a_caller_may_want_fewer_tries_and_only_of_what_is_idempotent(realm: Realm) -> None:
    one, _ = serve(realm, "lab.look", "one", "two")
    guest = realm.join()
    guest.send(CALL, 1, {"x_hopsack_retry": 0}, "lab.look", [1])

    one.leave()
    (error,) = guest.take()
    (refused,) = guest.send(CALL, 2, {"x_hopsack_retry": 1}, "lab.do", [1])

    assert details(error)["code"] == "hopsack.outcome_unknown"
    assert details(refused)["code"] == "hopsack.bad_request"


def test_the_budget_of_a_procedure_is_spent_and_earned_again(realm: Realm) -> None:
    guest = realm.join()
    tried = []
    for number in range(1, 61):
        one, two = serve(realm, "lab.look", "one", "two")
        guest.send(CALL, number, {}, "lab.look", [1])
        one.leave()
        later(realm)
        tried.append(bool(two.take()))
        two.leave()
        later(realm)
        guest.take()

    assert all(tried[:5])
    assert not all(tried)
    assert sum(tried) * 2 <= 10 + 60 * 0.2 + 10  # each of these takes a second try with it


# ---- breakers -------------------------------------------------------------------------------------------------------


def fail(service: Client, guest: Client, number: int) -> Any:
    guest.send(CALL, number, {}, "lab.fragile", [1])
    says_no(service, invocation(service), "hopsack.internal")
    (error,) = guest.take()
    return details(error)


def test_a_breaker_opens_after_failures_lets_one_probe_through_and_closes(realm: Realm) -> None:
    (service,) = serve(realm, "lab.fragile")
    guest, other = realm.join(), realm.join()
    fail(service, guest, 1)
    fail(service, guest, 2)

    (refused,) = guest.send(CALL, 3, {}, "lab.fragile", [1])
    realm.clock.advance(2)
    guest.send(CALL, 4, {}, "lab.fragile", [1])
    (while_it_is_probed,) = other.send(CALL, 1, {}, "lab.fragile", [1])
    service.send(YIELD, invocation(service), {}, [1])
    (result,) = guest.take()
    other.send(CALL, 2, {}, "lab.fragile", [1])

    assert details(refused)["code"] == details(while_it_is_probed)["code"] == "hopsack.breaker_open"
    assert details(refused)["data"] == {"retry_after": 2.0}
    assert result[0] == RESULT
    assert len(service.take()) == 1


def test_no_answer_in_time_is_a_failure_and_a_declared_error_is_none(realm: Realm) -> None:
    (service,) = serve(realm, "lab.fragile")
    guest = realm.join()
    for number in range(1, 6):
        guest.send(CALL, number, {}, "lab.fragile", [1])
        says_no(service, invocation(service), "lab.unknown")
    for number in range(6, 11):
        guest.send(CALL, number, {}, "lab.fragile", [1])
    realm.clock.advance(1)
    guest.take()

    (refused,) = guest.send(CALL, 11, {}, "lab.fragile", [1])

    assert details(refused)["code"] == "hopsack.breaker_open"


def test_a_breaker_is_one_callees(realm: Realm) -> None:
    one, two = serve(realm, "lab.fragile", "one", "two")
    guest = realm.join()
    fail(one, guest, 1)
    fail(one, guest, 2)

    guest.send(CALL, 3, {}, "lab.fragile", [1])

    assert len(two.take()) == 1


def test_a_probe_that_is_canceled_leaves_its_place_to_the_next(realm: Realm) -> None:
    (service,) = serve(realm, "lab.fragile")
    guest = realm.join()
    fail(service, guest, 1)
    fail(service, guest, 2)
    realm.clock.advance(2)
    guest.send(CALL, 3, {}, "lab.fragile", [1])

    guest.send(CANCEL, 3, {"mode": "killnowait"})
    guest.send(CALL, 4, {}, "lab.fragile", [1])

    assert [one[0] for one in service.take()] == [INVOCATION, INTERRUPT, INVOCATION]


def test_services_may_call_past_a_breaker_and_guests_may_not(realm: Realm) -> None:
    (service,) = serve(realm, "lab.fragile")
    guest, other = realm.join(), realm.join("service", "other")
    fail(service, guest, 1)
    fail(service, guest, 2)

    (denied,) = guest.send(CALL, 3, {"x_hopsack_breaker": False}, "lab.fragile", [1])
    told = other.send(CALL, 1, {"x_hopsack_breaker": False}, "lab.fragile", [1])

    assert details(denied)["code"] == "hopsack.denied"
    assert told == []
    assert len(service.take()) == 1


# ---- what the node tells of it --------------------------------------------------------------------------------------


def told(realm: Realm, asker: Client, number: int, procedure: str) -> dict[str, Any]:
    (result,) = asker.send(CALL, number, {}, "hopsack.procedures.list")
    return next(facts for facts in result[3][0] if facts["uri"] == procedure)


def test_the_node_tells_what_its_callees_do(realm: Realm) -> None:
    one, two = serve(realm, "lab.fragile", "one", "two", invoke="roundrobin")
    guest, asker = realm.join(), realm.join("service", "asker")
    fail(one, guest, 1)
    realm.clock.advance(0.5)
    guest.send(CALL, 2, {"timeout": 900}, "lab.fragile", [1])
    realm.clock.advance(0.8)

    facts = told(realm, asker, 1, "lab.fragile")

    assert facts["load"] == [
        {
            "session": one.session,
            "authid": "one",
            "in_hand": 0,
            "stalled": False,
            "answers_in": 0.0,
            "breaker": "closed",
        },
        {"session": two.session, "authid": "two", "in_hand": 1, "stalled": True, "breaker": "closed"},
    ]
    assert (facts["invoke"], facts["calls"]) == ("roundrobin", 2)


def test_the_node_tells_who_waits_what_was_tried_again_and_which_breakers_opened(realm: Realm) -> None:
    guest, asker = realm.join(), realm.join("service", "asker")
    guest.send(CALL, 1, {}, "lab.wait", [1])
    one, _ = serve(realm, "lab.look", "one", "two")
    guest.send(CALL, 2, {}, "lab.look", [1])
    one.leave()
    later(realm)
    (fragile,) = serve(realm, "lab.fragile", "three")
    for number in (3, 4):
        fail(fragile, guest, number)

    assert told(realm, asker, 1, "lab.wait")["waiting"] == 1
    assert told(realm, asker, 2, "lab.look")["retries"] == 1
    facts = told(realm, asker, 3, "lab.fragile")
    assert (facts["opened"], facts["load"][0]["breaker"]) == (1, "open")
    assert "load" not in told(realm, asker, 4, "lab.do")


def test_counters_for_prometheus(realm: Realm) -> None:
    def count(name: str, procedure: str) -> float:
        return metrics.REGISTRY.get_sample_value(name, {"procedure": procedure}) or 0

    names = "hopsack_calls_total", "hopsack_retries_total", "hopsack_breakers_opened_total", "hopsack_calls_waiting"
    before = {name: sum(count(name, one) for one in ("lab.look", "lab.wait", "lab.fragile")) for name in names}
    guest = realm.join()
    guest.send(CALL, 1, {}, "lab.wait", [1])
    one, _ = serve(realm, "lab.look", "one", "two")
    guest.send(CALL, 2, {}, "lab.look", [1])
    one.leave()
    (fragile,) = serve(realm, "lab.fragile", "three")
    for number in (3, 4):
        fail(fragile, guest, number)

    after = {name: sum(count(name, one) for one in ("lab.look", "lab.wait", "lab.fragile")) for name in names}

    assert [after[name] - before[name] for name in names] == [4, 1, 1, 1]
    guest.leave()
    assert count("hopsack_calls_waiting", "lab.wait") == before["hopsack_calls_waiting"]
