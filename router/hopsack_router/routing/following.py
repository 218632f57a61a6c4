"""One reader of one stream that reads the journal at its own pace, and goes live without a race.

    asked(after, …)     a subscription       -> Answer; then live, or reading
    fell_behind(first)  Backlog said Follow  -> reading, from that event
    room                                     -> Read, Deliver what is in hand, or the next part of the snapshot
    full                                     the page that is under way will wait in hand
    page                                     -> Deliver, where there is room; GoLive, where it reached the head
         Gone                                -> TellGap; Read on with the oldest there is
    committed(p)                             the head is there now; GoLive, where the reader was ahead of it
    failed                                   -> GiveUp
    lost                                     the reader is gone, or has unsubscribed

Why there is no race. The journal announces each commit to the reactor, in order, and the broker hands each to this
machine or to the live path, never to both: to the machine until it says GoLive, to the live path from the next commit
on. So ``head`` is what has been announced, and a reader goes live when the last event it was given is exactly that. A
page may run ahead of the announcements, because a batch is in the journal before its first event is announced: such a
reader waits until they have caught up with it, and what they announce meanwhile it has already.

What the journal dropped before it was read is told (TellGap), with the number of events, and reading goes on with the
oldest that is there. So is a new epoch, with which everything before it is lost.

A core without I/O. Bounds: one ``room`` is one page, of :data:`PAGE_EVENTS` events and :data:`PAGE_BYTES` at most;
nothing is read without it, and one page at most is in hand. The snapshot is the journal's own objects, and its bytes
count in the link's budget (:class:`Weighed`).

Who calls: the link, which has a machine for each stream that it does not read live (``followers.py``).
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hopsack_router.routing.backlog import Tally
from hopsack_router.streams.events import Found, Gone, Page, Stored
from hopsack_router.streams.position import Position

PAGE_EVENTS = 256
PAGE_BYTES = 64 << 10

Reason = Literal["epoch", "trimmed"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the subscription, before anything else.

    :ivar position: the event after this one is the first that follows.
    :ivar recovered: a position was given, and everything after it follows.
    :ivar reason: why not, where one was given.
    :ivar snapshot: so many newest values come first; ``None``: the topic keeps none, or they are not needed.
    """

    position: Position
    recovered: bool = False
    reason: Reason | None = None
    snapshot: int | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """Ask ``Journal.read`` for the next page, then call :meth:`Following.page` or :meth:`Following.failed`."""

    after: Position
    limit: int = PAGE_EVENTS
    max_bytes: int = PAGE_BYTES


@dataclass(frozen=True, slots=True)
class Deliver:
    """Write these events, in this order. :ivar newest: they are the snapshot, or a part of it."""

    events: Sequence[Stored]
    newest: bool = False


@dataclass(frozen=True, slots=True)
class TellGap:
    """Tell the reader that events before the next one are lost. :ivar missed: how many; ``None``: nobody knows."""

    reason: Reason
    missed: int | None


@dataclass(frozen=True, slots=True)
class GoLive:
    """From the next commit on the reader is one of all: drop this machine."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The journal cannot be read: end the connection, so that the reader comes back and resumes."""


Effect = Answer | Read | Deliver | TellGap | GoLive | GiveUp


class State(enum.Enum):
    NEW = "new"
    WAITING_FOR_ROOM = "waiting for room"
    WAITING_FOR_PAGE = "waiting for a page"
    AHEAD = "ahead of the announcements"
    LIVE = "live"
    ENDED = "ended"


class Weighed:
    """What holds newest values: how much that is, for itself and for its link.

    They are the journal's own objects; but they stay in memory as long as somebody holds them.
    """

    shown = 0
    _tally: Tally | None = None

    def count_in(self, tally: Tally) -> None:
        """Count there from now on, once."""
        if self._tally is None:
            self._tally = tally
            tally.bytes += self.shown

    def _weigh(self, more: int) -> None:
        self.shown += more
        if self._tally is not None:
            self._tally.bytes += more


