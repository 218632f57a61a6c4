"""The frames that were made of kept events, so that a storm of readers who come back gets each made once. Pure.

    keep(event, key, frame)  -> it stands in ``event.frames`` until there are too many

An event may be in memory for as long as the node lives: in the journal's tail, or as the newest value of its key. What
was made of it for each door is not in the bounds of those, so it goes when others were made after it.

Bound: :data:`MAX_BYTES` of frames, and of the events that they hold in memory. The frame goes that was made first.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from hopsack_router.streams import Stored

MAX_BYTES = 32 << 20
WEIGHT = 256
"""Bytes of bookkeeping for each frame."""


class Made:
    """:ivar size: bytes."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.size = 0
        self._made: deque[tuple[Stored, Any, int]] = deque()

    def keep(self, event: Stored, key: Any, frame: bytes) -> None:
        """:param key: tells the frames of one event apart; there is none under it."""
        weight = len(frame) + event.size + WEIGHT
        event.frames[key] = frame
        self._made.append((event, key, weight))
        self.size += weight
        while self.size > self.max_bytes:
            earlier, name, weight = self._made.popleft()
            earlier.frames.pop(name, None)
            self.size -= weight
