"""Every example in docs/protocol.md is part of the recorded conversation it names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from conversations.replay import FOLDER, Bindings, load

DOCUMENT = Path(__file__).parents[3] / "docs" / "protocol.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```jsonrpc ([a-z-]+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def frames_of(name: str) -> list[tuple[str, Any]]:
    """What passes on the wire in a recording, with its own example values."""
    recorded = load(FOLDER / f"{name}.jsonl")
    bindings = Bindings(recorded.values)
    frames = []
    for line in recorded.lines:
        arrow = {"client": "-->", "server": "<--"}.get(line.get("from", ""))
        if arrow and "frame" in line:
            frames.append((arrow, bindings.fill(line["frame"])))
        elif arrow and "close" in line:
            close = bindings.fill(line["close"])
            frames.append((arrow, f"close {close['code']} {close['reason']}"))
    return frames


@pytest.mark.parametrize(("name", "text"), BLOCKS, ids=[name for name, _ in BLOCKS])
def test_examples_are_recorded(name: str, text: str) -> None:
    left = iter(frames_of(name))

    for line in text.splitlines():
        arrow, _, said = line.partition(" ")
        shown = (arrow, said if said.startswith("close ") else json.loads(said))
        assert shown in left, f"not in {name}.jsonl, or not in this order: {line}"


def test_there_are_examples() -> None:
    assert len(BLOCKS) >= 10
