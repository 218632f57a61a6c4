from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from alerts import ledger
from alerts.board import Board, Sampled


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    board = Board()
    board.set_threshold(replace(board.listing().thresholds[0], for_s=0))
    board.receive(Sampled("web", 1.5, {"cpu": 99}))
    path = tmp_path / "folder" / "alerts.json"

    ledger.save(path, board.listing())
    ledger.save(path, board.listing())

    assert ledger.load(path) == board.listing()
    assert [file.name for file in path.parent.iterdir()] == ["alerts.json"]


def test_nothing_saved_is_nothing(tmp_path: Path) -> None:
    assert ledger.load(tmp_path / "alerts.json") is None


def test_a_file_that_is_something_else_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "alerts.json").write_text("{}")

    with pytest.raises(ValueError, match="thresholds"):
        ledger.load(tmp_path / "alerts.json")