class Following(Weighed):
    """One reader of one stream.

    :param head: the newest event that was announced, at this moment. Not one that is committed and will be announced
        later in this turn: it would come twice.
    """

    def __init__(self, head: Position) -> None:
        self.state = State.NEW
        self.last = head
        """The last event that the reader was given or told it cannot have."""
        self.head = head
        self._room = False
        self._hand: Page | Gone | None = None
        self._snapshot: deque[Stored] = deque()
        self._asked_after = head  # where the page under way begins

    @property
    def holds(self) -> bool:
        """Whether a page is in hand."""
        return self._hand is not None

    @property
    def shows_newest(self) -> bool:
        """Whether the snapshot is what comes next."""
        return bool(self._snapshot) and self.state is State.WAITING_FOR_ROOM

    # ---- inputs --------------------------------------------------------------------------------------------------

    def asked(self, after: Position | None, found: Found | None, newest: Sequence[Stored] | None) -> list[Effect]:
        """A reader subscribes. All that is passed is of one moment.

        :param after: the position it gave, if it did. For one that did not, reading begins with what comes now.
        :param found: what the journal says to that: ``Journal.where(topic, after)``.
        :param newest: the snapshot of a ``latest`` topic; ``None``: it is none.
        """
        return _TABLE[self.state, "asked"](self, after, found, newest)

    def fell_behind(self, first: Position) -> list[Effect]:
        """A live reader is too slow: ``first`` is the first event that it was not given."""
        return _TABLE[self.state, "fell_behind"](self, first)

    def room(self) -> list[Effect]:
        """The transport takes a page; :class:`Deliver` uses this up."""
        return _TABLE[self.state, "room"](self)

    def full(self) -> list[Effect]:
        """The transport does not take a page any more."""
        return _TABLE[self.state, "full"](self)

    def page(self, page: Page | Gone) -> list[Effect]:
        """What the journal answers to :class:`Read`."""
        return _TABLE[self.state, "page"](self, page)

    def committed(self, position: Position) -> list[Effect]:
        """An event of the stream is announced. It is this machine's, whatever it answers: not for the live path."""
        return _TABLE[self.state, "committed"](self, position)

    def failed(self) -> list[Effect]:
        """The page that was asked for will not come."""
        return _TABLE[self.state, "failed"](self)

    def take_over(self, other: Following) -> None:
        """Read for two subscriptions of one link, in the place of who read for the other: from where it stood.

        Each gets all that it was promised: the newest values of both come first, then everything that either lacks.
        """
        self._snapshot.extendleft(reversed(other._snapshot))
        self._weigh(other.shown)
        self.reach_back(other.last)

    def reach_back(self, last: Position) -> None:
        """Begin behind an earlier event: another subscription has not been given what follows it.

        If that is of an earlier epoch, the journal will say so, and the reader is told.
        """
        if last.epoch != self.last.epoch or last.offset < self.last.offset:
            self.last = last
            self.state = State.WAITING_FOR_ROOM

    def lost(self) -> None:
        self.state = State.ENDED
        self._hand = None
        self._snapshot.clear()
        self._weigh(-self.shown)

    # ---- how it begins -------------------------------------------------------------------------------------------

    def _begin(self, after: Position | None, found: Found | None, newest: Sequence[Stored] | None) -> list[Effect]:
        reason = found.reason if isinstance(found, Gone) else None
        if after is not None and reason is None:
            self.last = after
            answer = Answer(after, recovered=True)
        elif newest is not None:
            self._snapshot.extend(newest)
            self._weigh(sum(event.size for event in newest))
            answer = Answer(self.head, reason=reason, snapshot=len(newest))
        else:
            if isinstance(found, Gone) and found.oldest is not None:
                self.last = Position(found.oldest.epoch, found.oldest.offset - 1)
            answer = Answer(self.last, reason=reason)
        return [answer, *self._settle()]

    def _follow(self, first: Position) -> list[Effect]:
        self.last = Position(first.epoch, first.offset - 1)
        return [*self._enter(self.head.epoch), *self._settle()]

    # ---- how it goes on ------------------------------------------------------------------------------------------

    def _receive(self, page: Page | Gone) -> list[Effect]:
        if self._asked_after != self.last:
            return self._settle()  # a new epoch has begun meanwhile, and this is of the one before
        if self._room:
            return self._take(page)
        self._hand = page
        self.state = State.WAITING_FOR_ROOM
        return []

    def _take(self, page: Page | Gone) -> list[Effect]:
        """Give a page to the reader; or tell it what it cannot have, and read on behind that."""
        self._hand = None
        if isinstance(page, Gone):
            oldest = page.oldest
            skipped = self._skip(Position(oldest.epoch, oldest.offset - 1) if oldest else page.newest)
            return [*skipped, *self._settle()]
        assert page.events, "the journal has announced more than it has"
        self.last = page.last
        self._room = False
        return [Deliver(page.events), *self._settle()]

    def _skip(self, to: Position) -> list[Effect]:
        effects = self._enter(to.epoch)
        missed = to.offset - self.last.offset
        if missed > 0:
            effects.append(TellGap("trimmed", missed))
            self.last = to
        return effects

    def _enter(self, epoch: str) -> list[Effect]:
        """Begin a new epoch, if this is one."""
        if epoch == self.last.epoch:
            return []
        self._hand = None
        self.last = Position(epoch, 0)
        if self.head.epoch != epoch:
            self.head = self.last
        return [TellGap("epoch", None)]

    def _settle(self) -> list[Effect]:
        """What is next, now that there is nothing more to be done with what was read."""
        if self._snapshot or self.last.epoch != self.head.epoch or self.last.offset < self.head.offset:
            self.state = State.WAITING_FOR_ROOM
            return self._use_room() if self._room else []
        if self.last.offset > self.head.offset:
            self.state = State.AHEAD
            return []
        self.state = State.LIVE
        return [GoLive()]

    def _use_room(self) -> list[Effect]:
        self._room = True
        if self._snapshot:
            self._room = False
            part = part_of(self._snapshot)
            self._weigh(-sum(event.size for event in part))
            return [Deliver(part, newest=True), *self._settle()]
        if self._hand is not None:
            return self._take(self._hand)
        self.state = State.WAITING_FOR_PAGE
        self._asked_after = self.last
        return [Read(self.last)]

    def _advance(self, position: Position) -> list[Effect]:
        self.head = position
        return self._enter(position.epoch)

    def _catch_up(self, position: Position) -> list[Effect]:
        return [*self._advance(position), *self._settle()]

    def _note_room(self) -> list[Effect]:
        self._room = True
        return []

    def _note_full(self) -> list[Effect]:
        self._room = False
        return []

    def _give_up(self) -> list[Effect]:
        self.lost()
        return [GiveUp()]


