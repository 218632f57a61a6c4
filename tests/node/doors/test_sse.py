"""Server-sent events of a real node, for ``EventSource`` and for curl."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from httpx_sse import connect_sse

from ..conftest import Node
from .conftest import leaving, sessions

pytestmark = pytest.mark.node

NEWS = {"headline": "Rain\nlater, grüße"}


def test_events_arrive_as_they_are_published(http: httpx.Client, page: Any) -> None:
    writer = page()

    with connect_sse(http, "GET", "/events?topic=demo.news&topic=demo..said") as stream:
        headers = stream.response.headers
        events = stream.iter_sse()
        writer.ask("hopsack.publish", {"topic": "demo.news", "data": NEWS})
        writer.ask("hopsack.publish", {"topic": "demo.hall.said", "data": "two"})
        first, second = next(events), next(events)

    assert headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-store"
    assert (first.event, first.json()) == ("demo.news", NEWS)
    assert (second.event, second.json()) == ("demo.hall.said", "two")
    assert first.retry is not None
    assert 1000 <= first.retry <= 5000


def test_an_event_is_sent_once_although_two_patterns_match(http: httpx.Client, page: Any) -> None:
    writer = page()

    with connect_sse(http, "GET", "/events?topic=demo.hall.&topic=demo.hall.said") as stream:
        events = stream.iter_sse()
        writer.ask("hopsack.publish", {"topic": "demo.hall.said", "data": "one"})
        writer.ask("hopsack.publish", {"topic": "demo.hall.said", "data": "two"})

        said = (event.json() for event in events if event.event == "demo.hall.said")
        assert [next(said), next(said)] == ["one", "two"]


def test_curl_reads_a_stream(node: Node, page: Any) -> None:
    writer = page()
    curl = subprocess.Popen(["curl", "-sN", f"{node.http}/events?topic=demo.news"], stdout=subprocess.PIPE, text=True)
    try:
        assert curl.stdout is not None
        assert curl.stdout.readline().startswith("retry: ")
        writer.ask("hopsack.publish", {"topic": "demo.news", "data": {"headline": "Rain later"}})

        assert [curl.stdout.readline() for _ in range(3)] == [
            "event: demo.news\n",
            'data: {"headline":"Rain later"}\n',
            "\n",
        ]
    finally:
        curl.terminate()
        curl.wait(20)


def test_a_reader_is_a_session_until_it_leaves(node: Node, http: httpx.Client, page: Any) -> None:
    watcher = page()
    watcher.ask("hopsack.subscribe", {"topic": "presence.left"})
    headers = {"Authorization": f"Bearer {node.token('user', 'reader')}"}

    with connect_sse(http, "GET", "/events?topic=demo.news", headers=headers):
        doors = {one["authid"]: one["door"] for one in sessions(node, httpx.Client(base_url=node.http))}

    assert doors["reader"] == "sse"
    assert leaving(watcher, "reader")["door"] == "sse"


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/events", {}, 400, "hopsack.bad_request"),
        ("/events?topic=demo.secret", {}, 403, "hopsack.denied"),
        ("/events?topic=demo.newz", {}, 404, "hopsack.undeclared"),
        ("/events?topic=demo.a%20b", {}, 400, "hopsack.invalid_uri"),
        ("/events?topic=demo.news&topic=demo.secret", {}, 403, "hopsack.denied"),
        ("/events?topic=demo.news", {"Authorization": "Bearer expired"}, 401, "hopsack.login_required"),
        ("/events?topic=demo.news", {"Authorization": "Basic YTpi"}, 401, "hopsack.login_required"),
    ],
)
def test_what_is_refused_is_a_problem(
    http: httpx.Client, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    answer = http.get(path, headers=headers)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code


def test_other_methods(http: httpx.Client) -> None:
    assert http.head("/events?topic=demo.news").headers["content-type"] == "text/event-stream"
    refused = http.post("/events?topic=demo.news")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


def test_a_reader_that_does_not_read_costs_its_budget(node: Node, page: Any, http: httpx.Client) -> None:
    writer = page()
    url = urlsplit(node.http)
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect((url.hostname, url.port))
    lines = ("GET /events?topic=demo.hall.said HTTP/1.1", f"Host: {url.netloc}")
    token = f"Authorization: Bearer {node.token('user', 'deaf-reader')}"
    deaf.sendall("\r\n".join((*lines, token, "", "")).encode())
    assert deaf.recv(12) == b"HTTP/1.1 200"
    text = "x" * 60_000

    for _ in range(150):
        writer.ask("hopsack.publish", {"topic": "demo.hall.said", "data": text})

    (listed,) = [one for one in sessions(node, http) if one["authid"] == "deaf-reader"]
    assert listed["lag"]["policy"] == "dropping"
    assert 0 < listed["lag"]["unsent"] <= 1 << 20
    deaf.close()


def test_events_of_http_publishers(http: httpx.Client, node: Node) -> None:
    with connect_sse(http, "GET", "/events?topic=demo.news") as stream:
        httpx.post(f"{node.http}/publish/demo.news", content=json.dumps(NEWS)).raise_for_status()

        assert next(stream.iter_sse()).json() == NEWS
