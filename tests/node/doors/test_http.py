"""Calls and events over plain HTTP, against a real node."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from ..conftest import Node

pytestmark = pytest.mark.node


def test_a_call_and_its_result(http: httpx.Client) -> None:
    answer = http.post("/call/presence.list")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"count", "roles", "members"}


def test_a_call_of_a_page(node: Node, page: Any) -> None:
    ann = page()
    ann.ask("hopsack.register", {"procedure": "demo.ann.ask"})
    curl = subprocess.Popen(
        [
            "curl",
            "-s",
            "-H",
            "Content-Type: application/json",
            "-d",
            '{"text": "Ready?"}',
            f"{node.http}/call/demo.ann.ask",
        ],
        stdout=subprocess.PIPE,
    )

    asked = ann.request()
    ann.respond(asked, "yes")

    assert curl.communicate(timeout=20)[0] == b'"yes"'
    assert asked["params"] == {"text": "Ready?"}


def test_a_declared_error(http: httpx.Client, node: Node, page: Any) -> None:
    ann = page()
    ann.ask("hopsack.register", {"procedure": "demo.ann.ask"})
    command = ["curl", "-s", "--json", '{"text": "Ready?"}', f"{node.http}/call/demo.ann.ask"]
    curl = subprocess.Popen(command, stdout=subprocess.PIPE)

    asked = ann.request()
    error = {"code": 1016, "message": "Not now.", "data": {"code": "demo.declined", "message": "Not now."}}
    ann.socket.send(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}))

    problem = json.loads(curl.communicate(timeout=20)[0])
    assert (problem["status"], problem["code"], problem["detail"]) == (422, "demo.declined", "Not now.")
    assert problem["type"] == "/errors#demo.declined"


def test_a_caller_that_leaves_takes_its_call_with_it(node: Node, page: Any) -> None:
    ann = page()
    ann.ask("hopsack.register", {"procedure": "demo.ann.ask"})
    url = urlsplit(node.http)
    body = b'{"text": "Ready?"}'
    with socket.create_connection((url.hostname, url.port)) as client:
        head = f"POST /call/demo.ann.ask HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        asked = ann.request()

    assert ann.notification("hopsack.cancel") == {"id": asked["id"]}


def test_a_call_says_how_long_it_waits(http: httpx.Client, page: Any) -> None:
    ann = page()
    ann.ask("hopsack.register", {"procedure": "demo.ann.ask"})

    answer = http.post("/call/demo.ann.ask", json={"text": "Ready?"}, headers={"Hopsack-Timeout": "50"})

    assert answer.status_code == 504
    assert answer.json()["code"] == "hopsack.deadline"
    assert answer.json()["data"] == {"ran": "maybe"}
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "soon", ""])
def test_a_timeout_that_is_none(http: httpx.Client, given: str) -> None:
    answer = http.post("/call/demo.echo", content='"x"', headers={"Hopsack-Timeout": given})

    assert answer.status_code == 400
    assert answer.json()["code"] == "hopsack.bad_request"


def test_publishing(http: httpx.Client, page: Any) -> None:
    reader = page()
    reader.ask("hopsack.subscribe", {"topic": "demo.news"})

    answer = http.post("/publish/demo.news", json={"headline": "Rain later"})

    assert (answer.status_code, answer.json()) == (200, {})
    assert reader.event()["data"] == {"headline": "Rain later"}


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "facts"),
    [
        ("/call/demo.ad", "{}", 404, "hopsack.undeclared", {"advice": "did you mean demo.add?"}),
        ("/call/demo.add", '{"a": 1, "b": "2"}', 422, "hopsack.invalid", {"path": "/b", "where": "demo.add"}),
        ("/call/demo.add", "", 422, "hopsack.invalid", {"path": ""}),
        ("/call/demo.add", '{"a": 1, "b": 2}', 503, "hopsack.no_callee", {"retry": "later"}),
        ("/call/demo.add", '{"a": 1', 400, "hopsack.malformed", {"where": "demo.add"}),
        ("/call/hopsack.sessions.list", "", 403, "hopsack.denied", {}),
        ("/publish/demo.secret", '"x"', 403, "hopsack.denied", {"where": "demo.secret"}),
        ("/call/demo.a%20b", "{}", 400, "hopsack.invalid_uri", {"where": "demo.a b"}),
        ("/publish/demo.hall.said%20", "{}", 400, "hopsack.invalid_uri", {}),
        ("/publish/demo..said", "{}", 400, "hopsack.invalid_uri", {}),
        ("/publish/demo.newz", "{}", 404, "hopsack.undeclared", {}),
        ("/publish/demo.news", '{"headline": 1}', 422, "hopsack.invalid", {"path": "/headline"}),
        ("/call/", "", 404, "hopsack.not_found", {}),
        ("/call/demo/add", "", 404, "hopsack.not_found", {}),
    ],
)
def test_problems(http: httpx.Client, path: str, body: str, status: int, code: str, facts: dict[str, Any]) -> None:
    answer = http.post(path, content=body, headers={"Content-Type": "application/json"})
    problem = answer.json()

    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == code
    assert problem["type"] == f"/errors#{code}"
    assert problem["title"]
    assert problem["detail"]
    assert facts.items() <= problem.items()
    assert ("retry-after" in answer.headers) == (problem["retry"] == "later")


def test_tokens(node: Node, http: httpx.Client) -> None:
    refused = http.post("/call/presence.list", headers={"Authorization": "Bearer expired"})
    operator = http.post(
        "/call/hopsack.sessions.list", headers={"Authorization": f"Bearer {node.token('operator', 'olga')}"}
    )

    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer ")
    assert {"olga": "http"}.items() <= {one["authid"]: one["door"] for one in operator.json()}.items()


@pytest.mark.parametrize(
    ("size", "status"), [(15_000, 401), (17_000, 401), (60_000, 401), (80_000, 431), (900_000, 431)]
)
def test_tokens_that_are_too_long(http: httpx.Client, size: int, status: int) -> None:
    answer = http.post("/call/presence.list", headers={"Authorization": "Bearer " + "x" * size})

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_only_post(http: httpx.Client, method: str) -> None:
    answer = http.request(method, "/call/presence.list")

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
@pytest.mark.parametrize("media", [None, "text/plain", "application/x-www-form-urlencoded", "application/json"])
def test_a_page_of_another_site_cannot_publish(
    http: httpx.Client, page: Any, headers: dict[str, str], media: str | None
) -> None:
    reader = page()
    reader.ask("hopsack.subscribe", {"topic": "demo.news"})
    typed = headers | ({"Content-Type": media} if media else {})

    refused = http.post("/publish/demo.news", content=b'{"headline": "forged"}', headers=typed)
    asked = http.options("/publish/demo.news", headers=headers | {"Access-Control-Request-Method": "POST"})
    http.post("/publish/demo.news", content=b'{"headline": "true"}')

    assert refused.status_code == 403
    assert "HOPSACK_ORIGINS" in refused.json()["advice"]
    assert not [name for name in asked.headers if name.startswith("access-control-")]
    assert reader.event()["data"] == {"headline": "true"}


def test_what_curl_sends_by_itself(node: Node) -> None:
    command = ["curl", "-s", "-d", '{"headline": "Rain later"}', f"{node.http}/publish/demo.news"]

    assert subprocess.check_output(command, timeout=20) == b"{}"


def test_a_form_is_no_json(http: httpx.Client) -> None:
    answer = http.post("/publish/demo.news", data={"headline": "x"})

    assert (answer.status_code, answer.json()["code"]) == (400, "hopsack.malformed")


def test_a_body_that_is_too_large(http: httpx.Client, node: Node) -> None:
    large = json.dumps({"headline": "x" * (1 << 20)}).encode()
    with_length = http.post("/publish/demo.news", content=large)
    chunked = http.post("/publish/demo.news", content=iter([large]))
    huge = subprocess.run(
        ["curl", "-s", "-o", "-", "-H", "Expect: 100-continue", "--json", "@-", f"{node.http}/publish/demo.news"],
        input=b"x" * (20 << 20),
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert (with_length.status_code, with_length.json()["code"]) == (413, "hopsack.too_large")
    assert chunked.status_code == 413
    assert json.loads(huge.stdout)["code"] == "hopsack.too_large"
    assert http.get("/healthz").status_code == 200


def test_one_connection_serves_many_requests(http: httpx.Client) -> None:
    for _ in range(5):
        assert http.post("/call/presence.list").status_code == 200
        assert http.post("/call/demo.ad").status_code == 404
