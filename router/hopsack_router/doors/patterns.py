"""Topics and patterns as a URL's query names them: ``?topic=a.b&topic=c.&topic=d..e&after=a.b=abcdefgh:41``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

from hopsack.errors import BadRequest

MAX_TOPICS = 100

Match = Literal["exact", "prefix", "wildcard"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """What one reader subscribes to."""

    topic: str
    match: Match


def pattern_of(text: str) -> Pattern:
    """``a.b`` is exact, ``a.`` is a prefix, and an empty component anywhere else is a wildcard: ``a..c``, ``a..``."""
    if "" not in text.split("."):
        return Pattern(text, "exact")
    if text and "" not in text.removesuffix(".").split("."):
        return Pattern(text, "prefix")
    return Pattern(text, "wildcard" if "." in text else "exact")


def patterns_of(query: str) -> tuple[Pattern, ...]:
    """The ``topic`` parameters of a query, each once, in order; other parameters are not ours to judge.

    :param query: the part of the URL behind ``?``, still percent-encoded.
    :raises BadRequest: more than :data:`MAX_TOPICS` of them, or not UTF-8.
    """
    topics = list(dict.fromkeys(_values(query, "topic")))
    if len(topics) > MAX_TOPICS:
        raise BadRequest(f"{len(topics)} topics; one reader may name {MAX_TOPICS}", advice="use a pattern such as a.")
    return tuple(map(pattern_of, topics))


def after_of(query: str) -> str:
    """The ``after`` parameters of a query, as ``doors/places.py`` reads them.

    :raises BadRequest: not UTF-8.
    """
    return ",".join(_values(query, "after"))


def _values(query: str, wanted: str) -> list[str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise BadRequest("the query is not UTF-8", path=wanted) from error
    return [value for name, value in pairs if name == wanted]
