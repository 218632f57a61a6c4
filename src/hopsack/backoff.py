"""How long to wait before connecting again: full jitter, as one pure function.

Many clients lose the same node at the same moment. Had they all the same delays, they would come back as one crowd;
a delay drawn from the whole range from zero spreads them evenly (the "full jitter" of the AWS architecture blog,
"Exponential Backoff And Jitter", 2015).
"""

from __future__ import annotations

__all__ = ["CAP", "FIRST", "STABLE", "delay"]

FIRST = 1.0
"""Seconds the first attempt is spread over: 2,000 clients arrive as 200 in each tenth of a second."""

CAP = 8.0
"""Seconds the attempts are spread over in the end."""

STABLE = 10.0
"""A connection that lived this many seconds was a good one: the next delay starts from :data:`FIRST` again."""


def delay(attempt: int, chance: float, hint: float | None = None) -> float:
    """Seconds to wait before an attempt to connect.

    :param attempt: how many attempts have failed since the last stable connection, from 0.
    :param chance: a random number from 0 to 1, below 1.
    :param hint: seconds that the node asked to stay away; the jitter comes on top, for everybody was told the same.
    """
    spread = min(CAP, FIRST * 2.0 ** min(attempt, 16))
    return (hint or 0.0) + chance * spread
