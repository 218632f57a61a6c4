"""Logging in with a cookie, and who a request is of: through the real doors, as browsers and others send it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from httpx_sse import connect_sse
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from hopsack.settings import Settings
from hopsack.tokens import mint

from ..conftest import Node, running
from .conftest import CONTRACTS

pytestmark = pytest.mark.node

Headers = dict[str, str]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One where failed logins are not counted: there are many here."""
    often = "auth_failures.subject=1000/s, auth_failures.address=1000/s"
    with running(tmp_path_factory.mktemp("login"), "--schemas", str(CONTRACTS), HOPSACK_LIMITS=often) as node:
        yield node


@pytest.fixture
def own(node: Node) -> Headers:
    """What a browser says of a request that a page of the node makes."""
    return {"Origin": node.http, "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def cookie(http: httpx.Client, node: Node, own: Headers) -> str:
    answer = http.post("/login", json={"token": token(node)}, headers=own)
    http.cookies.clear()
    found = re.match(r"(hopsack=[^;]+)", answer.headers["set-cookie"])
    assert found is not None
    return found[1]


def token(node: Node, **changes: Any) -> str:
    claims: dict[str, Any] = {"sub": "ann", "role": "user", "ttl": 600}
    return mint(Settings.from_environ({}, data=node.data).secret(), **claims | changes)


def called(http: httpx.Client, headers: Headers) -> tuple[str, str]:
    """Who a call is of: subject and role."""
    answer = http.post("/call/hopsack.session.whoami", headers=headers, content=b"null")
    assert answer.status_code == 200, answer.text
    return answer.json()["subject"], answer.json()["role"]


def greeted(node: Node, headers: Headers, *methods: str) -> list[Any]:
    """What the WAMP door answers HELLO."""
    with connect(
        node.ws("/ws"), subprotocols=[Subprotocol("wamp.2.json")], additional_headers=headers, origin=None
    ) as ws:
        ws.send(json.dumps([1, "hopsack", {"roles": {"caller": {}}, "authmethods": list(methods)}]))
        answer: list[Any] = json.loads(ws.recv(20))
    return answer


def said_hello(node: Node, headers: Headers, **params: Any) -> Any:
    """What the raw door answers to hello."""
    with connect(node.ws("/raw"), additional_headers=headers) as ws:
        ws.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "hopsack.hello", "params": params}))
        return json.loads(ws.recv(20))


def refused(ask: Callable[[], str]) -> str:
    """What a WebSocket door says: with its own words, or while it is opened."""
    try:
        return ask()
    except InvalidStatus as answered:
        return f"{json.loads(answered.response.body)['code']}: login_required, authentication_failed"


# ---- the cookie -----------------------------------------------------------------------------------------------------


def test_the_cookie_is_the_token_and_out_of_reach_of_scripts_and_other_sites(
    http: httpx.Client, node: Node, own: Headers
) -> None:
    given = token(node, ttl=600)

    answer = http.post("/login", json={"token": given}, headers=own)

    assert (answer.status_code, answer.content) == (204, b"")
    value, *attributes = answer.headers["set-cookie"].split("; ")
    assert value == f"hopsack={given}"
    assert attributes[:3] == ["Path=/", "HttpOnly", "SameSite=Strict"]
    assert re.fullmatch(r"Max-Age=(59\d|600)", attributes[3])
    assert answer.headers["cache-control"] == "no-store"


def test_a_token_that_never_expires_is_forgotten_with_the_browser(http: httpx.Client, node: Node, own: Headers) -> None:
    answer = http.post("/login", headers=own | {"Authorization": f"Bearer {token(node, ttl=None)}"})

    assert answer.status_code == 204
    assert "Max-Age" not in answer.headers["set-cookie"]


def test_logging_out_takes_it_back_whatever_it_is(http: httpx.Client, own: Headers) -> None:
    for value in ("", "hopsack=rubbish", "hopsack=a; hopsack=b"):
        answer = http.post("/logout", content="{}", headers=own | ({"Cookie": value} if value else {}))

        assert answer.status_code == 204
        assert answer.headers["set-cookie"] == "hopsack=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"


