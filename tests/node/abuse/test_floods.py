"""Too much of what is allowed: subscriptions, calls without an answer, events, connections, requests in one batch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest

from .attacker import FIN, TEXT, Attacker, masked
from .conftest import AUDITED, Audit, Log

pytestmark = pytest.mark.node

Connect = Callable[[], Attacker]


def request(number: int, method: str, params: object) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()
    return masked(FIN | TEXT, body)


def answers(client: Attacker, count: int) -> Counter[str]:
    """The codes of so many answers, in short."""
    found: Counter[str] = Counter()
    while sum(found.values()) < count:
        answer = client.hear()
        if "id" in answer and "method" not in answer:
            found[answer["error"]["data"]["code"] if "error" in answer else "ok"] += 1
    return found


def test_subscriptions(attacker: Connect, log: Log) -> None:
    """Each is one topic more that the node has to remember: there are so many, and the rest is told so."""
    client = attacker().page()
    asked = 700

    client.send(b"".join(request(n, "hopsack.subscribe", {"topic": f"demo.r{n}.said"}) for n in range(asked)))

    got = answers(client, asked)
    assert got["ok"] == 500
    assert sum(got.values()) - got["ok"] == 200
    assert set(got) <= {"ok", "hopsack.too_many"}
    assert len(log.text().splitlines()) <= 1  # its client was told each time


def test_subscriptions_come_and_go(attacker: Connect) -> None:
    client = attacker().page()
    for n in range(200):
        granted = client.result(n, "hopsack.subscribe", {"topic": f"demo.x{n}.said"})
        client.result(n, "hopsack.unsubscribe", {"subscription": granted["subscription"]})


def test_calls_that_nobody_answers(attacker: Connect, log: Log) -> None:
    callee, caller = attacker().page(), attacker().page()
    callee.result(1, "hopsack.register", {"procedure": "demo.mute.ask"})
    asked = 400

    caller.send(b"".join(request(n, "demo.mute.ask", {"text": "?"}) for n in range(asked)))

    got = answers(caller, asked - 200)
    assert set(got) <= {"hopsack.overloaded", "hopsack.rate_limited"}
    assert len(log.text().splitlines()) <= 1


def test_events_without_end(attacker: Connect, log: Log, audit: Audit) -> None:
    """They are dropped, its sender is told, and who does not hear it is closed with a code."""
    client = attacker().page()
    body = {"jsonrpc": "2.0", "method": "hopsack.publish", "params": {"topic": "demo.eve.said", "data": "x"}}
    many = masked(FIN | TEXT, json.dumps(body).encode()) * 1000

    client.socket.settimeout(20)
    with suppress(OSError):
        for _ in range(60):
            client.socket.sendall(many)

    assert client.closed().code in (4429, None)  # nothing is heard where it was reset while it was sending
    assert len(log.lines(client.peer, "does more than it may")) == 1
    assert len(log.lines(client.peer, "it goes on")) == 1
    assert len(audit.entries("rate_limited", limit="publishes.connection")) == 1
    assert len(audit.entries("ended")) == 1


def test_events_that_nobody_may_publish(attacker: Connect, log: Log, audit: Audit) -> None:
    """Nobody acknowledges them, so their sender is told nothing. The log says it once."""
    client = attacker().page()
    body = {"jsonrpc": "2.0", "method": "hopsack.publish", "params": {"topic": "demo.secret", "data": "x"}}

    client.send(masked(FIN | TEXT, json.dumps(body).encode()) * 500)

    client.result(1, "hopsack.ping", {})
    assert len(log.lines("refused from", "demo.secret")) == 1
    assert 1 <= len(audit.entries("denied", uri="demo.secret")) <= 2 * AUDITED


def test_answers_that_break_their_contract(attacker: Connect, log: Log) -> None:
    callee, caller = attacker().page(), attacker().page()
    callee.result(1, "hopsack.register", {"procedure": "demo.liar.ask"})

    for number in range(50):
        caller.request(number, "demo.liar.ask", {"text": "?"})
        while "id" not in (asked := callee.hear()):
            pass  # a report that its last answer broke its contract
        callee.say({"jsonrpc": "2.0", "id": asked["id"], "result": {"not": "so"}})
        assert caller.hear()["error"]["data"]["code"] == "hopsack.broken_result"

    assert len(log.lines("demo.liar.ask")) == 1


def test_batches_of_calls(attacker: Connect) -> None:
    client = attacker().page()
    one = {"jsonrpc": "2.0", "id": 1, "method": "presence.list"}
    batch = masked(FIN | TEXT, json.dumps([one] * 100).encode())

    client.send(batch * 5)

    for _ in range(5):
        assert len(client.hear()) == 100


def test_connections_that_come_and_go(attacker: Connect) -> None:
    for n in range(300):
        client = attacker()
        if n % 3 == 0:
            client.send(b"GET /raw HTTP/1.1\r\n")
        elif n % 3 == 1:
            client.page()
        client.socket.close()
