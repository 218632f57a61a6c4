"""A node with HOPSACK_ENV=prod: what it says when it does not start, and how it is when it does."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from hopsack.tokens import mint

from .conftest import Node, NodeProcess, running
from .test_tls import Place

pytestmark = pytest.mark.node

SECRET = secrets.token_hex(32)


@contextmanager
def production(tmp_path: Path, **variables: str) -> Iterator[Node]:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (tmp_path / "key").write_text(SECRET + "\n")
    with running(data, HOPSACK_ENV="prod", HOPSACK_SECRET_FILE=str(tmp_path / "key"), **variables) as node:
        yield node


def bearer(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {mint(SECRET, sub='olga', role=role, ttl=60)}"}


def test_it_says_all_that_is_wrong_at_once(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    (tmp_path / "data").chmod(0o755)
    process = NodeProcess(tmp_path / "data", HOPSACK_ENV="prod", HOPSACK_GUESTS="all", HOPSACK_ORIGINS="*")

    code = process.process.wait(timeout=50)

    said = process.logged()
    process.stop()
    assert code == 3
    assert "Traceback" not in said
    for cure in ("HOPSACK_SECRET_FILE", "HOPSACK_GUESTS=read", "https://app.example", "HOPSACK_TLS_CERT", "chmod 700"):
        assert cure in said
    assert not (tmp_path / "data" / "secret").exists()


@pytest.mark.parametrize("kind", [(), ("--controller",)], ids=["solo", "controller"])
def test_a_secret_that_others_read_is_a_warning_in_the_log(tmp_path: Path, kind: tuple[str, ...]) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o644)
    given = {"HOPSACK_ENV": "prod", "HOPSACK_SECRET_FILE": str(secret), "HOPSACK_PROXY": "127.0.0.1"}
    process = NodeProcess(tmp_path / "data", *kind, **given)
    try:
        process.ready()
        logged = process.logged()
    finally:
        process.stop()

    assert logged.count(f"chmod 600 {secret}") == 1


def test_behind_a_proxy(tmp_path: Path) -> None:
    asked = {"X-Forwarded-For": "6.6.6.6, 198.51.100.7", "X-Forwarded-Proto": "https", "Host": "fabric.example"}
    with production(tmp_path, HOPSACK_PROXY="127.0.0.1") as node, httpx.Client(base_url=node.http, timeout=20) as http:
        guest = http.post("/call/presence.list", headers=asked)
        user = http.post("/call/presence.list", headers=asked | bearer("user"))
        listed = http.post("/call/hopsack.sessions.list", headers=asked | bearer("operator")).json()
        own = http.post("/call/presence.list", headers=asked | bearer("user") | {"Origin": "https://fabric.example"})
        contracts = http.get("/asyncapi.json", headers=asked | bearer("service")).json()
        version = http.get("/version", headers=asked).json()
        plain = http.post("/call/presence.list", headers=asked | bearer("user") | {"Origin": "http://fabric.example"})
        local = http.post("/call/presence.list", headers=asked | bearer("user") | {"Origin": "http://localhost:5173"})
        with pytest.raises(InvalidStatus) as nameless:
            connect(node.ws("/raw"), additional_headers={"Origin": "null"}, open_timeout=20)

    assert guest.status_code == 401
    assert user.status_code == 200
    assert user.headers["strict-transport-security"] == "max-age=31536000"
    assert [one["peer"] for one in listed] == ["tcp4:198.51.100.7:0"]
    assert own.status_code == 200
    assert version.keys() == {"hopsack", "protocol"}
    assert contracts["operations"]
    assert "roles" not in str(contracts["operations"])
    assert (plain.status_code, local.status_code) == (403, 403)
    assert nameless.value.response.status_code == 403


def test_with_tls_of_its_own(tmp_path: Path) -> None:
    place = Place(tmp_path).issue()
    place.key.chmod(0o600)
    with (
        production(tmp_path, **place.variables()) as node,
        httpx.Client(base_url=node.http, verify=place.trusting(), timeout=20) as http,
    ):
        page = http.get("/")
        forged = http.post("/call/presence.list", headers=bearer("user") | {"X-Forwarded-For": "6.6.6.6"})
        listed = http.post("/call/hopsack.sessions.list", headers=bearer("operator")).json()

    assert page.headers["strict-transport-security"] == "max-age=31536000"
    assert "'unsafe" not in page.headers["content-security-policy"]
    assert forged.status_code == 200
    assert listed[0]["peer"].startswith("tcp4:127.0.0.1:")
