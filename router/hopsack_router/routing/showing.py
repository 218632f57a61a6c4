"""The newest values of topics that are no streams, on their way to a reader that has just come; then it goes live.

    room            -> Deliver: the next part of the snapshot; then of what changed meanwhile; then GoLive
    changed(event)  a value has changed, or is a new one: it takes the place of its older value, or comes behind all
    left(topic)     the reader has unsubscribed from one of several topics: nothing of it comes any more
    take_over       another subscription of the link begins to read the same
    lost            the reader is gone, or has unsubscribed

What :class:`~hopsack_router.routing.following.Following` is for a stream, for what has no positions: live events are
held back by their keys until the snapshot is out, so no older value ever comes behind a newer one, and a snapshot has
as many events as were announced. A core without I/O. Bound: the events are the journal's own objects, one for a key,
and their bytes count in the link's budget.

Who calls: the link, as it does a ``Following`` (``followers.py``).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from itertools import islice

from hopsack_router.routing.following import PAGE_EVENTS, Deliver, Effect, GoLive, State, Weighed, part_of
from hopsack_router.streams.events import Stored

Slot = tuple[str, str | None]


class Showing(Weighed):
    """One snapshot for one reader.

    :param newest: the values, of one topic or of several, in order.
    """

    holds = False
    """It has no pages."""

    def __init__(self, newest: Iterable[Stored]) -> None:
        self.state = State.WAITING_FOR_ROOM
        self._snapshot = OrderedDict(((event.topic, event.latest), event) for event in newest)
        self._weigh(sum(event.size for event in self._snapshot.values()))
        self._changed: OrderedDict[Slot, Stored] = OrderedDict()
        self._earlier: deque[Stored] = deque()  # of a snapshot whose place this one took
        self._left: set[str] = set()

    @property
    def shows_newest(self) -> bool:
        """Whether the snapshot is what comes next."""
        return bool(self._earlier or self._snapshot) and self.state is State.WAITING_FOR_ROOM

    def changed(self, event: Stored) -> None:
        """A live event; it is this machine's, not for the live path."""
        slot = (event.topic, event.latest)
        held = self._snapshot if slot in self._snapshot else self._changed
        earlier = held.get(slot)
        self._weigh(event.size - (earlier.size if earlier is not None else 0))
        held[slot] = event

    def room(self) -> list[Effect]:
        """The transport takes a page."""
        if self.state is not State.WAITING_FOR_ROOM:
            return []
        effects: list[Effect] = []
        while not effects and (self._earlier or self._snapshot or self._changed):
            newest = bool(self._earlier or self._snapshot)
            part = part_of(self._earlier) if self._earlier else _first_of(self._snapshot or self._changed)
            self._weigh(-sum(event.size for event in part))
            wanted = self._without_left(part)
            if wanted:
                effects.append(Deliver(wanted, newest))
        if not self._earlier and not self._snapshot and not self._changed:
            self.state = State.LIVE
            effects.append(GoLive())
        return effects

    def take_over(self, other: Showing) -> None:
        """Show for two subscriptions of one link, in the place of who showed for the other: each gets its number."""
        earlier = other._without_left((*other._earlier, *other._snapshot.values()))
        changes = other._without_left(other._changed.values())
        changed = {(one.topic, one.latest): one for one in changes if (one.topic, one.latest) not in self._snapshot}
        self._earlier.extend(earlier)
        self._changed.update(changed)
        self._weigh(sum(event.size for event in (*earlier, *changed.values())))

    def left(self, topic: str) -> None:
        """What is held of it goes when its turn comes: a reader may leave a thousand topics at once."""
        self._left.add(topic)

    def _without_left(self, events: Iterable[Stored]) -> list[Stored]:
        return [event for event in events if event.topic not in self._left]

    def full(self) -> list[Effect]:
        return []

    def lost(self) -> None:
        self.state = State.ENDED
        self._earlier.clear()
        self._snapshot.clear()
        self._changed.clear()
        self._weigh(-self.shown)


def _first_of(held: OrderedDict[Slot, Stored]) -> list[Stored]:
    """Take a part out, without looking at all that is behind it."""
    part = part_of(deque(islice(held.values(), PAGE_EVENTS)))
    for _ in part:
        held.popitem(last=False)
    return part
