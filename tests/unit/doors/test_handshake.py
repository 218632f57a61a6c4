"""Who is let in by the opening handshake of a WebSocket, and what it is answered."""

from __future__ import annotations

import pytest

from hopsack.errors import BadRequest
from hopsack_router.doors.handshake import Opening, accept, answer, opening_of

GOOD = {
    b"Host": [b"node.example"],
    b"Upgrade": [b"websocket"],
    b"Connection": [b"keep-alive, Upgrade"],
    b"Sec-WebSocket-Key": [b"dGhlIHNhbXBsZSBub25jZQ=="],
    b"Sec-WebSocket-Version": [b"13"],
}


def opening(**changes: bytes | list[bytes] | None) -> Opening:
    """``Host=b"…"`` sets a field, a list repeats it, ``None`` leaves it out; ``_`` stands for ``-``."""
    fields = dict(GOOD)
    for name, value in changes.items():
        fields[name.replace("_", "-").encode()] = [] if value is None else value if isinstance(value, list) else [value]
    return opening_of(lambda name: fields.get(name, []))


def test_the_example_of_the_rfc() -> None:
    """Section 1.3."""
    assert accept(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_an_answer_tells_what_was_chosen() -> None:
    asked = opening(Sec_WebSocket_Protocol=[b"wamp.2.json, wamp.2.cbor", b"chat"], Sec_WebSocket_Extensions=b"x; y=1")

    said = answer(asked, "wamp.2.json", "permessage-deflate")

    assert asked.protocols == ("wamp.2.json", "wamp.2.cbor", "chat")
    assert asked.extensions == "x; y=1"
    assert said.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in said
    assert said.endswith(b"Sec-WebSocket-Protocol: wamp.2.json\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")


def test_nothing_is_told_that_was_not_chosen() -> None:
    said = answer(opening())

    assert b"Protocol:" not in said
    assert b"Extensions" not in said


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Host", None),
        ("Host", [b"a", b"b"]),
        ("Connection", b"keep-alive"),
        ("Upgrade", b"h2c"),
        ("Sec_WebSocket_Version", None),
        ("Sec_WebSocket_Version", b"8"),
        ("Sec_WebSocket_Version", [b"13", b"13"]),
        ("Sec_WebSocket_Key", None),
        ("Sec_WebSocket_Key", b"c2hvcnQ="),
        ("Sec_WebSocket_Key", b"dGhlIHNhbXBsZSBub25jZQ=!"),
        ("Sec_WebSocket_Protocol", b"chat, chat"),
    ],
)
def test_what_is_no_opening(field: str, value: bytes | list[bytes] | None) -> None:
    with pytest.raises(BadRequest) as refused:
        opening(**{field: value})

    assert refused.value.where in (field.replace("_", "-"), "Connection")
