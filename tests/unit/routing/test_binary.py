"""Binary values keep their meaning between serializers, as WAMP has it; between two of the same nobody looks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from hopsack.wamp.codec import JSON, MSGPACK, Codec
from hopsack.wamp.messages import ABSENT
from hopsack_router.routing.unread import Carried

from .conftest import Realm
from .test_events import EVENT, PUBLISH, SUBSCRIBE

BINARY = [b"\x00\xff", {"deep": [b"", "text"]}]
AS_TEXT = ["\0AP8=", {"deep": ["\0", "text"]}]


def carried(codec: Codec, value: Any) -> Carried:
    encode = msgspec.msgpack.encode if codec.is_binary else msgspec.json.encode
    return Carried(codec, Raw(encode(value)), ABSENT)


def decoded(raw: Raw, codec: Codec) -> Any:
    return (msgspec.msgpack if codec.is_binary else msgspec.json).decode(raw)


def test_bytes_become_strings_that_say_so() -> None:
    assert decoded(carried(MSGPACK, BINARY).encoded(JSON)[0], JSON) == AS_TEXT


def test_and_back() -> None:
    assert decoded(carried(JSON, AS_TEXT).encoded(MSGPACK)[0], MSGPACK) == BINARY


def test_what_autobahn_has_read_goes_out_as_what_it_is() -> None:
    read = Carried(None, BINARY, {"k": b"\xff"})

    assert [decoded(raw, MSGPACK) for raw in read.encoded(MSGPACK)] == [BINARY, {"k": b"\xff"}]
    assert [decoded(raw, JSON) for raw in read.encoded(JSON)] == [AS_TEXT, {"k": "\0/w=="}]


@pytest.mark.parametrize("value", [["łąka"], ["\0not base64"], [{"x\0": 1}], [0xC4C5C6], ["\\u0000"]])
def test_what_only_looks_like_it_stays_as_it_is(value: list[Any]) -> None:
    assert decoded(carried(MSGPACK, value).encoded(JSON)[0], JSON) == value
    assert decoded(carried(JSON, value).encoded(MSGPACK)[0], MSGPACK) == value


def test_a_rare_option_does_not_change_what_an_event_carries(open_realm: Realm) -> None:
    reader, sam = open_realm.join(), open_realm.join(authid="sam")
    reader.send(SUBSCRIBE, 1, {}, "lab.box")

    for options in ({}, {"exclude_authid": ["nobody"]}):
        sam.send(PUBLISH, 1, options, "lab.box", BINARY)

    assert [(one[0], one[4]) for one in reader.take()] == [(EVENT, BINARY)] * 2
