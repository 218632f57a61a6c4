"""Revoking somebody who logs in, publishes and subscribes meanwhile: after the answer it is nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ..conftest import Node
from .attacker import Attacker
from .conftest import Audit, Log

pytestmark = pytest.mark.node

Connect = Callable[[], Attacker]


def operator(attacker: Connect, node: Node) -> Attacker:
    return attacker().page(node.token("operator", "op"))


def subjects(client: Attacker) -> list[str]:
    listed = client.result("list", "hopsack.sessions.list", {})
    return [one["authid"] for one in listed]


def test_logins_that_are_under_way(attacker: Connect, node: Node, audit: Audit, log: Log) -> None:
    """Whether a login came before or after, none of its sessions is left."""
    token = node.token("user", "racer")
    op = operator(attacker, node)
    early = [attacker().page() for _ in range(15)]
    late = [attacker().page() for _ in range(15)]
    for client in early:
        client.request(1, "hopsack.hello", {"token": token})

    op.request(1, "hopsack.access.revoke", {"subject": "racer", "reason": "a race"})
    for client in late:
        client.request(1, "hopsack.hello", {"token": token})

    assert "result" in op.hear()
    assert {client.closed().code for client in (*early, *late)} == {4401}
    assert "racer" not in subjects(op)
    assert len(audit.entries("revoked", subject="racer")) == 1
    ended = [entry["session"] for entry in audit.entries("ended", subject="racer")]
    assert len(ended) == len(set(ended))
    assert len(log.text().splitlines()) <= 2
    op.result(2, "hopsack.access.restore", {"subject": "racer"})


@pytest.mark.parametrize("door", ["raw", "wamp"])
def test_what_it_says_meanwhile(attacker: Connect, node: Node, door: str) -> None:
    """Of its events some may be in time; none comes behind the answer to the revocation."""
    token, op = node.token("user", f"loud-{door}"), operator(attacker, node)
    witness = attacker().page()
    witness.result(1, "hopsack.subscribe", {"topic": f"demo.{door}.said"})
    loud = attacker()
    says: list[Any]
    if door == "raw":
        loud.page(token)
        loud.result(1, "hopsack.ping", {})
        says = [{"jsonrpc": "2.0", "method": "hopsack.publish", "params": {"topic": "demo.raw.said", "data": "x"}}]
    else:
        loud.open("/ws", "Sec-WebSocket-Protocol: wamp.2.json")
        assert loud.reply(1, "hopsack", {"roles": {"publisher": {}}, "authmethods": ["ticket"]})[0] == 4
        assert loud.reply(5, token, {})[0] == 2
        says = [[16, 1, {}, "demo.wamp.said", ["x"]], [32, 2, {}, "demo.wamp.said"], [64, 3, {}, "demo.loud.ask"]]
    for _ in range(50):
        for said in says:
            loud.say(said)

    op.result(1, "hopsack.access.revoke", {"subject": f"loud-{door}"})
    op.result(2, "hopsack.publish", {"topic": f"demo.{door}.said", "data": "the end"})
    for _ in range(50):
        for said in says:
            loud.say(said)
    op.result(3, "hopsack.publish", {"topic": f"demo.{door}.said", "data": "and nothing behind it"})

    heard = []
    while "and nothing behind it" not in heard:
        heard.append(witness.hear()["params"]["data"])
    assert heard[heard.index("the end") :] == ["the end", "and nothing behind it"]
    assert f"loud-{door}" not in subjects(op)
