"""A YAML text as one JSON value, where every key knows its line.

Contracts are JSON in YAML's clothes, so only what JSON can say is read: YAML 1.2's core words (``yes`` and ``on`` are
text, and so is a date), text keys, no key twice, no anchors (they would hide where a thing is declared, and a few of
them can unfold into gigabytes), no tags of other languages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from hopsack.contracts.problems import Problem, pointer

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """:ivar value: the whole file as JSON. :ivar lines: path → line of its key, counted from 1."""

    file: str
    value: Any
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest thing around it that the file has."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]

    def problem(self, path: Path, message: str, advice: str = "") -> Problem:
        return Problem(self.file, self.line(path), pointer(path), message, advice)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a declaration stands, so that whoever finds fault with it later can say where."""

    document: Document = field(repr=False)
    path: Path

    def at(self, *parts: str | int) -> Origin:
        return Origin(self.document, (*self.path, *parts))

    def problem(self, message: str, advice: str = "") -> Problem:
        return self.document.problem(self.path, message, advice)

    def __str__(self) -> str:
        return f"{self.document.file}:{self.document.line(self.path)}"


class _CoreLoader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """Knows the scalars of YAML 1.2's core schema (section 10.3.2) and no others."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own protocol)


_NULL, _BOOL, _INT, _FLOAT, _STR, _SEQ, _MAP = (
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")
)
for _tag, _pattern, _first in (
    (_NULL, r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    (_BOOL, r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    (_INT, r"^[-+]?[0-9]+$", list("-+0123456789")),
    (_FLOAT, r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
):
    _CoreLoader.add_implicit_resolver(_tag, re.compile(_pattern), _first)


class _Reader:
    """Turns the node tree into values; notes lines and problems on the way."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {(): 1}
        self.problems: list[Problem] = []
        self._seen: set[int] = set()

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in self._seen:
            advice = "write it out, or make it a type and use `$ref`"
            self.problems.append(Problem(self.file, self.lines[path], pointer(path), "is an alias", advice))
            return None
        self._seen.add(id(node))  # only aliases share nodes
        match node:
            case yaml.MappingNode(tag=tag) if tag == _MAP:
                return dict(self._entries(node, path))
            case yaml.SequenceNode(tag=tag) if tag == _SEQ:
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            case yaml.ScalarNode(tag=tag, value=text) if tag in _SCALARS:
                return self._scalar(node, path, tag, text)
            case _:
                return self._refuse(node, path, f"has the tag `{node.tag}`", "contracts use what JSON can say")

    def _entries(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        seen: dict[str, int] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != _STR:
                self._refuse(key, path, "has a key that is not text", "put it in quotes")
                continue
            if key.value in seen:
                self._refuse(key, (*path, key.value), f"is there twice, first in line {seen[key.value]}", "keep one")
                continue
            seen[key.value] = key.start_mark.line + 1
            self.lines[(*path, key.value)] = key.start_mark.line + 1
            yield key.value, self.value(item, (*path, key.value))

    def _scalar(self, node: yaml.Node, path: Path, tag: str, text: str) -> Any:
        try:
            return _SCALARS[tag](text)
        except ValueError:
            return self._refuse(node, path, f"cannot be read as `{tag.rpartition(':')[2]}`", "put text in quotes")

    def _refuse(self, node: yaml.Node, path: Path, message: str, advice: str) -> None:
        self.problems.append(Problem(self.file, node.start_mark.line + 1, pointer(path), message, advice))


_SCALARS: dict[str, Callable[[str], Any]] = {
    _NULL: lambda text: None,
    _BOOL: lambda text: text.lower() == "true",
    _INT: int,
    _FLOAT: float,
    _STR: str,
}


_DEEPEST = 100


def _too_deep(text: str) -> int:
    """The line where nesting goes beyond reason; 0 if it never does. The C parser would crash on its own stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_CoreLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                return event.start_mark.line + 1 if event.start_mark else 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return 0


def parse(text: str, file: str) -> tuple[Document | None, list[Problem]]:
    """Read one YAML document.

    :param file: only for the problems' sake.
    :return: the document, or ``None`` where there is none to go on with; and what is wrong.
    """
    try:
        if line := _too_deep(text):
            return None, [Problem(file, line, "", f"is nested more than {_DEEPEST} deep", "use types and `$ref`")]
        node = yaml.compose(text, Loader=_CoreLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = getattr(error, "problem", None) or str(error)
        return None, [Problem(file, mark.line + 1 if mark else 1, "", f"is not YAML: {message}")]
    if node is None:
        return None, [Problem(file, 1, "", "is empty", "declare something, or delete the file")]
    reader = _Reader(file)
    value = reader.value(node, ())
    return Document(file, value, reader.lines), reader.problems
