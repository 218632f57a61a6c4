"""The codec speaks the same WAMP as Autobahn, and never looks into a payload it only passes on."""

from __future__ import annotations

import contextlib
import math
from typing import Any, get_args

import msgspec
import pytest
import txaio
from hypothesis import given
from hypothesis import strategies as st

from hopsack.wamp import messages as wamp
from hopsack.wamp.codec import CODECS, JSON, MSGPACK, Codec, Malformed

txaio.use_twisted()  # before the first import of Autobahn, which takes its clock from txaio while it is imported

from autobahn.wamp import message as autobahn  # noqa: E402
from autobahn.wamp.serializer import JsonSerializer, MsgPackSerializer  # noqa: E402

ids = st.integers(1, 2**53)
uris = st.from_regex(r"[a-z]{1,8}(\.[a-z0-9_]{1,8}){0,3}", fullmatch=True)
texts = st.text().filter(lambda text: not text.startswith("\0"))
"""A string that begins with NUL stands for bytes in WAMP's JSON, and Autobahn reads it so."""
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
payloads = st.tuples(
    st.lists(values, max_size=3) | st.none(), st.dictionaries(st.text(min_size=1), values, max_size=3) | st.none()
)
codecs = st.sampled_from(list(CODECS.values()))
STOCK = {"msgpack": MsgPackSerializer(), "json": JsonSerializer()}


def packed(codec: Codec, args: list[Any] | None, kwargs: dict[str, Any] | None) -> dict[str, msgspec.Raw]:
    """Arguments as a message carries them; Autobahn leaves out what is empty, and so does this."""
    return {
        "args": codec.pack(args) if args else wamp.ABSENT,
        "kwargs": codec.pack(kwargs) if kwargs else wamp.ABSENT,
    }


@given(codecs, ids, uris, payloads)
def test_autobahn_reads_what_we_write(codec: Codec, request: int, uri: str, payload: Any) -> None:
    call = wamp.Call(request, {}, uri, **packed(codec, *payload))

    [read] = STOCK[codec.name].unserialize(codec.encode(call), codec.is_binary)

    assert isinstance(read, autobahn.Call)
    assert (read.request, read.procedure) == (request, uri)
    assert (read.args or [], read.kwargs or {}) == (payload[0] or [], payload[1] or {})


@given(codecs, ids, ids, payloads)
def test_we_read_what_autobahn_writes(codec: Codec, subscription: int, publication: int, payload: Any) -> None:
    event = autobahn.Event(subscription, publication, args=payload[0], kwargs=payload[1], publisher=7)

    read = codec.decode(STOCK[codec.name].serialize(event)[0])

    assert isinstance(read, wamp.Event)
    assert (read.subscription, read.publication, read.details) == (subscription, publication, {"publisher": 7})
    assert (codec.unpack(read.args) or []) == (payload[0] or [])
    assert (codec.unpack(read.kwargs) or {}) == (payload[1] or {})


@given(codecs, ids, payloads)
def test_a_payload_is_passed_on_byte_for_byte(codec: Codec, request: int, payload: Any) -> None:
    incoming = codec.decode(codec.encode(wamp.Call(request, {}, "a.b", **packed(codec, *payload))))
    assert isinstance(incoming, wamp.Call)

    outgoing = codec.decode(codec.encode(wamp.Invocation(1, 2, {}, incoming.args, incoming.kwargs)))

    assert isinstance(outgoing, wamp.Invocation)
    assert bytes(outgoing.args) == bytes(incoming.args)
    assert bytes(outgoing.kwargs) == bytes(incoming.kwargs)


@given(values)
def test_both_codecs_give_a_value_back(value: Any) -> None:
    assert [codec.unpack(codec.pack(value)) for codec in (MSGPACK, JSON)] == [value, value]


@given(codecs, values)
def test_a_message_is_written_the_same_in_one_pass(codec: Codec, value: Any) -> None:
    args = wamp.ABSENT if value is None else codec.pack([value])

    assert codec.write((48, 1, {}, "a.b"), value) == codec.encode(wamp.Call(1, {}, "a.b", args))


def test_a_payload_is_decoded_straight_into_a_type() -> None:
    class Sample(msgspec.Struct):
        host: str
        data: bytes = b""

    for codec in (MSGPACK, JSON):
        assert codec.unpack_as(codec.pack([{"host": "a"}]), Sample) == Sample("a")
        for elsewhere in ([], [{"host": "a"}, 2], [{"host": 1}], {"host": "a"}):
            with pytest.raises(msgspec.MsgspecError):
                codec.unpack_as(codec.pack(elsewhere), Sample)
        with pytest.raises(msgspec.MsgspecError):
            codec.unpack_as(wamp.ABSENT, Sample)


def test_arguments_that_are_absent_are_not_written() -> None:
    nothing = wamp.Yield(3, {})
    only_keywords = wamp.Yield(3, {}, kwargs=JSON.pack({"a": 1}))

    assert JSON.encode(nothing) == b"[70,3,{}]"
    assert JSON.encode(only_keywords) == b'[70,3,{},[],{"a":1}]'


def test_what_json_has_no_word_for_is_written_the_same_by_both() -> None:
    class Sample(msgspec.Struct):
        data: bytes

    assert JSON.unpack(JSON.pack(Sample(b"hi"))) == {"data": "aGk="}
    assert MSGPACK.unpack(MSGPACK.pack(Sample(b"hi"))) == {"data": "aGk="}
    with pytest.raises(TypeError):
        JSON.pack(object())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x91\x63",
        b"\x93\x30\x01\x80",
        b"\x94\x30\x01\x80\xa1\xff",
        b"\x91" * 100_000,
        b"\x95\x30\x01\x80\xa1a" + b"\x91" * 100_000 + b"\x00",
        b"\x94\x30\xa1x\x80\xa1a",
        b"\x94\x30\x01\x80\xa1a\x00",
    ],
)
def test_what_is_no_message_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        MSGPACK.decode(data)


@given(codecs, st.binary(max_size=200))
def test_random_bytes_are_a_message_or_malformed(codec: Codec, data: bytes) -> None:
    with contextlib.suppress(Malformed):
        codec.decode(data)


def test_a_payload_is_only_looked_into_when_it_is_asked_for() -> None:
    read = MSGPACK.decode(b"\x95\x46\x01\x80\x91\xa1\xff\x80")
    assert isinstance(read, wamp.Yield)

    with pytest.raises(Malformed):
        MSGPACK.unpack(read.args)


def test_numbers_of_the_messages_are_the_specification_s() -> None:
    kinds = [kind for kind in get_args(wamp.Message) if kind is not wamp.More]  # ours

    assert wamp.More.number() in range(256, 1024)
    assert [kind.number() for kind in kinds] == [getattr(autobahn, kind.__name__).MESSAGE_TYPE for kind in kinds]


def test_not_a_number_is_not_json() -> None:
    assert JSON.unpack(JSON.pack(math.nan)) is None
