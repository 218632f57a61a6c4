"""Token buckets, and bounded tables of them. Pure: the time is handed in.

    Bucket.take(now)    -> 0.0       there was one
                        -> seconds   there was none; so long until there is
    Shared.of(key)      -> the bucket of an address or a subject, the same for all its sessions
    Guesses.wait(key)   -> seconds   until somebody who failed to log in may try again

A bucket holds ``burst`` tokens and gets ``rate`` new ones a second. It is kept as one number, the moment at which it
will be full again (the generic cell rate algorithm, ITU-T I.371), so nothing has to be filled up.

Bound: a table has :data:`MOST` keys. A bucket that is full again is as good as none and is forgotten when room is
needed; where none is, the one that was asked for longest ago.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

MOST = 65_536
LONGEST_WAIT = 3600.0
"""Seconds that anybody is told to wait, at most."""
LONGEST_BACKOFF = 300.0
CALM = 600.0
"""Seconds without a failure, after the last wait, that make all good again."""
SWEEP = 4
"""Buckets that are looked at, to be forgotten, for each new one."""

_ROUNDING = 1e-6
"""Seconds by which sums of floats may be wrong: who comes back exactly when it was told is not refused again."""


class Bucket:
    """Tokens of one client, of one kind.

    :param rate: tokens a second; 0: there are none at all. :param burst: tokens that it holds, 1 or more.
    """

    __slots__ = ("burst", "cost", "full_at", "span")

    def __init__(self, rate: float, burst: float) -> None:
        self.burst = max(burst, 1.0)
        self.cost = 1 / rate if rate > 0 else float("inf")
        self.span = self.burst * self.cost + _ROUNDING if rate > 0 else 0.0
        self.full_at = 0.0

    def take(self, now: float, tokens: float = 1.0) -> float:
        """Take tokens, if there are so many. Who wants more than it holds gets them for all that it holds.

        :returns: 0 if they are taken, else the seconds until there are enough.
        """
        full_at = self.full_at if self.full_at > now else now
        full_at += min(tokens, self.burst) * self.cost
        late = full_at - now - self.span
        if late > 0:
            return min(late + _ROUNDING, LONGEST_WAIT)
        self.full_at = full_at
        return 0.0

    def late(self, now: float) -> float:
        """:returns: the seconds until there is a token; 0: there is one."""
        late = max(self.full_at, now) + self.cost - now - self.span
        return min(late + _ROUNDING, LONGEST_WAIT) if late > 0 else 0.0


class Shared:
    """The buckets of one limit, by address or by subject.

    :param rate: as a bucket's. :param burst: likewise. :param most: keys that are remembered.
    """

    def __init__(self, rate: float, burst: float, most: int = MOST) -> None:
        self._rate, self._burst, self._most = rate, burst, most
        self._buckets: OrderedDict[Hashable, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, key: Hashable, now: float) -> Bucket:
        found = self._buckets.get(key)
        if found is None:
            self._forget(now)
            found = self._buckets[key] = Bucket(self._rate, self._burst)
        else:
            self._buckets.move_to_end(key)
        return found

    def _forget(self, now: float) -> None:
        for _ in range(min(SWEEP, len(self._buckets))):
            key, oldest = next(iter(self._buckets.items()))
            if oldest.full_at <= now or len(self._buckets) >= self._most:
                del self._buckets[key]
            else:
                self._buckets.move_to_end(key)


class _Failing:
    """Somebody who failed: its bucket, how often it did so beyond that, and until when it has to wait."""

    __slots__ = ("beyond", "bucket", "until")

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.beyond = 0
        self.until = 0.0

    def is_over(self, now: float) -> bool:
        return self.bucket.full_at <= now and (not self.beyond or now >= self.until + CALM)


class Guesses:
    """Failed attempts to prove something.

    Each takes a token. Who has none left waits until there is one, and twice as long for each failure that follows.

    :param rate: as a bucket's. :param burst: likewise. :param backoff: whether the wait doubles.
    """

    def __init__(self, rate: float, burst: float, backoff: bool = True, most: int = MOST) -> None:
        self._rate, self._burst, self._backoff, self._most = rate, burst, backoff, most
        self._failing: OrderedDict[Hashable, _Failing] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failing)

    def wait(self, key: Hashable, now: float) -> float:
        """:returns: seconds until it may try again; 0: now."""
        known = self._failing.get(key)
        return 0.0 if known is None else max(known.until - now, known.bucket.late(now), 0.0)

    def failed(self, key: Hashable, now: float) -> None:
        known = self._failing.get(key)
        if known is None or known.is_over(now):
            known = self._remember(key, now)
        known.bucket.take(now)
        if self._backoff and (known.beyond or known.bucket.late(now) > 0):
            known.until = now + min(known.bucket.cost * 2.0 ** min(known.beyond, 16), LONGEST_BACKOFF)
            known.beyond += 1

    def succeeded(self, key: Hashable) -> None:
        self._failing.pop(key, None)

    def _remember(self, key: Hashable, now: float) -> _Failing:
        self._failing.pop(key, None)
        for _ in range(min(SWEEP, len(self._failing))):
            oldest, known = next(iter(self._failing.items()))
            if known.is_over(now) or len(self._failing) >= self._most:
                del self._failing[oldest]
            else:
                self._failing.move_to_end(oldest)
        known = self._failing[key] = _Failing(Bucket(self._rate, self._burst))
        return known
