"""The short form of ``hopsack bench chaos``: calls end, while callees and node are stopped and killed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .test_bench_smoke import bench


@pytest.mark.node
@pytest.mark.timeout(180)
def test_calls_end_once_and_nothing_is_done_twice(tmp_path: Path) -> None:
    ran = bench("chaos", "--quick", "--json", "--into", str(tmp_path), patience=170)

    assert ran.returncode == 0, ran.stderr + ran.stdout
    [sample] = json.loads(ran.stdout)["samples"]
    figures = sample["figures"]
    assert figures["violations"] == 0
    assert figures["disturbances"] > 0
    assert figures["grants"] > 0
    assert figures["calls"] > figures["executions"] > 50
    assert figures["code ok"] > 100
