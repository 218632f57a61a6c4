"""Where an event stands in its stream: ``epoch:offset``. Offsets count from 1, without holes within an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hopsack.errors import UsageError

__all__ = ["Position", "parse", "places_of"]


class Position(NamedTuple):
    """
    :ivar epoch: another one when the journal of the topic was lost.
    :ivar offset: of the event; 0 is before the first.
    """

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.offset}"


def parse(text: object) -> Position | None:
    """A position as the node writes it; ``None`` for anything else."""
    if not isinstance(text, str):
        return None
    epoch, _, offset = text.rpartition(":")
    return Position(epoch, int(offset)) if epoch and offset.isascii() and offset.isdigit() else None


def places_of(topic: str, match: str, after: str | Mapping[str, str] | None) -> dict[str, Position]:
    """What a program resumes from, by topic.

    :param after: a position; for a pattern, one for each topic.
    :raises UsageError: not a position, or the wrong form for ``match``.
    """
    if after is None:
        return {}
    if isinstance(after, str) and match != "exact":
        raise UsageError(f"{topic} is a pattern: after is a mapping from each topic to its position")
    texts = {topic: after} if isinstance(after, str) else after
    places = {}
    for uri, text in texts.items():
        place = parse(text)
        if place is None:
            raise UsageError(f"{uri}: {text!r} is no position: it looks like 7qk2vd4x:41")
        places[uri] = place
    return places
