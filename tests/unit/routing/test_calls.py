"""From CALL to RESULT: what a caller and a callee see, and what the gate keeps from whom."""

from __future__ import annotations

from typing import Any

import pytest

from hopsack_router.routing import placing

from .conftest import Client, Realm
from .test_events import details

REGISTER, REGISTERED, CALL, INVOCATION, YIELD, RESULT, ERROR = 64, 65, 48, 68, 70, 50, 8


def serve(client: Client, procedure: str = "lab.double") -> None:
    (registered,) = client.send(REGISTER, 1, {}, procedure)
    assert registered[0] == REGISTERED, registered


def test_a_call_reaches_its_callee_with_the_callers_identity(realm: Realm) -> None:
    service, guest = realm.join("service"), realm.join(authid="gus")
    serve(service)

    guest.send(CALL, 5, {}, "lab.double", [21])
    ((_, request, _, invocation_details, args),) = service.take()
    service.send(YIELD, request, {}, [42])
    ((_, call, _, result),) = guest.take()

    assert args == [21]
    assert {key: invocation_details[key] for key in ("caller", "caller_authid", "caller_authrole")} == {
        "caller": guest.session,
        "caller_authid": "gus",
        "caller_authrole": "guest",
    }
    assert (call, result) == (5, [42])


def test_an_input_that_breaks_the_contract_never_reaches_the_callee(realm: Realm) -> None:
    service, guest = realm.join("service"), realm.join()
    serve(service)

    (error,) = guest.send(CALL, 1, {}, "lab.double", ["many"])

    assert details(error)["code"] == "hopsack.invalid"
    assert error[4] == "wamp.error.invalid_argument"
    assert service.take() == []


def test_a_result_that_breaks_the_contract_is_withheld_from_the_caller(realm: Realm) -> None:
    service, guest = realm.join("service"), realm.join()
    serve(service)
    guest.send(CALL, 1, {}, "lab.double", [21])
    ((_, request, *_),) = service.take()

    told_service = service.send(YIELD, request, {}, ["forty-two"])
    (error,) = guest.take()

    assert details(error)["code"] == "hopsack.broken_result"
    assert "forty-two" not in str(error)
    assert told_service == [], "a stock client would close the connection over an ERROR for its YIELD"


def test_a_client_of_ours_is_told_that_its_result_broke_the_contract(realm: Realm) -> None:
    service, guest = realm.join("service", agent="hopsack-python/0.1.0"), realm.join()
    serve(service)
    guest.send(CALL, 1, {}, "lab.double", [21])
    ((_, request, *_),) = service.take()

    (report,) = service.send(YIELD, request, {}, ["forty-two"])

    assert report[:3] == [ERROR, YIELD, request]
    assert details(report)["code"] == "hopsack.broken_result"
    assert details(report)["path"] == ""


def test_a_declared_error_arrives_as_itself(realm: Realm) -> None:
    service, guest = realm.join("service"), realm.join()
    serve(service)
    guest.send(CALL, 1, {}, "lab.double", [21])
    ((_, request, *_),) = service.take()

    service.send(ERROR, INVOCATION, request, {}, "lab.overheated", ["too hot"], {"code": "lab.overheated"})

    (error,) = guest.take()
    assert error[4:6] == ["lab.overheated", ["too hot"]]


def test_an_undeclared_error_arrives_as_an_incident_without_its_text(realm: Realm) -> None:
    service, guest = realm.join("service"), realm.join()
    serve(service)
    guest.send(CALL, 1, {}, "lab.double", [21])
    ((_, request, *_),) = service.take()

    service.send(ERROR, INVOCATION, request, {}, "wamp.error.runtime_error", ["KeyError: password of ann"])

    (error,) = guest.take()
    facts = details(error)
    assert facts["code"] == "hopsack.internal"
    assert len(facts["data"]["incident"]) == 8
    assert "ann" not in str(error)


def test_a_declared_procedure_that_nobody_serves(realm: Realm) -> None:
    (error,) = realm.join().send(CALL, 1, {}, "lab.double", [1])

    assert error[4] == "wamp.error.no_such_procedure"
    assert details(error)["code"] == "hopsack.no_callee"
    assert details(error)["retry"] == "later"


def test_an_undeclared_procedure_is_refused_with_the_nearest(realm: Realm) -> None:
    (on_call,) = realm.join().send(CALL, 1, {}, "lab.duoble", [1])
    (on_register,) = realm.join("service").send(REGISTER, 1, {}, "lab.doubles")

    for error in (on_call, on_register):
        assert details(error)["code"] == "hopsack.undeclared"
        assert details(error)["data"]["nearest"] == "lab.double"


def test_registering_takes_the_role_and_patterns_cannot_hijack(realm: Realm) -> None:
    guest = realm.join()

    (exact,) = guest.send(REGISTER, 1, {}, "lab.double")
    (prefix,) = guest.send(REGISTER, 2, {"match": "prefix"}, "lab.")

    assert [details(error)["code"] for error in (exact, prefix)] == ["hopsack.denied"] * 2


def test_a_second_registration_is_refused(realm: Realm) -> None:
    serve(realm.join("service"))

    (error,) = realm.join("service", "other").send(REGISTER, 1, {}, "lab.double")

    assert error[4] == "wamp.error.procedure_already_exists"


def test_a_callee_that_vanishes_ends_its_calls(realm: Realm) -> None:
    service, guest = realm.join("service"), realm.join()
    serve(service)
    guest.send(CALL, 1, {}, "lab.double", [21])

    service.leave()

    (error,) = guest.take()
    assert error[4] == "wamp.error.canceled"


