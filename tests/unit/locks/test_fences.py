"""Fencing tokens only grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from hopsack_router.fences import BLOCK, LARGEST, Fences, in_memory


def test_they_grow_over_restarts_that_nobody_announced(tmp_path: Path) -> None:
    first = Fences(tmp_path / "fences", lambda: 1000.0)
    given = [first() for _ in range(3)]
    second = Fences(tmp_path / "fences", lambda: 1000.0)

    assert given == [1_000_000_001, 1_000_000_002, 1_000_000_003]
    assert second() > given[-1]


def test_a_clock_that_is_set_back_does_not_matter(tmp_path: Path) -> None:
    before = Fences(tmp_path / "fences", lambda: 5000.0)()

    assert Fences(tmp_path / "fences", lambda: 10.0)() > before


def test_a_folder_that_is_lost_does_not_matter_while_the_clock_goes_on(tmp_path: Path) -> None:
    before = Fences(tmp_path / "a" / "fences", lambda: 5000.0)()

    assert Fences(tmp_path / "b" / "fences", lambda: 5001.0)() > before


def test_they_are_reserved_before_they_are_given(tmp_path: Path) -> None:
    fences = Fences(tmp_path / "fences", lambda: 0.000001)
    tokens = [fences() for _ in range(BLOCK + 1)]

    assert tokens[-1] == tokens[0] + BLOCK
    assert int((tmp_path / "fences").read_text()) >= tokens[-1]


@pytest.mark.parametrize("text", ["", "nonsense", "-5", str(LARGEST + 1)])
def test_a_torn_file_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "fences").write_text(text)

    assert Fences(tmp_path / "fences", lambda: 2.0)() == 2_000_001


def test_in_memory_they_begin_with_the_time() -> None:
    token = in_memory(lambda: 3.0)

    assert [token(), token()] == [3_000_001, 3_000_002]
