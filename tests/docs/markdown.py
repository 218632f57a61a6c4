"""What the tests of the documents read in them: fenced blocks, links and headings.

A fence says what its block is to the tests, by the word behind its language, which a reader does not see:

    ```sh                      commands that are typed, one a line
    ```sh exit-7               commands that are refused, with that exit code
    ```sh elsewhere            commands that another test types, or that need what no test machine has
    ```text                    directly behind commands: what they print; … stands for anything
    ```python services/x.py    a file; if the repository has it, it is this one, to the letter
    ```js console              pasted into the console of the dashboard's page
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(?P<language>\w+)(?: (?P<word>\S+))?\n(?P<text>.*?)^```$", re.M | re.S)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<link>[^)\s]+)\)|!\[[^\]]*\]\((?P<image>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.M)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    :ivar word: what stands behind the language.
    :ivar line: where the fence is.
    :ivar follows: whether only white space is between the block before and this one.
    """

    language: str
    word: str
    text: str
    line: int
    follows: bool


def blocks(document: Path) -> Iterator[Block]:
    text = document.read_text(encoding="utf-8")
    end = 0
    for found in _FENCE.finditer(text):
        between = text[end : found.start()]
        line = text.count("\n", 0, found.start()) + 1
        yield Block(found["language"], found["word"] or "", found["text"], line, bool(end) and not between.strip())
        end = found.end()


def links(document: Path) -> Iterator[str]:
    """Where links and images lead."""
    for found in _LINK.finditer(_FENCE.sub("", document.read_text(encoding="utf-8"))):
        yield found["link"] or found["image"]


def anchors(document: Path) -> set[str]:
    """The fragments that headings can be linked by, as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", document.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
