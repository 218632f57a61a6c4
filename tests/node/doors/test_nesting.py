"""A message that nests too deep is refused on every door. Stock Crossbar's process ends with a segmentation fault."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ..conftest import Node

pytestmark = pytest.mark.node

DEPTH = 200_000
DEEP = {
    "json": b'[48, 1, {}, "demo.add", ' + b"[" * DEPTH,
    "msgpack": b"\x95\x30\x01\x80\xa8demo.add" + b"\x91" * DEPTH,
    "cbor": b"\x85\x18\x30\x01\xa0\x68demo.add" + b"\x81" * DEPTH,
}


@pytest.fixture(autouse=True)
def _node_lives(http: httpx.Client) -> Any:
    yield
    assert http.get("/healthz").status_code == 200


def test_raw(page: Any) -> None:
    talker = page()

    talker.socket.send("[" * DEPTH)

    assert json.loads(talker.socket.recv(timeout=20))["error"]["code"] == -32700


def test_http(http: httpx.Client) -> None:
    answer = http.post("/call/demo.add", content=b"[" * DEPTH)

    assert (answer.status_code, answer.json()["code"]) == (400, "hopsack.malformed")


@pytest.mark.parametrize("serializer", sorted(DEEP))
def test_wamp_over_websocket(node: Node, serializer: str) -> None:
    protocols: Any = [f"wamp.2.{serializer}"]
    with connect(node.ws("/ws"), subprotocols=protocols) as client:
        message = DEEP[serializer]

        client.send(message.decode() if serializer == "json" else message)

        with pytest.raises(ConnectionClosed):
            client.recv(timeout=20)


@pytest.mark.parametrize(("serializer", "number"), [("json", 1), ("msgpack", 2), ("cbor", 3)])
def test_wamp_over_rawsocket(node: Node, serializer: str, number: int) -> None:
    url = urlsplit(node.rawsocket)
    message = DEEP[serializer]
    with socket.create_connection((url.hostname, url.port), timeout=20) as client:
        client.sendall(bytes((0x7F, 0xF0 | number, 0, 0)))
        assert client.recv(4)[1] & 0x0F == number

        client.sendall(len(message).to_bytes(4, "big") + message)

        with suppress(ConnectionResetError):
            assert client.recv(4096) == b""
