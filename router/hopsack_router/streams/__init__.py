"""Streams: events with positions that are kept, and can be read back. :func:`node_journal` makes a node's."""

from hopsack_router.streams.events import Draft, Extent, Found, Gone, Page, Recoverable, Retention, Stored
from hopsack_router.streams.journal import Journal
from hopsack_router.streams.ledger import Bounds
from hopsack_router.streams.node import node_journal, retention
from hopsack_router.streams.position import Position, parse
from hopsack_router.streams.store import StoreFailed, StoreRefused

__all__ = [
    "Bounds",
    "Draft",
    "Extent",
    "Found",
    "Gone",
    "Journal",
    "Page",
    "Position",
    "Recoverable",
    "Retention",
    "StoreFailed",
    "StoreRefused",
    "Stored",
    "node_journal",
    "parse",
    "retention",
]
