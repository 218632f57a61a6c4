"""RawSocket framing: whole conversations between two machines, in pieces of any size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopsack.errors import UsageError
from hopsack.session import Received
from hopsack.wamp.rawsocket import (
    LARGEST,
    Broken,
    Output,
    Pinged,
    Ponged,
    RawSocket,
    Shaken,
    exponent_for,
    frame,
)


def client(limit: int = LARGEST) -> RawSocket:
    return RawSocket("client", serializers=(2,), limit=limit)


def server(limit: int = LARGEST) -> RawSocket:
    return RawSocket("server", serializers=(1, 2), limit=limit)


def opened(machine: RawSocket, peer_limit_nibble: int = 15) -> RawSocket:
    machine.receive(bytes((0x7F, peer_limit_nibble << 4 | 2, 0, 0)))
    return machine


def test_a_handshake_tells_each_side_the_other_s_limit() -> None:
    ours, theirs = client(limit=1000), server()

    [asked] = theirs.receive(ours.hello())
    assert asked == Shaken(serializer=2, limit=1024)
    [answered] = ours.receive(theirs.hello(2))

    assert ours.hello() == b"\x7f\x12\0\0"
    assert answered == Shaken(serializer=2, limit=LARGEST)


def test_ping_and_pong() -> None:
    ours, theirs = opened(client()), opened(server())

    [ping] = theirs.receive(frame(b"are you there", 1))
    assert isinstance(ping, Pinged)

    assert ours.receive(ping.answer) == [Ponged(b"are you there")]


@given(st.lists(st.binary(max_size=300), max_size=20), st.data())
def test_messages_arrive_whole_however_the_bytes_are_cut(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"\x7f\xf2\0\0" + b"".join(frame(message) for message in messages)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=12)))
    machine = server()

    outputs: list[Output] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        outputs += machine.receive(stream[start:end])

    assert outputs == [Shaken(2, LARGEST), *map(Received, messages)]


@pytest.mark.parametrize(
    ("bytes_", "reason", "answer"),
    [
        (b"GET ", "not RawSocket: the first byte is 0x47, not 0x7f", b""),
        (b"\x7f\xf3\0\0", "serializer unsupported: 3", b"\x7f\x10\0\0"),
        (b"\x7f\xf0\0\0", "serializer unsupported: 0", b"\x7f\x10\0\0"),
        (b"\x7f\xf2\0\1", "use of reserved bits", b"\x7f\x30\0\0"),
    ],
)
def test_a_server_refuses_a_handshake_with_the_number_of_the_reason(bytes_: bytes, reason: str, answer: bytes) -> None:
    machine = server()

    assert machine.receive(bytes_ + frame(b"x")) == [Broken(reason, answer)]
    assert machine.receive(frame(b"x")) == []


@pytest.mark.parametrize(
    ("bytes_", "reason"),
    [
        (b"\x7f\x10\0\0", "serializer unsupported"),
        (b"\x7f\x20\0\0", "maximum message length unacceptable"),
        (b"\x7f\x90\0\0", "refused with the unknown error 9"),
        (b"\x7f\xf1\0\0", "serializer unsupported: 1"),
        (b"HTTP", "not RawSocket: the first byte is 0x48, not 0x7f"),
    ],
)
def test_a_client_says_why_it_was_refused(bytes_: bytes, reason: str) -> None:
    assert client().receive(bytes_) == [Broken(reason)]


def test_a_frame_that_is_too_long_is_refused_before_it_is_collected() -> None:
    machine = opened(client(limit=512))

    outputs = machine.receive(frame(b"x" * 512) + b"\x00\x00\x02\x01")

    assert outputs == [
        Received(b"x" * 512),
        Broken("a frame of 513 bytes, and at most 512 were agreed"),
    ]


def test_an_unknown_type_of_frame_ends_it() -> None:
    assert opened(client()).receive(b"\x03\0\0\0") == [Broken("a frame of the unknown type 3")]


@given(st.integers(1, 1 << 24))
def test_the_exponent_is_the_smallest_that_holds_the_limit(limit: int) -> None:
    exponent = exponent_for(limit)

    assert 9 <= exponent <= 24
    assert limit <= 1 << exponent
    assert exponent == 9 or limit > 1 << (exponent - 1)


def test_what_cannot_be_framed_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        exponent_for(LARGEST + 2)
    with pytest.raises(UsageError):
        frame(bytes(LARGEST + 1))


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_random_bytes_are_outputs_or_one_broken(pieces: list[bytes]) -> None:
    machine = opened(server(limit=512))

    outputs = [output for piece in pieces for output in machine.receive(piece)]

    assert not any(isinstance(output, Broken) for output in outputs[:-1])
