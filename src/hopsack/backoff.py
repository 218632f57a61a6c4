"""How long to wait before connecting again: full jitter, and the node's hint. Pure functions.

Many clients lose the same node at the same moment. Had they all the same delays, they would come back as one crowd;
a delay drawn from the whole range from zero spreads them evenly (the "full jitter" of the AWS architecture blog,
"Exponential Backoff And Jitter", 2015).

A node that ends a connection may say when to come back: in the details of a GOODBYE or ABORT, in an error's data, and
where the transport has nothing but a sentence (the reason of a WebSocket's close, RFC 6455, section 5.5.1) at its end:

    reason = sentence " (retry_after=" 1*DIGIT ["." 1*DIGIT] ")"      seconds
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["CAP", "FIRST", "LONGEST", "STABLE", "delay", "hint_in", "hint_of", "with_hint"]

FIRST = 2.0
"""Seconds the first attempt is spread over: 2,000 clients arrive as 100 in each tenth of a second, a twentieth of them.
If their node is back after less than that, those who tried too early come besides: together less than a tenth, which
one second would not give."""

CAP = 4.0
"""Seconds the attempts are spread over in the end, so that everybody is back that long after the node at the latest.
Of these a twentieth comes in the first tenth of a second, and fewer in each that follows."""

STABLE = 10.0
"""A connection that lived this many seconds was a good one: the next delay starts from :data:`FIRST` again."""

LONGEST = 300.0
"""Seconds that a hint may ask for. A node that asks for more means something else."""


def delay(attempt: int, chance: float, hint: float | None = None) -> float:
    """Seconds to wait before an attempt to connect.

    :param attempt: how many attempts have failed since the last stable connection, from 0.
    :param chance: a random number from 0 to 1, below 1.
    :param hint: seconds that the node asked to stay away; the jitter comes on top, for others may know it too.
    """
    spread = min(CAP, FIRST * 2.0 ** min(attempt, 16))
    return (hint or 0.0) + chance * spread


_HINT = re.compile(r" \(retry_after=([0-9]{1,9}(?:\.[0-9]{1,9})?)\)\Z")


def with_hint(sentence: str, seconds: float) -> str:
    """A reason that tells when to come back, to the millisecond: ``The node is going away. (retry_after=2.3)``."""
    return f"{sentence} (retry_after={seconds:.3f}".rstrip("0").rstrip(".") + ")"


def hint_in(reason: str) -> float | None:
    """The seconds that :func:`with_hint` wrote, at most :data:`LONGEST`; ``None`` if there are none."""
    found = _HINT.search(reason)
    return min(float(found[1]), LONGEST) if found else None


def hint_of(details: Mapping[str, Any]) -> float | None:
    """The seconds in the details of a GOODBYE or ABORT, or in an error's data; other routers send none."""
    hint = details.get("retry_after")
    return min(float(hint), LONGEST) if isinstance(hint, (int, float)) and hint >= 0 else None
