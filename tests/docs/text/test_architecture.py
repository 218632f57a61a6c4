"""``docs/architecture.md`` names what exists, and lists the files that a traced event and a traced call really pass."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from hopsack import Service, procedure, subscribe
from hopsack.testing import Fabric
from tests.docs.markdown import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
BASES = ("", "src/hopsack", "router/hopsack_router", "web_client/sdk/src")
PATH = re.compile(r"[\w./-]+\.(py|ts|yaml|yml|md)|[\w-]+(/[\w-]+)*/")
NAME = re.compile(r"#?[A-Za-z_]\w*(\.\w+)?")
TABLE = re.compile(r"^### (?P<title>.+): (?P<count>\d+) files\n\n(?P<rows>(?:\|.*\n)+)", re.M)


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def found(path: str) -> list[Path]:
    return [ROOT / base / path for base in BASES if (ROOT / base / path).exists()]


def named() -> Iterator[tuple[str, str]]:
    """Every file and what of it is named: in a table, a name belongs to the file before it in its row."""
    for line in PAGE.splitlines():
        if line.startswith("|"):
            file = ""
            for span in spans(line):
                if PATH.fullmatch(span):
                    file = span
                    yield file, ""
                elif file and NAME.fullmatch(span):
                    yield file, span


@cache
def names_of(path: Path) -> frozenset[str]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ts":
        return frozenset(re.findall(r"(?:function |^ +(?:async )?)(#?\w+)(?=[(<])", text, re.M))
    names = set()
    for node in ast.parse(text).body:
        here = _defined(node)
        names |= here
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{name}" for one in node.body for name in _defined(one)}
    return frozenset(names)


def _defined(node: ast.stmt) -> set[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Assign(targets=targets):
            return {target.id for target in targets if isinstance(target, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()


def test_every_file_that_is_named_exists_and_is_one() -> None:
    files = {span for span in spans(PAGE) if PATH.fullmatch(span)}
    assert {file: len(found(file)) for file in files if len(found(file)) != 1} == {}


def test_every_function_that_is_named_is_in_its_file() -> None:
    absent = [
        f"{file}: {name}"
        for file, name in named()
        if name and Path(file).suffix in (".py", ".ts") and name not in names_of(found(file)[0])
    ]
    assert absent == []


def tables() -> dict[str, list[str]]:
    return {match["title"]: [spans(row)[0] for row in match["rows"].splitlines()[2:]] for match in TABLE.finditer(PAGE)}


@pytest.mark.parametrize("match", list(TABLE.finditer(PAGE)), ids=lambda match: match["title"])
def test_a_table_counts_its_files(match: re.Match[str]) -> None:
    files = [spans(row)[0] for row in match["rows"].splitlines()[2:]]
    assert len(files) == len(set(files)) == int(match["count"])


# ---- the traced way -------------------------------------------------------------------------------------------------

NOT_IN_MEMORY = {"wire.py", "wamp/rawsocket.py", "doors/sockets.py"}
"""What only a socket needs."""

ONLY_IN_MEMORY = {"testing/fabric.py", "testing/loop.py", "embed.py"}

NOT_TRACED = {"service.py", "threads.py"}
"""Passed before, by ``Engagement``, and only by plain functions."""


class Echo(Service):
    @procedure("demo.echo")
    async def echo(self, text: str) -> str:
        return text

    @subscribe("demo.text")
    async def on_text(self, text: str) -> None:
        pass


@pytest.fixture
def fabric() -> Iterator[Fabric]:
    with Fabric(ROOT / "schemas") as fabric:
        fabric.start(Echo())
        yield fabric


def traced(act: Callable[[], object]) -> set[str]:
    """The files of ours in which a function was called."""
    files: set[str] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and not frame.f_code.co_name.startswith("<"):
            files.add(frame.f_code.co_filename)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(before)
    bases = [ROOT / base for base in BASES[1:3]]
    ours = {str(Path(file).relative_to(base)) for file in files for base in bases if Path(file).is_relative_to(base)}
    return ours - ONLY_IN_MEMORY


def listed(*titles: str) -> set[str]:
    return {file for title in titles for file in tables()[title]} - NOT_IN_MEMORY - NOT_TRACED


def test_an_event_passes_the_files_that_are_listed(fabric: Fabric) -> None:
    publisher = fabric.connect("service")

    files = traced(lambda: fabric.run(publisher.publish("demo.text", "hello", acknowledge=False)))

    assert files == listed("In the publisher", "In the node", "In the reader")


def test_a_call_passes_the_files_that_are_listed(fabric: Fabric) -> None:
    caller = fabric.connect("service")

    files = traced(lambda: fabric.run(caller.call("demo.echo", "hello", returns=str)))

    there = "In the caller", "In the node, to the callee", "In the callee, there and back"
    assert files == listed(*there, "In the node, back", "In the caller again")
