"""The journal as a node has it: bounds from the contracts, the disk or memory, the reactor's threads and clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hopsack.contracts import Catalogue, TopicContract
from hopsack_router.streams.events import MAX_BYTES, Retention
from hopsack_router.streams.files import boot_id
from hopsack_router.streams.journal import Journal
from hopsack_router.streams.lanes import Lane, OnThread
from hopsack_router.streams.ledger import Bounds
from hopsack_router.streams.memory import MemoryStore
from hopsack_router.streams.moments import since_start
from hopsack_router.streams.sqlite import SqliteStore
from hopsack_router.streams.store import Store

FILE = "journal.sqlite"
"""Below ``HOPSACK_DATA``."""

NOTHING = Retention(keep=1)


def node_journal(catalogue: Catalogue, data: Path | None, reactor: Any, bounds: Bounds | None = None) -> Journal:
    """A journal that has to be started.

    :param data: its folder; ``None``: it is kept in memory.
    :param reactor: ``IReactorTime`` and ``IReactorFromThreads``; its ``seconds()`` are Unix time. What is kept in
        memory has no other clock; on disk, ages are counted with the machine's.
    """
    store: Store = MemoryStore() if data is None else SqliteStore(data / FILE, boot=boot_id(), now=time.time)

    def lane(name: str) -> Lane:
        return OnThread(name, reactor.callFromThread)

    of, counted = retention(catalogue), None if data is None else since_start
    return Journal(store, of, clock=reactor, random=os.urandom, lane=lane, bounds=bounds, counted=counted)


def retention(catalogue: Catalogue) -> Callable[[str], Retention]:
    """How much each topic's contract wants kept."""

    def of(topic: str) -> Retention:
        contract = catalogue.topic(topic)
        if contract is None:
            return NOTHING
        known = contracts.get(contract.uri)
        if known is None:
            known = contracts[contract.uri] = _retention(contract)
        return known

    contracts: dict[str, Retention] = {}
    return of


def _retention(contract: TopicContract) -> Retention:
    stream = contract.stream
    if stream is None:
        return Retention(NOTHING.keep, contract=contract.uri)
    max_bytes = MAX_BYTES if stream.max_bytes is None else stream.max_bytes
    return Retention(stream.keep, stream.seconds, max_bytes, contract.uri)
