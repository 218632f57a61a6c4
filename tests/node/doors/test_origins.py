"""Whose pages get through which door of a real node, under which of its names."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from ..conftest import Node, running
from .conftest import CONTRACTS

pytestmark = pytest.mark.node

WAMP = [Subprotocol("wamp.2.json")]
DOORS = ["/raw", "/ws", "/echo", "/events", "/call", "/publish"]
SENDERS = {
    "a program": {},
    "its own page": {"Origin": "http://{host}"},
    "its own page, without an Origin": {"Sec-Fetch-Site": "same-origin"},
    "a page of this machine": {"Origin": "http://localhost:5173"},
    "a page from the disk": {"Origin": "null"},
    "a page of another site": {"Origin": "https://evil.example"},
    "the same, of one that looks like ours": {"Origin": "http://localhost.evil.example"},
    "a frame of another site": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    "a picture of another site": {"Sec-Fetch-Site": "cross-site"},
    "another port's page": {"Origin": "http://192.0.2.9:8080"},
}
LET_IN = {"a program", "its own page", "its own page, without an Origin", "a page of this machine"}
NAMELESS = {"a page from the disk", "a frame of another site"}


def knock(node: Node, door: str, headers: dict[str, str]) -> int:
    """The status of a request that is in order, but for whose it is."""
    if door in ("/raw", "/ws", "/echo"):
        subprotocols = WAMP if door == "/ws" else None
        try:
            with connect(node.ws(door), additional_headers=headers, subprotocols=subprotocols, open_timeout=20):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code
    with httpx.Client(base_url=node.http, timeout=20, headers=headers) as http:
        match door:
            case "/events":
                with http.stream("GET", "/events?topic=demo.news") as answer:
                    return answer.status_code
            case "/call":
                return http.post("/call/presence.list").status_code
            case _:
                return http.post("/publish/demo.news", json={"headline": "Rain later"}).status_code


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("door", DOORS)
def test_in_development(node: Node, door: str, sender: str) -> None:
    host = urlsplit(node.http).netloc
    headers = {name: value.format(host=host) for name, value in SENDERS[sender].items()}
    is_websocket = door in ("/raw", "/ws", "/echo")

    status = knock(node, door, headers)

    good = sender in LET_IN or (is_websocket and sender in NAMELESS)
    assert status == ((101 if is_websocket else 200) if good else 403)


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/metrics", "/asyncapi.json", "/sdk.js", "/call/presence.list", "/raw"]
)
@pytest.mark.parametrize("host", ["evil.example:{port}", "localhost.evil.example", "127.0.0.1.nip.io:{port}"])
def test_a_name_that_has_come_to_mean_this_machine(http: httpx.Client, node: Node, path: str, host: str) -> None:
    """DNS rebinding: to the browser this is a page's own server."""
    name = host.format(port=urlsplit(node.http).port)

    answer = http.get(path, headers={"Host": name, "Origin": f"http://{name}", "Sec-Fetch-Site": "same-origin"})

    assert answer.status_code == 421
    assert answer.json()["code"] == "hopsack.bad_request"


@pytest.mark.parametrize("path", ["/", "/healthz", "/sdk.js"])
@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "fabric.localhost"])
def test_its_own_names(http: httpx.Client, node: Node, path: str, host: str) -> None:
    assert http.get(path, headers={"Host": host.format(port=urlsplit(node.http).port)}).status_code == 200


def test_what_is_the_same_for_everybody_may_be_read_from_everywhere(http: httpx.Client) -> None:
    sent = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}

    assert http.get("/sdk.js", headers=sent).headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in http.get("/healthz", headers=sent).headers


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with running(
        tmp_path_factory.mktemp("listed"),
        "--schemas",
        str(CONTRACTS),
        HOPSACK_ORIGINS="https://app.example, https://*.apps.example:8443, http://fabric.example",
    ) as node:
        yield node


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("origin", "good"),
    [
        ("https://app.example", True),
        ("https://one.apps.example:8443", True),
        ("http://localhost:5173", True),
        ("https://one.apps.example", False),
        ("http://app.example", False),
        ("null", False),
    ],
)
def test_pages_that_are_named(listed: Node, door: str, origin: str, good: bool) -> None:
    status = knock(listed, door, {"Origin": origin, "Sec-Fetch-Site": "cross-site"})

    assert status == ((101 if door in ("/raw", "/ws", "/echo") else 200) if good else 403)


def test_a_named_page_asks_first_and_reads_the_answer(listed: Node) -> None:
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}

    preflight = httpx.options(f"{listed.http}/call/presence.list", headers=asked)
    answer = httpx.post(f"{listed.http}/call/presence.list", headers={"Origin": "https://app.example"})
    problem = httpx.post(f"{listed.http}/call/demo.nothing", headers={"Origin": "https://app.example"})

    assert preflight.status_code == 204
    for one in (preflight, answer, problem):
        assert one.headers["access-control-allow-origin"] == "https://app.example"
        assert one.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in one.headers


def test_a_node_may_be_called_as_its_origins_say(listed: Node) -> None:
    assert httpx.get(f"{listed.http}/healthz", headers={"Host": "fabric.example"}).status_code == 200
    assert httpx.get(f"{listed.http}/healthz", headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    "path", ["/raw?token=x", "/events?topic=demo.news&access_token=x", "/call/presence.list?jwt=x"]
)
def test_a_token_in_a_url(http: httpx.Client, path: str) -> None:
    method = "POST" if path.startswith("/call") else "GET"
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"} if path.startswith("/raw") else {}

    answer = http.request(method, path, headers=upgrade)

    assert answer.status_code == 400
    assert "Authorization: Bearer" in answer.json()["advice"]
