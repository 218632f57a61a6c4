"""How much of a call's progressive results and inputs is under way: windows, and the room that a link has for them.

    a consumer takes n more        takes(window, n)    -> Promise: its producer may send so many more
    an item has come               came(window, size)  -> Promise, for this window and for others that lacked room
                                                       -> Overrun: the call cannot go on
    the consumer's link is full    (said with each)       no promises
    the link has sent what waited  emptied()           -> Promise
    the call has ended             close(window)       -> Promise, for others

A *window* is one direction of one call: its consumer takes items, its producer sends them. What the consumer takes is
passed on to the producer as a promise, and so a producer that keeps to its promises is as slow as its consumer. A
consumer that does not say what it takes is taken to want all there is, :data:`UNDER_WAY` items at once.

A *room* belongs to the link that items go to. It promises what the link could hold if its peer stopped reading now:
half of the link's budget in all windows together, by the size that their items have had. Every window may have one
item under way, whatever the others have: the first one shows how large they are.

Producers that know nothing of promises (stock WAMP clients) send when they like. Nothing is promised to them; as long
as the consumer reads, all is well. Bounds, whoever the producer is: :data:`LENIENCE` items beyond what the consumer
takes, and on a link that is full three quarters of the budget, or one item that is larger. One more is an Overrun.

A core without I/O and without a clock. Who calls: :mod:`~hopsack_router.routing.flowing`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice
from typing import Any

UNDER_WAY = 64
"""Items of a window whose consumer does not say what it takes."""
LENIENCE = 1000
"""Items that may come beyond what the consumer takes, from a producer that was not told, or does not listen."""
MOST = 10_000
"""Items that a consumer may take at once; more is taken for this."""
GUESS = 4096
"""Bytes of an item before there was one."""
OVERHEAD = 256
"""Bytes of bookkeeping for an item that waits (``Backlog`` counts the same)."""
LOOKED_AT = 8
"""Windows that lack room and are looked at when something has come; in turns. All of them have an item under way."""


class Window:
    """One direction of one call.

    :param of: what the caller of this module knows it by.
    :param takes: items that the consumer takes at first; ``None``: it does not say, and takes them as they come.
    :param is_told: whether the producer is told what it may send.
    :ivar promised: items that the producer may still send; of one that is not told, that its consumer still takes.
    """

    __slots__ = ("beyond", "is_known", "is_told", "of", "promised", "reserved", "size", "takes_all", "wanted")

    def __init__(self, of: Any, takes: int | None, is_told: bool) -> None:
        self.of = of
        self.is_told = is_told
        self.takes_all = takes is None
        self.wanted = min(takes or 0, MOST)
        self.promised = 0
        self.beyond = 0
        self.size = GUESS
        self.is_known = False
        self.reserved = 0

    @property
    def needs(self) -> int:
        """Items that could be promised if there were room."""
        if self.takes_all:
            return UNDER_WAY - self.promised if self.promised <= UNDER_WAY // 2 else 0
        return self.wanted

    def learn(self, size: int) -> None:
        """Quick to believe that items are large, slow to believe that they are small."""
        self.size = max(size, (self.size * 7 + size) // 8) if self.is_known else size
        self.is_known = True


@dataclass(frozen=True, slots=True)
class Promise:
    """Tell the producer that it may send so many more."""

    window: Window
    items: int


@dataclass(frozen=True, slots=True)
class Overrun:
    """End the call: its producer sends more than can be borne."""

    window: Window
    why: str


Effect = Promise | Overrun


class Room:
    """What one link has room for.

    :param budget: bytes that may wait for the link.
    """

    def __init__(self, budget: int) -> None:
        self.allowance = budget // 2
        self.limit = budget * 3 // 4
        self.reserved = 0
        self.held = 0
        self._short: OrderedDict[Window, None] = OrderedDict()

    def open(self, window: Window, is_full: bool) -> list[Effect]:
        return self._share(window, is_full)

    def takes(self, window: Window, items: int, is_full: bool) -> list[Effect]:
        """The consumer takes so many more. What came beyond its wishes counts first."""
        paid = min(window.beyond, items)
        window.beyond -= paid
        window.wanted = min(window.wanted + items - paid, MOST)
        window.takes_all = False
        return self._share(window, is_full)

    def came(self, window: Window, size: int, is_full: bool) -> list[Effect]:
        """An item for the link; pass it on unless the answer is an Overrun.

        :param size: its bytes.
        """
        if window.promised > 0:
            window.promised -= 1
        elif not window.takes_all:
            window.beyond += 1
        window.learn(size + OVERHEAD)
        self._reserve(window)
        if window.beyond > LENIENCE:
            return [Overrun(window, f"{LENIENCE} items beyond those that were asked for")]
        if is_full:
            is_first, self.held = self.held == 0, self.held + size + OVERHEAD
            if self.held > self.limit and not is_first:
                return [Overrun(window, f"{self.held} bytes for a reader that is not reading")]
        return self._share(window, is_full)

    def emptied(self) -> list[Effect]:
        """The link has sent what waited."""
        self.held = 0
        return self._share_among_short()

    def close(self, window: Window, is_full: bool) -> list[Effect]:
        """The call has ended."""
        window.promised = 0
        self._reserve(window)
        self._short.pop(window, None)
        return [] if is_full else self._share_among_short(LOOKED_AT)

    # ---- promises -----------------------------------------------------------------------------------------------

    def _share(self, window: Window, is_full: bool) -> list[Effect]:
        if not window.is_told:
            window.promised, window.wanted = window.promised + window.wanted, 0
            return []
        if is_full:
            if window.needs:
                self._short[window] = None
            return []
        others = self._share_among_short(LOOKED_AT) if self._short else []
        return [*others, *self._promise(window)]

    def _share_among_short(self, most: int | None = None) -> list[Effect]:
        effects: list[Effect] = []
        for window in list(islice(self._short, most)):
            effects += self._promise(window)
        return effects

    def _promise(self, window: Window) -> list[Effect]:
        """Promise a batch, or remember that there is none to be had now.

        Before the first item nobody knows what the others would cost: so that one alone.
        """
        self._short.pop(window, None)
        needs = window.needs if window.is_known else min(window.needs, 1 - window.promised)
        if needs <= 0:
            return []
        items = min(needs, (self.allowance - self.reserved) // window.size)
        if items < min(needs, self._batch(window)):
            self._short[window] = None
            if window.promised:
                return []
            items = max(items, 1)
        window.promised += items
        if not window.takes_all:
            window.wanted -= items
        self._reserve(window)
        return [Promise(window, items)]

    def _batch(self, window: Window) -> int:
        """Items below which it is not worth a message, while others are under way."""
        return max(1, min(UNDER_WAY, self.allowance // window.size) // 2)

    def _reserve(self, window: Window) -> None:
        reserved = window.promised * window.size if window.is_told else 0
        self.reserved += reserved - window.reserved
        window.reserved = reserved
