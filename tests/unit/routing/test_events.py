"""From PUBLISH to EVENT: who gets what, in which bytes, and what goes back to the sender."""

from __future__ import annotations

from typing import Any

import pytest

from hopsack_router import metrics

from .conftest import Realm

SUBSCRIBE, SUBSCRIBED, PUBLISH, PUBLISHED, EVENT, ERROR = 32, 33, 16, 17, 36, 8
READING = {"celsius": 21.5}


def details(error: list[Any]) -> dict[str, Any]:
    assert error[0] == ERROR, error
    facts: dict[str, Any] = error[6]
    return facts


def test_an_event_reaches_its_subscriber_after_its_acknowledgement(realm: Realm) -> None:
    service, guest = realm.join("service"), realm.join()
    ((_, _, subscription),) = guest.send(SUBSCRIBE, 1, {}, "lab.reading")

    (published,) = service.send(PUBLISH, 7, {"acknowledge": True}, "lab.reading", [READING])
    (event,) = guest.take()

    assert published[:2] == [PUBLISHED, 7]
    assert event == [EVENT, subscription, published[2], {}, [READING]]


def test_events_of_one_publisher_stay_in_order_whatever_the_exclusion_list(realm: Realm) -> None:
    service, outsider = realm.join("service"), realm.join()
    readers = [realm.join(authid=f"reader{n}") for n in range(150)]
    for reader in readers:
        reader.send(SUBSCRIBE, 1, {}, "lab.reading")

    for n in range(20):
        options = {"exclude": [outsider.session]} if n % 2 else {}
        service.send(PUBLISH, n + 1, options, "lab.reading", [{"celsius": n}])

    expected = [{"celsius": n} for n in range(20)]
    assert all([message[4][0] for message in reader.take()] == expected for reader in readers)


def test_all_readers_of_one_serializer_get_the_same_bytes(realm: Realm) -> None:
    service = realm.join("service")
    frames: list[bytes] = []
    for n in range(3):
        reader = realm.join(authid=f"reader{n}")
        reader.send(SUBSCRIBE, 1, {}, "lab.reading")
        reader._link._receive = frames.append

    service.send(PUBLISH, 1, {}, "lab.reading", [READING])

    assert len(frames) == 3
    assert frames[0] is frames[1] is frames[2]


@pytest.mark.parametrize(
    ("payload", "path"),
    [({"celsius": "warm"}, "/celsius"), ({}, ""), ({"celsius": 1, "kelvin": 2}, ""), ("warm", ""), (None, "")],
)
def test_a_payload_that_breaks_its_contract_goes_back_and_reaches_nobody(realm: Realm, payload: Any, path: str) -> None:
    service, guest = realm.join("service"), realm.join()
    guest.send(SUBSCRIBE, 1, {}, "lab.reading")

    (error,) = service.send(PUBLISH, 1, {"acknowledge": True}, "lab.reading", [payload])

    facts = details(error)
    assert (facts["code"], facts["where"]) == ("hopsack.invalid", "lab.reading")
    assert facts["path"].startswith(path)
    assert guest.take() == []


@pytest.mark.parametrize("arguments", [[], [[]], [[READING, READING]], [[READING], {"more": 1}]])
def test_an_event_is_one_value(realm: Realm, arguments: list[Any]) -> None:
    service = realm.join("service")

    (error,) = service.send(PUBLISH, 1, {"acknowledge": True}, "lab.reading", *arguments)

    assert details(error)["code"] == "hopsack.invalid"


def test_an_undeclared_topic_is_refused_with_the_nearest_declared_one(realm: Realm) -> None:
    service = realm.join("service")

    (on_publish,) = service.send(PUBLISH, 1, {"acknowledge": True}, "lab.readng", [READING])
    (on_subscribe,) = service.send(SUBSCRIBE, 2, {}, "lab.readings")

    for error in (on_publish, on_subscribe):
        facts = details(error)
        assert facts["code"] == "hopsack.undeclared"
        assert facts["data"]["nearest"] == "lab.reading"
        assert "lab.reading" in facts["advice"]


def test_roles_decide_who_publishes_and_who_subscribes(realm: Realm) -> None:
    guest = realm.join()

    (on_publish,) = guest.send(PUBLISH, 1, {"acknowledge": True}, "lab.reading", [READING])
    (on_subscribe,) = guest.send(SUBSCRIBE, 2, {}, "lab.secret")

    assert [details(error)["code"] for error in (on_publish, on_subscribe)] == ["hopsack.denied"] * 2
    assert "service" in details(on_publish)["advice"]


def test_a_pattern_is_no_way_around_a_contract(realm: Realm) -> None:
    """Stock Crossbar hands everything below a prefix to who may subscribe to the prefix as a topic."""
    guest, service = realm.join(), realm.join("service")

    (denied,) = guest.send(SUBSCRIBE, 1, {"match": "prefix"}, "lab.")
    (allowed,) = service.send(SUBSCRIBE, 1, {"match": "prefix"}, "lab.")
    (rooms,) = guest.send(SUBSCRIBE, 2, {"match": "wildcard"}, "lab.room.")

    assert details(denied)["code"] == "hopsack.denied"
    assert "lab.secret" in details(denied)["advice"]
    assert allowed[0] == rooms[0] == SUBSCRIBED


