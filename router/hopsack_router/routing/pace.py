"""No more events per second than one subscription asked for: the newest value of each key, and the last one always.

    event(key, frame)   the last one was long enough ago  -> Send
                        else                              -> held in place of the older value of its key; WakeAt
    tick                                                  -> Send the longest held; WakeAt, while more are held
    change(rate)        faster, slower                    -> WakeAt; ``None``: Send everything

Between two events lies one interval at least, whatever their keys; a late tick is not made good, so there are no
bursts. A value that is replaced keeps its place in the line: each key has its turn, and none waits for ever.

A core without I/O; time is passed in. Bounds: :data:`MAX_KEYS` values are held, and as many bytes as the link has left
for all its paces (``room``). Beyond them the longest held is sent at once, faster than was asked for, because the
promise of the last value is worth more than the rate: what then goes out too fast is bounded by the link.

Who calls: the link, for a subscription with ``max_rate``. The key is the topic, with the key of a ``latest`` one. A
stream that is read at a pace is read with holes, so it needs no follower: its values are held like those of any topic.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from math import inf

from hopsack_router.routing.backlog import OVERHEAD

MAX_KEYS = 1000


@dataclass(frozen=True, slots=True)
class Send:
    """Give this event to the reader; ``key`` as it came, for what the link holds."""

    key: Hashable
    frame: bytes


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Call :meth:`Pace.tick` at this time, and at no earlier one that was asked for before."""

    when: float


Effect = Send | WakeAt


class Pace:
    """The pace of one subscription.

    :param rate: events per second, above 0; ``None``: as they come.
    """

    def __init__(self, rate: float | None, max_keys: int = MAX_KEYS) -> None:
        self.rate = rate
        self._max_keys = max_keys
        # A plain dict would look at every hole that it has at its front.
        self._held: OrderedDict[Hashable, bytes] = OrderedDict()
        self.bytes = 0
        """Of memory, that what waits takes: a value counts for its length and ``backlog.OVERHEAD``."""
        self._sent = -inf
        self._wakes_at: float | None = None

    @property
    def held(self) -> int:
        """Values that wait."""
        return len(self._held)

    def event(self, key: Hashable, frame: bytes, now: float, room: int = sys.maxsize) -> list[Effect]:
        """The subscription's next event.

        :param room: bytes that may wait here.
        """
        earlier = self._held.get(key)
        self.bytes += len(frame) - len(earlier) if earlier is not None else len(frame) + OVERHEAD
        self._held[key] = frame
        return self._go_on(now, room)

    def tick(self, now: float) -> list[Effect]:
        """The time of the last :class:`WakeAt` has come."""
        self._wakes_at = None
        return self._go_on(now)

    def change(self, rate: float | None, now: float) -> list[Effect]:
        """The reader asks for another rate, or has no such subscription any more; it holds from the last event on."""
        self.rate = rate
        return self._go_on(now)

    def overtaken(self, key: Hashable) -> None:
        """Something newer has gone to the reader by another way."""
        frame = self._held.pop(key, None)
        if frame is not None:
            self.bytes -= len(frame) + OVERHEAD

    @property
    def _due(self) -> float:
        return -inf if self.rate is None else self._sent + 1 / self.rate

    def _go_on(self, now: float, room: int = sys.maxsize) -> list[Effect]:
        effects: list[Effect] = []
        while self._held and now >= self._due:
            effects.append(self._send())
            self._sent = now
        while len(self._held) > self._max_keys or (self.bytes > room and self._held):
            effects.append(self._send())
        if self._held and self._wakes_at != self._due:
            self._wakes_at = self._due
            effects.append(WakeAt(self._due))
        return effects

    def _send(self) -> Send:
        key, frame = self._held.popitem(last=False)
        self.bytes -= len(frame) + OVERHEAD
        return Send(key, frame)
