"""What a link holds while its transport's buffer is full: a bounded number of bytes, each kind of frame by its policy.

    transport full          pause(now)        the clock of no progress runs
    answer                  -> held           all else makes room for it; answers and gaps alone do not fit: Close
    event of a stream       -> held           or its topic leaves for a follower: Follow, from the first one not written
    newest value of a key   -> held           in the place of the older value of that key
    event, live only        -> held           the oldest give way, one Gap where they stood
    transport takes bytes   drain(n, now)     -> frames and gaps, in order; nothing is held any more: caught up
    nothing moved for long  tick(now)         -> Close

A core without I/O and without a clock. The bound is ``budget``, in bytes of memory: a frame counts for its length and
:data:`OVERHEAD`. When it is passed, what costs the reader least goes first: streams, which lose nothing by being read
from the journal, a topic at a time and with all that is held of it; then live events, the oldest first; then newest
values, the longest held first; then the connection. An answer that is larger than the whole budget is let through
while no other answer waits.

Nothing overtakes an answer, because answers say what the events around them mean: that a subscription begins or has
ended. So an *era* ends with every answer. A newer value stands in the older one's place within their era, else at the
end, and a hole is told once per channel and era. Why in place: a key that changes faster than its reader reads would
otherwise be moved back for ever and never be read. Its price is that a value may come before events of other keys or
topics that are older; the order of one key always holds.

What else is held for the link (``elsewhere``: newest values on their way, values that wait for their pace, what is
known of the streams that it follows) counts in the budget too, but never takes more than half of it from events, and
nothing from answers.

Every operation is O(1), amortised. Who calls: ``Link`` while it is paused.
"""

from __future__ import annotations

import enum
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

BUDGET = 1 << 20
"""Bytes, where nothing else is said."""
PATIENCE = 30.0
"""Seconds without progress, while something waits, until the connection is closed."""
OVERHEAD = 256
"""Bytes of bookkeeping for each held frame; measured: 150 to 330."""


class Channel(NamedTuple):
    """One sequence of events, as the reader sees it.

    :ivar subscription: 0 where the door's frames do not differ between subscriptions (``Format.per_subscription``).
    :ivar match: the subscription's matching policy; ``exact`` where there is none.
    """

    topic: str
    subscription: int = 0
    match: str = "exact"


class Policy(enum.IntEnum):
    """What has happened to a reader since it fell behind: the worst of it."""

    HOLDING = 0  # nothing but waiting
    FOLLOWING = 1  # streams left for the journal; nothing is lost
    NEWEST = 2  # values were replaced by newer ones
    DROPPING = 3  # events were dropped, and the reader is told


class Why(enum.Enum):
    """Why a connection must close."""

    OVERLOADED = "it does not read the answers to its own requests"  # or gaps of thousands of topics
    STALLED = "nothing moved for too long"
    UNREADABLE = "what it missed cannot be read from the journal now"
    CROWDED = "it is behind on more streams than its budget has room for"