@pytest.mark.parametrize(
    ("role", "procedure", "allowed"),
    [
        ("guest", "wamp.session.count", False),
        ("guest", "wamp.session.kill", False),
        ("service", "wamp.session.count", True),
        ("service", "wamp.session.kill", False),
        ("service", "wamp.registration.remove_callee", False),
        ("service", "wamp.subscription.remove_subscriber", False),
        ("operator", "wamp.session.count", True),
    ],
)
def test_the_meta_api_is_not_for_everybody(realm: Realm, role: str, procedure: str, allowed: bool) -> None:
    (answer,) = realm.join(role).send(CALL, 1, {}, procedure)

    assert answer[0] == (RESULT if allowed else ERROR)
    if not allowed:
        assert details(answer)["code"] == "hopsack.denied"


def result(answer: list[list[Any]]) -> Any:
    ((kind, _, _, args),) = answer
    assert kind == RESULT
    return args[0]


def test_the_node_lists_what_it_has(realm: Realm) -> None:
    service, operator = realm.join("service", "lab"), realm.join("operator", "me")
    serve(service)
    service.send(32, 1, {}, "lab.room.hall")

    topics = {topic["uri"]: topic for topic in result(operator.send(CALL, 1, {}, "hopsack.topics.list"))}
    procedures = {one["uri"]: one for one in result(operator.send(CALL, 2, {}, "hopsack.procedures.list"))}
    services = result(operator.send(CALL, 3, {}, "hopsack.services.list"))
    sessions = result(operator.send(CALL, 4, {}, "hopsack.sessions.list"))

    assert topics["lab.room.{room}"]["subscribers"] == 1
    assert topics["lab.reading"]["subscribers"] == 0
    assert procedures["lab.double"]["callees"] == 1
    assert services == [
        {
            "name": "lab",
            "instances": 1,
            "procedures": ["lab.double"],
            "sessions": [service.session],
            "answering": [],
        },
    ]
    assert [(one["authid"], one["role"], one["door"]) for one in sessions] == [
        ("lab", "service", "wamp-rawsocket"),
        ("me", "operator", "wamp-rawsocket"),
    ]


def test_what_is_used_without_a_contract_is_listed_too(open_realm: Realm) -> None:
    service, operator = open_realm.join("service", "lab"), open_realm.join("operator", "me")
    service.send(REGISTER, 1, {}, "old.stock")
    for number, (uri, options) in enumerate([("old.price", {}), ("old.", {"match": "prefix"})], 2):
        service.send(32, number, options, uri)
        operator.send(32, number, options, uri)
    operator.take()

    topics = {one["uri"]: one for one in result(operator.send(CALL, 9, {}, "hopsack.topics.list"))}
    procedures = {one["uri"]: one for one in result(operator.send(CALL, 10, {}, "hopsack.procedures.list"))}

    assert topics["old.price"] == {"uri": "old.price", "summary": "", "subscribers": 2}
    assert topics["old."]["subscribers"] == 2
    assert procedures["old.stock"] == {"uri": "old.stock", "summary": "", "callees": 1}
    assert not any(uri.startswith("wamp.") for uri in topics | procedures)


def test_progressive_call_invocations_of_clients_that_know_nothing_of_us(open_realm: Realm) -> None:
    """WAMP advanced profile; stock Crossbar has none."""
    roles = {"callee": {"features": {"progressive_call_invocations": True}}}
    service, guest = open_realm.join("service", roles=roles), open_realm.join()
    service.send(REGISTER, 1, {}, "lab.sum")

    for number, options in enumerate(({"progress": True}, {"progress": True}, {}), 1):
        guest.send(CALL, 7, options, "lab.sum", [number])
    asked = service.take()
    service.send(YIELD, asked[-1][1], {}, [6])

    assert [(one[0], one[4], one[3].get("progress", False)) for one in asked] == [
        (INVOCATION, [1], True),
        (INVOCATION, [2], True),
        (INVOCATION, [3], False),
    ]
    assert len({one[1] for one in asked}) == 1
    assert guest.take() == [[RESULT, 7, {}, [6]]]


def test_a_cancel_reaches_the_newest_call_with_its_number(open_realm: Realm) -> None:
    service, guest = open_realm.join("service"), open_realm.join()
    service.send(REGISTER, 1, {}, "lab.sum")
    for number in (1, 2):
        guest.send(CALL, 7, {}, "lab.sum", [number])
    first, second = service.take()

    canceled = guest.send(49, 7, {"mode": "skip"})
    again = guest.send(49, 7, {"mode": "skip"})
    for one in (first, second):
        service.send(YIELD, one[1], {}, [one[4][0]])

    assert [message[4] for message in canceled] == ["wamp.error.canceled"]
    assert again == []
    assert [message[3] for message in guest.take()] == [[1]]
    dealer: Any = open_realm.node.router._dealer
    assert not dealer._invocations
    assert not dealer._invocations_by_call


def test_a_session_has_so_many_calls_under_way_and_no_more(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "MAX_CALLS", 2)
    service, guest, other = realm.join("service"), realm.join(authid="gus"), realm.join(authid="eve")
    serve(service)
    for number in (1, 2):
        guest.send(CALL, number, {}, "lab.double", [21])

    refused = details(guest.send(CALL, 3, {}, "lab.double", [21])[0])
    other.send(CALL, 1, {}, "lab.double", [21])
    asked = [message[1] for message in service.take()]
    service.send(YIELD, asked[0], {}, [42])
    guest.take()
    again = guest.send(CALL, 4, {}, "lab.double", [21])

    assert (refused["code"], refused["data"]) == ("hopsack.overloaded", {"retry_after": 1.0})
    assert len(asked) == 3
    assert again == []
