"""A node over TLS: every client, certificates that are replaced while it runs, and what is not let in."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import trustme
from websockets.sync.client import connect

import hopsack
from hopsack.errors import Disconnected
from hopsack.link import trusting

from .conftest import ROOT, Node, NodeProcess, running

pytestmark = [pytest.mark.node, pytest.mark.filterwarnings("ignore:ssl.TLSVersion")]

CLIENT = Path(__file__).parent / "clients" / "autobahn_client.py"


class Place:
    """Where a node's certificate is."""

    def __init__(self, folder: Path) -> None:
        self.cert, self.key, self.ca = folder / "node.pem", folder / "node.key", folder / "ca.pem"
        self.authority = trustme.CA()

    def issue(self, authority: trustme.CA | None = None) -> Place:
        """Put a certificate there, as a renewal does: one file, then the other."""
        self.authority = authority or self.authority
        made = self.authority.issue_cert("localhost", "127.0.0.1")
        self.cert.write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
        made.private_key_pem.write_to_path(self.key)
        self.authority.cert_pem.write_to_path(self.ca)
        return self

    def variables(self) -> dict[str, str]:
        return {"HOPSACK_TLS_CERT": str(self.cert), "HOPSACK_TLS_KEY": str(self.key)}

    def trusting(self) -> ssl.SSLContext:
        return trusting(self.ca)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("certificate")).issue()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, place: Place) -> Iterator[Node]:
    with running(tmp_path_factory.mktemp("node"), **place.variables()) as node:
        yield node


def port_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def shake(url: str, context: ssl.SSLContext) -> tuple[str | None, str, bytes]:
    """The version, the cipher suite and the certificate of a connection."""
    with socket.create_connection(port_of(url), timeout=20) as plain, context.wrap_socket(plain) as secured:
        cipher, certificate = secured.cipher(), secured.getpeercert(binary_form=True)
        assert cipher is not None
        assert certificate is not None
        return secured.version(), cipher[0], certificate


def speaking(version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that speaks this version only, whoever answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context


def test_a_node_says_that_it_speaks_tls(node: Node) -> None:
    assert node.http.startswith("https://127.0.0.1:")
    assert node.rawsocket.startswith("tls://127.0.0.1:")


@pytest.mark.parametrize("door", ["rawsocket", "/ws", "/raw"])
def test_the_library(node: Node, place: Place, door: str) -> None:
    url = node.rawsocket if door == "rawsocket" else node.ws(door)

    async def talk() -> list[Any]:
        heard: asyncio.Queue[str] = asyncio.Queue()
        async with (
            hopsack.connect(url, token=node.token("service"), tls=place.trusting()) as one,
            hopsack.connect(url, tls=place.trusting()) as other,
        ):
            await other.subscribe("demo.text", lambda text: heard.put_nowait(text))
            for number in range(50):  # the first goes the long way; later ones would be written straight to a socket
                await one.publish("demo.text", f"{number} " + "x" * 40_000)
            return [(await heard.get()).partition(" ")[0] for _ in range(50)]

    assert url.startswith(("tls://", "wss://"))
    assert asyncio.run(talk()) == [str(number) for number in range(50)]


@pytest.mark.parametrize("door", ["rawsocket", "/ws"])
def test_who_does_not_trust_the_authority_does_not_connect(node: Node, door: str) -> None:
    url = node.rawsocket if door == "rawsocket" else node.ws(door)

    async def join() -> None:
        async with hopsack.connect(url):
            pass

    with pytest.raises(Disconnected, match="certificate"):
        asyncio.run(join())


def test_the_command_line(node: Node, place: Place, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hopsack.cli", "call", "presence.list", "--url", node.rawsocket]
    environ = {**os.environ, "HOPSACK_TLS_CA": str(place.ca), "HOPSACK_DATA": str(tmp_path)}

    called = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)

    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout)["count"] >= 1


@pytest.mark.parametrize("door", ["rawsocket", "/ws"])
def test_a_stock_wamp_client(node: Node, place: Place, door: str) -> None:
    url = node.rawsocket.replace("tls", "rss", 1) if door == "rawsocket" else node.ws(door)
    environ = {**os.environ, "SSL_CERT_FILE": str(place.ca)}
    command = [sys.executable, str(CLIENT), url, "msgpack", node.token("service", "lab")]

    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=50, check=False)

    assert ran.returncode == 0, ran.stderr
    joined, *_, left = [json.loads(line) for line in ran.stdout.splitlines()]
    assert joined == ["joined", ["service", "lab"]]
    assert left == ["left", "wamp.close.goodbye_and_out"]


def test_a_page_and_http(node: Node, place: Place) -> None:
    origin = node.http
    with (
        connect(node.ws("/raw"), ssl=place.trusting(), additional_headers={"Origin": origin}) as page,
        httpx.Client(base_url=node.http, verify=place.trusting(), timeout=20) as http,
    ):
        page.send('{"jsonrpc": "2.0", "id": 1, "method": "hopsack.subscribe", "params": {"topic": "demo.text"}}')
        answered = json.loads(page.recv(timeout=20))
        published = http.post("/publish/demo.text", json="hello", headers={"Origin": origin})
        event = json.loads(page.recv(timeout=20))
        foreign = http.post("/publish/demo.text", json="forged", headers={"Origin": "https://evil.example"})

    assert "result" in answered
    assert published.status_code == 200
    assert event["params"]["data"] == "hello"
    assert foreign.status_code == 403


