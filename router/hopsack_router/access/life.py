"""How long sessions live: until their token expires, and a grace.

    begin(session, seconds)  -> it ends after that time, unless it is put off (begun again) or left before
    left(session)
    due(now)                 -> the sessions whose time is over

A core: its clock is that of whoever asks, and counts steadily. A token says when it expires by the calendar; what is
left of it is reckoned once, when the session joins or refreshes. So nobody is thrown out because somebody sets the
machine's clock, and nobody stays an hour longer.

A heap with one entry for each session, and some for those that were put off or have left: never more than twice as many
(and :data:`SLACK`) as there are sessions.
"""

from __future__ import annotations

import heapq

SLACK = 64


class Lives:
    """When sessions end, by their numbers."""

    def __init__(self) -> None:
        self._ends: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def next(self) -> float | None:
        """When the next one may end; ``None``: none does."""
        return self._heap[0][0] if self._heap else None

    def begin(self, session: int, ends: float) -> None:
        """:param ends: by the clock that :meth:`due` is asked by. An earlier word about this session does not count."""
        self._ends[session] = ends
        heapq.heappush(self._heap, (ends, session))
        if len(self._heap) > 2 * len(self._ends) + SLACK:
            self._heap = [(at, one) for one, at in self._ends.items()]
            heapq.heapify(self._heap)

    def left(self, session: int) -> None:
        """It has left, or lives for ever now."""
        self._ends.pop(session, None)

    def due(self, now: float) -> list[int]:
        """The sessions that end now, the earliest first."""
        ended: list[int] = []
        while self._heap and self._heap[0][0] <= now:
            ends, session = heapq.heappop(self._heap)
            if self._ends.get(session) == ends:
                del self._ends[session]
                ended.append(session)
        return ended