@dataclass(frozen=True, slots=True)
class Follow:
    """Read this channel from the journal, beginning with the event at ``first``; no event of it is held any more."""

    channel: Channel
    first: Any


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection; nothing is held for it any more."""

    why: Why


Effect = Follow | Close


@dataclass(frozen=True, slots=True)
class Gap:
    """Stands among the frames where events were dropped; the door writes it in its own words."""

    channel: Channel
    dropped: int


@dataclass(frozen=True, slots=True)
class Lag:
    """What an operator sees of a reader that is behind.

    :ivar bytes: what is held for it.
    :ivar since: when it fell behind; ``None``: it is not behind.
    :ivar stalled_since: when its transport took bytes for the last time; ``None``: it is taking them.
    :ivar dropped: events per topic whose gap has not been written yet.
    """

    bytes: int
    policy: Policy
    since: float | None
    stalled_since: float | None
    dropped: Mapping[str, int]


class _Answer(msgspec.Struct, frozen=True):
    frame: bytes
    spared: bool


class _Event(msgspec.Struct, frozen=True):
    frame: bytes
    channel: Channel
    era: int


class _Value(_Event, frozen=True):
    key: Hashable


class _Stored(_Event, frozen=True):
    position: Any


class _Hole(msgspec.Struct, frozen=True):
    channel: Channel
    era: int
    dropped: int


_Entry = _Answer | _Event | _Hole


class Backlog:
    """What one link holds.

    :param budget: bytes.
    :param patience: seconds.
    :param elsewhere: tells the bytes that are held for the link beside this.
    """

    def __init__(
        self, budget: int = BUDGET, patience: float = PATIENCE, elsewhere: Callable[[], int] = lambda: 0
    ) -> None:
        self.budget = budget
        self._elsewhere = elsewhere
        self.patience = patience
        self.bytes = 0
        self.since: float | None = None
        self.stalled_since: float | None = None
        self.policy = Policy.HOLDING
        self._closed = False
        self._clear()

    def _clear(self) -> None:
        # What is held, by serial number. A plain dict would look at every hole that it has at its front.
        self._queue: OrderedDict[int, _Entry] = OrderedDict()
        self._serial = 0
        self._era = 0
        self._answers = 0
        self._spared = 0
        self.bytes = 0
        # Serial numbers of what may go, the oldest first.
        self._streams: OrderedDict[Channel, deque[int]] = OrderedDict()
        self._live: deque[int] = deque()
        self._values: OrderedDict[tuple[Channel, Hashable], int] = OrderedDict()
        self._holes: dict[Channel, int] = {}

    def __bool__(self) -> bool:
        """Whether anything is held."""
        return bool(self._queue)

    # ---- what is to be sent --------------------------------------------------------------------------------------

    def answer(self, frame: bytes) -> list[Effect]:
        """Hold a frame that must arrive: an answer, a request to a callee, a notice."""
        if self._closed:
            return []
        self._era += 1
        entry = _Answer(frame, spared=not self._answers and _weight_of(frame) > self.budget)
        self._answers += 1
        if entry.spared:
            self._spared = _weight_of(frame)
        self._put(entry)
        return self._fit()

    def live(self, channel: Channel, frame: bytes) -> list[Effect]:
        """Hold an event that nothing keeps."""
        if self._closed:
            return []
        self._live.append(self._put(_Event(frame, channel, self._era)))
        return self._fit()

    def latest(self, channel: Channel, key: Hashable, frame: bytes) -> list[Effect]:
        """Hold the newest value of a key, in place of an older one."""
        if self._closed:
            return []
        value = _Value(frame, channel, self._era, key)
        slot = (channel, key)
        earlier = self._values.get(slot)
        if earlier is not None:
            self.policy = max(self.policy, Policy.NEWEST)
        if earlier is not None and self._era_of(earlier) == self._era:
            self._swap(earlier, value)
            return self._fit()
        if earlier is not None:
            self._take(earlier)
            del self._values[slot]
        self._values[slot] = self._put(value)
        return self._fit()

    def stream(self, channel: Channel, position: Any, frame: bytes) -> list[Effect]:
        """Hold an event that the journal has at ``position``. Not to be called while a follower reads the channel."""
        if self._closed:
            return []
        serial = self._put(_Stored(frame, channel, self._era, position))
        self._streams.setdefault(channel, deque()).append(serial)
        return self._fit()

    @property
    def streams(self) -> tuple[Channel, ...]:
        """The streams of which events are held."""
        return tuple(self._streams)

    def holds(self, channel: Channel) -> bool:
        """Whether it is one of them."""
        return channel in self._streams

    def hand_over(self, channel: Channel) -> Any:
        """A follower begins to read this channel: let go of what is held of it.

        :returns: the position of the first event that was held; ``None``: none was.
        """
        serials = self._streams.pop(channel, ())
        entries = [self._take(serial) for serial in serials]
        return entries[0].position if entries and isinstance(entries[0], _Stored) else None

    def left(self, channel: Channel) -> None:
        """The reader reads this channel no more: a later subscription must not follow from what was held for it."""
        for serial in self._streams.pop(channel, ()):
            self._take(serial)

    # ---- what the transport says ---------------------------------------------------------------------------------

    def pause(self, now: float) -> None:
        """The transport's buffer is full."""
        self.stalled_since = now
        if self.since is None:
            self.since = now

    def moved(self, now: float) -> None:
        """The transport sent something, though its buffer has not become empty."""
        if self.stalled_since is not None:
            self.stalled_since = now

    def drain(self, max_bytes: int) -> list[bytes | Gap]:
        """The transport takes bytes: what to write, in order; empty: the reader has caught up.

        :param max_bytes: ends with the frame that reaches it, so that a transport never gets the whole budget at once.
        """
        self.stalled_since = None
        if not self._queue:
            self.since, self.policy = None, Policy.HOLDING
        written: list[bytes | Gap] = []
        size = 0
        while self._queue and size < max_bytes:
            serial, entry = self._queue.popitem(last=False)
            self.bytes -= _weight(entry)
            piece = self._release(serial, entry)
            size += len(piece) if isinstance(piece, bytes) else OVERHEAD
            written.append(piece)
        return written

    @property
    def due(self) -> float | None:
        """When :meth:`tick` may have something to say; ``None``: not before the next :meth:`pause`."""
        return None if self.stalled_since is None else self.stalled_since + self.patience

    def tick(self, now: float) -> list[Effect]:
        """Time has passed."""
        if self._closed or self.due is None or now < self.due:
            return []
        return self._close(Why.STALLED)

    def lag(self) -> Lag:
        dropped: Counter[str] = Counter()
        for entry in self._queue.values():
            if isinstance(entry, _Hole):
                dropped[entry.channel.topic] += entry.dropped
        return Lag(self.bytes, self.policy, self.since, self.stalled_since, dropped)

    # ---- making room ---------------------------------------------------------------------------------------------

    def _fit(self) -> list[Effect]:
        """Let go of what costs the reader least until the rest fits."""
        room = self.budget + self._spared - min(self._elsewhere(), self.budget // 2)
        if self.bytes <= room:
            return []
        effects: list[Effect] = []
        while self.bytes > room:
            if self._streams:
                effects.append(self._hand_over())
            elif self._live:
                self._drop(self._live.popleft())
            elif self._values:
                self._drop(self._values.popitem(last=False)[1])
            elif self.bytes - self._spared > self.budget:
                return self._close(Why.OVERLOADED)
            else:
                break
        return effects

    def _hand_over(self) -> Follow:
        self.policy = max(self.policy, Policy.FOLLOWING)
        channel, serials = self._streams.popitem(last=False)
        first, *_ = [self._take(serial) for serial in serials]
        assert isinstance(first, _Stored)
        return Follow(channel, first.position)

    def _drop(self, serial: int) -> None:
        """All earlier events of the channel are dropped or written, so one hole after the other is the same hole."""
        self.policy = Policy.DROPPING
        entry = self._queue[serial]
        assert isinstance(entry, _Event)
        known = self._holes.get(entry.channel, 0)
        hole = self._queue.get(known)
        if isinstance(hole, _Hole) and hole.era == entry.era:
            self._take(serial)
            self._swap(known, _Hole(hole.channel, hole.era, hole.dropped + 1))
        else:
            self._swap(serial, _Hole(entry.channel, entry.era, 1))
            self._holes[entry.channel] = serial

    def _close(self, why: Why) -> list[Effect]:
        self._closed = True
        self._clear()
        return [Close(why)]

    # ---- the queue -----------------------------------------------------------------------------------------------

    def _put(self, entry: _Entry) -> int:
        self._serial += 1
        self._queue[self._serial] = entry
        self.bytes += _weight(entry)
        return self._serial

    def _take(self, serial: int) -> _Entry:
        entry = self._queue.pop(serial)
        self.bytes -= _weight(entry)
        return entry

    def _swap(self, serial: int, entry: _Entry) -> None:
        self.bytes += _weight(entry) - _weight(self._queue[serial])
        self._queue[serial] = entry

    def _era_of(self, serial: int) -> int:
        entry = self._queue[serial]
        assert isinstance(entry, _Value)
        return entry.era

    def _release(self, serial: int, entry: _Entry) -> bytes | Gap:
        """Take what is being written out of the lists of what may go. It is the oldest, so it is first in its list."""
        match entry:
            case _Answer(frame, spared):
                self._answers -= 1
                self._spared = 0 if spared else self._spared
            case _Value(frame, channel, _, key):
                del self._values[channel, key]
            case _Stored(frame, channel):
                self._streams[channel].popleft()
                if not self._streams[channel]:
                    del self._streams[channel]
            case _Event(frame):
                self._live.popleft()
            case _Hole(channel, _, dropped):
                if self._holes[channel] == serial:
                    del self._holes[channel]
                return Gap(channel, dropped)
        return frame


def _weight(entry: _Entry) -> int:
    return OVERHEAD + len(entry.channel.topic) if isinstance(entry, _Hole) else _weight_of(entry.frame)


def _weight_of(frame: bytes) -> int:
    return OVERHEAD + len(frame)
