"""What the documents show is what the repository has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, Block, anchors, blocks, links
from tests.docs.reader import commands

DOCUMENTS = sorted((ROOT / "docs").rglob("*.md"))
EVERYWHERE = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCUMENTS, *(ROOT / "services").glob("*/README.md")]

ELSEWHERE = {
    "./hopsack test": "CI, which runs it",
    "docker-compose up --build": "tests/compose",
}
"""Commands that no test of the documents types, and what tries them."""


def files(document: Path) -> list[Block]:
    return [block for block in blocks(document) if "." in block.word]


@pytest.mark.parametrize("document", EVERYWHERE, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for link in links(document):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (document.parent / path) if path else document
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("document", EVERYWHERE, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_shown_as_they_are(document: Path) -> None:
    differ = [
        f"line {block.line}: {block.word}"
        for block in files(document)
        if (ROOT / block.word).is_file() and (ROOT / block.word).read_text(encoding="utf-8") != block.text
    ]
    assert differ == []


def test_the_tutorial_shows_all_its_files() -> None:
    shown = {block.word for block in files(ROOT / "docs" / "tutorial.md")}
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "tutorial").rglob("*.*")}
    assert shown == {name for name in there if "__pycache__" not in name}


def test_the_service_of_the_readme_has_twenty_lines() -> None:
    (service,) = [block for block in files(ROOT / "README.md") if block.word.endswith("service.py")]
    assert len([line for line in service.text.splitlines() if line]) <= 20


@pytest.mark.parametrize("document", ["README.md", "docs/tutorial.md"])
def test_commands_that_are_not_typed_here_are_typed_elsewhere(document: str) -> None:
    left_out = [
        command for block in blocks(ROOT / document) if block.word == "elsewhere" for command in commands(block)
    ]
    assert [command for command in left_out if command not in ELSEWHERE] == []
