"""One topic in the journal: its head, and its events as runs. Pure.

A *run* is a few consecutive events that go together: retention drops whole runs, so it needs the size and age of each
run and not of each event, and drops a range of rows at once. A run ends with :data:`RUN_EVENTS` events, with a
sixteenth of the topic's bytes (256 KiB at most), or when it spans a thirty-second of the topic's age.

What that means for the bounds: ``keep`` is exact for readers, and at most one run more is on disk. ``seconds``: an
event goes at most a thirty-second later than its age. ``max_bytes`` holds after every event, except that the newest
run always stays.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from itertools import islice
from operator import attrgetter

from hopsack_router.streams.events import Retention

_end = attrgetter("end")

RUN_EVENTS = 64
RUN_BYTES = 256 << 10


class Run:
    """:ivar newest: the time of its last event."""

    __slots__ = ("end", "newest", "oldest", "size", "start")

    def __init__(self, start: int, end: int, size: int, oldest: float, newest: float) -> None:
        self.start, self.end, self.size, self.oldest, self.newest = start, end, size, oldest, newest

    def copy(self) -> Run:
        return Run(self.start, self.end, self.size, self.oldest, self.newest)


class Growth:
    """What a batch adds to a topic, until it is committed."""

    __slots__ = ("continues", "head", "runs", "shelf", "size", "time")

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.head, self.time, self.size = shelf.head, shelf.time, 0
        self.continues = bool(shelf.runs)
        self.runs = [shelf.runs[-1].copy()] if self.continues else []

    def add(self, size: int, now: float) -> int:
        """Take one event. :returns: its offset."""
        self.head += 1
        self.time = max(self.time, now)
        self.size += size
        if self.runs and not self._is_full(self.runs[-1]):
            run = self.runs[-1]
            run.end, run.newest, run.size = self.head, self.time, run.size + size
        else:
            self.runs.append(Run(self.head, self.head, size, self.time, self.time))
        return self.head

    def _is_full(self, run: Run) -> bool:
        retention = self.shelf.retention
        return (
            run.end - run.start + 1 >= RUN_EVENTS
            or run.size >= min(RUN_BYTES, retention.max_bytes >> 4)
            or (retention.seconds is not None and self.time - run.oldest > retention.seconds / 32)
        )


class Shelf:
    """One topic.

    :ivar head: the newest offset. :ivar size: nominal bytes of all runs. :ivar time: of the newest event.
    :ivar is_expected: whether somebody looks at its age when that is due.
    """

    __slots__ = ("epoch", "head", "id", "is_expected", "retention", "runs", "size", "time", "uri")

    def __init__(self, id: int, uri: str, epoch: str, retention: Retention, head: int = 0) -> None:
        self.id, self.uri, self.epoch, self.retention, self.head = id, uri, epoch, retention, head
        self.runs: deque[Run] = deque()
        self.size = 0
        self.time = 0.0
        self.is_expected = False

    @property
    def first(self) -> int:
        """The oldest offset that is there; one above the head if none is."""
        return max(self.runs[0].start, self.head - self.retention.keep + 1) if self.runs else self.head + 1

    def reach(self, start: int, max_bytes: int) -> int:
        """The end of the run in which so many bytes are reached, counted from the run of ``start``."""
        index = bisect_left(self.runs, start, key=_end)
        for run in islice(self.runs, index, None):
            max_bytes -= run.size
            if max_bytes <= 0:
                return run.end
        return self.head

    def grow(self, growth: Growth) -> None:
        """The batch is committed."""
        if growth.continues:
            self.runs.pop()
        self.runs.extend(growth.runs)
        self.head, self.time = growth.head, growth.time
        self.size += growth.size

    def drop(self) -> Run:
        """Drop the oldest run."""
        run = self.runs.popleft()
        self.size -= run.size
        return run

    def expiry(self) -> float | None:
        """When the oldest run is past its age."""
        if self.retention.seconds is None or not self.runs:
            return None
        return self.runs[0].newest + self.retention.seconds

    def is_over(self, now: float) -> bool:
        """Whether the oldest run is past the bounds."""
        run, retention = self.runs[0], self.retention
        return (
            run.end <= self.head - retention.keep
            or (self.size > retention.max_bytes and len(self.runs) > 1)
            or (retention.seconds is not None and run.newest + retention.seconds <= now)
        )
