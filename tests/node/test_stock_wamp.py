"""Stock WAMP clients work unmodified, over every serializer and transport, alone and under Crossbar."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Node, NodeProcess

CLIENTS = Path(__file__).parent / "clients"
MODULES = ROOT / "web_client" / "node_modules"

TOUR: list[list[Any]] = [
    ["events", ["grüße", "grüße"]],
    ["positional", 6.5],
    ["keywords", "hello ann"],
    ["refused", ["wamp.error.invalid_argument", "hopsack.invalid", "/0"]],
    ["refused", ["wamp.error.no_such_procedure", "hopsack.undeclared", None]],
    ["refused", ["wamp.error.no_such_procedure", "hopsack.no_callee", None]],
    ["left", "wamp.close.goodbye_and_out"],
]


def saw(*command: str) -> list[list[Any]]:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def autobahn(url: str, serializer: str, *token: str) -> list[list[Any]]:
    return saw(sys.executable, str(CLIENTS / "autobahn_client.py"), url, serializer, *token)


@pytest.mark.node
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_autobahn_over_websocket(node: Node, serializer: str) -> None:
    joined, *tour = autobahn(node.ws("/ws"), serializer)

    assert joined[1][0] == "guest"
    assert tour == TOUR


@pytest.mark.node
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_autobahn_over_rawsocket_with_a_token(node: Node, serializer: str) -> None:
    url = node.rawsocket.replace("tcp", "rs", 1)

    joined, *tour = autobahn(url, serializer, node.token("service", "lab"))

    assert joined == ["joined", ["service", "lab"]]
    assert tour == TOUR


@pytest.mark.node
@pytest.mark.skipif(
    shutil.which("node") is None or not (MODULES / "wampy").exists(),
    reason="needs Node.js and `npm ci` in web_client/",
)
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_wampy(node: Node, serializer: str) -> None:
    joined, *tour = saw("node", str(CLIENTS / "wampy_client.mjs"), str(MODULES), node.ws("/ws"), serializer)

    assert joined == ["joined", ["guest"]]
    assert tour == TOUR


@pytest.mark.node
def test_under_a_full_crossbar_node(tmp_path: Path) -> None:
    process = NodeProcess(tmp_path, "--controller")
    try:
        node = process.ready()
        over_websocket = autobahn(node.ws("/ws"), "json")
        over_rawsocket = autobahn(node.rawsocket.replace("tcp", "rs", 1), "msgpack", node.token("user", "ann"))
    finally:
        code = process.stop()

    assert over_websocket[1:] == TOUR
    assert over_rawsocket[0] == ["joined", ["user", "ann"]]
    assert over_rawsocket[1:] == TOUR
    assert code == 0, process.logged()
