"""Who is asked: what REGISTER and contracts say of it, on the routing core in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer

from hopsack.contracts import load
from hopsack_router.doors.wamp import messages

from .conftest import Client, Realm
from .test_call_ends import invocation
from .test_calls import CALL, ERROR, INVOCATION, REGISTER, REGISTERED, YIELD
from .test_events import details

CONTRACTS = """
procedures:
  lab.any:
    summary: Whoever it may be.
    input: {type: number}
    output: {type: number}
    register: [service]
    call: [guest]
  lab.least:
    summary: Who has the least to do.
    input: {type: number}
    output: {type: number}
    invoke: least
    register: [service]
    call: [guest]
  lab.only:
    summary: One callee, whatever they ask for.
    input: {type: number}
    output: {type: number}
    invoke: single
    register: [service]
    call: [guest]
  lab.orders.{shop}.place:
    summary: By shop.
    input: {type: number}
    output: {type: number}
    shard_by: "{shop}"
    register: [service]
    call: [guest]
  lab.order:
    summary: By order.
    input:
      type: object
      required: [order]
      properties: {order: {type: integer}}
    output: {type: number}
    shard_by: order
    register: [service]
    call: [guest]
"""


@pytest.fixture
def realm(tmp_path: Path) -> Realm:
    (tmp_path / "lab.yaml").write_text(CONTRACTS)
    return Realm.ours(load(tmp_path))


def services(realm: Realm, count: int, procedure: str, **options: Any) -> list[Client]:
    some = [realm.join("service", f"s{number}") for number in range(count)]
    for one in some:
        (registered,) = one.send(REGISTER, 1, options, procedure)
        assert registered[0] == REGISTERED, registered
    return some


def call(guest: Client, number: int, procedure: str, payload: Any = 1) -> None:
    assert not [one for one in guest.send(CALL, number, {}, procedure, [payload]) if one[0] == ERROR]


def test_least_asks_who_has_the_fewest_calls_in_hand(realm: Realm) -> None:
    one, two = services(realm, 2, "lab.any", invoke="roundrobin", x_hopsack_invoke="least")
    guest = realm.join()
    call(guest, 1, "lab.any")
    call(guest, 2, "lab.any")
    busy = invocation(one)
    two.send(YIELD, invocation(two), {}, [1])

    call(guest, 3, "lab.any")
    call(guest, 4, "lab.any")

    assert [len(two.take()), len(one.take())] == [1, 1]
    one.send(YIELD, busy, {}, [1])


def test_of_the_idle_the_fastest_is_asked(realm: Realm) -> None:
    slow, fast = services(realm, 2, "lab.any", x_hopsack_invoke="least")
    guest = realm.join()
    call(guest, 1, "lab.any")
    realm.clock.advance(0.1)
    slow.send(YIELD, invocation(slow), {}, [1])
    call(guest, 2, "lab.any")
    realm.clock.advance(0.05)
    fast.send(YIELD, invocation(fast), {}, [1])

    for number in (3, 4, 5):
        call(guest, number, "lab.any")
        fast.send(YIELD, invocation(fast), {}, [1])

    assert slow.take() == []


@pytest.mark.parametrize("serializer", [CBORSerializer, JsonSerializer, MsgPackSerializer])
def test_the_policy_is_read_in_every_encoding(serializer: Any) -> None:
    codec = serializer()
    options = {"invoke": "roundrobin", "x_hopsack_invoke": "least"}

    (register,) = messages(codec, codec._serializer.serialize([REGISTER, 1, options, "lab.any"]), lambda _: None)

    assert register.invoke == "least"


def test_what_the_meta_api_tells_of_it(realm: Realm) -> None:
    (one,) = services(realm, 1, "lab.any", x_hopsack_invoke="least")
    (found,) = one.send(CALL, 2, {}, "wamp.registration.lookup", ["lab.any"])

    (told,) = one.send(CALL, 3, {}, "wamp.registration.get", found[3])

    assert told[3][0]["invoke"] == "least"


@pytest.mark.parametrize("asked", [{}, {"invoke": "roundrobin"}, {"invoke": "first"}])
def test_a_contract_overrides_what_callees_ask_for(realm: Realm, asked: dict[str, Any]) -> None:
    services(realm, 2, "lab.least", **asked)


def test_a_contract_may_want_one_callee(realm: Realm) -> None:
    services(realm, 1, "lab.only", x_hopsack_invoke="least")

    (error,) = realm.join("service", "second").send(REGISTER, 1, {"x_hopsack_invoke": "least"}, "lab.only")

    assert details(error)["code"] == "hopsack.already_registered"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"x_hopsack_invoke": "least"}, {"invoke": "roundrobin"}),
        ({"invoke": "roundrobin"}, {"x_hopsack_invoke": "least"}),
    ],
)
def test_a_stock_callee_that_asks_for_turns_serves_beside_ours(
    realm: Realm, first: dict[str, Any], second: dict[str, Any]
) -> None:
    services(realm, 1, "lab.any", **first)

    (registered,) = realm.join("service", "second").send(REGISTER, 1, second, "lab.any")

    assert registered[0] == REGISTERED


def test_callees_that_disagree_are_told(realm: Realm) -> None:
    services(realm, 1, "lab.any", x_hopsack_invoke="least")

    (error,) = realm.join("service", "second").send(REGISTER, 1, {"invoke": "first"}, "lab.any")

    assert error[4] == "wamp.error.procedure_exists_with_different_invocation_policy"


def who_gets(some: list[Client]) -> Client:
    (asked,) = [one for one in some if any(message[0] == INVOCATION for message in one.take())]
    return asked


def test_the_same_key_goes_to_the_same_callee_while_it_is_there(realm: Realm) -> None:
    some = services(realm, 4, "lab.order")
    guest = realm.join()
    first = {}
    for number in range(40):
        call(guest, number + 1, "lab.order", {"order": number})
        first[number] = who_gets(some)
    gone = some.pop()
    gone.leave()
    guest.take()

    second = {}
    for number in range(40):
        call(guest, number + 100, "lab.order", {"order": float(number) if number % 2 else number})
        second[number] = who_gets(some)

    assert len(set(first.values())) == 4
    assert {number for number in first if first[number] is not second[number]} == {
        number for number, one in first.items() if one is gone
    }


def test_the_key_may_stand_in_the_uri(realm: Realm) -> None:
    some = services(realm, 3, "lab.orders..place", match="wildcard")
    guest = realm.join()

    for number, shop in enumerate(["aa", "bb", "cc", "dd"] * 2):
        call(guest, number + 1, f"lab.orders.{shop}.place")

    counts = [len(one.take()) for one in some]
    assert sum(counts) == 8
    assert all(count % 2 == 0 for count in counts)


def test_who_has_stalled_is_passed_over_until_it_answers(realm: Realm) -> None:
    one, two = services(realm, 2, "lab.any", invoke="roundrobin")
    guest = realm.join()
    call(guest, 1, "lab.any")
    stuck = invocation(one)
    realm.clock.advance(0.79)
    call(guest, 2, "lab.any")  # its turn was the other one's
    two.send(YIELD, invocation(two), {}, [1])
    call(guest, 3, "lab.any")
    before = len(one.take())
    realm.clock.advance(0.01)

    for number in (4, 5, 6):
        call(guest, number, "lab.any")
        two.send(YIELD, invocation(two), {}, [1])
    passed_over = one.take()
    one.send(YIELD, stuck, {}, [1])
    call(guest, 7, "lab.any")
    call(guest, 8, "lab.any")

    assert (before, passed_over) == (1, [])
    assert len(one.take()) == 1


def test_where_all_have_stalled_they_share_as_ever(realm: Realm) -> None:
    some = services(realm, 2, "lab.any", invoke="roundrobin")
    guest = realm.join()
    for number in (1, 2):
        call(guest, number, "lab.any")
    realm.clock.advance(5)

    for number in (3, 4):
        call(guest, number, "lab.any")

    assert [len(one.take()) for one in some] == [2, 2]


def test_calls_that_nobody_waits_for_count_as_work_until_they_are_answered(realm: Realm) -> None:
    one, two = services(realm, 2, "lab.any", x_hopsack_invoke="least")
    guest, other = realm.join(), realm.join()
    call(guest, 1, "lab.any")
    abandoned = invocation(one)
    guest.leave()
    one.take()

    call(other, 1, "lab.any")
    two.send(YIELD, invocation(two), {}, [1])
    call(other, 2, "lab.any")
    two.send(YIELD, invocation(two), {}, [1])
    one.send(ERROR, INVOCATION, abandoned, {}, "wamp.error.canceled")
    call(other, 3, "lab.any")

    assert len(one.take()) + len(two.take()) == 1
