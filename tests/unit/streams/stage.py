"""A journal with a clock turned by hand, counted randomness, and lanes that do their work on the spot or when told."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from hopsack_router.streams.events import Draft, Gone, Page, Retention, Stored
from hopsack_router.streams.journal import Journal
from hopsack_router.streams.lanes import Done, Lane, OnTheSpot
from hopsack_router.streams.ledger import Bounds
from hopsack_router.streams.position import Position
from hopsack_router.streams.sqlite import SqliteStore
from hopsack_router.streams.store import Store

T = TypeVar("T")
MANY = Retention(keep=1_000_000)
NO_MEMORY = Bounds(tail_topic_bytes=0, tail_bytes=0)
"""Nearly everything is read from the store."""


class Held:
    """A lane whose work waits until :meth:`turn`."""

    def __init__(self) -> None:
        self.jobs: deque[tuple[Callable[[], Any], Done]] = deque()

    def run(self, job: Callable[[], Any], done: Done) -> None:
        self.jobs.append((job, done))

    def turn(self) -> None:
        job, done = self.jobs.popleft()
        OnTheSpot().run(job, done)

    def stop(self) -> None:
        while self.jobs:
            self.turn()


def clock(at: float = 1_000_000.0) -> Clock:
    turned = Clock()
    turned.advance(at)
    return turned


def random(seed: int = 0) -> Callable[[int], bytes]:
    """Counts, with five bits to a byte: those that an epoch is made of."""
    numbers = count(seed * 1000 + 1)

    def give(size: int) -> bytes:
        number = next(numbers)
        return bytes(number >> 5 * place & 31 for place in reversed(range(size)))

    return give


def begin(
    store: Store,
    time: Clock,
    retention: Retention | Callable[[str], Retention] = MANY,
    *,
    bounds: Bounds | None = None,
    lane: Callable[[str], Lane] = lambda name: OnTheSpot(),
    seed: int = 0,
) -> Journal:
    """A journal that has started; held lanes are turned for it."""
    of = retention if callable(retention) else lambda topic: retention
    journal = Journal(store, of, clock=time, random=random(seed), lane=lane, bounds=bounds)
    now(journal.start())
    return journal


def sqlite(path: Path, time: Clock, *, boot: str = "boot-1", max_pages: int | None = None) -> SqliteStore:
    return SqliteStore(path / "journal.sqlite", boot=boot, now=time.seconds, max_pages=max_pages)


def now(deferred: Deferred[T]) -> T:
    """What has fired, or its failure."""
    found: list[T] = []
    failures: list[Failure] = []

    def look(value: T) -> T:
        found.append(value)
        return value

    deferred.addCallbacks(look, failures.append)
    if failures:
        failures[0].raiseException()
    assert found, "it has not fired"
    return found[0]


def draft(data: str, publication: int = 1, **facts: Any) -> Draft:
    return Draft(data=f'"{data}"'.encode(), publication=publication, **facts)


def append(journal: Journal, topic: str, *texts: str, durable: bool = True) -> list[Stored]:
    return [now(journal.append(topic, draft(text), durable)) for text in texts]


def texts(events: list[Stored] | tuple[Stored, ...]) -> list[str]:
    return [event.data.decode().strip('"') for event in events]


def read_all(journal: Journal, topic: str, after: Position | None = None, limit: int = 7) -> list[Stored] | Gone:
    """Page by page up to the end."""
    events: list[Stored] = []
    while True:
        page = now(journal.read(topic, after, limit))
        if isinstance(page, Gone):
            return page
        assert isinstance(page, Page)
        events += page.events
        after = page.last
        if page.end:
            return events


def as_killed(path: Path, copy: Path) -> Path:
    """The files as they would be if the process were killed now: what is written is there, what is locked is free."""
    shutil.copytree(path, copy)
    return copy


def held(
    path: Path, time: Clock, lanes: list[Held], retention: Retention = MANY, bounds: Bounds | None = None
) -> Journal:
    """A journal on disk that has started, and goes on only as its lanes are turned: writer and reader."""

    def lane(name: str) -> Held:
        lanes.append(Held())
        return lanes[-1]

    journal = Journal(
        sqlite(path, time), lambda topic: retention, clock=time, random=random(), lane=lane, bounds=bounds
    )
    started = journal.start()
    lanes[0].stop()  # it is opened, and its first batch committed if it is new
    assert started.called
    return journal
