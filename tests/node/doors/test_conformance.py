"""The Autobahn WebSocket testsuite against ``/echo``: its 247 core cases, and some with compression.

It needs Python 2.7 with the testsuite: ``.ci/wstest`` installs it and says which two variables to set. Where there is
no Python 2.7 the test is exempt, which ``hopsack test`` tells; where there is one, and no testsuite, it is left out.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from hopsack.cli.test import NO_PYTHON_2

from ..conftest import ROOT, Node

pytestmark = pytest.mark.node

CORE = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
"""Framing, pings, reserved bits, opcodes, fragments, UTF-8, closing, auto-fragmentation. 9.* measures."""

COMPRESSED = ["12.1.1", "12.1.5", "12.2.3", "12.3.2", "13.1.1", "13.2.3", "13.4.1", "13.6.2", "13.7.1"]
"""Some of the 216, which send a thousand messages each."""

RUN = """
import os, site, sys
site.addsitedir(os.environ["WSTEST_PACKAGES"])
sys.path.insert(0, os.environ["WSTEST_PACKAGES"])
from autobahntestsuite.wstest import run
sys.argv = ["wstest", "-m", "fuzzingclient", "-s", "spec.json"]
run()
"""


def python() -> str:
    """A Python 2.7 that has the testsuite."""
    found = os.environ.get("WSTEST_PYTHON")
    packages = os.environ.get("WSTEST_PACKAGES")
    if found and packages and Path(packages, "autobahntestsuite").is_dir():
        return found
    if not subprocess.run([ROOT / ".ci" / "wstest", "--find"], capture_output=True, check=False).stdout:
        pytest.skip(NO_PYTHON_2)
    pytest.skip('the Autobahn testsuite is not installed: eval "$(.ci/wstest)"')


@pytest.mark.timeout(180)
def test_core_cases(node: Node, tmp_path: Path) -> None:
    executable = python()
    server = {"agent": "hopsack", "url": node.ws("/echo")}
    wanted = {"cases": CORE + COMPRESSED, "exclude-cases": [], "exclude-agent-cases": {}}
    spec = {"outdir": "reports", "servers": [server], **wanted}
    (tmp_path / "spec.json").write_text(json.dumps(spec))

    ran = subprocess.run([executable, "-c", RUN], cwd=tmp_path, capture_output=True, timeout=170, check=False)

    assert ran.returncode == 0, ran.stderr[-2000:]
    cases = json.loads((tmp_path / "reports" / "index.json").read_text())["hopsack"]
    verdicts = Counter(case[part] for case in cases.values() for part in ("behavior", "behaviorClose"))
    assert len(cases) == 247 + len(COMPRESSED)
    assert set(verdicts) <= {"OK", "INFORMATIONAL"}, verdicts