@pytest.mark.parametrize("path", ["/login", "/logout"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:9"}, 403),
        ({}, 204),
    ],
    ids=str,
)
def test_other_pages_log_nobody_in_or_out(
    http: httpx.Client, node: Node, path: str, headers: Headers, status: int
) -> None:
    """``http://localhost:9`` is a page of this machine, which may connect in development: not with the cookie."""
    answer = http.post(path, json={"token": token(node)}, headers=headers)

    assert answer.status_code == status
    assert ("set-cookie" in answer.headers) == (status == 204)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "hopsack.malformed"),
        (b"[]", "hopsack.invalid"),
        (b"{}", "hopsack.invalid"),
        (b'{"token": 1}', "hopsack.invalid"),
        (b'{"token": "x", "role": "operator"}', "hopsack.invalid"),
        (b'{"token": "x"}', "hopsack.login_required"),
        (b'{"token": ""}', "hopsack.login_required"),
        (b'{"token": "a; Domain=evil.example"}', "hopsack.login_required"),
        (b'{"token": "a\\r\\nSet-Cookie: b"}', "hopsack.login_required"),
        (json.dumps({"token": "x" * 3801}).encode(), "hopsack.too_large"),
        (b'{"token": "' + b"\\u00fc" * 9 + b'"}', "hopsack.login_required"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_good_token_gets_no_cookie(http: httpx.Client, own: Headers, body: bytes, code: str) -> None:
    answer = http.post("/login", content=body, headers=own)

    assert answer.json()["code"] == code
    assert answer.status_code >= 400
    assert "set-cookie" not in answer.headers


def test_an_expired_token_gets_no_cookie(http: httpx.Client, node: Node, own: Headers) -> None:
    old = token(node, ttl=1, now=lambda: time.time() - 100)

    answer = http.post("/login", json={"token": old}, headers=own)

    assert (answer.status_code, answer.json()["detail"]) == (401, "the token has expired")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/login", 405), ("POST", "/login/x", 404)])
def test_there_is_one_way_to_ask(http: httpx.Client, method: str, path: str, status: int) -> None:
    assert http.request(method, path).status_code == status


# ---- on every door --------------------------------------------------------------------------------------------------


def test_a_page_of_the_node_is_who_its_cookie_says(http: httpx.Client, node: Node, own: Headers, cookie: str) -> None:
    headers = own | {"Cookie": f"theme=dark; {cookie}; other=1"}

    assert called(http, headers) == ("ann", "user")
    for methods in ((), ("cookie",), ("anonymous",), ("cookie", "anonymous")):
        _, _, welcome = greeted(node, headers, *methods)
        assert (welcome["authid"], welcome["authrole"], welcome["authmethod"]) == ("ann", "user", "cookie")
        assert 0 < welcome["authextra"]["expires_in"] <= 600
    result = said_hello(node, headers)["result"]
    assert (result["authid"], result["role"]) == ("ann", "user")
    assert 0 < result["expires_in"] <= 600
    with connect_sse(http, "GET", "/events?topic=demo.news", headers=headers) as stream:
        assert stream.response.status_code == 200
        readers = [one["authid"] for one in http.post("/call/presence.list").json()["members"] if one["door"] == "sse"]
    assert readers == ["ann"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost:9"},
        {"Origin": "http://localhost:9", "Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_who_does_not_say_that_it_is_a_page_of_the_node_is_a_guest_whatever_cookie_it_has(
    http: httpx.Client, node: Node, cookie: str, headers: Headers
) -> None:
    """A page of another port of this machine gets the cookie sent along by the browser: cookies know no ports."""
    headers = headers | {"Cookie": cookie}

    assert called(http, headers)[1] == "guest"
    assert greeted(node, headers)[2]["authrole"] == "guest"
    assert said_hello(node, headers)["result"]["role"] == "guest"


@pytest.mark.parametrize("path", ["/call/presence.list", "/publish/demo.text"])
def test_a_foreign_page_gets_nowhere_with_the_cookie(http: httpx.Client, cookie: str, path: str) -> None:
    """Cross-site request forgery."""
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Cookie": cookie}

    assert http.post(path, headers=headers, content=b'"x"').status_code == 403


def test_a_token_in_the_header_counts_more_than_the_cookie(
    http: httpx.Client, node: Node, own: Headers, cookie: str
) -> None:
    headers = own | {"Cookie": cookie, "Authorization": f"Bearer {token(node, sub='eve', role='service')}"}

    assert called(http, headers) == ("eve", "service")
    assert greeted(node, headers)[2]["authid"] == "eve"
    assert said_hello(node, headers)["result"]["authid"] == "eve"
    assert said_hello(node, headers, token=token(node, sub="joe"))["result"]["authid"] == "joe"


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": "hopsack=rubbish"},
        {"Cookie": "hopsack=a.b.c; hopsack=d.e.f"},
        {"Authorization": "Bearer rubbish"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer"},
    ],
    ids=str,
)
def test_who_means_to_be_somebody_does_not_go_on_as_nobody(
    http: httpx.Client, node: Node, own: Headers, headers: Headers
) -> None:
    headers = own | headers

    for answer in (http.post("/call/presence.list", headers=headers), http.get("/events?topic=a.b", headers=headers)):
        assert (answer.status_code, answer.json()["code"]) == (401, "hopsack.login_required")
    assert "login_required" in refused(lambda: said_hello(node, headers)["error"]["data"]["code"])
    assert "authentication_failed" in refused(lambda: greeted(node, headers)[2])


@pytest.mark.parametrize(
    "path", ["/call/presence.list", "/publish/demo.news", "/events?topic=a.b", "/raw", "/ws", "/login"]
)
@pytest.mark.parametrize("others", ["another's", "the same"])
def test_several_authorization_headers_are_refused(node: Node, path: str, others: str) -> None:
    """What stands in front of the node may have looked at another of them."""
    mine = token(node)
    second = mine if others == "the same" else token(node, sub="bob")
    headers = [("Host", urlsplit(node.http).netloc), *(("Authorization", f"Bearer {one}") for one in (mine, second))]
    if path in ("/raw", "/ws"):
        headers += [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
        headers += [("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="), ("Sec-WebSocket-Protocol", "wamp.2.json")]
    method = "GET" if path.startswith(("/events", "/raw", "/ws")) else "POST"

    answer = httpx.request(method, f"{node.http}{path}", headers=headers, timeout=20)

    assert (answer.status_code, answer.json()["code"]) == (400, "hopsack.bad_request")
    assert "several Authorization headers" in answer.json()["detail"]
    assert "set-cookie" not in answer.headers


def test_a_cookie_that_is_refused_says_how_to_get_rid_of_it(http: httpx.Client, own: Headers) -> None:
    answer = http.post("/call/presence.list", headers=own | {"Cookie": "hopsack=rubbish"})

    assert "POST /logout" in answer.json()["advice"]


# ---- guests ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["read", "none"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def strict(tmp_path_factory: pytest.TempPathFactory, mode: str) -> Iterator[Node]:
    """A node with another word on guests."""
    data = tmp_path_factory.mktemp("guests")
    with running(data, "--schemas", str(CONTRACTS), HOPSACK_GUESTS=mode) as node:
        yield node


def asked(node: Node, method: str, params: Any, headers: Headers) -> Any:
    """What the raw door answers to the first request of somebody who has not said hello."""
    with connect(node.ws("/raw"), additional_headers=headers) as ws:
        ws.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
        return json.loads(ws.recv(20))


def test_guests_on_every_door(strict: Node, mode: str) -> None:
    may_read = mode == "read"
    ann = {"Authorization": f"Bearer {token(strict)}"}
    write = {"topic": "demo.news", "data": {"headline": "Rain"}}

    with httpx.Client(base_url=strict.http, timeout=20) as http:
        listed = http.post("/call/presence.list")
        written = http.post("/publish/demo.news", json=write["data"])
        with http.stream("GET", "/events?topic=demo.news") as stream:
            read = stream.status_code
        of_ann = http.post("/publish/demo.news", json=write["data"], headers=ann)
    subscribed = asked(strict, "hopsack.subscribe", {"topic": "demo.news"}, {})
    published = asked(strict, "hopsack.publish", write, {})
    registered = asked(strict, "hopsack.register", {"procedure": "demo.ann.ask"}, {})
    hello = greeted(strict, {})

    assert of_ann.status_code == 200
    if may_read:
        assert (listed.status_code, read, written.status_code) == (200, 200, 403)
        assert "result" in subscribed
        assert {one["error"]["data"]["code"] for one in (published, registered)} == {"hopsack.denied"}
        assert (hello[0], hello[2]["authrole"]) == (2, "guest")
    else:
        assert (listed.status_code, read, written.status_code) == (401, 401, 401)
        refusals = [one["error"]["data"] for one in (subscribed, published, registered)]
        assert {one["code"] for one in refusals} == {"hopsack.login_required"}
        assert {one["message"] for one in refusals} == {"this node lets no guests in"}
        assert (hello[0], hello[2]) == (3, "wamp.error.authentication_failed")
