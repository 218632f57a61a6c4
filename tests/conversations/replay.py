"""Read and compare recorded conversations; README.md here describes the files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Conversation:
    """One file."""

    name: str
    summary: str
    sdk: bool
    node: bool
    path: str
    token: str | None
    values: Mapping[str, Any]
    lines: tuple[Mapping[str, Any], ...]

    def __str__(self) -> str:
        return self.name


def load(path: Path) -> Conversation:
    texts = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    head, *lines = (json.loads(text) for text in texts if text and not text.startswith("//"))
    facts = {name: head[name] for name in ("summary", "sdk", "node", "path", "token", "values")}
    return Conversation(name=head["conversation"], lines=tuple(lines), **facts)


def load_all() -> list[Conversation]:
    return [load(path) for path in sorted(FOLDER.glob("*.jsonl"))]


@dataclass
class Bindings:
    """What the placeholders of one replay stand for."""

    values: Mapping[str, Any]
    bound: dict[str, Any] = field(default_factory=dict)

    def fill(self, recorded: Any) -> Any:
        """The value to feed: placeholders become what they are bound to, or the file's own example."""
        match recorded:
            case str() if recorded.startswith("$$"):
                return recorded[1:]
            case str() if recorded.startswith("$"):
                return self.bound.setdefault(recorded[1:], self.values.get(recorded[1:]))
            case dict():
                return {name: self.fill(value) for name, value in recorded.items() if name != "$more"}
            case list():
                return [self.fill(value) for value in recorded]
        return recorded

    def expect(self, recorded: Any, seen: Any, where: str = "") -> None:
        """Compare what was seen with what is recorded; placeholders bind.

        :raises AssertionError: naming the place of the difference.
        """
        match recorded:
            case "$_":
                return
            case str() if recorded.startswith("$") and not recorded.startswith("$$"):
                known = self.bound.setdefault(recorded[1:], seen)
                assert seen == known, f"{where}: {seen!r} is not {recorded} = {known!r}"
            case dict() if isinstance(seen, dict):
                names = set(recorded) - {"$more"}
                missing, extra = names - set(seen), set() if "$more" in recorded else set(seen) - names
                assert not missing, f"{where}: {sorted(missing)} missing in {seen!r}"
                assert not extra, f"{where}: {sorted(extra)} not expected in {seen!r}"
                for name in names:
                    self.expect(recorded[name], seen[name], f"{where}/{name}")
            case list() if isinstance(seen, list) and len(seen) == len(recorded):
                for index, (one, other) in enumerate(zip(recorded, seen, strict=True)):
                    self.expect(one, other, f"{where}/{index}")
            case _:
                plain = recorded[1:] if isinstance(recorded, str) and recorded.startswith("$$") else recorded
                assert seen == plain, f"{where}: {seen!r} is not {plain!r}"
                assert isinstance(seen, bool) == isinstance(plain, bool), f"{where}: {seen!r} is not {plain!r}"