def test_events_by_curl(node: Node, place: Place) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = ["curl", "-sN", "--cacert", str(place.ca), f"{node.http}/events?topic=demo.text"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout is not None
        assert curl.stdout.readline().startswith("retry:")
        httpx.post(f"{node.http}/publish/demo.text", json="hello", verify=place.trusting(), timeout=20)
        event = [curl.stdout.readline() for _ in range(2)]
        curl.terminate()

    assert event == ["event: demo.text\n", 'data: "hello"\n']


@pytest.mark.parametrize("door", ["http", "rawsocket"])
def test_versions_and_suites(node: Node, door: str) -> None:
    url = getattr(node, door)

    newest = shake(url, speaking(ssl.TLSVersion.TLSv1_3))
    older = shake(url, speaking(ssl.TLSVersion.TLSv1_2))
    weak = speaking(ssl.TLSVersion.TLSv1_2)
    weak.set_ciphers("AES128-SHA:AES256-GCM-SHA384:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0")

    assert newest[0] == "TLSv1.3"
    assert older[0] == "TLSv1.2"
    assert older[1].startswith("ECDHE-")
    assert "GCM" in older[1] or "CHACHA20" in older[1]
    for refused in (speaking(ssl.TLSVersion.TLSv1_1), speaking(ssl.TLSVersion.TLSv1), weak):
        with pytest.raises(ssl.SSLError):
            shake(url, refused)


def test_nothing_is_said_without_tls(node: Node) -> None:
    for url, said in ((node.http, b"GET /healthz HTTP/1.0\r\n\r\n"), (node.rawsocket, b"\x7f\xf2\x00\x00\x00")):
        with socket.create_connection(port_of(url), timeout=20) as plain:
            plain.sendall(said)
            try:
                heard = plain.recv(100)
            except ConnectionResetError:
                heard = b""

        assert b"HTTP/1" not in heard
        assert not heard.startswith(b"\x7f")


def test_http_2_is_not_agreed_on(node: Node, place: Place) -> None:
    context = place.trusting()
    context.set_alpn_protocols(["h2", "http/1.1"])

    with (
        socket.create_connection(port_of(node.http), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        assert secured.selected_alpn_protocol() == "http/1.1"


def test_a_certificate_is_replaced_while_clients_are_connected(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    place = Place(tmp_path).issue()
    process = NodeProcess(tmp_path / "data", **place.variables())
    try:
        node = process.ready()
        first = shake(node.http, speaking(ssl.TLSVersion.TLSv1_3))[2]
        with connect(node.ws("/raw"), ssl=place.trusting()) as page:
            place.cert.write_text("-----BEGIN CERTIFICATE-----\nno\n")
            while "the certificate is not replaced" not in process.logged():
                assert shake(node.http, speaking(ssl.TLSVersion.TLSv1_3))[2] == first
            kept = shake(node.http, speaking(ssl.TLSVersion.TLSv1_3))[2]

            place.issue(trustme.CA())
            while shake(node.rawsocket, speaking(ssl.TLSVersion.TLSv1_3))[2] == first:
                pass
            httpx.get(f"{node.http}/healthz", verify=place.trusting()).raise_for_status()
            page.send('{"jsonrpc": "2.0", "id": 1, "method": "presence.list"}')
            answered = json.loads(page.recv(timeout=20))
        said = process.logged()
    finally:
        assert process.stop() == 0, process.logged()

    assert kept == first
    assert "result" in answered
    assert said.count("the certificate is not replaced") == 1


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda place: place.cert.unlink(), "cannot read"),
        (lambda place: place.cert.write_text("no"), "holds no certificate"),
        (lambda place: place.key.write_text("no"), "holds no private key"),
        (lambda place: trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(place.key), "and its key"),
    ],
)
def test_a_node_does_not_begin_with_a_certificate_that_is_none(tmp_path: Path, spoil: Any, reason: str) -> None:
    place = Place(tmp_path).issue()
    spoil(place)
    process = NodeProcess(tmp_path, **place.variables())

    code = process.process.wait(timeout=50)

    assert code == 3
    assert reason in process.logged()
    assert "Traceback" not in process.logged()
    process.stop()


def test_a_certificate_of_a_client_is_asked_for_and_may_be_missing(tmp_path: Path) -> None:
    place, clients, strangers = Place(tmp_path).issue(), trustme.CA(), trustme.CA()
    clients.cert_pem.write_to_path(tmp_path / "clients.pem")
    process = NodeProcess(tmp_path, **place.variables(), HOPSACK_TLS_CLIENT_CA=str(tmp_path / "clients.pem"))

    async def join(context: ssl.SSLContext) -> None:
        async with hopsack.connect(there.rawsocket, tls=context) as fabric:
            await fabric.call("presence.list")

    try:
        there = process.ready()
        without, known, strange = place.trusting(), place.trusting(), place.trusting()
        clients.issue_cert("ann").configure_cert(known)
        strangers.issue_cert("eve").configure_cert(strange)

        asyncio.run(join(without))
        asyncio.run(join(known))
        with pytest.raises(Disconnected):
            asyncio.run(join(strange))
    finally:
        assert process.stop() == 0, process.logged()


def test_the_health_check_of_the_container(node: Node, place: Place) -> None:
    environ = {**os.environ, "HOPSACK_PORT": str(port_of(node.http)[1])}
    command = [sys.executable, "-IS", str(ROOT / "docker" / "node_ready.py")]

    told = subprocess.run(command, env=environ | place.variables(), capture_output=True, text=True, check=False)
    untold = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    assert told.returncode == 0, told.stderr
    assert untold.returncode == 1
