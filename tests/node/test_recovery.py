"""The short form of ``hopsack bench recovery``: writers and readers on every door, and the node killed and stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hopsack_bench.programs import PROGRAMS, Program
from hopsack_bench.scenarios import QUICK

from .test_bench_smoke import bench

PLAIN = 8
"""Kinds of readers that need no program of their own: raw, raw read-only, SSE, WAMP over WebSocket and RawSocket; and
those that hold a map of newest values: raw, and our library over two doors."""

WRONG = ("lost", "doubled", "wrong", "maps_wrong")


@pytest.mark.node
@pytest.mark.timeout(240)
def test_nothing_acknowledged_is_lost_and_nothing_comes_twice(tmp_path: Path) -> None:
    ran = bench("recovery", "--quick", "--json", "--into", str(tmp_path), patience=230)

    assert ran.returncode == 0, ran.stderr + ran.stdout
    [sample] = json.loads(ran.stdout)["samples"]
    figures = sample["figures"]
    assert {name: figures[name] for name in WRONG} == dict.fromkeys(WRONG, 0)
    assert figures["acknowledged"] > 100
    assert figures["deliveries"] > figures["acknowledged"]
    assert figures["values"] > 100
    assert figures["maps"] >= 6 * (3 + 1)  # each of them in each life of the node
    assert figures["disturbances"] > 0
    assert figures["kinds"] == PLAIN + sum(program.missing() is None for program in PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_every_kind_of_reader_takes_part(program: Program) -> None:
    """Else the test above proves less than it says: that is not to be overlooked."""
    if missing := program.missing():
        pytest.skip(missing)


def test_the_short_form_has_both_ways_to_end_a_node() -> None:
    assert QUICK.recovery.words == "2 × SIGKILL, 1 × SIGTERM"
