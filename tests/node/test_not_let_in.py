"""What somebody reads who is not let in: what to type, and not what a library says of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hopsack
from hopsack.errors import Disconnected
from hopsack.tokens import mint

from .conftest import Node
from .test_production import SECRET, production
from .test_tls import Place

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One in production, with TLS."""
    folder = tmp_path_factory.mktemp("node")
    place = Place(folder).issue()
    place.key.chmod(0o600)
    with production(folder, **place.variables()) as node:
        yield node


def cli(node: Node, *words: str, **variables: str) -> tuple[int, str]:
    """Exit code and what was said, of a command that is typed where the node runs."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HOPSACK_")}
    given = {"HOPSACK_ENV": "prod", "HOPSACK_URL": node.rawsocket, "HOPSACK_DATA": str(node.data)}
    command = [sys.executable, "-m", "hopsack.cli", *words]
    done = subprocess.run(
        command, env=environ | given | variables, capture_output=True, text=True, check=False, timeout=30
    )
    return done.returncode, done.stderr or done.stdout


def test_the_command_line_says_how_to_be_an_operator_and_that_works(node: Node) -> None:
    folder = node.data.parent
    ca = {"HOPSACK_TLS_CA": str(Place(folder).ca)}
    refused = cli(node, "limits", "ls", **ca)
    made = ("token", "NAME", "--role", "operator", "--for", "1h")
    _, token = cli(node, *made, HOPSACK_SECRET_FILE=str(folder / "key"))
    let_in = cli(node, "limits", "ls", HOPSACK_TOKEN=token.strip(), **ca)
    user = cli(node, "limits", "ls", "--token", mint(SECRET, sub="ann", role="user", ttl=60), **ca)
    strange = cli(node, "limits", "ls", "--token", mint("s" * 32, sub="ann", role="user", ttl=60), **ca)

    for code, said in (refused, user, strange):
        assert code == 5
        assert "export HOPSACK_TOKEN=$(" in said
        assert f"hopsack {' '.join(made)})`" in said
    assert "HOPSACK_TOKEN or --token is too old, or another node's" in strange[1]
    assert let_in[0] == 0, let_in[1]


def test_who_does_not_know_the_authority_is_told_what_to_set(node: Node, tmp_path: Path) -> None:
    unknown = cli(node, "limits", "ls")
    missing = cli(node, "limits", "ls", HOPSACK_TLS_CA=str(tmp_path / "nowhere.pem"))
    (tmp_path / "none.pem").write_text("nothing")
    none = cli(node, "limits", "ls", HOPSACK_TLS_CA=str(tmp_path / "none.pem"))

    assert [unknown[0], missing[0], none[0]] == [4, 3, 3]
    for _, said in (unknown, missing, none):
        assert "HOPSACK_TLS_CA" in said
        assert "_ssl.c" not in said
        assert "up` starts a node" not in said  # there is one


@pytest.mark.parametrize(
    ("door", "other"), [("rawsocket", "write tls://"), ("/ws", "write wss://"), ("/raw", "write wss://")]
)
def test_who_speaks_in_clear_is_told_what_to_write(node: Node, door: str, other: str) -> None:
    url = node.rawsocket.replace("tls:", "tcp:") if door == "rawsocket" else node.ws(door).replace("wss:", "ws:")

    async def join() -> None:
        async with hopsack.connect(url):
            pass

    with pytest.raises(Disconnected, match=other):
        asyncio.run(join())
