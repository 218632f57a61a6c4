"""Pages of other sites in a browser that has a cookie for here, and names that have come to mean this machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..conftest import Node
from .attacker import Attacker
from .conftest import Log

pytestmark = pytest.mark.node

Connect = Callable[[], Attacker]
FOREIGN = [
    ("Origin: https://evil.example",),
    ("Origin: https://evil.example", "Sec-Fetch-Site: cross-site"),
    ("Origin: http://127.0.0.1.evil.example",),
    ("Origin: http://evil.example#127.0.0.1",),
    ("Origin: http://127.0.0.1@evil.example",),
    ("Origin: javascript://127.0.0.1",),
    ("Origin: https://evil.example", "Origin: http://127.0.0.1"),
    ("Origin: \xff",),
    ("Origin: " + "x" * 5000,),
]


def test_the_log_names_a_page_once(attacker: Connect, log: Log) -> None:
    for _ in range(20):
        for path in ("/raw", "/call/presence.list", "/events?topic=demo.news"):
            assert attacker().ask("GET", path, "Origin: https://once.example").status == 403
            assert attacker().ask("GET", path, "Origin: https://once.example\x1b[2J").status == 403
        misled = attacker()
        misled.host = "rebound.example"
        assert misled.ask("GET", "/").status == 421

    assert len(log.lines("a page of https://once.example may not connect")) == 1
    assert len(log.lines("rebound.example")) == 1


@pytest.mark.parametrize("path", ["/raw", "/ws", "/echo", "/raw?topic=demo.news"])
def test_a_websocket_of_another_site(attacker: Connect, node: Node, path: str) -> None:
    cookie = f"Cookie: hopsack={node.token('operator')}"
    for fields in FOREIGN:
        answer = attacker().upgrade(path, "Sec-WebSocket-Protocol: wamp.2.json", cookie, *fields)

        assert answer.status == 403, (fields, answer)
        assert "access-control-allow-origin" not in answer.fields


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/events?topic=demo.news"),
        ("POST", "/call/presence.list"),
        ("POST", "/publish/demo.news"),
        ("POST", "/login"),
    ],
)
def test_a_request_of_another_site(attacker: Connect, node: Node, method: str, path: str) -> None:
    cookie = f"Cookie: hopsack={node.token('operator')}"
    for fields in FOREIGN:
        for media in ("application/json", "text/plain"):
            answer = attacker().ask(method, path, cookie, f"Content-Type: {media}", *fields, body=b"{}")

            assert answer.status == 403, (fields, answer)
            assert not [name for name in answer.fields if name.startswith("access-control-")]
            assert "set-cookie" not in answer.fields


def test_a_page_of_another_port_has_no_part_in_the_cookie(attacker: Connect, node: Node) -> None:
    """A browser sends it along, because a cookie knows no ports; in development such a page may connect, as a guest."""
    fields = (f"Cookie: hopsack={node.token('operator')}", "Origin: http://127.0.0.1:1")

    answer = attacker().ask("POST", "/call/hopsack.session.whoami", *fields, body=b"null")

    assert answer.problem["role"] == "guest"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1", "a" * 5000, "\xff"]
)
def test_a_name_that_has_come_to_mean_this_machine(attacker: Connect, host: str) -> None:
    for path in ("/", "/call/presence.list", "/asyncapi.json", "/raw"):
        client = attacker()
        client.host = host
        answer = client.ask("GET", path)

        assert answer.status in (400, 421), answer
