"""The browser client against a real node, over both doors: its own tests, run by its own test runner."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from .conftest import ROOT, Node

WEB_CLIENT = ROOT / "web_client"
VITEST = WEB_CLIENT / "node_modules" / "vitest" / "vitest.mjs"


@pytest.mark.node
@pytest.mark.skipif(
    shutil.which("node") is None or not VITEST.exists(), reason="needs Node.js and `npm ci` in web_client"
)
def test_the_browser_client_over_both_doors(node: Node) -> None:
    environ = os.environ | {"HOPSACK_TEST_URL": node.http, "HOPSACK_TEST_TOKEN": node.token("user", "ann")}

    ran = subprocess.run(
        ["node", str(VITEST), "run", "--project", "sdk", "tests/node.test.ts"],
        cwd=WEB_CLIENT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "skipped" not in ran.stdout
