"""The cookie over TLS: one that no other host of the domain can set, and that no plain connection carries."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme
from websockets.sync.client import connect

from .conftest import Node, running

pytestmark = pytest.mark.node

Headers = dict[str, str]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[Node]:
    """A node that speaks TLS itself."""
    data = tmp_path_factory.mktemp("tls")
    made = authority.issue_cert("127.0.0.1", "localhost")
    made.private_key_pem.write_to_path(str(data / "key.pem"))
    made.cert_chain_pems[0].write_to_path(str(data / "cert.pem"))
    (data / "key.pem").chmod(0o600)
    with running(data, HOPSACK_TLS_CERT=str(data / "cert.pem"), HOPSACK_TLS_KEY=str(data / "key.pem")) as node:
        yield node


@pytest.fixture(scope="module")
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node behind a proxy that speaks TLS in its place."""
    with running(tmp_path_factory.mktemp("proxy"), HOPSACK_PROXY="127.0.0.1") as node:
        yield node


def base(node: Node) -> str:
    return node.http.replace("http://", "https://")


def own(url: str) -> Headers:
    return {"Origin": url, "Sec-Fetch-Site": "same-origin"}


def role(http: httpx.Client, headers: Headers) -> str:
    answer = http.post("/call/hopsack.session.whoami", headers=headers, content=b"null")
    return str(answer.json()["role"]) if answer.status_code == 200 else str(answer.status_code)


def test_the_cookie_over_tls(secure: Node, trust: ssl.SSLContext) -> None:
    url, token = base(secure), secure.token("user", "ann")
    with httpx.Client(base_url=url, verify=trust, timeout=20) as http:
        given = http.post("/login", json={"token": token}, headers=own(url)).headers["set-cookie"]
        gone = http.post("/logout", headers=own(url)).headers.get_list("set-cookie")
        http.cookies.clear()
        roles = [
            role(http, own(url) | {"Cookie": f"__Host-hopsack={token}"}),
            role(http, own(url) | {"Cookie": f"hopsack={token}"}),
            role(http, own(url) | {"Cookie": f"hopsack={secure.token('operator')}; __Host-hopsack={token}"}),
            role(http, own(url.replace("https:", "http:")) | {"Cookie": f"__Host-hopsack={token}"}),
        ]

    assert given.split("; ") == [f"__Host-hopsack={token}", "Path=/", "HttpOnly", "SameSite=Strict", "Secure"]
    assert [one.partition("=")[0] for one in gone] == ["hopsack", "__Host-hopsack"]
    assert all("Max-Age=0" in one for one in gone)
    # What was set without the prefix may be another host's. Where the browser says that it is the same origin, it is.
    assert roles == ["user", "guest", "user", "user"]


def test_a_websocket_over_tls_is_who_its_cookie_says(secure: Node, trust: ssl.SSLContext) -> None:
    url, token = base(secure), secure.token("user", "ann")
    headers = own(url) | {"Cookie": f"__Host-hopsack={token}"}

    with connect(url.replace("https", "wss") + "/raw", ssl=trust, additional_headers=headers) as ws:
        ws.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "hopsack.hello"}))
        assert json.loads(ws.recv(20))["result"]["authid"] == "ann"


def test_behind_a_proxy_that_speaks_tls(behind: Node) -> None:
    token = behind.token("user", "ann")
    forwarded = {"X-Forwarded-Proto": "https", "Host": "localhost"}
    page = own("https://localhost") | forwarded
    with httpx.Client(base_url=behind.http, timeout=20) as http:
        secured = http.post("/login", json={"token": token}, headers=page).headers["set-cookie"]
        plain = http.post("/login", json={"token": token}, headers=own(behind.http)).headers["set-cookie"]
        http.cookies.clear()
        found = role(http, page | {"Cookie": f"__Host-hopsack={token}"})

    assert secured.startswith("__Host-hopsack=")
    assert "Secure" in secured
    assert plain.startswith("hopsack=")
    assert "Secure" not in plain
    assert found == "user"


def test_no_token_is_in_a_log(behind: Node) -> None:
    token, bad = behind.token("user", "ann"), behind.token("user", "eve")[:-2]
    with httpx.Client(base_url=behind.http, timeout=20) as http:
        page = own(behind.http)
        for given in (token, bad):
            for headers in ({"Authorization": f"Bearer {given}"}, page | {"Cookie": f"hopsack={given}"}):
                role(http, headers)
                http.post("/login", headers=headers)
                http.post("/logout", headers=headers)
                http.post("/login", json={"token": given})

    logs = "".join(Path(behind.data, name).read_text() for name in ("node.log", "audit.jsonl"))
    notes = [json.loads(line) for line in Path(behind.data, "audit.jsonl").read_text().splitlines()]
    assert token[20:60] not in logs
    assert token.rpartition(".")[2] not in logs
    assert bad.rpartition(".")[2] not in logs
    assert {(one["event"], one.get("why")) for one in notes} >= {("login_refused", "signature"), ("logout", None)}
