"""What one link does not read live: one page at a time among all of it, each in its turn.

    begin(channel, follower)    the link stops taking this channel live
    room                        -> Follower.room: of the one whose page is under way or in hand, else of the next
    full                        -> Follower.full of the one whose page is under way
    end(channel)                it is live again, or nobody reads it any more

A follower is a stream's :class:`~hopsack_router.routing.following.Following`, or a
:class:`~hopsack_router.routing.showing.Showing`, which may stand for several channels. So what is in hand for a link
that is slow is one page, however much it reads. The link calls ``room`` at the end of each flush that left its
transport with room and its backlog empty; and after ``end``, because the page that was under way may have been that
stream's. Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TypeAlias

from hopsack_router.routing.backlog import OVERHEAD, Channel, Tally
from hopsack_router.routing.following import Effect, Following, State
from hopsack_router.routing.showing import Showing

Follower: TypeAlias = Following | Showing


class Followers:
    """The followers of one link.

    :param held: counts the memory that the channels take and the newest values that wait; not the page in hand.
    """

    def __init__(self, held: Tally | None = None) -> None:
        self._turns: OrderedDict[Channel, Follower] = OrderedDict()
        self._channels: dict[Follower, dict[Channel, None]] = {}
        self._reading: Channel | None = None  # whose page is under way or in hand
        self._held = Tally() if held is None else held
        self._streams = 0

    def __len__(self) -> int:
        return len(self._turns)

    def __iter__(self) -> Iterator[tuple[Channel, Follower]]:
        return iter(tuple(self._turns.items()))

    @property
    def stream_bytes(self) -> int:
        """The memory that the channels of streams take."""
        return self._streams * OVERHEAD

    def of(self, channel: Channel) -> Follower | None:
        """Who follows this channel; ``None``: it is read live."""
        return self._turns.get(channel)

    def begin(self, channel: Channel, follower: Follower) -> None:
        """From now on this one stands for the channel, which nobody stood for, or whose follower was replaced."""
        follower.count_in(self._held)
        self._channels.setdefault(follower, {})[channel] = None
        if channel not in self._turns:
            self._held.bytes += OVERHEAD
            self._streams += isinstance(follower, Following)
        self._turns[channel] = follower

    def end(self, channel: Channel) -> None:
        follower = self._turns.pop(channel, None)
        if follower is None:
            return
        self._held.bytes -= OVERHEAD
        self._streams -= isinstance(follower, Following)
        channels = self._channels[follower]
        del channels[channel]
        if channels and isinstance(follower, Showing):
            follower.left(channel.topic)
        if not channels:
            del self._channels[follower]
            if follower.state is not State.LIVE:
                follower.lost()

    def replace(self, earlier: Follower, follower: Follower) -> None:
        """From now on one stands for what another stood for."""
        follower.count_in(self._held)
        channels = self._channels.pop(earlier, {})
        self._channels.setdefault(follower, {}).update(channels)
        for channel in channels:
            self._turns[channel] = follower
        earlier.lost()

    def release(self, follower: Follower) -> None:
        """It has said GoLive: its channels are live again."""
        for channel in self._channels.pop(follower, {}):
            self._streams -= isinstance(follower, Following)
            self._held.bytes -= OVERHEAD
            del self._turns[channel]

    def clear(self) -> None:
        """The link is gone."""
        for channel in tuple(self._turns):
            self.end(channel)

    def room(self) -> tuple[Channel, list[Effect]] | None:
        """The transport takes a page.

        :returns: what to do, for which channel; ``None``: nothing.
        """
        reading = self._turns.get(self._reading) if self._reading else None
        if self._reading and reading and (reading.holds or reading.state is State.WAITING_FOR_PAGE):
            return self._reading, reading.room()
        for _ in range(len(self._turns)):
            channel, following = self._turns.popitem(last=False)
            self._turns[channel] = following
            if following.state is State.WAITING_FOR_ROOM:
                self._reading = channel
                return channel, following.room()
        return None

    def full(self) -> None:
        """The transport takes no page any more."""
        reading = self._turns.get(self._reading) if self._reading else None
        if reading is not None:
            reading.full()