def part_of(events: deque[Stored]) -> list[Stored]:
    """Take as much as a page holds, one event at least."""
    part: list[Stored] = []
    size = 0
    while events and len(part) < PAGE_EVENTS and (not part or size + events[0].size <= PAGE_BYTES):
        size += events[0].size
        part.append(events.popleft())
    return part


def _ignore(*_: Any) -> list[Effect]:
    return []


_TABLE: dict[tuple[State, str], Callable[..., list[Effect]]] = {
    (State.NEW, "asked"): Following._begin,
    (State.NEW, "fell_behind"): Following._follow,
    (State.WAITING_FOR_ROOM, "room"): Following._use_room,
    (State.WAITING_FOR_ROOM, "full"): _ignore,
    (State.WAITING_FOR_ROOM, "committed"): Following._advance,
    (State.WAITING_FOR_PAGE, "room"): Following._note_room,
    (State.WAITING_FOR_PAGE, "full"): Following._note_full,
    (State.WAITING_FOR_PAGE, "page"): Following._receive,
    (State.WAITING_FOR_PAGE, "committed"): Following._advance,
    (State.WAITING_FOR_PAGE, "failed"): Following._give_up,
    (State.AHEAD, "room"): Following._note_room,
    (State.AHEAD, "full"): Following._note_full,
    (State.AHEAD, "committed"): Following._catch_up,
    (State.LIVE, "room"): _ignore,  # the shell has GoLive in its hands, and writes what came before it
    (State.LIVE, "full"): _ignore,
    (State.ENDED, "room"): _ignore,
    (State.ENDED, "full"): _ignore,
    (State.ENDED, "page"): _ignore,
    (State.ENDED, "committed"): _ignore,
    (State.ENDED, "failed"): _ignore,
}
"""What is not listed cannot happen: a ``KeyError`` here is a defect of the shell."""
