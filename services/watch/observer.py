"""The shell around one tree: does what it asks, and tells it what came of that.

    kernel -> Inotify.read -> Tree -> effects -> Disk, outbox
    outbox -> changes() -> whoever publishes them

Bound: while ``MOST_UNTOLD`` changes wait to be taken, nothing more is done or read; one folder's worth may come on top.
What happens meanwhile waits in the kernel's queue, which is bounded too, and whose overflow leads to a re-scan. So a
slow or absent node costs a re-scan, and no memory.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import assert_never

from watch.disk import Disk
from watch.events import (
    Await,
    Change,
    Effect,
    Enter,
    Facts,
    Finish,
    Finished,
    Input,
    Look,
    Noticed,
    Path,
    Publish,
    Ready,
    RemoveWatch,
    Request,
    WakeAt,
    Warn,
    Woke,
)
from watch.inotify import Inotify
from watch.tree import MOST, Tree

MOST_UNTOLD = 10_000
BATCH = 100
STEPS_PER_TURN = 20
"""Effects done before the loop gets a turn: some milliseconds, unless a folder is very large."""


class Stamps:
    """Times that never repeat or go back, so that they also tell an order. Seconds since the Unix epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._last = 0.0

    def next(self) -> float:
        self._last = max(self._clock(), self._last + 1e-6)
        return self._last


class Walk:
    """The tree, the disk and the kernel's records, one step at a time, without a loop: tests turn it by hand.

    :param root: path of the folder, which need not exist.
    :param warn: takes what the log should say.
    """

    def __init__(self, root: str, tree: Tree, warn: Callable[[str], None], stamps: Stamps) -> None:
        self.inotify = Inotify()
        self.tree = tree
        self.ready = False
        self.wake_at: float | None = None
        self.todo: deque[Request] = deque()
        self.told: deque[tuple[float, Change]] = deque()
        self._disk = Disk(root, self.inotify, MOST)
        self._warn = warn
        self._stamps = stamps
        self._take(tree.start())

    def read(self, now: float) -> None:
        """Take the kernel's records, up to one buffer of them."""
        records = self.inotify.read()
        if records:
            self._tell(Noticed(records), now)

    def wake(self, now: float) -> None:
        self.wake_at = None
        self._tell(Woke(), now)

    def step(self, now: float) -> None:
        """Do the first thing there is to do. What follows from it comes before the rest."""
        match self.todo.popleft():
            case Enter() as enter:
                self._tell(self._disk.enter(enter), now)
            case Look() as look:
                self._tell(self._disk.look(look), now)
            case Await():
                self._tell(self._disk.wait_for_root(), now)
            case Finish():
                self._tell(Finished(), now)
            case RemoveWatch(watch):
                self.inotify.remove(watch)
            case WakeAt(when):
                self.wake_at = when
            case Ready():
                self.ready = True
            case Warn(text):
                self._warn(text)
            case _ as never:
                assert_never(never)

    def _tell(self, seen: Input, now: float) -> None:
        self._take(self.tree.receive(seen, now))

    def _take(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Publish):  # at once, in the tree's own order: its time is when the tree changed
                self.told.append((self._stamps.next(), effect.change))
        self.todo.extendleft(effect for effect in reversed(effects) if not isinstance(effect, Publish))


class Observer:
    """One root, observed on the running asyncio loop.

    :param root: path of the folder, which need not exist.
    :param ignored: names to pass over.
    :param warn: takes what the log should say.
    :raises OSError: there are ``fs.inotify.max_user_instances`` instances already.
    """

    def __init__(self, root: str, ignored: Callable[[str], bool], warn: Callable[[str], None]) -> None:
        self._stamps = Stamps()
        self._walk = Walk(root, Tree(ignored), warn, self._stamps)
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._ready = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._turn: asyncio.Handle | None = None
        self._reading = False
        self._advance()

    async def ready(self) -> None:
        """Wait for the end of the first scan."""
        await self._ready.wait()

    def listing(self, limit: int) -> tuple[float, list[tuple[Path, Facts]], bool]:
        """``(at, entries, truncated)``: every change with a time before ``at`` is in it, none after."""
        return self._stamps.next(), *self._walk.tree.entries(limit)

    async def changes(self) -> AsyncGenerator[list[tuple[float, Change]], None]:
        """Changes with the times they were seen at, up to ``BATCH`` together, for ever."""
        told = self._walk.told
        while True:
            await self._news.wait()
            while told:
                yield [told.popleft() for _ in range(min(BATCH, len(told)))]
                self._advance_soon()
            self._news.clear()

    def remind(self) -> None:
        """Some changes were not told: tell readers to read the listing again."""
        self._walk.told.append((self._stamps.next(), Change((), "rescanned", None)))
        self._news.set()

    def close(self) -> None:
        for handle in (self._timer, self._turn):
            if handle is not None:
                handle.cancel()
        self._read(False)
        self._walk.inotify.close()

    def _advance_soon(self) -> None:
        if self._turn is None:
            self._turn = self._loop.call_soon(self._advance)

    def _advance(self) -> None:
        self._turn = None
        walk = self._walk
        for _ in range(STEPS_PER_TURN):
            if not walk.todo or len(walk.told) >= MOST_UNTOLD:
                break
            walk.step(self._loop.time())
        full = len(walk.told) >= MOST_UNTOLD
        self._read(not full)
        self._set_timer(None if full else walk.wake_at)
        if walk.told:
            self._news.set()
        if walk.ready:
            self._ready.set()
        if walk.todo and not full:
            self._advance_soon()

    def _read(self, wanted: bool) -> None:
        if wanted and not self._reading:
            self._loop.add_reader(self._walk.inotify.descriptor, self._on_records)
        elif self._reading and not wanted:
            self._loop.remove_reader(self._walk.inotify.descriptor)
        self._reading = wanted

    def _set_timer(self, when: float | None) -> None:
        if self._timer is not None and (when is None or self._timer.when() != when):
            self._timer.cancel()
            self._timer = None
        if when is not None and self._timer is None:
            self._timer = self._loop.call_at(when, self._on_time)

    def _on_records(self) -> None:
        self._walk.read(self._loop.time())
        self._advance()

    def _on_time(self) -> None:
        self._timer = None
        self._walk.wake(self._loop.time())
        self._advance()
