"""What is wrong with a folder of contracts: every fault with its file, its line, its key and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from hopsack.errors import LocalError


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault in one place.

    :ivar file: as it was given to the loader, so that editors can open it.
    :ivar line: counted from 1; 0 where the fault is a file or folder that is not there.
    :ivar key: JSON Pointer (RFC 6901) to the faulty key in the file, ``""`` for the file itself.
    :ivar message: what is wrong.
    :ivar advice: what would be right; may be empty where the message says it already.
    """

    file: str
    line: int
    key: str
    message: str
    advice: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"
        return f"{text} ({self.advice})" if self.advice else text


class ContractsInvalid(LocalError):
    """The contracts cannot be used. Programs that need them end with exit code 3.

    :param problems: all of them, not only the first.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known word that looks most like this one, if any does."""
    found = difflib.get_close_matches(word[:200], sorted(known), n=1, cutoff=cutoff)
    return found[0] if found else None


def suggest(word: str, known: Iterable[str]) -> str:
    """Advice for a word that is not among the known ones: the nearest, or else all of them."""
    words = sorted(known)
    found = nearest(word, words)
    return f"did you mean `{found}`?" if found else "known here: " + ", ".join(f"`{name}`" for name in words)


def pointer(path: Iterable[str | int]) -> str:
    """JSON Pointer (RFC 6901) of a path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
