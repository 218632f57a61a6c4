"""Frames of few bytes that would become much, at the WAMP doors."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from autobahn.wamp import message
from autobahn.wamp.exception import ProtocolError

from hopsack_router.doors.rfc6455 import websocket_frame
from hopsack_router.doors.swelling import MOST_FORWARDED, MOST_IN_BATCH, MOST_LISTED
from hopsack_router.doors.wamp import messages, wamp_format

HEAD = b"\x85\x10\x01\xa0" + cbor2.dumps("lab.told")
"""A PUBLISH up to its arguments."""


def read(name: str, payload: bytes) -> list[message.Message]:
    answers: list[Any] = []
    return list(messages(wamp_format(name, websocket_frame).serializer, payload, answers.append))


def doubled(times: int, reference: bytes) -> bytes:
    """A list in which each element is twice the one before it."""
    levels = [b"\xd8\x1c\x82\x01\x01", *(b"\xd8\x1c\x82" + 2 * (reference + cbor2.dumps(n)) for n in range(times))]
    return bytes((0x98, len(levels))) + b"".join(levels)


@pytest.mark.parametrize(
    "args",
    [
        doubled(30, b"\xd8\x1d"),
        doubled(30, b"\xd9\x00\x1d"),
        doubled(30, b"\xdb" + bytes(7) + b"\x1d"),
        b"\x81" + doubled(30, b"\xd8\x1d"),
        b"\x81\xd8\x1c\x81\xd8\x1d\x00",
        b"\x81\xd9\x01\x00\x98\x65" + cbor2.dumps("x" * 200) + b"\xd8\x19\x00" * 100,
        b"\x81\xd9\x9c\x40" + doubled(30, b"\xd8\x1d"),
        b"\x81\xc4\x82\x01\xc2\x59\x03\xe8" + b"\xff" * 1000,
        b"\x81\xc3\xd9\xd9\xf7\x5a\x00\x00\x03\xe8" + b"\xff" * 1000,
        b"\x81\xd8\x23" + cbor2.dumps("(a+)+$"),
        b"\x81\xd8\x24" + cbor2.dumps("Content-Type: multipart/mixed; boundary=a\n\n" + "--a\n\n" * 10),
        b"\x82\x5f\x42ab\x58\x1e" + b"x" * 30 + b"\xff\xda\x00\x00\x00\x23" + cbor2.dumps("a"),
    ],
    ids=[
        "shared",
        "written longer",
        "written longest",
        "deeper",
        "in itself",
        "texts",
        "in an unknown tag",
        "digits",
        "digits behind a tag",
        "regular expression",
        "MIME",
        "behind pieces",
    ],
)
def test_what_cbor_has_beyond_json_is_no_way_to_swell(args: bytes) -> None:
    with pytest.raises(ProtocolError, match="not JSON in CBOR"):
        read("cbor", HEAD + args)
    with pytest.raises(ProtocolError, match="not JSON in CBOR"):
        read("cbor.batched", len(HEAD + args).to_bytes(4) + HEAD + args)


@pytest.mark.parametrize(
    "value",
    [
        b"\xd8\x1d",
        b"\xd8\x19" * 100,
        [b"\xdb\x00\x1d"] * 50,
        0xD81D,
        1 << 100,
        -(1 << 100),
        "été" * 99,
        {"k" * 300: [b"\xd8\x24", 1 << 60, 1.5, None]},
    ],
    ids=repr,
)
def test_bytes_that_look_like_references_pass(value: Any) -> None:
    (read_back,) = read("cbor", HEAD + cbor2.dumps([value]))

    assert read_back.args == [value]


@pytest.mark.parametrize("name", ["json.batched", "msgpack.batched", "cbor.batched"])
def test_a_batch_is_bounded(name: str) -> None:
    one = wamp_format(name, websocket_frame).serializer.serialize(message.Publish(1, "lab.told"))[0]

    assert len(read(name, one * MOST_IN_BATCH)) == MOST_IN_BATCH
    with pytest.raises(ProtocolError, match="at most"):
        read(name, one * (MOST_IN_BATCH + 1))
    with pytest.raises(ProtocolError, match="at most"):
        read(name, bytes(1 << 20) if name != "json.batched" else b"[]\x18" * 300_000)


@pytest.mark.parametrize("name", ["json", "msgpack", "cbor"])
@pytest.mark.parametrize(
    ("option", "one", "most"),
    [
        ("exclude", 7, MOST_LISTED),
        ("eligible", 7, MOST_LISTED),
        ("exclude_authid", "ann", MOST_LISTED),
        ("eligible_authrole", "guest", MOST_LISTED),
        ("forward_for", {"session": 1, "authid": "a", "authrole": "b"}, MOST_FORWARDED),
    ],
)
def test_lists_of_options_have_a_bound(name: str, option: str, one: Any, most: int) -> None:
    """Five messages of 18,000 entries each were half a second of everybody's time."""

    def publish(entries: int) -> bytes:
        said = [16, 1, {option: [one] * entries}, "lab.told"]
        written: bytes = wamp_format(name, websocket_frame).serializer._serializer.serialize(said)
        return written

    (msg,) = read(name, publish(most))
    with pytest.raises(ProtocolError, match=option):
        read(name, publish(most + 1))
    assert len(getattr(msg, option)) == most
