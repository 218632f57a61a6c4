"""One topic in the journal: its head, and its events as runs. Pure.

A *run* is a few consecutive events that go together: retention drops whole runs, so it needs the size and age of each
run and not of each event, and drops a range of rows at once. A run ends with :data:`RUN_EVENTS` events, with a
sixteenth of the topic's bytes (256 KiB at most), when it spans a thirty-second of the topic's age, and with the
process. A run has the marks of its events' publication ids, so that one is found by looking at runs, not at events.

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
from hopsack_router.streams.moments import Moment

_end = attrgetter("end")

RUN_EVENTS = 64
RUN_BYTES = 256 << 10
MARK_BYTES = 4


def mark(publication: int) -> bytes:
    """What a run keeps of a publication id. Two ids may have one mark."""
    return (publication & 0xFFFFFFFF).to_bytes(MARK_BYTES, "big")


class Run:
    """:ivar newest: the stamp of its last event. :ivar began: of its first event, in steady time; ``ended``: of its
    last. :ivar marks: of its events; ``None``: no more will come.
    """

    __slots__ = ("began", "end", "ended", "marks", "newest", "size", "start")

    def __init__(
        self, start: int, end: int, size: int, newest: float, began: float, ended: float, marks: bytes | None
    ) -> None:
        self.start, self.end, self.size = start, end, size
        self.newest, self.began, self.ended, self.marks = newest, began, ended, marks

    def copy(self) -> Run:
        return Run(self.start, self.end, self.size, self.newest, self.began, self.ended, self.marks)


class Growth:
    """What a batch adds to a topic, until it is committed."""

    __slots__ = ("continues", "head", "runs", "shelf", "size", "time")

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.head, self.time, self.size = shelf.head, shelf.time, 0
        self.continues = bool(shelf.runs) and shelf.runs[-1].marks is not None
        self.runs = [shelf.runs[-1].copy()] if self.continues else []

    def add(self, size: int, publication: int, now: Moment) -> int:
        """Take one event. :returns: its offset."""
        self.head += 1
        self.time = max(self.time, now.wall)
        self.size += size
        if self.runs and not self._is_full(self.runs[-1], now.steady):
            run = self.runs[-1]
            assert run.marks is not None
            run.end, run.newest, run.ended, run.size = self.head, self.time, now.steady, run.size + size
            run.marks += (publication & 0xFFFFFFFF).to_bytes(4, "big")  # as mark() does, without the call
        else:
            self.runs.append(Run(self.head, self.head, size, self.time, now.steady, now.steady, mark(publication)))
        return self.head

    def _is_full(self, run: Run, steady: float) -> bool:
        retention = self.shelf.retention
        return (
            run.end - run.start + 1 >= RUN_EVENTS
            or run.size >= min(RUN_BYTES, retention.max_bytes >> 4)
            or (retention.seconds is not None and steady - run.began > retention.seconds / 32)
        )


class Shelf:
    """One topic.

    :ivar origin: the contract that its epoch is from; another than that of ``retention``, if contracts were changed.
    :ivar head: the newest offset. :ivar size: nominal bytes of all runs. :ivar time: the stamp of the newest event.
    :ivar is_expected: whether somebody looks at its age when that is due.
    """

    __slots__ = ("epoch", "head", "id", "is_expected", "origin", "retention", "runs", "size", "time", "uri")

    def __init__(self, id: int, uri: str, epoch: str, origin: str, retention: Retention, head: int = 0) -> None:
        self.id, self.uri, self.epoch, self.origin = id, uri, epoch, origin
        self.retention, self.head = retention, head
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
        elif self.runs:
            self.runs[-1].marks = None
        for run in growth.runs[:-1]:
            run.marks = None
        self.runs.extend(growth.runs)
        self.head, self.time = growth.head, growth.time
        self.size += growth.size

    def drop(self) -> Run:
        """Drop the oldest run."""
        run = self.runs.popleft()
        self.size -= run.size
        return run

    def expiry(self) -> float | None:
        """When the oldest run is past its age, in steady time."""
        if self.retention.seconds is None or not self.runs:
            return None
        return self.runs[0].ended + self.retention.seconds

    def is_over(self, steady: float) -> bool:
        """Whether the oldest run is past the bounds."""
        run, retention = self.runs[0], self.retention
        return (
            run.end <= self.head - retention.keep
            or (self.size > retention.max_bytes and len(self.runs) > 1)
            or (retention.seconds is not None and run.ended + retention.seconds <= steady)
        )
