"""JSON, msgpack and CBOR that are too deep, too large, or wide beyond reason, on every door.

Each is refused, or taken as what it is. Where a door answers, its answer says so; where the protocol has no answer, the
connection is closed.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

import cbor2
import msgspec
import pytest

from .attacker import BINARY, FIN, TEXT, Attacker, masked
from .conftest import Log

pytestmark = pytest.mark.node

Connect = Callable[[], Attacker]
DEPTH = 100_000
HELLO = [1, "hopsack", {"roles": {"caller": {}, "publisher": {}}}]
SERIALIZERS = {"json": 1, "msgpack": 2, "cbor": 3}

ENCODE: dict[str, Callable[[Any], bytes]] = {
    "json": lambda value: json.dumps(value).encode(),
    "msgpack": msgspec.msgpack.encode,
    "cbor": cbor2.dumps,
}

ODD = {
    "deep arrays": {
        "json": b"[" * DEPTH,
        "msgpack": b"\x91" * DEPTH,
        "cbor": b"\x81" * DEPTH,
    },
    "deep and closed": {
        "json": b"[" * DEPTH + b"]" * DEPTH,
        "msgpack": b"\x91" * DEPTH + b"\xc0",
        "cbor": b"\x81" * DEPTH + b"\xf6",
    },
    "deep objects": {
        "json": b'{"a":' * DEPTH + b"1" + b"}" * DEPTH,
        "msgpack": b"\x81\xa1a" * DEPTH + b"\xc0",
        "cbor": b"\xa1\x61a" * DEPTH + b"\xf6",
    },
    "an array of four billion": {
        "json": b"[" + b"0," * 100_000,
        "msgpack": b"\xdd\xff\xff\xff\xff",
        "cbor": b"\x9a\xff\xff\xff\xff",
    },
    "an object of four billion": {
        "json": b'{"a":1,' * 10_000,
        "msgpack": b"\xdf\xff\xff\xff\xff",
        "cbor": b"\xba\xff\xff\xff\xff",
    },
    "a string of four gigabytes": {
        "json": b'"' + b"x" * 100_000,
        "msgpack": b"\xdb\xff\xff\xff\xff",
        "cbor": b"\x7b\x00\x00\x01\x00\x00\x00\x00\x00",
    },
    "a string that never ends": {
        "json": b'"\\',
        "msgpack": b"\xd9",
        "cbor": b"\x7f" + b"\x61x" * 100_000,
    },
    "a number of a hundred thousand digits": {
        "json": b"1" * 100_000,
        "msgpack": b"\xcf",
        "cbor": b"\xc2\x5a\x00\x01\x86\xa0" + b"\xff" * 100_000,
    },
    "a number beyond all": {
        "json": b"1e999999999",
        "msgpack": b"\xcb\x7f\xf0\0\0\0\0\0\0",
        "cbor": b"\xc4\x82\x1a\x3b\x9a\xca\x00\x01",  # 1 * 10 ** 1000000000
    },
    "what is not UTF-8": {
        "json": b'"\xff"',
        "msgpack": b"\xa1\xff",
        "cbor": b"\x61\xff",
    },
    "a lone surrogate": {
        "json": b'"\\ud800"',
        "msgpack": b"\xa3\xed\xa0\x80",
        "cbor": b"\x63\xed\xa0\x80",
    },
    "keys that are no text": {
        "json": b"{1:2}",
        "msgpack": b"\x81\x01\x02",
        "cbor": b"\xa1\x01\x02",
    },
    "what refers to itself": {
        "json": b'{"$ref": "#"}',
        "msgpack": b"\xc7\xff\x7f" + b"x" * 255,  # an extension
        "cbor": b"\xd8\x1c\x81\xd8\x1d\x00",  # a shared array that holds itself
    },
}


def call(serializer: str, argument: bytes) -> bytes:
    """A CALL with one argument, which is bytes already."""
    match serializer:
        case "json":
            return b'[48,1,{},"demo.add",[' + argument + b"]]"
        case "msgpack":
            return b"\x95\x30\x01\x80\xa8demo.add\x91" + argument
        case _:
            return b"\x85\x18\x30\x01\xa0\x68demo.add\x81" + argument


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_wamp_over_websocket(attacker: Connect, log: Log, serializer: str) -> None:
    """As a payload it is looked into after its sender has joined; it gets an ERROR, or its connection is closed."""
    opcode = FIN | (TEXT if serializer == "json" else BINARY)
    for name, forms in ODD.items():
        client = attacker()
        client.open("/ws", f"Sec-WebSocket-Protocol: wamp.2.{serializer}")
        client.send(masked(opcode, ENCODE[serializer](HELLO)))
        assert client.frame()[0] == opcode & 0x0F

        client.send(masked(opcode, call(serializer, forms[serializer])))

        kind, payload = client.frame()
        assert len(payload) < 1000, name
        assert kind in (opcode & 0x0F, 8), name
        assert len(log.lines(client.peer, "closing")) == (kind == 8), name


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_wamp_over_raw_socket(raw_attacker: Connect, log: Log, serializer: str) -> None:
    for name, forms in ODD.items():
        client = raw_attacker()
        client.shake(SERIALIZERS[serializer])
        client.put(ENCODE[serializer](HELLO))
        assert client.exactly(4)

        client.put(call(serializer, forms[serializer]))
        client.put(call(serializer, b"[]"))  # something behind it: who is not closed is answered

        assert client.exactly(4), name
        client.socket.close()
    assert len(log.lines("closing")) <= 2 * len(ODD)


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_a_hello_of_it(attacker: Connect, serializer: str) -> None:
    """Before anybody is known: the connection is closed."""
    opcode = FIN | (TEXT if serializer == "json" else BINARY)
    for name, forms in ODD.items():
        client = attacker()
        client.open("/ws", f"Sec-WebSocket-Protocol: wamp.2.{serializer}")

        client.send(masked(opcode, forms[serializer]))

        assert client.closed().code in (1002, 1007), name


def test_raw(attacker: Connect) -> None:
    for name, forms in ODD.items():
        client = attacker()
        client.open("/raw")

        client.send(masked(FIN | BINARY, forms["json"]))
        client.send(masked(FIN | TEXT, b'{"jsonrpc":"2.0","id":7,"method":"hopsack.ping"}'))

        _, payload = client.frame()
        answer = json.loads(payload)
        assert answer["error"]["code"] in (-32700, -32600), name
        assert len(payload) < 1000, name
        assert client.hear()["id"] == 7, name


@pytest.mark.parametrize("method", ["demo.add", "hopsack.subscribe", "hopsack.publish", "hopsack.hello"])
def test_raw_as_parameters(attacker: Connect, method: str) -> None:
    """Where it is JSON at all, it is no input that the method takes."""
    client = attacker()
    client.open("/raw")
    for name, forms in ODD.items():
        client.send(
            masked(
                FIN | BINARY, b'{"jsonrpc":"2.0","id":1,"method":"%b","params":%b}' % (method.encode(), forms["json"])
            )
        )

        kind, payload = client.frame()
        assert kind == BINARY, (name, payload)
        assert "error" in json.loads(payload), name
        assert len(payload) < 2000, name


def test_http(attacker: Connect) -> None:
    client = attacker()
    for path in ("/call/demo.add", "/publish/demo.news"):
        for name, forms in ODD.items():
            answer = client.ask("POST", path, body=forms["json"])

            assert answer.status in (400, 422), name
            assert answer.problem["code"] in ("hopsack.malformed", "hopsack.invalid"), name
            assert len(answer.body) < 2000, name


def test_a_batch_in_a_batch(attacker: Connect) -> None:
    client = attacker()
    client.open("/raw")

    client.send(masked(FIN | TEXT, b"[" + b",".join([b"[[]]"] * 100) + b"]"))
    client.send(masked(FIN | TEXT, b"[" + b",".join([b"1"] * 101) + b"]"))

    assert {one["error"]["code"] for one in client.hear()} == {-32600}
    assert client.hear()["error"]["code"] == -32600


def test_a_message_of_a_megabyte_of_members(attacker: Connect) -> None:
    """Many keys, and many that hash alike would be no better: Python's and msgspec's hashes are keyed."""
    members = b",".join(b'"%d":0' % number for number in range(90_000))
    client = attacker()
    client.open("/raw")

    client.send(masked(FIN | TEXT, b'{"jsonrpc":"2.0","id":1,"method":"demo.add","params":{%b}}' % members))

    assert client.hear()["error"]["data"]["code"] == "hopsack.invalid"


def test_names_of_a_megabyte(attacker: Connect) -> None:
    """What is told about a name is no longer than a sentence, and is kept nowhere."""
    client = attacker()
    client.open("/raw")
    for name in ("x" * 1_000_000, "demo." + "a." * 400_000 + "b", "hopsack." + "s" * 900_000):
        for method, params in (
            (name, None),
            ("hopsack.publish", {"topic": name}),
            ("hopsack.subscribe", {"topic": name}),
        ):
            client.say({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
            answer = client.hear()
            assert answer["error"]["data"]["code"] == "hopsack.invalid_uri"
            assert len(json.dumps(answer)) < 1000


def test_a_compressed_body_is_not_inflated(attacker: Connect) -> None:
    """HTTP knows bombs, too: a body is taken as it is, whatever its encoding is said to be."""
    squeezed = zlib.compress(b"[" * (1 << 24))

    answer = attacker().ask("POST", "/call/demo.add", "Content-Encoding: deflate", body=squeezed)

    assert answer.status == 400
