"""Sealed payloads: what a key ring seals its readers open, stock clients too, and nobody else."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from autobahn.wamp.cryptobox import Key as StockKey
from autobahn.wamp.cryptobox import KeyRing as StockRing
from autobahn.wamp.types import EncodedPayload
from hypothesis import given
from hypothesis import strategies as st

from hopsack import session as on
from hopsack.errors import Invalid, UsageError
from hopsack.privacy import Key, KeyPair, KeyRing
from hopsack.wamp.codec import CODECS
from hopsack.wamp.session import WampSession

ANN, BOB, EVE = KeyPair.generate(), KeyPair.generate(), KeyPair.generate()
TOPIC = "chat.secret.kitchen"

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_what_is_sealed_is_opened_as_it_was(value: Any) -> None:
    ring = KeyRing({"chat.secret": ANN.private})

    sealed = ring.seal(TOPIC, value)

    assert sealed.keys() == {"enc_algo", "enc_serializer", "payload"}
    assert ring.open(TOPIC, sealed) == value


def test_the_longest_name_wins_and_names_end_at_dots() -> None:
    outer, inner = Key.shared(ANN.private), Key.shared(BOB.private)
    ring = KeyRing({"chat": outer, "chat.secret": inner})

    found = [ring.key_of(topic) for topic in ("chat.secret", TOPIC, "chat.secrets", "chat.x", "chatter", "other")]

    assert found == [inner, inner, outer, outer, None, None]
    assert KeyRing({"": outer}).key_of("other.topic") is outer


def test_without_a_key_payloads_are_left_alone() -> None:
    ring = KeyRing({"chat.secret": ANN.private})

    assert ring.seal("chat.open", "hello") == "hello"
    assert ring.open("chat.open", "hello") == "hello"
    assert ring.open(TOPIC, "hello") == "hello"  # it was not sealed: on an encrypted topic the node takes none such


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sealed: {**sealed, "payload": sealed["payload"][:-8] + "AAAAAAA="},
        lambda sealed: {**sealed, "payload": "AAAA"},
        lambda sealed: {**sealed, "payload": "no base64"},
        lambda sealed: {**sealed, "payload": 7},
        lambda sealed: {**sealed, "enc_algo": "x_other"},
        lambda sealed: {**sealed, "enc_serializer": "cbor"},
        lambda sealed: KeyRing({"": EVE.private}).seal(TOPIC, "hello"),
        lambda sealed: KeyRing({"": ANN.private}).seal("chat.secret.hall", "hello"),
    ],
)
def test_what_is_changed_or_from_elsewhere_is_not_opened(spoil: Any) -> None:
    ring = KeyRing({"chat.secret": ANN.private})

    with pytest.raises(Invalid) as refused:
        ring.open(TOPIC, spoil(ring.seal(TOPIC, "hello")))

    assert refused.value.where == TOPIC


def test_publishers_and_readers_may_have_keys_of_their_own() -> None:
    publisher = KeyRing({TOPIC: Key(publisher=ANN.private, reader_public=BOB.public)})
    reader = KeyRing({TOPIC: Key(reader=BOB.private, publisher_public=ANN.public)})

    sealed = publisher.seal(TOPIC, {"text": "hello"})

    assert reader.open(TOPIC, sealed) == {"text": "hello"}
    with pytest.raises(UsageError):
        reader.seal(TOPIC, "hello")
    with pytest.raises(UsageError):
        publisher.open(TOPIC, sealed)


@pytest.mark.parametrize("keys", [{}, {"publisher": ANN.private}, {"reader_public": BOB.public}])
def test_too_few_keys_are_none(keys: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        Key(**keys)


@pytest.mark.parametrize("key", ["short", "!" * 44, "AAAA", "A" * 43 + "=AAAA"])
def test_what_is_no_key_is_said_to_be_none(key: str) -> None:
    with pytest.raises(UsageError, match="32 bytes in base64"):
        KeyRing({TOPIC: key})


def test_nothing_shows_a_key() -> None:
    ring = KeyRing({TOPIC: ANN.private})

    assert ANN.private not in repr(ring) + repr(ring.key_of(TOPIC)) + str(ring)


# ----- with Autobahn's


def stock(key: str | StockKey) -> StockRing:
    ring = StockRing()
    ring.set_key("chat.secret", key)
    return ring


@pytest.mark.parametrize("value", ["grüße", {"a": [1, 2.5, None]}, None, [1, 2]])
def test_stock_clients_open_what_we_seal(value: Any) -> None:
    sealed = KeyRing({"chat.secret": ANN.private}).seal(TOPIC, value)
    carried = EncodedPayload(base64.b64decode(sealed["payload"]), sealed["enc_algo"], sealed["enc_serializer"])

    assert stock(ANN.private).decode(False, TOPIC, carried) == (TOPIC, [value], None)


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (((["hello"], None)), "hello"),
        ((None, {"text": "hello"}), {"text": "hello"}),
        ((None, None), None),
        (([1, 2], None), [1, 2]),
    ],
)
def test_we_open_what_stock_clients_seal(arguments: Any, value: Any) -> None:
    encoded = stock(StockKey(originator_priv=BOB.private, responder_pub=ANN.public)).encode(True, TOPIC, *arguments)
    sealed = {"enc_algo": "cryptobox", "enc_serializer": "json", "payload": base64.b64encode(encoded.payload).decode()}

    ring = KeyRing({"chat.secret": Key(reader=ANN.private, publisher_public=BOB.public)})

    assert ring.open(TOPIC, sealed) == value


# ----- on the wire


@pytest.mark.parametrize("name", ["json", "msgpack"])
def test_opaque_bytes_of_wamp_are_the_value_that_other_doors_bring(name: str) -> None:
    write = {"json": msgspec.json.encode, "msgpack": msgspec.msgpack.encode}[name]
    ring = KeyRing({"chat.secret": ANN.private})
    sealed = ring.seal(TOPIC, {"text": "hello"})
    data = "\0" + sealed["payload"] if name == "json" else base64.b64decode(sealed["payload"])
    session = WampSession(CODECS[name], realm="hopsack", agent="hopsack-python/9")
    session.take(on.Opened(1 << 20))
    session.take(on.Received(write([2, 77, {"authid": "ann", "authrole": "user"}])))
    session.take(on.SubscribeRequested("ticket", TOPIC, "exact"))
    session.take(on.Received(write([33, 1, 5])))

    (event,) = session.take(on.Received(write([36, 5, 901, {"enc_algo": "cryptobox", "enc_serializer": "json"}, data])))

    assert isinstance(event, on.Deliver)
    assert event.payload.read() == sealed
    assert ring.opened(TOPIC, event.payload).read() == {"text": "hello"}
    assert ring.opened(TOPIC, event.payload).read_as(dict[str, str]) == {"text": "hello"}


def test_bytes_that_are_none_are_said_to_be_none() -> None:
    session = WampSession(CODECS["json"], realm="hopsack", agent="hopsack-python/9")
    session.take(on.Opened(1 << 20))
    session.take(on.Received(b'[2, 77, {"authid": "ann", "authrole": "user"}]'))
    session.take(on.SubscribeRequested("ticket", TOPIC, "exact"))
    session.take(on.Received(b"[33, 1, 5]"))

    (event,) = session.take(on.Received(b'[36, 5, 901, {"enc_algo": "cryptobox"}, [1]]'))

    assert isinstance(event, on.Deliver)
    with pytest.raises(Invalid):
        event.payload.read()
