"""The bench works: small loads through a real node and the floor. No figure is judged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler: apt-get install gcc libc6-dev"
)


def bench(*words: str, patience: float = 110) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HOPSACK_")}
    command = [sys.executable, "-P", "-m", "hopsack.cli", "bench", *words]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=patience)


@pytest.mark.node
@pytest.mark.timeout(120)
@needs_compiler
def test_events_calls_and_joins_are_counted_to_the_last(tmp_path: Path) -> None:
    subjects = ["hopsack", "hopsack-raw", "hopsack-json", "floor"]
    only = [word for name in subjects for word in ("--only", name)]

    ran = bench(
        "fanout", "rpc", "sdk", "connect", "--quick", "--json", "--name", "smoke", "--into", str(tmp_path), *only
    )

    assert ran.returncode == 0, ran.stderr
    fanout, rpc, sdk, connect = map(json.loads, ran.stdout.splitlines())
    assert {one["subject"] for one in fanout["samples"]} == set(subjects[1:])
    assert all(one["figures"]["delivered"] == 1 for one in fanout["samples"])
    assert all(
        one["figures"]["cpu_us"] > 0 for one in fanout["samples"] + rpc["samples"] + sdk["samples"] + connect["samples"]
    )
    assert [one["load"] for one in rpc["samples"]] == ["64 in flight", "one at a time"]
    assert {one["subject"] for one in sdk["samples"]} == {"hopsack"}
    assert [one["load"] for one in sdk["samples"]] == [
        *("a call: the caller", "a call: the callee"),
        *("one call at a time", "one call at a time, 1,000 others in hand"),
        *("an event: the publisher", "an event: the subscriber"),
    ]
    assert {one["subject"] for one in connect["samples"]} == {"hopsack-raw", "hopsack-json"}
    assert all(outcome["remarks"] == [] for outcome in (fanout, rpc, sdk, connect))
    assert_kept(tmp_path, [fanout, rpc, sdk, connect])


@pytest.mark.node
@pytest.mark.timeout(60)
def test_what_the_node_does_about_calls_is_measured(tmp_path: Path) -> None:
    ran = bench("policies", "least", "--quick", "--json", "--name", "smoke", "--into", str(tmp_path))

    assert ran.returncode == 0, ran.stderr
    policies, least = map(json.loads, ran.stdout.splitlines())
    assert [one["subject"] for one in policies["samples"]] == ["plain", "own-deadlines", "guarded", "sharded"]
    assert all(one["figures"]["cpu_us"] > 0 for one in policies["samples"])
    shares = {one["subject"]: one["figures"]["slow"] for one in least["samples"]}
    assert shares["least"] < shares["turns"]
    assert policies["remarks"] == least["remarks"] == []
    assert_kept(tmp_path, [policies, least])


def assert_kept(folder: Path, outcomes: list[dict[str, Any]]) -> None:
    kept = json.loads((folder / "smoke.json").read_text())
    assert len(kept["scenarios"]) == len(outcomes)
    assert all(one.items() >= printed.items() for one, printed in zip(kept["scenarios"], outcomes, strict=True))
    assert kept["machine"]["cores"] >= 1
    for outcome in outcomes:
        assert (folder / f"smoke-{outcome['scenario']}.svg").read_text().startswith("<svg")


def test_a_subject_that_is_not_there_is_told_with_those_that_are() -> None:
    ran = bench("fanout", "--only", "hopsack-xml")

    assert ran.returncode == 2
    assert "does not know 'hopsack-xml'" in ran.stderr
    assert "hopsack-json" in ran.stderr


def test_the_list_names_every_scenario() -> None:
    ran = bench("--list")

    assert ran.returncode == 0
    names = [json.loads(line)["scenario"] for line in ran.stdout.splitlines()]
    assert names == [
        *("fanout", "burst", "latency", "rpc", "sdk", "connect", "memory", "validation", "policies", "least"),
        *("crowd", "journal"),
        *("recovery", "chaos", "storm", "stall", "slow"),
    ]
