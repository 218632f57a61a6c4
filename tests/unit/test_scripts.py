"""The shell scripts beside the launcher, in the eyes of ShellCheck."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = (".ci/run", ".ci/wstest", "docker/base-image.sh", "docker/engine.sh", "requirements/lock")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="ShellCheck is not installed: apt install shellcheck")
@pytest.mark.parametrize("script", SCRIPTS)
def test_it_is_clean(script: str) -> None:
    done = subprocess.run(["shellcheck", str(ROOT / script)], capture_output=True, text=True, check=False)

    assert done.stdout == ""
