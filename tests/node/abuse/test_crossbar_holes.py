"""Holes of stock Crossbar that need a socket to be seen (the list: tests/unit/routing/test_crossbar_holes.py)."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ..conftest import Node
from .attacker import Attacker

pytestmark = pytest.mark.node

Connect = Callable[[], Attacker]


def test_the_meta_api_has_no_headers(attacker: Connect, node: Node) -> None:
    """Stock: ``wamp.session.get`` and ``on_join`` show every client's Cookie and Authorization."""
    op = attacker()
    op.open("/ws", "Sec-WebSocket-Protocol: wamp.2.json")
    assert op.reply(1, "hopsack", {"roles": {"caller": {}, "subscriber": {}}, "authmethods": ["ticket"]})[0] == 4
    assert op.reply(5, node.token("operator", "op"), {})[0] == 2
    assert op.reply(32, 1, {}, "wamp.session.on_join")[0] == 33
    token = node.token("user", "ann")
    victim = attacker()
    fields = (
        f"Authorization: Bearer {token}",
        "Cookie: a=kept-in-a-jar",
        "X-Mine: my-own-business",
        "User-Agent: Netscape",
    )

    victim.open("/raw", *fields)
    session = victim.result(1, "hopsack.hello", {})["session"]
    told = [op.hear()]
    for number, procedure in enumerate(("wamp.session.get", "hopsack.sessions.list", "wamp.session.list"), 2):
        told.append(op.reply(48, number, {}, procedure, [session] if procedure == "wamp.session.get" else []))

    text = json.dumps(told)
    assert [one[0] for one in told] == [36, 50, 50, 50]
    assert str(session) in text
    for secret in (token, token.rpartition(".")[2], "kept-in-a-jar", "my-own-business"):
        assert secret not in text


def test_a_request_that_is_sent_again(attacker: Connect) -> None:
    """Stock checks neither sequence nor nonce of its signed requests: within five minutes each can be replayed.

    Here a request is signed by nothing but the connection's TLS, and what is sent twice with a key is done once.
    """
    fields = ("Content-Type: application/json", "Idempotency-Key: a-key-of-this-test")

    first, again = (
        attacker().ask("POST", "/publish/demo.ticker", *fields, body=b'{"headline":"once"}') for _ in range(2)
    )
    fresh = attacker().ask(
        "POST", "/publish/demo.ticker", "Content-Type: application/json", body=b'{"headline":"twice"}'
    )

    assert first.problem == again.problem
    assert fresh.problem != first.problem


@pytest.mark.parametrize("path", ["/call/presence.list", "/publish/demo.news", "/", "/healthz", "/asyncapi.json"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_cors(attacker: Connect, method: str, path: str) -> None:
    """Stock answers any origin with that origin, and with ``Allow-Credentials: true``."""
    answer = attacker().ask(method, path, "Origin: https://evil.example", "Access-Control-Request-Method: POST")

    assert "access-control-allow-credentials" not in answer.fields
    assert answer.fields.get("access-control-allow-origin", "*") == "*"
    if "access-control-allow-origin" in answer.fields:
        assert path == "/asyncapi.json" or path == "/healthz"  # the same for everybody


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/call/hopsack.sessions.list", 403),
        ("/publish/demo.secret", 403),
        ("/call/demo.none", 404),
        ("/call/demo.add", 422),
    ],
)
def test_a_refusal_has_a_status(attacker: Connect, path: str, status: int) -> None:
    """Stock answers 200 to what is not authorized, and to every error."""
    answer = attacker().ask("POST", path, body=b"{}")

    assert (answer.status, answer.fields["content-type"]) == (status, "application/problem+json")


def test_an_exception_is_nobodys_business(attacker: Connect) -> None:
    """Stock hands a callee's exception, with its text, to whoever has called."""
    callee = attacker().wamp()
    callee.reply(64, 1, {}, "demo.sam.ask")
    text = "password=1234 at /srv/app.py:12"
    for error in ("wamp.error.runtime_error", "com.app.ValueError", "demo.sam.broken"):
        caller = attacker().page()
        caller.request(1, "demo.sam.ask", {"text": "x"})
        callee.say([8, 68, callee.hear()[1], {}, error, [text], {"traceback": [text]}])

        answer = caller.hear()

        assert answer["error"]["data"]["code"] == "hopsack.internal"
        assert "1234" not in json.dumps(answer)
        assert "app.py" not in json.dumps(answer)


def test_who_speaks_to_strangers_says_no_version(attacker: Connect) -> None:
    """Stock: ``Server: Crossbar/26.10.1`` on everything."""
    for path in ("/", "/healthz", "/raw", "/nothing", "/call/x"):
        answer = attacker().ask("GET", path)
        assert answer.fields["server"] == "hopsack"
