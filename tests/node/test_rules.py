"""What a refusal tells in development, what it tells in production, and what ``hopsack why`` tells an operator."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from hopsack import connect
from hopsack.errors import Denied, RemoteError, Undeclared
from hopsack.tokens import mint

from .conftest import Node, declared, running

pytestmark = pytest.mark.node

CONTRACTS = """
topics:
  inbox.{sub}.mail:
    summary: What somebody is told.
    payload: {type: string}
    publish: [service]
    subscribe: ['user:{sub}']
"""
SECRET = secrets.token_urlsafe(32)
RULE = "subscribe: [user:{sub}]"


def inboxes(data: Path, **variables: str) -> AbstractContextManager[Node]:
    return running(data, "--schemas", declared(data, "inbox", CONTRACTS), HOPSACK_SECRET=SECRET, **variables)


def token(role: str, sub: str) -> str:
    return mint(SECRET, sub=sub, role=role)


async def refusal(node: Node, role: str, sub: str, topic: str) -> RemoteError:
    async with connect(node.ws("/raw"), token=token(role, sub)) as fabric:
        with pytest.raises(RemoteError) as refused:
            await fabric.subscribe(topic)
    return refused.value


def why(node: Node, *words: str) -> Any:
    command = [sys.executable, "-m", "hopsack.cli", "why", *words, "--url", node.rawsocket, "--data", str(node.data)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HOPSACK_")}
    ran = subprocess.run(
        [*command, "--token", token("operator", "root")],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
        timeout=30,
    )
    answer = json.loads(ran.stdout)
    assert ran.returncode == (0 if answer["allowed"] else 1), ran.stderr
    return answer


def test_developers_are_told_the_rule_and_why_tells_the_same(tmp_path: Path) -> None:
    with inboxes(tmp_path) as node:
        denied = asyncio.run(refusal(node, "user", "ann", "inbox.bob.mail"))
        undeclared = asyncio.run(refusal(node, "user", "ann", "inbox.ann.mial"))
        theirs = why(node, "ann", "subscribe", "inbox.bob.mail")
        mine = why(node, "ann", "subscribe", "inbox.ann.", "--match", "prefix")
        misspelt = why(node, "ann", "subscribe", "inbox.ann.mial")

    assert isinstance(denied, Denied)
    assert denied.data["rule"].endswith(f"inbox.yaml:7 {RULE}")
    assert isinstance(undeclared, Undeclared)
    assert undeclared.data == {"nearest": "inbox.{sub}.mail"}
    assert (theirs["allowed"], theirs["code"]) == (False, "hopsack.denied")
    assert theirs["why"] == f"{denied.data['rule']} does not allow it"
    assert (mine["allowed"], mine["rule"]) == (True, "user:{sub}")
    assert misspelt["nearest"] == "inbox.{sub}.mail"


def test_in_production_strangers_are_told_no_and_operators_why(tmp_path: Path) -> None:
    with inboxes(tmp_path, HOPSACK_ENV="prod", HOPSACK_PROXY="127.0.0.1") as node:
        denied = asyncio.run(refusal(node, "user", "ann", "inbox.bob.mail"))
        undeclared = asyncio.run(refusal(node, "user", "ann", "inbox.bob.mial"))
        theirs = why(node, "ann", "subscribe", "inbox.bob.mail")

    assert type(undeclared) is type(denied) is Denied
    assert str(undeclared).replace("mial", "mail") == str(denied)
    assert denied.message == "role user may not subscribe to inbox.bob.mail"
    assert "{sub}" not in f"{denied.advice} {denied.data} {undeclared.advice} {undeclared.data}"
    assert theirs["why"].endswith(f"{RULE} does not allow it")
