"""Reading a stream back: the question to the node, and its answer. Pure functions and values.

    -> hopsack.stream.read {topic, after | last | since, limit}
    <- {events: [{position, publication, time, data, deleted?}], position, recovered, reason?, end}

An answer holds as many events as the node finds right; ``end`` says whether there are more.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Generic

import msgspec
from typing_extensions import TypeVar

from hopsack.binding import event_of
from hopsack.errors import BrokenResult, UsageError
from hopsack.position import Position, parse
from hopsack.privacy import KeyRing
from hopsack.resuming import Page
from hopsack.session import Event, Payload, Publication
from hopsack.values import read

__all__ = ["AT_ONCE", "READ", "History", "Past", "events_of", "page_of", "question"]

T = TypeVar("T", default=Any)

READ = "hopsack.stream.read"

AT_ONCE = 1_000
"""Events, where the program does not say how many; and those of a page, at most."""


class Past(msgspec.Struct, frozen=True):
    """The payload of an event that was read back."""

    value: Any

    def read(self, array: bool = False) -> Any:
        return self.value

    def read_as(self, type_: Any) -> Any:
        return msgspec.convert(self.value, type_)


class History(msgspec.Struct, Generic[T], frozen=True):
    """What a stream keeps, in order; a ``for`` loop gives the events.

    :ivar position: hand it back as ``after`` to read on, or to subscribe from there.
    :ivar recovered: nothing that was asked for is missing; else ``reason`` says why.
    :ivar end: there was nothing after them when they were read.
    """

    events: tuple[Event[T], ...]
    position: str | None
    recovered: bool
    reason: str | None
    end: bool

    def __iter__(self) -> Iterator[Event[T]]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)


class _Kept(msgspec.Struct, frozen=True):
    position: str
    data: Any = None
    publication: int | None = None
    time: float | None = None
    deleted: bool = False


class _Answer(msgspec.Struct, frozen=True):
    events: list[_Kept] = []
    position: str | None = None
    recovered: bool = True
    reason: str | None = None
    end: bool = True


def question(
    topic: str, last: int | None = None, since: float | datetime | None = None, after: str | Position | None = None
) -> dict[str, Any]:
    """The input of ``hopsack.stream.read``, without its limit.

    :raises UsageError: more than one beginning, or a time without a zone.
    """
    if sum(one is not None for one in (last, since, after)) > 1:
        raise UsageError(f"{topic}: history begins with last=, since= or after=, one of them")
    if isinstance(since, datetime):
        if since.tzinfo is None:
            raise UsageError(f"{topic}: since={since} has no time zone: datetime.now(UTC) has one")
        since = since.timestamp()
    given = {"last": last, "since": since, "after": None if after is None else str(after)}
    return {"topic": topic} | {name: value for name, value in given.items() if value is not None}


def page_of(topic: str, payload: Payload) -> Page:
    """:raises BrokenResult: the node answered something else."""
    answer: _Answer = read(payload, _Answer, where=READ, error=BrokenResult)
    return Page(
        tuple((_publication(topic, one), Past(one.data)) for one in answer.events),
        parse(answer.position),
        answer.recovered,
        answer.reason,
        answer.end,
    )


def _publication(topic: str, one: _Kept) -> Publication:
    return Publication(topic, one.publication, position=one.position, deleted=one.deleted, time=one.time)


def events_of(page: Page, type_: Any, keyring: KeyRing | None = None) -> Iterator[Event[Any]]:
    """:raises hopsack.errors.Invalid: a payload is not of the type, or cannot be opened."""
    for publication, sealed in page.events:
        payload = sealed if keyring is None else keyring.opened(publication.topic, sealed)
        data = read(payload, None if publication.deleted else type_, where=publication.topic)
        yield event_of(publication, data)
