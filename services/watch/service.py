"""Folders, observed: tells what changes below them as it happens, and lists what is there.

kernel -> Observer -> changes -> watch.{root}.changed
"""

from __future__ import annotations

import asyncio
import difflib
import os

from hopsack import LocalError, Progress, Service, procedure
from hopsack_contracts import (
    WATCH_LIST,
    WATCH_ROOT_CHANGED,
    WATCH_ROOTS,
    WATCH_WALK,
    WatchEntries,
    WatchListing,
    WatchQuery,
    WatchRoot,
    WatchUnknownRoot,
    WatchWalk,
)
from watch import contract
from watch.names import matcher
from watch.observer import Observer
from watch.roots import Roots
from watch.tree import MOST


class Watch(Service):
    async def start(self) -> None:
        roots = Roots.from_environ(os.environ)
        ignored = matcher(roots.ignore)
        self.observers = {
            name: Observer(folder, ignored, self.log.bind(root=name, folder=folder).warning)
            for name, folder in roots.folders.items()
        }
        self.tellers: list[asyncio.Task[None]] = []
        for observer in self.observers.values():
            await observer.ready()

    async def joined(self) -> None:
        if not self.tellers:
            self.tellers = [asyncio.create_task(self.tell(root)) for root in self.observers]
            return
        for observer in self.observers.values():
            observer.remind()  # what happened while the node was away was told to nobody

    async def stop(self) -> None:
        for teller in self.tellers:
            teller.cancel()
        for observer in self.observers.values():
            observer.close()

    async def tell(self, root: str) -> None:
        observer = self.observers[root]
        complete = True
        async for changes in observer.changes():
            events = [contract.change(root, at, change) for at, change in changes]
            told = await asyncio.gather(
                *(self.publish(WATCH_ROOT_CHANGED, event, root=root) for event in events), return_exceptions=True
            )
            untold = [error for error in told if error is not None]
            if untold:
                self.log.warning("changes were not told", root=root, count=len(untold), error=str(untold[0]))
            elif not complete:
                observer.remind()
            complete = all(isinstance(error, LocalError) for error in untold)  # no connection: see joined()

    @procedure(WATCH_ROOTS)
    async def roots(self) -> tuple[WatchRoot, ...]:
        return tuple(self.observers)

    @procedure(WATCH_LIST)
    async def list_entries(self, query: WatchQuery) -> WatchListing:
        return contract.listing(query.root, *self.observer(query).listing(contract.MOST_ENTRIES))

    @procedure(WATCH_WALK)
    async def walk(self, query: WatchQuery, progress: Progress[WatchEntries]) -> WatchWalk:
        at, entries, truncated = self.observer(query).listing(MOST)
        for batch in contract.batches(entries):
            await progress.send(batch)
        return WatchWalk(root=query.root, at=at, truncated=truncated, entries=len(entries))

    def observer(self, query: WatchQuery) -> Observer:
        observer = self.observers.get(query.root)
        if observer is None:
            raise unknown_root(query.root, list(self.observers))
        return observer


def unknown_root(name: str, known: list[str]) -> WatchUnknownRoot:
    near = difflib.get_close_matches(name, known, n=1)
    return WatchUnknownRoot(
        f"no folder is watched under the name {name}",
        path="/root",
        advice=f"did you mean {near[0]}?" if near else f"the watched roots are {', '.join(known)}",
        data={"roots": known} | ({"nearest": near[0]} if near else {}),
    )
