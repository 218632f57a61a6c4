"""Services with keys, at a real node: stock clients and ours, the command line, and a folder that changes meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets import Subprotocol
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect as websocket

from hopsack import connect
from hopsack.errors import LoginRequired
from hopsack.keeper import Closed
from hopsack.keys import PrivateKey, public_text

from .conftest import ROOT, Node, NodeProcess
from .test_stock_wamp import CLIENTS, saw

pytestmark = pytest.mark.node


def cli(node: Node, *words: str) -> Any:
    command = [sys.executable, "-m", "hopsack.cli", *words, "--data", str(node.data), "--url", node.rawsocket]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def accept(node: Node, key: PrivateKey, name: str, role: str = "service") -> Path:
    """By a file, as a person puts it there."""
    path = node.data / "keys" / f"{name}.pub"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"subject": name, "role": role, "public": public_text(key.public)}))
    return path


async def joined(node: Node, key: PrivateKey, url: str | None = None) -> tuple[str, str]:
    """Log in. Asking for the list first makes the node look at its folder now."""
    async with connect(node.rawsocket, node.token("operator")) as operator:
        await operator.call("hopsack.keys.list")
    async with connect(url or node.rawsocket, key=key) as fabric:
        assert fabric.identity is not None
        return fabric.identity.authid, fabric.identity.role


@pytest.mark.parametrize("door", ["rawsocket", "websocket"])
def test_our_library_logs_in_with_a_key(node: Node, door: str) -> None:
    key = PrivateKey.new()
    accept(node, key, f"ours-{door}")
    url = node.rawsocket if door == "rawsocket" else node.ws("/ws")

    assert asyncio.run(joined(node, key, url)) == (f"ours-{door}", "service")


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
@pytest.mark.parametrize("door", ["rawsocket", "websocket"])
def test_a_stock_autobahn_client_logs_in_with_a_key(node: Node, door: str, serializer: str) -> None:
    key, name = PrivateKey.new(), f"stock-{door}-{serializer}"
    accept(node, key, name)
    asyncio.run(joined(node, key))
    url = node.rawsocket.replace("tcp", "rs", 1) if door == "rawsocket" else node.ws("/ws")

    said = saw(sys.executable, str(CLIENTS / "autobahn_signer.py"), url, serializer, key.seed.hex(), name)

    assert said[0] == ["joined", ["cryptosign", "service", name]]


def test_a_stock_client_with_a_strange_key_is_told(node: Node) -> None:
    said = saw(sys.executable, str(CLIENTS / "autobahn_signer.py"), node.ws("/ws"), "json", "11" * 32)

    assert said[0][1][0] == "wamp.error.authentication_failed"


def test_a_file_that_is_removed_ends_the_session(node: Node) -> None:
    key = PrivateKey.new()
    path = accept(node, key, "gone")

    async def live() -> Any:
        await joined(node, key)
        async with connect(node.rawsocket, key=key) as fabric:
            path.unlink()
            async with asyncio.timeout(5):
                async for state in fabric.states():
                    if isinstance(state, Closed):
                        return state.error
        return None

    error = asyncio.run(live())

    assert isinstance(error, LoginRequired)  # it has tried again, and was not let in


def test_the_command_line_makes_adds_lists_and_revokes(node: Node, tmp_path: Path) -> None:
    path = tmp_path / "k" / "meter.key"
    made = subprocess.run(
        [sys.executable, "-m", "hopsack.cli", "keygen", str(path), "--json"], capture_output=True, text=True, check=True
    )
    facts = json.loads(made.stdout)

    (added,) = cli(node, "keys", "add", "meter", facts["public"], "--note", "in the cellar")
    who = asyncio.run(joined(node, PrivateKey.read(path)))
    listed = [one for one in cli(node, "keys", "ls") if one["subject"] == "meter"]
    cli(node, "keys", "revoke", added["name"])

    assert who == ("meter", "service")
    assert facts["fingerprint"] == added["fingerprint"] == listed[0]["fingerprint"]
    assert listed[0]["note"] == "in the cellar"
    assert not (node.data / "keys" / f"{added['name']}.pub").exists()


def test_a_service_runs_with_its_key_alone(node: Node, tmp_path: Path) -> None:
    key = PrivateKey.new()
    key.write(tmp_path / "key")
    accept(node, key, "runner")
    asyncio.run(joined(node, key))
    (tmp_path / "runner").mkdir()
    (tmp_path / "runner" / "service.py").write_text("from hopsack import Service\nclass Runner(Service):\n    pass\n")
    variables = {"HOPSACK_KEY": str(tmp_path / "key"), "HOPSACK_URL": node.rawsocket, "HOPSACK_DATA": str(tmp_path)}
    service = subprocess.Popen(
        [sys.executable, "-m", "hopsack.cli", "run", str(tmp_path / "runner")],
        env={**_clean(), **variables},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert service.stdout is not None
    try:
        assert json.loads(service.stdout.readline()) == {"ready": True, "service": "runner"}
        sessions = [one for one in cli(node, "sessions", "ls") if one["authid"] == "runner"]
        assert [one["role"] for one in sessions] == ["service"]
    finally:
        service.terminate()
        service.communicate(timeout=20)


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HOPSACK_")}


def test_under_a_full_crossbar_node_with_principals(tmp_path: Path) -> None:
    people = tmp_path / "people.yaml"
    people.write_text("ticket: {meter: {role: service, ticket: a ticket of some length}}\n")
    process = NodeProcess(tmp_path, "--controller", HOPSACK_PRINCIPALS=str(people))
    try:
        node = process.ready()
        key = PrivateKey.new()
        accept(node, key, "alone")
        who = asyncio.run(joined(node, key))
        config = tmp_path / "crossbar" / "config.json"
        mode = config.stat().st_mode & 0o777
    finally:
        process.stop()

    assert who == ("alone", "service")
    assert "a ticket of some length" in config.read_text()
    assert mode == 0o600


def test_a_file_of_principals_that_cannot_be_stops_the_start(tmp_path: Path) -> None:
    people = tmp_path / "people.yaml"
    people.write_text("ticket: {meter: {role: trusted, ticket: a ticket of some length}}\n")
    process = NodeProcess(tmp_path, HOPSACK_PRINCIPALS=str(people))

    try:
        assert process.process.wait(timeout=50) == 3
    finally:
        process.stop()
    assert "needs a role" in (tmp_path / "node.log").read_text()


def test_a_client_certificate_says_who_somebody_is(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    served, known, unknown = authority.issue_cert("localhost"), authority.issue_cert("gate"), authority.issue_cert("x")
    foreign = other.issue_cert("gate")
    served.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    served.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    known.cert_chain_pems[0].write_to_path(str(tmp_path / "gate.pem"))
    (tmp_path / "people.yaml").write_text("tls: {gate: {role: service, certificate: gate.pem}}\n")
    named = {"TLS_CERT": "cert.pem", "TLS_KEY": "key.pem", "TLS_CLIENT_CA": "ca.pem", "PRINCIPALS": "people.yaml"}
    process = NodeProcess(tmp_path, **{f"HOPSACK_{name}": str(tmp_path / file) for name, file in named.items()})
    try:
        url = process.ready().ws("/ws")
        told = [_with_certificate(url, authority, one) for one in (known, unknown, None)]
        with pytest.raises((ssl.SSLError, OSError, WebSocketException)):
            _with_certificate(url, authority, foreign)
    finally:
        process.stop()

    refusal = [3, {"message": "this node does not accept this name, or its proof"}, "wamp.error.authentication_failed"]
    assert told[0][0] == 2
    assert (told[0][2]["authid"], told[0][2]["authrole"]) == ("gate", "service")
    assert told[1:] == [refusal, refusal]


def _with_certificate(url: str, authority: trustme.CA, certificate: trustme.LeafCert | None) -> list[Any]:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if certificate is not None:
        certificate.configure_cert(context)
    url = url.replace("127.0.0.1", "localhost")
    with websocket(url, ssl=context, subprotocols=[Subprotocol("wamp.2.json")]) as link:
        link.send(json.dumps([1, "hopsack", {"roles": {"caller": {}}, "authmethods": ["tls"]}]))
        answer: list[Any] = json.loads(link.recv(10))
        return answer
