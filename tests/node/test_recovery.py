"""The short form of ``hopsack bench recovery``: writers and readers on every door, and the node killed twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .test_bench_smoke import bench


@pytest.mark.node
@pytest.mark.timeout(240)
def test_nothing_acknowledged_is_lost_and_nothing_comes_twice(tmp_path: Path) -> None:
    ran = bench("recovery", "--quick", "--json", "--into", str(tmp_path), patience=230)

    assert ran.returncode == 0, ran.stderr + ran.stdout
    [sample] = json.loads(ran.stdout)["samples"]
    figures = sample["figures"]
    assert {name: figures[name] for name in ("lost", "doubled", "wrong")} == {"lost": 0, "doubled": 0, "wrong": 0}
    assert figures["acknowledged"] > 100
    assert figures["deliveries"] > figures["acknowledged"]
    assert figures["disturbances"] > 0
