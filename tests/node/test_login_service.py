"""A node that believes a login service: tokens of its keys, on every door, and where the keys come from."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import OKPAlgorithm

import hopsack
from hopsack.tokens import mint

from .conftest import Node, NodeProcess, running

pytestmark = pytest.mark.node

LOGIN = "https://login.example"
ED = Ed25519PrivateKey.generate()
RSA = generate_private_key(65537, 2048)


class Service:
    """A login service on this machine: gives its JWK set, and counts who asks for what."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        whole = json.dumps({"keys": [OKPAlgorithm.to_jwk(ED.public_key(), as_dict=True) | {"kid": "ed"}]}).encode()
        asked = self.asked

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked[self.path] += 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(whole)))
                self.end_headers()
                self.wfile.write(whole)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    made = Service()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, service: Service) -> Iterator[Node]:
    data = tmp_path_factory.mktemp("login")
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (data / "login.pem").write_bytes(pem)
    with running(
        data,
        HOPSACK_JWKS=f"{service.url}/keys",
        HOPSACK_TOKEN_KEYS=str(data / "login.pem"),
        HOPSACK_ISSUER=LOGIN,
        HOPSACK_AUDIENCE="fabric",
        HOPSACK_TOKEN_ROLES="user, service",
        HOPSACK_CLAIMS="groups=realm.groups",
    ) as node:
        yield node


def token(key: Any = ED, **changes: Any) -> str:
    algorithm: Any = "EdDSA" if key is ED else "RS256"
    kid = "ed" if key is ED else "2026"
    given: dict[str, Any] = {"sub": "ann", "role": "user", "ttl": 60, "issuer": LOGIN, "audience": "fabric"} | changes
    return mint(key, algorithm=algorithm, kid=kid, **given)


def asked(node: Node, given: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {given}"}
    return httpx.post(f"{node.http}/call/hopsack.session.whoami", headers=headers, content=b"null", timeout=20)


@pytest.mark.parametrize("key", [ED, RSA], ids=["a JWK set, EdDSA", "a PEM file, RS256"])
def test_a_token_of_the_login_service(node: Node, key: Any) -> None:
    who = asked(node, token(key, role="service")).json()

    assert (who["subject"], who["role"], who["proof"]) == ("ann", "service", "token")


def test_its_own_tokens_go_on(node: Node) -> None:
    assert asked(node, node.token("operator", "olga")).json()["role"] == "operator"


def test_facts_stand_where_the_service_has_them(node: Node) -> None:
    claims = {"sub": "ann", "iss": LOGIN, "aud": ["x", "fabric"], "realm": {"groups": ["b", "a"]}, "groups": ["root"]}
    who = asked(node, jwt.encode(claims, ED, "EdDSA", {"kid": "ed"})).json()

    assert (who["role"], who["groups"], who["tenant"]) == ("user", ["a", "b"], None)


async def _connected(url: str, given: str) -> str:
    async with hopsack.connect(url, token=given) as fabric:
        who: dict[str, Any] = await fabric.call("hopsack.session.whoami", returns=dict[str, Any])
        return f"{who['subject']} {who['door']}"


@pytest.mark.parametrize("door", ["rawsocket", "ws", "raw"])
def test_on_the_other_doors(node: Node, door: str) -> None:
    import asyncio

    url = {"rawsocket": node.rawsocket, "ws": node.ws("/ws"), "raw": node.ws("/raw")}[door]

    assert asyncio.run(_connected(url, token())).startswith("ann ")


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"issuer": "hopsack"},
        {"audience": None},
        {"audience": "another"},
        {"role": "operator"},
        {"key": Ed25519PrivateKey.generate()},
    ],
    ids=lambda changes: str(changes)[:30],
)
def test_what_is_not_believed(node: Node, changes: dict[str, Any]) -> None:
    key = changes.pop("key", ED)
    given = {"sub": "ann", "role": "user", "issuer": LOGIN, "audience": "fabric"} | changes
    answer = asked(node, mint(key, algorithm="EdDSA", kid="ed", **given))

    assert (answer.status_code, answer.json()["detail"]) == (401, "the token is not one this node accepts")


def test_no_token_says_where_keys_are(node: Node, service: Service) -> None:
    for name in ("jku", "x5u", "kid"):
        header = {"kid": "new"} | {name: f"{service.url}/evil"}
        given = jwt.encode({"sub": "ann", "iss": LOGIN, "aud": "fabric"}, Ed25519PrivateKey.generate(), "EdDSA", header)

        assert asked(node, given).status_code == 401

    assert set(service.asked) == {"/keys"}
    assert service.asked["/keys"] <= 2


def test_it_must_be_said_whose_keys_they_are(tmp_path: Path) -> None:
    process = NodeProcess(tmp_path, HOPSACK_JWKS="https://login.example/keys")

    assert process.process.wait(20) == 3
    assert "HOPSACK_ISSUER" in process.logged()
    process.log.close()


def test_keys_are_fetched_from_who_behaves_and_others_do_no_harm() -> None:
    script = Path(__file__).parent / "clients" / "fetching.py"
    command = [sys.executable, str(script), json.dumps({"timeout": 1.0})]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout)

    asked = said.pop("asked")
    assert said.pop("closed").startswith("no connection: ")
    assert said == {
        "good": "ann",
        "rotated": "ann",
        "withdrawn": "hopsack.login_required",
        "redirect": "it answers with status 302",
        "missing": "it answers with status 404",
        "huge": "it is larger than 262144 bytes",
        "endless": "it is larger than 262144 bytes",
        "silent": "it did not come within 1 s",
        "slow": "it did not come within 1 s",
        "cut": "the connection was lost in the middle of it",
        "html": "6 bytes",
        "tls": "ann",
        "stranger": "hopsack.unavailable",
        "another": "hopsack.unavailable",
    }
    assert asked["/redirect"] == 1
    assert asked["/keys"] == 4  # twice, a last time for the withdrawn key, and over TLS; never by the redirect
