"""Guesses without end and connections without end, from one address: it has to wait, and nobody else does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from hopsack.tokens import mint

from ..conftest import Node
from .attacker import Attacker
from .conftest import AUDITED, Audit, Log

pytestmark = pytest.mark.node

Connect = Callable[[], Attacker]
ConnectFrom = Callable[[str], Attacker]
FROM = {"http": "127.0.0.2", "sse": "127.0.0.3", "raw": "127.0.0.4", "wamp": "127.0.0.5"}
"""Other addresses of this machine: one for each door, because the audit log tells them apart."""
FORGED = "another-secret-of-thirty-two-bytes!!"


@pytest.fixture
def limited(attacker: Connect, node: Node) -> Iterator[Callable[..., None]]:
    """Sets limits of this node, for one test."""
    operator = attacker().page(node.token("operator", "op"))
    yield lambda **wanted: operator.result(1, "hopsack.limits.set", wanted)
    operator.result(2, "hopsack.limits.reset", {})


@pytest.fixture
def elsewhere(node: Node) -> Iterator[ConnectFrom]:
    """Connects to the HTTP port from another address."""
    with ExitStack() as opened:
        yield lambda address: opened.enter_context(Attacker(node.http, address))


def over_http(client: Attacker, token: str) -> str:
    answer = client.ask("POST", "/call/presence.list", f"Authorization: Bearer {token}", body=b"null")
    assert answer.status in (200, 401, 429), answer
    assert answer.status != 429 or int(answer.fields["retry-after"]) >= 1
    return "ok" if answer.status == 200 else str(answer.problem["code"])


def over_sse(client: Attacker, token: str) -> str:
    client.send(client.head("GET", "/events?topic=demo.news", f"Authorization: Bearer {token}"))
    if b" 200 " in client.until(b"\r\n"):
        return "ok"
    client.until(b"\r\n\r\n")
    client.until(b'"code":"')
    return client.until(b'"')[:-1].decode()


def over_raw(client: Attacker, token: str) -> str:
    client.page().request(1, "hopsack.hello", {"token": token})
    answer = client.hear()
    if "result" in answer:
        return "ok"
    told = answer["error"]["data"]
    code = str(told["code"])
    assert code != "hopsack.rate_limited" or told["data"]["retry_after"] > 0
    assert client.closed().code == (4429 if code == "hopsack.rate_limited" else 4401)
    return code


def over_wamp(client: Attacker, token: str) -> str:
    client.open("/ws", "Sec-WebSocket-Protocol: wamp.2.json")
    roles: dict[str, Any] = {"caller": {}}
    assert client.reply(1, "hopsack", {"roles": roles, "authmethods": ["ticket"]})[0] == 4
    kind, details, *rest = client.reply(5, token, {})
    if kind == 2:
        return "ok"
    assert ("retry_after" in details) is (rest == ["hopsack.rate_limited"])
    return "hopsack.rate_limited" if rest == ["hopsack.rate_limited"] else "hopsack.login_required"


DOORS = {"http": over_http, "sse": over_sse, "raw": over_raw, "wamp": over_wamp}


@pytest.mark.parametrize("door", DOORS)
def test_guesses_at_somebodys_token(
    elsewhere: ConnectFrom, attacker: Connect, node: Node, limited: Any, audit: Audit, door: str
) -> None:
    limited(name="auth_failures.subject", rate=10 / 60, burst=10)
    forged = mint(FORGED, sub=f"ann-{door}", role="user")

    told = [DOORS[door](elsewhere(FROM[door]), forged) for _ in range(30)]
    good = DOORS[door](elsewhere(FROM[door]), node.token("user", f"ann-{door}"))
    from_here = DOORS[door](attacker(), node.token("user", f"ann-{door}"))

    assert told[:10] == ["hopsack.login_required"] * 10
    assert set(told[10:]) <= {"hopsack.rate_limited", "hopsack.login_required"}
    assert told[10:].count("hopsack.rate_limited") >= 15  # one more is looked at now and then
    assert (good, from_here) == ("ok", "ok")
    assert 1 <= len(audit.entries("login_refused", address=FROM[door])) <= 2 * AUDITED
    assert 1 <= len(audit.entries("rate_limited", address=FROM[door])) <= 2 * AUDITED


def test_guesses_at_who_there_is(
    elsewhere: ConnectFrom, attacker: Connect, node: Node, limited: Any, audit: Audit
) -> None:
    """Each subject is tried once: it is the address that has to wait."""
    limited(name="auth_failures.address", rate=1, burst=60)
    address = "127.0.0.6"

    told = [over_http(elsewhere(address), mint(FORGED, sub=f"user-{n}", role="user")) for n in range(300)]
    good = over_http(elsewhere(address), node.token("user", "user-1"))
    from_here = over_http(attacker(), mint(FORGED, sub="user-1", role="user"))

    assert told[:60] == ["hopsack.login_required"] * 60
    assert told.count("hopsack.rate_limited") >= 200
    assert (good, from_here) == ("ok", "hopsack.login_required")
    assert 1 <= len(audit.entries("login_refused", address=address)) <= 2 * AUDITED
    assert 1 <= len(audit.entries("rate_limited", address=address)) <= 2 * AUDITED


def test_five_hundred_connections(
    elsewhere: ConnectFrom, attacker: Connect, node: Node, limited: Any, log: Log
) -> None:
    limited(name="connections.address", burst=160)
    clients = [elsewhere("127.0.0.7") for _ in range(500)]

    for client in clients:
        client.send(client.head("GET", "/healthz"))
    heads = Counter(first_line(client) for client in clients)

    assert set(heads) <= {b"HTTP/1.1 200 OK", b"HTTP/1.1 429 Too Many Requests", b""}
    assert heads[b"HTTP/1.1 200 OK"] == 160
    assert heads[b"HTTP/1.1 429 Too Many Requests"]
    assert attacker().ask("GET", "/healthz").status == 200
    assert 1 <= len(log.lines("refused connections", "127.0.0.7")) <= 3


def first_line(client: Attacker) -> bytes:
    """Nothing, where the connection was closed without a word."""
    try:
        return client.until(b"\r\n").strip()
    except EOFError:
        return b""
