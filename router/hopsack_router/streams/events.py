"""The values of the journal: what goes in, what comes out, and what a reader is told.

Sizes are nominal: an event counts as its payload and key and :data:`OVERHEAD` bytes, about what it takes on disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from hopsack_router.streams.position import Position

MAX_KEY = 64
"""Characters of a publisher's idempotency key, at most."""

OVERHEAD = 120
"""Bytes that an event takes beside its payload: facts, row, index."""

MIB = 1 << 20

MAX_BYTES = 64 * MIB
"""Nominal bytes of a topic, where its contract does not say."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of a topic is kept.

    :ivar keep: events, at most. :ivar seconds: the age at which an event goes; ``None``: never.
    :ivar max_bytes: nominal bytes, at most.
    :ivar contract: the declared URI of the topic. What all topics have together is shared out by contracts.
    """

    keep: int
    seconds: float | None = None
    max_bytes: int = MAX_BYTES
    contract: str = ""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An event before it has a position.

    :ivar data: the payload, JSON; ``deleted``: the fields of the key alone.
    :ivar publication: its publication id (WAMP, section 2.1.2).
    :ivar session: the publisher's, where it lets itself be disclosed; so ``authid`` and ``role``.
    :ivar key: the publisher's idempotency key.
    :ivar latest: the key under which a ``latest`` topic keeps it; ``None``: it is not kept as the newest of anything.
    :ivar deleted: a tombstone: ``latest`` has no value any more.
    """

    data: bytes
    publication: int
    session: int | None = None
    authid: str | None = None
    role: str | None = None
    key: str | None = None
    latest: str | None = None
    deleted: bool = False

    @property
    def size(self) -> int:
        return len(self.data) + len(self.latest or "") + OVERHEAD


class Stored(msgspec.Struct, frozen=True):
    """An event in the journal. Fields that :class:`Draft` has too mean the same.

    :ivar offset: 0 for a value of a topic that is no stream.
    :ivar time: Unix seconds at which it was taken; never less than that of the event before, though the clock be set
        back.
    :ivar repeated: it was here already, under its idempotency key; ``data`` is the repetition's.
    :ivar frames: what was made of the event for readers, by whatever tells such frames apart; as long as it is in
        memory.
    """

    topic: str
    epoch: str
    offset: int
    time: float
    publication: int
    data: bytes
    session: int | None = None
    authid: str | None = None
    role: str | None = None
    key: str | None = None
    latest: str | None = None
    deleted: bool = False
    repeated: bool = False
    frames: dict[Any, bytes] = msgspec.field(default_factory=dict)

    @property
    def position(self) -> Position | None:
        return Position(self.epoch, self.offset) if self.offset else None

    @property
    def size(self) -> int:
        return len(self.data) + len(self.latest or "") + OVERHEAD


def stored(topic: str, epoch: str, offset: int, time: float, draft: Draft, repeated: bool = False) -> Stored:
    """The event that a draft becomes."""
    return Stored(  # by position: twice as fast as by name
        topic,
        epoch,
        offset,
        time,
        draft.publication,
        draft.data,
        draft.session,
        draft.authid,
        draft.role,
        draft.key,
        draft.latest,
        draft.deleted,
        repeated,
    )


@dataclass(frozen=True, slots=True)
class Recoverable:
    """Everything after the position is there. :ivar missed: so many events."""

    missed: int


@dataclass(frozen=True, slots=True)
class Gone:
    """Reading cannot go on from the position.

    :ivar reason: ``epoch``: it is of a journal that is lost, or was never there; ``trimmed``: what follows it has gone.
    :ivar oldest: the first event that is there; ``None``: there is none.
    :ivar newest: the head.
    """

    reason: Literal["epoch", "trimmed"]
    oldest: Position | None
    newest: Position


Found = Recoverable | Gone


@dataclass(frozen=True, slots=True)
class Page:
    """Some events in order.

    :ivar end: nothing more is there now.
    :ivar first: the oldest event of the topic, in this page or not; ``None``: there is none.
    :ivar last: where to read on: the position of the last event, or where reading began if there is none.
    """

    events: tuple[Stored, ...]
    end: bool
    first: Position | None
    last: Position


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is of a topic.

    :ivar first: the oldest event; ``None``: there is none. :ivar head: the newest. :ivar size: nominal bytes.
    :ivar keys: newest values.
    """

    first: Position | None
    head: Position
    events: int
    size: int
    keys: int
