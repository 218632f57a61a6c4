"""No test is outside the layers that `hopsack test` runs."""

from __future__ import annotations

from pathlib import Path

from hopsack.cli.test import LAYERS

ROOT = Path(__file__).resolve().parents[3]


def test_every_test_file_lies_in_one_layer() -> None:
    folders = [ROOT / path for layer in LAYERS.values() for path in layer.paths]
    files = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "services").rglob("test_*.py")]

    layers = {file.relative_to(ROOT): sum(folder in file.parents for folder in folders) for file in files}

    assert layers
    assert [file for file, number in layers.items() if number != 1] == []