def test_a_pattern_subscriber_learns_the_topic(realm: Realm) -> None:
    ann, bob = realm.join(), realm.join(authid="bob")
    bob.send(SUBSCRIBE, 1, {"match": "wildcard"}, "lab.room.")

    ann.send(PUBLISH, 1, {}, "lab.room.kitchen", ["tea?"])

    ((_, _, _, event_details, args),) = bob.take()
    assert (event_details, args) == ({"topic": "lab.room.kitchen"}, ["tea?"])


def test_the_publisher_is_left_out_unless_it_asks(realm: Realm) -> None:
    ann = realm.join()
    ann.send(SUBSCRIBE, 1, {}, "lab.room.hall")

    without = ann.send(PUBLISH, 1, {}, "lab.room.hall", ["one"])
    included = ann.send(PUBLISH, 2, {"exclude_me": False}, "lab.room.hall", ["two"])

    assert without == []
    assert [message[4] for message in included] == [["two"]]


@pytest.mark.parametrize(
    ("options", "receivers"),
    [
        ({}, {"ann", "bob", "cid"}),
        ({"exclude_authid": ["bob"]}, {"ann", "cid"}),
        ({"eligible_authid": ["bob"]}, {"bob"}),
        ({"eligible_authrole": ["service"]}, {"cid"}),
        ({"exclude_authrole": ["service"]}, {"ann", "bob"}),
    ],
)
def test_black_and_white_lists(realm: Realm, options: dict[str, Any], receivers: set[str]) -> None:
    readers = {"ann": realm.join(), "bob": realm.join(authid="bob"), "cid": realm.join("service", "cid")}
    for reader in readers.values():
        reader.send(SUBSCRIBE, 1, {}, "lab.reading")

    realm.join("service", "sam").send(PUBLISH, 1, options, "lab.reading", [READING])

    assert {name for name, reader in readers.items() if reader.take()} == receivers


def test_lists_of_roles_are_asked_of_readers_alone(realm: Realm) -> None:
    """Not of all sessions of the role, of which there may be ten thousand."""
    ann, cid, sam = realm.join(), realm.join("service", "cid"), realm.join("service", "sam")
    for reader in (ann, cid):
        reader.send(SUBSCRIBE, 1, {}, "lab.reading")
    router: Any = realm.node.router
    router._authrole_to_sessions = None

    sam.send(PUBLISH, 1, {"eligible_authrole": ["guest"]}, "lab.reading", [READING])
    sam.send(PUBLISH, 2, {"exclude_authrole": ["guest"]}, "lab.reading", [READING])

    assert [len(ann.take()), len(cid.take())] == [1, 1]


def test_what_was_queued_is_counted_and_nothing_else(realm: Realm) -> None:
    """Not the publisher, which is left out, nor a reader that does not take so much."""
    sam, ann, small = realm.join("service"), realm.join(), realm.join(max_size=1024)
    for reader in (sam, ann, small):
        reader.send(SUBSCRIBE, 1, {}, "lab.users.ann" if reader is sam else "lab.room.hall")
    ann.send(SUBSCRIBE, 2, {"match": "wildcard"}, "lab.room.")
    bob = realm.join(authid="bob")
    bob.send(SUBSCRIBE, 1, {}, "lab.room.hall")
    before = deliveries()

    ann.send(PUBLISH, 1, {}, "lab.room.hall", ["x" * 3000])
    large = deliveries() - before
    ann.send(PUBLISH, 2, {"exclude_me": False}, "lab.room.hall", ["x"])

    assert large == 1  # bob
    assert deliveries() - before - large == 4  # ann twice, bob, small


def deliveries() -> float:
    counted = metrics.REGISTRY.get_sample_value("hopsack_deliveries_total")
    assert counted is not None
    return counted


def test_the_meta_topics_are_not_for_guests_and_not_in_a_wide_pattern(realm: Realm) -> None:
    guest, service = realm.join(), realm.join("service", "sam")

    (denied,) = guest.send(SUBSCRIBE, 1, {}, "wamp.session.on_join")
    service.send(SUBSCRIBE, 1, {"match": "prefix"}, "")
    realm.join(authid="newcomer")

    assert details(denied)["code"] == "hopsack.denied"
    assert not [message for message in service.take() if message[3]["topic"].startswith("wamp.")]


def test_meta_events_tell_public_facts_only(realm: Realm) -> None:
    service = realm.join("service", "sam")
    service.send(SUBSCRIBE, 1, {}, "wamp.session.on_join")

    newcomer = realm.join(authid="newcomer")

    ((_, _, _, _, (facts,)),) = service.take()
    assert facts["session"] == newcomer.session
    assert set(facts) == {"session", "authid", "authrole", "authmethod", "authprovider", "transport"}
    assert facts["transport"] == {"type": "wamp-rawsocket", "peer": "memory"}


@pytest.mark.parametrize("topic", ["lab..reading", "lab.rea ding", "lab.#"])
def test_a_topic_that_is_no_uri_is_refused_and_the_session_goes_on(realm: Realm, topic: str) -> None:
    service = realm.join("service")

    (error,) = service.send(PUBLISH, 1, {"acknowledge": True}, topic, [READING])
    (published,) = service.send(PUBLISH, 2, {"acknowledge": True}, "lab.reading", [READING])

    assert details(error)["code"] in ("hopsack.undeclared", "hopsack.invalid_uri")
    assert published[0] == PUBLISHED
