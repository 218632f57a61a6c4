"""Topics whose payloads the node cannot read: it takes sealed ones and no others, keeps them, and passes them on."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from hopsack.contracts import Catalogue, ContractsInvalid, Source, build
from hopsack.privacy import KeyPair, KeyRing
from hopsack_router.doors.raw import FORMAT as RAW
from hopsack_router.doors.wamp import wamp_format
from hopsack_router.routing.fanout import Delivery
from hopsack_router.routing.unread import Carried

from .conftest import Realm
from .test_events import ERROR, EVENT, PUBLISH, PUBLISHED, SUBSCRIBE, details
from .test_permissions import call

CONTRACTS = """
topics:
  safe.{room}:
    summary: What nobody but its readers can read.
    encrypted: cryptobox
    payload: {type: object, required: [text], properties: {text: {type: string}}}
    publish: [user]
    subscribe: [user]
  safe.{room}.log:
    summary: The same, kept.
    encrypted: cryptobox
    stream: {keep: 10}
    latest: true
    publish: [user]
    subscribe: [user]
"""
RING = KeyRing({"safe": KeyPair.generate().private})
PASSTHROUGH: dict[str, Any] = {"enc_algo": "cryptobox", "enc_serializer": "json"}
ACKNOWLEDGED = {"acknowledge": True}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return build([Source("safe.yaml", "safe.yaml", CONTRACTS)])


@pytest.fixture
def realm(catalogue: Catalogue) -> Realm:
    return Realm.ours(catalogue)


def events(messages: list[list[Any]]) -> list[Any]:
    """The payloads that came opaque, as other doors have them."""
    found = [one for one in messages if one[0] == EVENT]
    assert all(isinstance(one[4], bytes) and one[3]["enc_algo"] == "cryptobox" for one in found)
    return [PASSTHROUGH | {"payload": base64.b64encode(one[4]).decode()} for one in found]


@pytest.mark.parametrize("topic", ["safe.hall", "safe.hall.log"])
def test_a_sealed_payload_reaches_wamp_readers_opaque_whichever_way_it_came(realm: Realm, topic: str) -> None:
    ann, bob = realm.join("user", "ann"), realm.join("user", "bob")
    bob.send(SUBSCRIBE, 1, {}, topic)
    sealed = [RING.seal(topic, {"text": text}) for text in ("one", "two")]

    (first,) = ann.send(PUBLISH, 1, ACKNOWLEDGED | PASSTHROUGH, topic, base64.b64decode(sealed[0]["payload"]))
    (second,) = ann.send(PUBLISH, 2, ACKNOWLEDGED, topic, [sealed[1]])
    got = events(bob.take())

    assert (first[0], second[0]) == (PUBLISHED, PUBLISHED)
    assert got == sealed
    assert [RING.open(topic, one) for one in got] == [{"text": "one"}, {"text": "two"}]


@pytest.mark.parametrize(
    ("options", "payload"),
    [
        ({}, [{"text": "for all to read"}]),
        ({}, ["text"]),
        ({}, []),
        ({}, [RING.seal("safe.hall", 1) | {"also": 1}]),
        ({}, [RING.seal("safe.hall", 1) | {"enc_algo": "x_mine"}]),
        ({}, [RING.seal("safe.hall", 1) | {"payload": "not base64!"}]),
        ({"enc_algo": "x_mine", "enc_serializer": "json"}, b"zzz"),
        ({"enc_algo": "cryptobox", "enc_serializer": "cbor"}, b"zzz"),
        ({"enc_algo": "cryptobox"}, b"zzz"),
        (PASSTHROUGH | {"enc_key": "k" * 70_000}, b"zzz"),
    ],
)
def test_nothing_else_is_taken(realm: Realm, options: dict[str, Any], payload: Any) -> None:
    ann, bob = realm.join("user", "ann"), realm.join("user", "bob")
    bob.send(SUBSCRIBE, 1, {}, "safe.hall")

    (error,) = ann.send(PUBLISH, 1, ACKNOWLEDGED | options, "safe.hall", payload)

    assert (error[0], details(error)["code"]) == (ERROR, "hopsack.invalid")
    assert bob.take() == []


def test_a_clear_payload_is_told_what_is_missing(realm: Realm) -> None:
    (error,) = realm.join("user", "ann").send(PUBLISH, 1, ACKNOWLEDGED, "safe.hall", [{"text": "for all to read"}])

    assert "encrypted" in details(error)["message"]
    assert "key ring" in details(error)["advice"]


def test_who_may_not_publish_may_not_publish_what_is_sealed(realm: Realm) -> None:
    service = realm.join("service", "post")
    sealed = RING.seal("safe.hall", 1)

    for options, payload in ((PASSTHROUGH, base64.b64decode(sealed["payload"])), ({}, [sealed])):
        (error,) = service.send(PUBLISH, 1, ACKNOWLEDGED | options, "safe.hall", payload)
        assert details(error)["code"] == "hopsack.denied"


def test_what_is_kept_is_shown_and_read_back_sealed(realm: Realm) -> None:
    ann, bob = realm.join("user", "ann"), realm.join("user", "bob")
    topic = "safe.hall.log"
    sealed = [RING.seal(topic, number) for number in (1, 2)]
    for number, one in enumerate(sealed, 1):
        ann.send(PUBLISH, number, ACKNOWLEDGED, topic, [one])

    shown = events(bob.send(SUBSCRIBE, 1, {"get_retained": True}, topic))
    page = call(bob, "hopsack.stream.read", {"topic": topic})

    assert shown == sealed[1:]
    assert [event["data"] for event in page["events"]] == sealed


def test_doors_that_speak_json_get_the_value() -> None:
    sealed = RING.seal("safe.hall", "hello")
    delivery = Delivery(
        "safe.hall",
        1,
        "exact",
        2,
        Carried(None, None, None),
        payload=base64.b64decode(sealed["payload"]),
        **PASSTHROUGH,
    )

    assert sealed["payload"].encode() in RAW.event(delivery)
    assert b'"enc_serializer":"json"' in RAW.event(delivery)
    assert ("\\u0000" + sealed["payload"]) in wamp_format("json", lambda data, _: data).event(delivery).decode()


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("latest: true", "latest: text", "cannot read the fields"),
        ("encrypted: cryptobox\n    stream", "encrypted: rot13\n    stream", "must be `cryptobox`"),
        ("    encrypted: cryptobox\n    stream", "    stream", "`payload` is missing"),
    ],
)
def test_contracts_that_ask_for_what_cannot_be_are_refused(old: str, new: str, wrong: str) -> None:
    assert old in CONTRACTS

    with pytest.raises(ContractsInvalid, match=wrong):
        build([Source("safe.yaml", "safe.yaml", CONTRACTS.replace(old, new))])
