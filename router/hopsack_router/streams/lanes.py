"""Where a store's blocking work is done: on the spot, or on a thread of its own, one piece after the other.

    run(job, done)  -> job() is called; then done(result, None) or done(None, error) on the caller's thread
    stop()          -> no more work comes: ends when the last job is done

Bound: none here; the journal has one batch under way and a bounded number of reads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

Done = Callable[[Any, Exception | None], object]


class Lane(Protocol):
    def run(self, job: Callable[[], Any], done: Done) -> None: ...

    def stop(self) -> None: ...


class OnTheSpot:
    """For stores that never wait."""

    def run(self, job: Callable[[], Any], done: Done) -> None:
        done(*_outcome(job))

    def stop(self) -> None:
        pass


class OnThread:
    """One thread, begun with the first job.

    :param call_from_thread: calls a function on the caller's thread, in the order it was asked to
        (``IReactorFromThreads.callFromThread``).
    """

    def __init__(self, name: str, call_from_thread: Callable[..., object]) -> None:
        self._name, self._call_from_thread = name, call_from_thread
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Done] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, job: Callable[[], Any], done: Done) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._jobs.put((job, done))

    def stop(self) -> None:
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (work := self._jobs.get()) is not None:
            job, done = work
            self._call_from_thread(done, *_outcome(job))


def _outcome(job: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return job(), None
    except Exception as error:
        return None, error
