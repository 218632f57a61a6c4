"""The journal as a node has it: bounds from the contracts, the disk or memory, the reactor's threads and clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hopsack.contracts import Catalogue
from hopsack_router.streams.events import Retention
from hopsack_router.streams.files import boot_id
from hopsack_router.streams.journal import Journal
from hopsack_router.streams.lanes import Lane, OnThread
from hopsack_router.streams.ledger import Bounds
from hopsack_router.streams.memory import MemoryStore
from hopsack_router.streams.sqlite import SqliteStore
from hopsack_router.streams.store import Store

FILE = "journal.sqlite"
"""Below ``HOPSACK_DATA``."""

NOTHING = Retention(keep=1)


def node_journal(catalogue: Catalogue, data: Path | None, reactor: Any, bounds: Bounds | None = None) -> Journal:
    """A journal that has to be started.

    :param data: its folder; ``None``: it is kept in memory.
    :param reactor: ``IReactorTime`` and ``IReactorFromThreads``; its ``seconds()`` are Unix time.
    """
    store: Store = MemoryStore() if data is None else SqliteStore(data / FILE, boot=boot_id(), now=time.time)

    def lane(name: str) -> Lane:
        return OnThread(name, reactor.callFromThread)

    return Journal(store, retention(catalogue), clock=reactor, random=os.urandom, lane=lane, bounds=bounds)


def retention(catalogue: Catalogue) -> Callable[[str], Retention]:
    """How much each topic's contract wants kept."""

    def of(topic: str) -> Retention:
        contract = catalogue.topic(topic)
        stream = contract.stream if contract is not None else None
        if stream is None:
            return NOTHING
        if stream.max_bytes is None:
            return Retention(stream.keep, stream.seconds)
        return Retention(stream.keep, stream.seconds, stream.max_bytes)

    return of
