"""WebSocket messages come out whole, however the bytes come in, and what may not be sent is told by its code."""

from __future__ import annotations

import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopsack_router.doors.deflate import compress
from hopsack_router.doors.rfc6455 import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Incoming,
    Violation,
    frame,
    reason_in,
    unmask,
)

KEY = b"\x37\xfa\x21\x3d"
FIN, COMPRESSED, MASKED = 0x80, 0x40, 0x80


def sent(first: int, payload: bytes = b"", key: bytes = KEY) -> bytes:
    """A frame as a client sends it."""
    plain = frame(first, payload)
    head = plain[: len(plain) - len(payload)]
    return bytes((head[0], head[1] | MASKED)) + head[2:] + key + unmask(payload, key)


def read(*chunks: bytes, max_size: int = 1 << 20, inflating: bool = False) -> list[tuple[int, bytes]]:
    incoming = Incoming(max_size, inflating)
    return [one for chunk in chunks for one in incoming.received(chunk)]


MESSAGES = st.lists(
    st.one_of(
        st.tuples(st.just(BINARY), st.lists(st.binary(max_size=200), min_size=1, max_size=4)),
        st.tuples(st.just(TEXT), st.lists(st.text(max_size=80).map(str.encode), min_size=1, max_size=4)),
        st.tuples(st.sampled_from((PING, PONG)), st.lists(st.binary(max_size=125), min_size=1, max_size=1)),
    ),
    max_size=6,
)


def on_the_wire(kind: int, parts: list[bytes]) -> bytes:
    """A message in as many frames as it has parts, with a ping between them."""
    frames = [
        sent((FIN if number == len(parts) else 0) | (kind if number == 1 else CONTINUATION), part)
        for number, part in enumerate(parts, 1)
    ]
    return sent(FIN | PING, b"between").join(frames)


@given(messages=MESSAGES, cuts=st.lists(st.integers(0, 2000), max_size=20))
def test_any_cut_gives_the_same_messages(messages: list[tuple[int, list[bytes]]], cuts: list[int]) -> None:
    stream = b"".join(on_the_wire(kind, parts) for kind, parts in messages)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})

    got = read(*(stream[a:b] for a, b in pairwise(places)))

    assert [one for one in got if one != (PING, b"between")] == [(kind, b"".join(parts)) for kind, parts in messages]


def test_the_example_of_the_rfc() -> None:
    """Section 5.7: a masked text message of one frame."""
    assert read(bytes.fromhex("818537fa213d7f9f4d5158")) == [(TEXT, b"Hello")]


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_every_form_of_a_length(size: int) -> None:
    assert read(sent(FIN | BINARY, b"x" * size)) == [(BINARY, b"x" * size)]


WRONG = {
    "no mask": frame(FIN | TEXT, b"a"),
    "a reserved bit": sent(FIN | 0x20 | TEXT),
    "compressed, and nobody agreed": sent(FIN | COMPRESSED | TEXT),
    "a reserved opcode": sent(FIN | 0x3),
    "a reserved control opcode": sent(FIN | 0xB),
    "nothing to continue": sent(FIN | CONTINUATION),
    "a message within a message": sent(TEXT, b"a") + sent(FIN | TEXT, b"b"),
    "a fragmented ping": sent(PING),
    "a long ping": sent(FIN | PING, b"x" * 126),
    "a length too long a form": bytes((FIN | BINARY, MASKED | 126)) + b"\x00\x05" + KEY + b"abcde",
    "a length too large": bytes((FIN | BINARY, MASKED | 127)) + b"\xff" * 8 + KEY,
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_against_the_protocol(name: str) -> None:
    with pytest.raises(Violation) as violation:
        read(WRONG[name])

    assert violation.value.code == 1002


def test_what_came_before_a_violation_counts() -> None:
    messages = Incoming(100).received(sent(FIN | TEXT, b"good") + frame(FIN | TEXT, b"bad"))

    assert next(messages) == (TEXT, b"good")
    with pytest.raises(Violation):
        next(messages)


@pytest.mark.parametrize(
    "stream",
    [
        sent(FIN | TEXT, b"\xc3"),
        sent(FIN | TEXT, b"\xed\xa0\x80"),
        sent(TEXT, b"\xce\xba\xff"),  # before the last fragment
        sent(TEXT, b"\xc3") + sent(FIN | CONTINUATION, b""),
        sent(FIN | TEXT, b"ab\xff" + b"c" * 100)[:12],  # before the end of the frame
    ],
)
def test_text_that_is_not_utf8_is_known_at_its_first_wrong_byte(stream: bytes) -> None:
    with pytest.raises(Violation) as violation:
        read(stream)

    assert violation.value.code == 1007


def test_a_character_may_be_cut_by_fragments() -> None:
    assert read(sent(TEXT, b"\xc3"), sent(FIN | CONTINUATION, b"\xbc")) == [(TEXT, "ü".encode())]


@pytest.mark.parametrize(
    "stream",
    [
        sent(FIN | BINARY, b"x" * 101)[:8],  # its head is enough
        sent(BINARY, b"x" * 60) + sent(FIN | CONTINUATION, b"x" * 41),
        sent(FIN | COMPRESSED | BINARY, compress(b"x" * 1_000_000, 15) or b""),
    ],
)
def test_a_message_that_is_too_large(stream: bytes) -> None:
    with pytest.raises(Violation) as violation:
        read(stream, max_size=100 if len(stream) < 500 else 2000, inflating=True)

    assert violation.value.code == 1009


def test_messages_in_fragments_may_be_compressed() -> None:
    text = b'{"text": "' + b"again and " * 100 + b'"}'
    squeezed = compress(text, 15)
    assert squeezed is not None

    got = read(sent(COMPRESSED | TEXT, squeezed[:7]), sent(FIN, squeezed[7:]), sent(FIN | TEXT, b"{}"), inflating=True)

    assert got == [(TEXT, text), (TEXT, b"{}")]


def test_a_compressed_message_is_text_all_the_same() -> None:
    squeezed = compress(b"\xff" * 300, 15)
    assert squeezed is not None

    for payload in (squeezed, b"no deflate at all"):
        with pytest.raises(Violation) as violation:
            read(sent(FIN | COMPRESSED | TEXT, payload), inflating=True)
        assert violation.value.code == 1007


def test_what_ends_with_a_final_block_is_read_too() -> None:
    """RFC 7692, section 7.2.3.4: a sender may set BFINAL."""
    deflater = zlib.compressobj(wbits=-15)
    squeezed = deflater.compress(b"final") + deflater.flush(zlib.Z_FINISH) + b"\x00"

    assert read(sent(FIN | COMPRESSED | BINARY, squeezed), inflating=True) == [(BINARY, b"final")]


@pytest.mark.parametrize(
    ("payload", "said"),
    [(b"", (None, "")), (b"\x03\xe8", (1000, "")), (b"\x11\x30gone", (4400, "gone")), (b"\x03\xf3", (1011, ""))],
)
def test_the_reason_of_a_close(payload: bytes, said: tuple[int | None, str]) -> None:
    assert read(sent(FIN | CLOSE, payload)) == [(CLOSE, payload)]
    assert reason_in(payload) == said


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"\x03", 1002), (b"\x00\x00", 1002), (b"\x03\xed", 1002), (b"\x07\xd0", 1002), (b"\x03\xe8\xff", 1007)],
)
def test_a_reason_that_is_none(payload: bytes, code: int) -> None:
    with pytest.raises(Violation) as violation:
        reason_in(payload)

    assert violation.value.code == code
