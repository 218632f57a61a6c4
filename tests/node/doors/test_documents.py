"""Health, version, metrics, contracts, and the web client's files, from a real node."""

from __future__ import annotations

import socket
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from ..conftest import Node, running

pytestmark = pytest.mark.node


def test_health_and_version(http: httpx.Client) -> None:
    assert http.get("/healthz").json() == {"alive": True}
    assert http.get("/readyz").json() == {"ready": True}
    assert http.get("/version").json() == {
        "hopsack": version("hopsack"),
        "crossbar": version("crossbar"),
        "protocol": 1,
    }


def test_metrics_count(http: httpx.Client, page: Any) -> None:
    reader, writer = page(), page()
    reader.ask("hopsack.subscribe", {"topic": "demo.hall.said"})
    before = metrics(http)

    writer.ask("hopsack.publish", {"topic": "demo.hall.said", "data": "hi"})
    reader.event()
    after = metrics(http)

    assert after['hopsack_sessions{door="raw"}'] >= 2
    assert after["hopsack_deliveries_total"] - before["hopsack_deliveries_total"] >= 1
    assert after['hopsack_messages_total{type="publish"}'] > before['hopsack_messages_total{type="publish"}']


def metrics(http: httpx.Client) -> dict[str, float]:
    text = http.get("/metrics").text
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in text.splitlines() if line[0] != "#")
    }


def test_the_contracts_as_a_document(http: httpx.Client) -> None:
    answer = http.get("/asyncapi.json")
    again = http.get("/asyncapi.json", headers={"If-None-Match": answer.headers["etag"]})

    assert answer.json()["asyncapi"].startswith("3.")
    assert "demo.news" in answer.json()["channels"]
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    assert (again.status_code, again.content) == (304, b"")


def test_every_error_type_has_a_page(http: httpx.Client) -> None:
    assert 'id="hopsack.invalid"' in http.get("/errors").text


def test_the_web_client(http: httpx.Client) -> None:
    index, script, sdk = http.get("/"), http.get("/assets/app-CklgpGzG.js"), http.get("/sdk.js")

    assert index.text == "<!doctype html><title>console</title>"
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    assert index.headers["cache-control"] == "no-cache"
    assert "default-src 'self'" in index.headers["content-security-policy"]
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert http.get("/assets/theme.js").headers["cache-control"] == "no-cache"
    assert "etag" in http.get("/assets/theme.js").headers
    assert sdk.headers["access-control-allow-origin"] == "*"
    assert sdk.headers["cache-control"] == "no-cache"
    for answer in (index, script, sdk):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["server"] == "hopsack"


def test_unchanged_files_and_heads(http: httpx.Client) -> None:
    etag = http.get("/").headers["etag"]
    again = http.get("/", headers={"If-None-Match": etag})
    head = http.head("/")

    assert (again.status_code, again.content) == (304, b"")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "37")


def test_what_is_not_there(http: httpx.Client) -> None:
    missing = http.get("/nothing/here")

    assert missing.status_code == 404
    assert missing.json()["code"] == "hopsack.not_found"
    assert http.get("/assets").status_code == 404
    assert http.post("/").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/../outside.txt",
        "/assets/../../outside.txt",
        "/%2e%2e/outside.txt",
        "/..%2foutside.txt",
        "/assets/%2e%2e%2f%2e%2e%2foutside.txt",
        "/link.txt",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/index.html%00.js",
        "/%ff",
    ],
)
def test_no_way_out_of_the_folder(node: Node, path: str) -> None:
    url = urlsplit(node.http)
    with socket.create_connection((url.hostname, url.port)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 404")
    assert b"not for the web" not in answer


def test_a_node_without_a_web_client_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = tmp_path_factory.mktemp("bare")
    with running(data, "--web", str(data / "none")) as node:
        answer = httpx.get(node.http)

    assert answer.status_code == 200
    assert "has not been built" in answer.text
    assert "/events?topic=" in answer.text
