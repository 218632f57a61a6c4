"""The browser client against a real node, over both doors: its own tests, run by its own test runner."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from hopsack.settings import Settings

from .conftest import ROOT, Node, declared, running

WEB_CLIENT = ROOT / "web_client"
VITEST = WEB_CLIENT / "node_modules" / "vitest" / "vitest.mjs"

CONTRACTS = """
procedures:
  page.long:
    summary: So many pieces of text.
    input: {type: integer}
    progress: {type: string}
    output: {type: integer}
    register: [guest]
    call: [guest]
  page.taken:
    summary: How long the pieces are together.
    input: {type: 'null'}
    inputs: {type: string}
    output: {type: integer}
    register: [guest]
    call: [guest]
"""

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(
        shutil.which("node") is None or not VITEST.exists(), reason="needs Node.js and `npm ci` in web_client"
    ),
]


@pytest.fixture(scope="module")
def flowing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with the contracts of pages that give and take piece by piece."""
    data = tmp_path_factory.mktemp("flowing")
    with running(data, "--schemas", declared(data, "page", CONTRACTS)) as node:
        yield node


def test_the_browser_client_over_both_doors(node: Node) -> None:
    _run("tests/node.test.ts", HOPSACK_TEST_URL=node.http, HOPSACK_TEST_TOKEN=node.token("user", "ann"))


def test_pages_log_in_again_and_are_sent_away(node: Node) -> None:
    secret = Settings.from_environ({}, data=node.data).secret()
    _run("tests/token.node.test.ts", HOPSACK_TEST_TOKENS_URL=node.http, HOPSACK_TEST_SECRET=secret)


def test_pages_give_and_take_piece_by_piece(flowing: Node) -> None:
    _run("tests/flow.node.test.ts", HOPSACK_TEST_FLOW_URL=flowing.http)


def _run(file: str, **variables: str) -> None:
    ran = subprocess.run(
        ["node", str(VITEST), "run", "--project", "sdk", file],
        cwd=WEB_CLIENT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "skipped" not in ran.stdout
