"""What the journal asks of a store. Another store is another class with these methods, and needs no more than that.

    open()          -> what is there             once, before everything else
    commit(batch)   -> all of it, or StoreFailed and nothing of it
    read(...)       -> events of a range          from another thread than the others, at the same time
    find(...)       -> an offset
    replace()       -> a fresh store in place of one that is torn
    close()         -> everything is on disk

A store decides nothing: offsets, retention, keys and epochs are in the batch. The journal commits one batch at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hopsack_router.streams.events import Stored
from hopsack_router.streams.moments import Moment


class StoreError(Exception):
    """Base of what a store raises; the message is one line for a person."""


class StoreFailed(StoreError):
    """The store could not do it now (full disk, I/O error); nothing of the batch was done. It may work later."""


class StoreTorn(StoreError):
    """What the store has is damaged. Only :meth:`Store.replace` helps."""


class StoreRefused(StoreError):
    """The store cannot be opened: somebody else has it, or it is of a newer version."""


@dataclass(frozen=True, slots=True)
class TopicRow:
    """:ivar head: the newest offset at least; runs may reach further. :ivar contract: that the epoch is from."""

    id: int
    uri: str
    epoch: str
    head: int
    contract: str


@dataclass(frozen=True, slots=True)
class RunRow:
    """Events of one topic, ``start`` to ``end``, that go together.

    :ivar newest: the stamp of the last one. :ivar ended: when that was, in steady time.
    :ivar marks: of their publication ids (:func:`~hopsack_router.streams.runs.mark`); no need to give them back.
    """

    topic: int
    start: int
    end: int
    size: int
    newest: float
    ended: float
    marks: bytes = b""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An idempotency key.

    :ivar number: keys are forgotten in the order of their numbers. :ivar time: the stamp of its event.
    :ivar taken: when that was, in steady time.
    """

    number: int
    topic: int
    key: str
    offset: int
    publication: int
    time: float
    taken: float


@dataclass(frozen=True, slots=True)
class LatestRow:
    """The newest event of one key.

    :ivar changed: rows are in the order of these. :ivar event: ``None``: there is none.
    """

    topic: int
    key: str
    changed: int
    event: Stored | None


@dataclass(frozen=True, slots=True)
class Span:
    """Events of one topic from ``start`` to ``end``, both included."""

    topic: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Batch:
    """One transaction.

    :ivar number: counts up by one with each batch that is committed.
    :ivar durable: it is on disk before :meth:`Store.commit` returns.
    :ivar birth: what epochs of topics that have no row are made of.
    :ivar at: when it is.
    :ivar births: contracts whose topics that have no row have another epoch than that, and this epoch.
    :ivar dropped: topics of which nothing stays.
    :ivar trimmed: events that go, with the runs that begin there.
    :ivar keys_upto: keys up to this number go.
    """

    number: int
    durable: bool
    birth: str
    at: Moment
    births: Sequence[tuple[str, str]] = ()
    events: Sequence[tuple[int, Stored]] = ()
    topics: Sequence[TopicRow] = ()
    runs: Sequence[RunRow] = ()
    keys: Sequence[KeyRow] = ()
    latest: Sequence[LatestRow] = ()
    dropped: Sequence[int] = ()
    trimmed: Sequence[Span] = ()
    keys_upto: int = 0


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a store had when it was opened.

    :ivar birth: ``None``: it is new.
    :ivar number: of the last batch. :ivar at: when that was; ``None``: nobody knows.
    :ivar same_start: the machine has not been started since.
    :ivar doubt: why events may be missing that were delivered; ``None``: none are. Positions then need a new epoch.
    :ivar lost: what was lost, for the log; ``None``: nothing.
    """

    birth: str | None = None
    number: int = 0
    at: Moment | None = None
    same_start: bool = False
    births: Sequence[tuple[str, str]] = ()
    topics: Sequence[TopicRow] = ()
    runs: Sequence[RunRow] = ()
    keys: Sequence[KeyRow] = ()
    latest: Sequence[LatestRow] = field(default=())
    doubt: str | None = None
    lost: str | None = None


class Store(Protocol):
    """All methods block and may raise :class:`StoreError`."""

    @property
    def is_local(self) -> bool:
        """Whether it never waits: then it needs no thread."""
        ...

    def open(self) -> Recovered: ...

    def commit(self, batch: Batch) -> None: ...

    def read(self, span: Span, uri: str, epoch: str) -> list[Stored]:
        """Events of the span in order, but what has been trimmed."""
        ...

    def find(self, span: Span, publication: int) -> int | None:
        """The offset of the newest event with this publication id. Without a look at every event."""
        ...

    def replace(self) -> str:
        """Put what is torn aside and begin afresh. :returns: what was done, for the log."""
        ...

    def close(self) -> None: ...
