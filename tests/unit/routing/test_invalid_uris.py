"""A URI that is none is answered, in every request and every serializer; the connection goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from autobahn.wamp import message
from autobahn.wamp.exception import ProtocolError

from hopsack_router.doors.sse import PLAIN as SSE
from hopsack_router.doors.wamp import _unframed, wamp_format

from .conftest import Client, Realm
from .test_calls import CALL, REGISTER
from .test_events import ERROR, PUBLISH, SUBSCRIBE, SUBSCRIBED, details
from .test_retained import Reader

LONG = "lab." + "x" * 997
BAD = ["lab.rea ding", "lab..reading", "lab.#", "", "lab.reading\n", "\nlab", LONG, 5, None, 1.5, ["lab"], {"lab": 1}]
SERIALIZERS = ["json", "msgpack", "cbor"]
Say = Callable[..., list[Any]]


def speaking(client: Client, name: str) -> Say:
    """From now on it speaks this serialization."""
    link: Any = client._link
    link.format, link._serializer = wamp_format(name, _unframed), wamp_format(name, _unframed).serializer
    codec = link._serializer._serializer
    link._receive = lambda data: client.received.extend(codec.unserialize(data))

    def say(*said: Any) -> list[Any]:
        link.receive(said[0] if isinstance(said[0], bytes) else codec.serialize(list(said)))
        return client.take()

    return say


@pytest.mark.parametrize("uri", BAD, ids=lambda uri: repr(uri)[:20])
@pytest.mark.parametrize("kind", [PUBLISH, SUBSCRIBE, CALL, REGISTER])
@pytest.mark.parametrize("name", SERIALIZERS)
def test_it_is_answered_and_the_connection_goes_on(open_realm: Realm, name: str, kind: int, uri: Any) -> None:
    say = speaking(open_realm.join("service"), name)

    (error,) = say(kind, 7, {"acknowledge": True} if kind == PUBLISH else {}, uri)
    (subscribed,) = say(SUBSCRIBE, 8, {}, "lab.reading")

    assert error[:3] == [ERROR, kind, 7]
    assert details(error)["code"] == "hopsack.invalid_uri"
    assert len(str(error)) < 1000
    assert subscribed[0] == SUBSCRIBED


@pytest.mark.parametrize("uri", BAD, ids=lambda uri: repr(uri)[:20])
def test_nobody_waits_for_the_answer_to_a_publish_without_acknowledgement(open_realm: Realm, uri: Any) -> None:
    say = speaking(open_realm.join(), "msgpack")

    assert say(PUBLISH, 7, {}, uri) == []
    assert say(SUBSCRIBE, 8, {}, "lab.reading")[0][0] == SUBSCRIBED


@pytest.mark.parametrize("match", ["prefix", "wildcard"])
def test_a_line_break_is_in_no_pattern(open_realm: Realm, match: str) -> None:
    (error,) = open_realm.join().send(SUBSCRIBE, 1, {"match": match}, "lab.\n")

    assert details(error)["code"] == "hopsack.invalid_uri"


GARBAGE = [
    [CALL, "seven", {}, 5],
    [CALL, -1, {}, 5],
    [CALL, 7, 5, 5],
    [CALL, 7, {}],
    [CALL],
    [1, 5, {"roles": {"caller": {}}}],
    [70, "seven", {}],
]


@pytest.mark.parametrize("said", GARBAGE, ids=lambda uri: repr(uri)[:20])
@pytest.mark.parametrize("name", SERIALIZERS)
def test_what_is_no_request_ends_the_connection_as_before(open_realm: Realm, name: str, said: list[Any]) -> None:
    client = open_realm.join()
    say = speaking(client, name)

    with pytest.raises(ProtocolError):
        say(*said)

    assert client.take() == []
    assert not client._link.isOpen()


@pytest.mark.parametrize("name", ["json", "msgpack"])
def test_what_stands_behind_a_message_ends_the_connection(open_realm: Realm, name: str) -> None:
    client = open_realm.join()
    say = speaking(client, name)
    codec: Any = client._link._serializer

    with pytest.raises(ProtocolError):
        say(codec._serializer.serialize([CALL, 7, {}, 5]) + b"]]")

    assert not client._link.isOpen()


def test_no_line_break_reaches_the_door_whose_fields_end_with_one(open_realm: Realm) -> None:
    reader = Reader(open_realm, SSE)
    assert reader._session is not None
    reader._session.onMessage(message.Subscribe(1, "lab.room.", "wildcard"))
    open_realm.turn()
    reader.frames.clear()

    (error,) = open_realm.join().send(PUBLISH, 1, {"acknowledge": True}, "lab.room.x\n", ["id: 7"])

    assert details(error)["code"] == "hopsack.invalid_uri"
    assert reader.frames == []


@pytest.mark.parametrize("kind", [PUBLISH, SUBSCRIBE, CALL, REGISTER])
@pytest.mark.parametrize("match", ["exact", "prefix", "wildcard"])
@pytest.mark.parametrize("start", ["", "lab.", "wamp.", "lab.room."])
def test_a_long_name_is_not_told_back(realm: Realm, kind: int, match: str, start: str) -> None:
    options = {SUBSCRIBE: {"match": match}, REGISTER: {"match": match}, PUBLISH: {"acknowledge": True}}

    said = (["said"],) if kind in (PUBLISH, CALL) else ()

    (error,) = realm.join().send(kind, 7, options.get(kind, {}), start + "x" * 1_000_000, *said)

    assert details(error)["code"] == "hopsack.invalid_uri"
    assert len(str(error)) < 1000
