"""The streams that one link reads from the journal: one page at a time among all of them, each in its turn.

    begin(channel, following)   the link stops taking this stream live
    room                        -> Following.room: of the one whose page is under way or in hand, else of the next
    full                        -> Following.full of the one whose page is under way
    end(channel)                it is live again, or nobody reads it any more

So what is in hand for a link that is slow is one page, however many streams it reads. The link calls ``room`` at the
end of each flush that left its transport with room and its backlog empty; and after ``end``, because the page that was
under way may have been that stream's. Pure.
"""

from __future__ import annotations

from collections import OrderedDict

from hopsack_router.routing.backlog import Channel
from hopsack_router.routing.following import Effect, Following, State


class Followers:
    """The followers of one link."""

    def __init__(self) -> None:
        self._turns: OrderedDict[Channel, Following] = OrderedDict()
        self._reading: Channel | None = None  # whose page is under way or in hand

    def __len__(self) -> int:
        return len(self._turns)

    def of(self, channel: Channel) -> Following | None:
        """Who follows this channel; ``None``: it is read live."""
        return self._turns.get(channel)

    def begin(self, channel: Channel, following: Following) -> None:
        self._turns[channel] = following

    def end(self, channel: Channel) -> None:
        following = self._turns.pop(channel, None)
        if following is not None and following.state is not State.LIVE:
            following.lost()

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
