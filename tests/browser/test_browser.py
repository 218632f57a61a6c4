"""Pages in a real Chromium over a real node and real services: ``web_client/console/e2e``, one test for each file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web_client"
FILES = sorted((WEB / "console" / "e2e").glob("*.test.ts"))
SECONDS = 240


@pytest.mark.browser
@pytest.mark.timeout(SECONDS + 10)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix(".test.ts"))
def test_pages(file: Path) -> None:
    if not (WEB / "dist" / "index.html").is_file():
        pytest.skip("the web client is not built: npm run build, in web_client")
    vitest = WEB / "node_modules" / ".bin" / "vitest"
    node = shutil.which("node")
    if node is None or not vitest.exists():
        pytest.skip("the web client's packages are not installed: npm ci, in web_client")

    command = [node, str(vitest), "run", "--config", "console/e2e/vitest.config.ts", file.name]
    environ = os.environ | {"HOPSACK_TEST_PYTHON": sys.executable, "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=WEB, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False)

    print(done.stdout)
    assert done.returncode == 0, f"{file.name} failed:\n{done.stdout}\n{done.stderr}"
