"""Calls that give results and take inputs piece by piece, as WAMP's messages show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hopsack.contracts import load
from hopsack_router.routing import flowing
from hopsack_router.routing.flows import LENIENCE, UNDER_WAY

from .conftest import HELLO_ROLES, Client, Realm

REGISTER, INVOCATION, INTERRUPT, YIELD, CALL, CANCEL, RESULT, ERROR, MORE = 64, 68, 69, 70, 48, 49, 50, 8, 513

OURS: dict[str, Any] = {"progressive_call_results": True, "progressive_call_invocations": True, "x_hopsack_flow": True}
FLOW_ROLES = {
    **HELLO_ROLES,
    "caller": {"features": {"call_canceling": True, **OURS}},
    "callee": {"features": {"call_canceling": True, **OURS}},
}
PROGRESS = {"progress": True}

CONTRACTS = """
procedures:
  lab.count:
    summary: Numbers, one after the other.
    input: {type: integer}
    progress: {type: integer}
    output: {type: string}
    timeout: 500ms
    register: [service]
    call: [guest]
  lab.sum:
    summary: What numbers make together.
    input: {type: 'null'}
    inputs: {type: integer}
    output: {type: integer}
    register: [service]
    call: [guest]
"""


@pytest.fixture
def realm(tmp_path: Path) -> Realm:
    (tmp_path / "lab.yaml").write_text(CONTRACTS)
    return Realm.ours(load(tmp_path))


def pair(realm: Realm, uri: str = "lab.count", **roles: Any) -> tuple[Client, Client]:
    """A caller and a callee; ours, if nothing else is said."""
    caller = realm.join(roles=roles.get("caller", FLOW_ROLES))
    callee = realm.join("service", "lab", agent="hopsack-test", roles=roles.get("callee", FLOW_ROLES))
    callee.send(REGISTER, 1, {}, uri)
    return caller, callee


def called(caller: Client, callee: Client, uri: str = "lab.count", value: Any = 3, **options: Any) -> list[Any]:
    """:returns: the INVOCATION of a call with the number 7."""
    caller.send(CALL, 7, options, uri, [value])
    (invocation,) = callee.take()
    return invocation


def full(client: Client) -> None:
    client._link.pauseProducing()


def empty(client: Client) -> None:
    client._link.resumeProducing()


# ---- progressive results --------------------------------------------------------------------------------------------


def test_the_node_says_what_it_can(realm: Realm) -> None:
    features = realm.join().details["roles"]["dealer"]["features"]

    assert {name: features.get(name) for name in OURS} == OURS


def test_a_window_is_what_the_caller_takes_and_more_is_passed_on(realm: Realm) -> None:
    caller, callee = pair(realm)
    invocation = called(caller, callee, receive_progress=True, x_hopsack_window=4)

    window = invocation[3]["x_hopsack_window"]
    told = [callee.send(YIELD, invocation[1], PROGRESS, [n]) for n in range(4)]
    passed = caller.take()
    caller.send(MORE, CALL, 7, 2)

    assert (window, invocation[3]["receive_progress"]) == (1, True)
    assert [one for some in told for one in some] == [[MORE, INVOCATION, invocation[1], 3]]
    assert passed == [[RESULT, 7, PROGRESS, [n]] for n in range(4)]
    assert callee.take() == [[MORE, INVOCATION, invocation[1], 2]]


def test_the_last_result_ends_it(realm: Realm) -> None:
    caller, callee = pair(realm)
    invocation = called(caller, callee, receive_progress=True, x_hopsack_window=4)
    callee.send(YIELD, invocation[1], PROGRESS, [1])
    callee.send(YIELD, invocation[1], {}, ["done"])

    late = callee.send(YIELD, invocation[1], PROGRESS, [2])
    ignored = caller.send(MORE, CALL, 7, 2)

    assert ignored == [[RESULT, 7, PROGRESS, [1]], [RESULT, 7, {}, ["done"]]]
    assert late == []
    assert callee.take() == []


def test_for_a_caller_that_says_nothing_the_node_grants_while_its_link_is_not_full(realm: Realm) -> None:
    caller, callee = pair(realm, caller=HELLO_ROLES)
    invocation = called(caller, callee, receive_progress=True)
    first = callee.send(YIELD, invocation[1], PROGRESS, [0])

    full(caller)
    meanwhile = [callee.send(YIELD, invocation[1], PROGRESS, [n]) for n in range(1, UNDER_WAY + 1)]
    empty(caller)

    assert invocation[3]["x_hopsack_window"] == 1
    assert first == [[MORE, INVOCATION, invocation[1], UNDER_WAY]]
    assert meanwhile == [[]] * UNDER_WAY
    assert callee.take() == [[MORE, INVOCATION, invocation[1], UNDER_WAY]]
    assert len(caller.take()) == 1 + UNDER_WAY


def test_a_stock_callee_is_told_nothing_and_is_ended_when_it_overruns(realm: Realm) -> None:
    caller, callee = pair(realm, callee=HELLO_ROLES)
    invocation = called(caller, callee, receive_progress=True, x_hopsack_window=4)

    for n in range(4 + LENIENCE):
        callee.send_only(YIELD, invocation[1], PROGRESS, [n])
    borne, told = caller.take(), callee.take()
    interrupted = callee.send(YIELD, invocation[1], PROGRESS, [0])
    (error,) = caller.take()

    assert "x_hopsack_window" not in invocation[3]
    assert (len(borne), told) == (4 + LENIENCE, [])
    assert interrupted == [[INTERRUPT, invocation[1], {"mode": "killnowait"}]]
    assert error[:5] == [ERROR, CALL, 7, {}, "hopsack.overloaded"]


def test_a_caller_that_does_not_read_costs_no_more_than_its_budget(realm: Realm) -> None:
    caller, callee = pair(realm, caller=HELLO_ROLES, callee=HELLO_ROLES)
    invocation = called(caller, callee, receive_progress=True)
    full(caller)

    sent = 0
    while not (answer := callee.send(YIELD, invocation[1], PROGRESS, [1])):
        sent += 1
    empty(caller)

    assert answer == [[INTERRUPT, invocation[1], {"mode": "killnowait"}]]
    assert sent < 4096
    assert [one[0] for one in caller.take()] == [RESULT] * sent + [ERROR]


def test_progress_that_nobody_asked_for_is_dropped(realm: Realm) -> None:
    caller, callee = pair(realm)
    invocation = called(caller, callee)

    callee.send(YIELD, invocation[1], PROGRESS, [1])
    callee.send(YIELD, invocation[1], {}, ["done"])

    assert caller.take() == [[RESULT, 7, {}, ["done"]]]


def test_the_deadline_is_the_longest_silence(realm: Realm) -> None:
    caller, callee = pair(realm)
    invocation = called(caller, callee, receive_progress=True, x_hopsack_window=4)
    for number in range(4):
        realm.clock.advance(0.4)
        callee.send(YIELD, invocation[1], PROGRESS, [number])
    realm.clock.advance(0.4)
    caller.send_only(MORE, CALL, 7, 4)
    realm.clock.advance(0.4)
    alive = [one[0] for one in caller.take()]

    realm.clock.advance(0.2)
    (error,) = caller.take()

    assert alive == [RESULT] * 4
    assert error[4] == "wamp.error.timeout"
    assert callee.take()[-1] == [INTERRUPT, invocation[1], {"mode": "killnowait"}]


def test_a_progressive_result_that_breaks_the_contract_ends_the_call(realm: Realm) -> None:
    caller, callee = pair(realm)
    invocation = called(caller, callee, receive_progress=True, x_hopsack_window=4)

    report, interrupt = callee.send(YIELD, invocation[1], PROGRESS, ["one"])
    (error,) = caller.take()

    assert report[:3] == [ERROR, YIELD, invocation[1]]
    assert report[6]["message"] == 'must be a whole number, got "one"'
    assert interrupt == [INTERRUPT, invocation[1], {"mode": "killnowait"}]
    assert error[6]["code"] == "hopsack.broken_result"


def test_a_caller_that_leaves_stops_its_callee(realm: Realm) -> None:
    caller, callee = pair(realm)
    invocation = called(caller, callee, receive_progress=True, x_hopsack_window=4)

    caller.leave()

    assert callee.take() == [[INTERRUPT, invocation[1], {"mode": "killnowait"}]]
    assert callee.send(YIELD, invocation[1], PROGRESS, [1]) == []


# ---- progressive inputs ---------------------------------------------------------------------------------------------


def test_further_inputs_are_invocations_with_the_same_number(realm: Realm) -> None:
    caller, callee = pair(realm, "lab.sum")
    invocation = called(caller, callee, "lab.sum", None, progress=True)

    callee.send(MORE, INVOCATION, invocation[1], 2)
    granted = [caller.take()]
    granted += [caller.send(CALL, 7, PROGRESS, "lab.sum", [number]) for number in (1, 2)]
    callee_got = callee.take()
    caller.send(CALL, 7, {}, "lab.sum")

    assert invocation[3]["progress"] is True
    assert granted == [[[MORE, CALL, 7, 1]], [[MORE, CALL, 7, 1]], []]
    assert callee_got == [[INVOCATION, *invocation[1:3], PROGRESS, [number]] for number in (1, 2)]
    assert callee.take() == [[INVOCATION, *invocation[1:3], {}]]
    callee.send(YIELD, invocation[1], {}, [3])
    assert caller.take() == [[RESULT, 7, {}, [3]]]


def test_a_callee_that_takes_one_input_only_is_not_asked(realm: Realm) -> None:
    caller, callee = pair(realm, "lab.sum", callee=HELLO_ROLES)

    (error,) = caller.send(CALL, 7, PROGRESS, "lab.sum", [None])

    assert error[4] == "wamp.error.feature_not_supported"
    assert callee.take() == []


def test_a_procedure_that_takes_one_input_only_says_so(realm: Realm) -> None:
    caller, callee = pair(realm)

    (error,) = caller.send(CALL, 7, PROGRESS, "lab.count", [1])

    assert (error[6]["code"], error[6]["advice"]) == (
        "hopsack.invalid",
        "declare what the others are in its contract, as inputs",
    )
    assert callee.take() == []


def test_an_input_that_breaks_the_contract_ends_the_call_and_those_behind_it_are_none_of_another(realm: Realm) -> None:
    caller, callee = pair(realm, "lab.sum")
    invocation = called(caller, callee, "lab.sum", None, progress=True)

    (error,) = caller.send(CALL, 7, PROGRESS, "lab.sum", ["one"])
    stopped = callee.take()
    behind = [caller.send(CALL, 7, PROGRESS, "lab.sum", [2]), caller.send(CALL, 7, {}, "lab.sum", [3])]

    assert (error[6]["code"], error[6]["message"]) == (
        "hopsack.invalid",
        'a further input: must be a whole number, got "one"',
    )
    assert stopped == [[INTERRUPT, invocation[1], {"mode": "killnowait"}]]
    assert behind == [[], []]
    assert callee.take() == []


def test_inputs_behind_a_call_that_was_refused_are_no_calls(realm: Realm) -> None:
    caller, callee = pair(realm, "lab.count", caller=HELLO_ROLES)

    refused = caller.send(CALL, 7, PROGRESS, "lab.count", [1])
    behind = [caller.send(CALL, 7, PROGRESS, "lab.count", [2]), caller.send(CALL, 7, {}, "lab.count", [3])]
    again = caller.send(CALL, 8, {}, "lab.count", [4])

    assert [one[0] for one in refused] == [ERROR]
    assert (behind, again) == ([[], []], [])
    assert [one[4] for one in callee.take()] == [[4]]


def test_a_keyed_call_has_one_input_and_one_result(open_realm: Realm) -> None:
    caller, callee = pair(open_realm, "lab.sum")

    (error,) = caller.send(CALL, 7, {**PROGRESS, "x_hopsack_key": "k"}, "lab.sum", [1])

    assert (error[4], error[6]["message"]) == ("wamp.error.invalid_argument", "a keyed call has one input")
    assert callee.take() == []


def test_inputs_that_come_before_there_is_a_callee_have_a_bound(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flowing, "EARLY_BYTES", 10)
    caller = realm.join(roles=FLOW_ROLES)
    asked = {"x_hopsack_wait": 2000, **PROGRESS}
    caller.send(CALL, 7, asked, "lab.sum", [None])

    answers = [caller.send(CALL, 7, PROGRESS, "lab.sum", [n]) for n in range(5)]
    (error,) = caller.send(CALL, 7, PROGRESS, "lab.sum", [5])

    assert answers == [[]] * 5
    assert error[4] == "hopsack.overloaded"


def test_a_caller_that_is_not_told_may_not_overrun(realm: Realm) -> None:
    caller, callee = pair(realm, "lab.sum", caller=HELLO_ROLES)
    invocation = called(caller, callee, "lab.sum", None, progress=True)
    callee.send(MORE, INVOCATION, invocation[1], 10)

    answers = [caller.send(CALL, 7, PROGRESS, "lab.sum", [n]) for n in range(10 + LENIENCE)]
    (error,) = caller.send(CALL, 7, PROGRESS, "lab.sum", [0])

    assert answers == [[]] * (10 + LENIENCE)
    assert error[4] == "hopsack.overloaded"
    assert [one[0] for one in callee.take()] == [INVOCATION] * (10 + LENIENCE) + [INTERRUPT]


def test_inputs_wait_while_the_callee_does_not_read(realm: Realm) -> None:
    caller, callee = pair(realm, "lab.sum")
    invocation = called(caller, callee, "lab.sum", None, progress=True)
    full(callee)

    callee.send(MORE, INVOCATION, invocation[1], 5)
    before = caller.take()
    empty(callee)

    assert before == []
    assert caller.take() == [[MORE, CALL, 7, 1]]


def test_results_and_inputs_flow_in_one_call(open_realm: Realm) -> None:
    caller, callee = pair(open_realm, "lab.echo")
    invocation = called(caller, callee, "lab.echo", 0, progress=True, receive_progress=True, x_hopsack_window=9)
    callee.send(MORE, INVOCATION, invocation[1], 9)
    caller.take()

    for number in range(3):
        caller.send_only(CALL, 7, PROGRESS, "lab.echo", [number])
        callee.send(YIELD, invocation[1], PROGRESS, [number])
    kinds = [one[0] for one in caller.send(CANCEL, 7, {"mode": "killnowait"})]

    assert kinds.count(RESULT) == 3
    assert kinds[-1] == ERROR
    assert callee.take()[-1] == [INTERRUPT, invocation[1], {"mode": "killnowait"}]


def test_nothing_is_remembered_of_a_call_that_has_ended(realm: Realm) -> None:
    caller, callee = pair(realm, "lab.sum")
    flowing = realm.node.router._dealer.flowing
    invocation = called(caller, callee, "lab.sum", None, progress=True)
    callee.send(MORE, INVOCATION, invocation[1], 5)
    caller.send(CALL, 7, {}, "lab.sum", [1])
    callee.send(YIELD, invocation[1], {}, [1])

    assert (flowing.flows, flowing.fed) == ({}, {})
    assert caller._link.room is None
    assert callee._link.room.reserved == 0  # type: ignore[union-attr]
