"""Clients that offer compression get it, and what it carries is the same: Autobahn, ``ws`` and ``websockets``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from .conftest import Node
from .test_stock_wamp import CLIENTS, MODULES

pytestmark = pytest.mark.node

AGREED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
TEXTS = ["again and " * 100, "short", "grüße " * 2000]

HAS_WS = shutil.which("node") is not None and (MODULES / "ws").exists()
CLIENT = {
    "autobahn": ("/ws", sys.executable, str(CLIENTS / "compressing_client.py")),
    "ws": ("/raw", "node", str(CLIENTS / "compressing_client.mjs"), str(MODULES)),
}


class Reader:
    """A client's program, line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def saw(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the client has ended"
        return json.loads(line)


@contextmanager
def reader(node: Node, name: str) -> Iterator[Reader]:
    path, *command = CLIENT[name]
    process = subprocess.Popen(
        [*command, node.ws(path), "demo.text", str(len(TEXTS))], stdout=subprocess.PIPE, text=True
    )
    try:
        yield Reader(process)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize(
    "name",
    ["autobahn", pytest.param("ws", marks=pytest.mark.skipif(not HAS_WS, reason="needs Node.js and `npm ci`"))],
)
def test_a_client_that_offers_compression(node: Node, name: str) -> None:
    with reader(node, name) as client:
        assert client.saw() == ["agreed", AGREED]
        assert client.saw() == ["subscribed", True]

        for text in TEXTS:
            httpx.post(f"{node.http}/publish/demo.text", json=text).raise_for_status()

        assert [client.saw() for _ in TEXTS] == [["event", text] for text in TEXTS]
        assert client.saw() == ["closed", 1000]


@pytest.mark.parametrize("compression", ["deflate", None])
def test_what_a_client_says_may_be_compressed(node: Node, compression: Any) -> None:
    text = "again and " * 5000
    with connect(node.ws("/echo"), compression=compression) as client:
        for sent in (text, text.encode(), [text[:1000], text[1000:]]):
            client.send(sent)
            assert client.recv(timeout=20) == ("".join(sent) if isinstance(sent, list) else sent)
