"""Who is asked: the callees that share a registration, and the policies that choose among them.

    single, first   who registered first
    last            who registered last
    roundrobin      each in its turn
    random          any
    least           who has the fewest calls in hand; of those, whose answers take the least time
    sharded         the same callee for the same key, whatever the policy (rendezvous hashing)

Whoever is full is passed over. So is who is *stalled*: it has calls in hand and has answered nothing for
:data:`STALLED_AFTER` seconds, and another callee has. A stalled callee returns when it answers. Where the only calls
that it has in hand are abandoned ones, which nobody waits for any more, it is tried again after :data:`TRIED_AFTER`: it
may have lost them. If all are stalled, none is: long work looks like that. A sharded call is not given to another
callee while its own is there, be that full or stalled: two would work on the same key.

Pure: the time, seconds on a monotonic clock, and the dice are passed in.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from hopsack_router.routing.breaker import Breaker

STALLED_AFTER = 0.8
"""Seconds without an answer: a second at most until calls go elsewhere."""

TRIED_AFTER = 30.0
"""Seconds without an answer after which abandoned calls no longer keep a callee out."""

WEIGHT = 0.2
"""Of the newest answer in the moving average of how long answers take."""

LEAST = "least"
POLICIES = ("single", "roundrobin", "random", "first", "last", LEAST)

C = TypeVar("C")
Dice = Callable[[int], int]
"""A random number from 0 to below what it is given."""


class Seat(Generic[C]):
    """A callee's place in one registration.

    :ivar limit: calls that it takes at once; ``None``: any number.
    :ivar in_hand: those it has not answered. :ivar awaited: of them, those whose caller still waits.
    :ivar heard: when it answered last, or became busy after that.
    :ivar mean: seconds until it answers, a moving average; ``None``: it has answered nothing yet.
    :ivar breakers: by procedure, of those that ask for one.
    """

    __slots__ = ("awaited", "breakers", "callee", "heard", "in_hand", "limit", "mean", "name", "salt")

    def __init__(self, callee: C, name: str, limit: int | None = None) -> None:
        self.callee = callee
        self.name = name
        self.salt = _hash(name)
        self.limit = limit
        self.in_hand = self.awaited = 0
        self.heard = 0.0
        self.mean: float | None = None
        self.breakers: dict[str, Breaker] = {}

    def asked(self, now: float) -> None:
        if not self.awaited:
            self.heard = now
        self.awaited += 1
        self.in_hand += 1

    def progressed(self, now: float) -> None:
        """It has sent a part of an answer."""
        self.heard = now

    def answered(self, now: float, took: float) -> None:
        self.awaited -= 1
        self.in_hand -= 1
        self.heard = now
        mean = self.mean
        self.mean = took if mean is None else mean + WEIGHT * (took - mean)

    def abandoned(self) -> None:
        """Nobody waits for one of its answers any more. It is at work on it still."""
        self.awaited -= 1

    def returned(self, now: float) -> None:
        """It has answered a call that was abandoned."""
        self.in_hand -= 1
        self.heard = now

    def untouched(self) -> None:
        """It was never asked after all, or has nothing left to do for the call."""
        self.awaited -= 1
        self.in_hand -= 1

    def forgotten(self) -> None:
        """An abandoned call is not counted any more."""
        self.in_hand -= 1

    def is_stalled(self, now: float) -> bool:
        silent = now - self.heard
        return self.in_hand > 0 and silent >= STALLED_AFTER and (self.awaited > 0 or silent < TRIED_AFTER)

    def has_room(self, limit: int | None) -> bool:
        """:param limit: of the contract, beside its own."""
        own = self.limit
        return (own is None or self.in_hand < own) and (limit is None or self.in_hand < limit)


class Rota(Generic[C]):
    """The callees of one registration, in the order they came.

    :ivar invoke: the policy that they asked for.
    :ivar turn: whose turn it is, of ``roundrobin`` and among equals.
    """

    __slots__ = ("invoke", "seats", "turn")

    def __init__(self, invoke: str) -> None:
        self.invoke = invoke
        self.seats: list[Seat[C]] = []
        self.turn = 0

    def seat_of(self, callee: C) -> Seat[C] | None:
        return next((seat for seat in self.seats if seat.callee is callee), None)

    def leave(self, callee: C) -> None:
        self.seats = [seat for seat in self.seats if seat.callee is not callee]


@dataclass(frozen=True, slots=True)
class Wish:
    """What one call asks of its callee, beyond the policy.

    :ivar limit: calls that each callee has in hand at once.
    :ivar key: calls with the same one go to the same callee.
    :ivar without: callees that have said no to this call.
    :ivar breaker: the procedure whose breakers count.
    :ivar is_patient: it would rather wait for a callee that is full than go to one that is stalled.
    """

    limit: int | None = None
    key: str | None = None
    without: Container[Any] = ()
    breaker: str | None = None
    is_patient: bool = False

    def excludes(self, seat: Seat[Any], now: float) -> bool:
        if seat.callee in self.without:
            return True
        breaker = seat.breakers.get(self.breaker) if self.breaker is not None else None
        return breaker is not None and not breaker.allows(now)


ANY = Wish()


class Why(enum.Enum):
    """Why nobody can be asked now."""

    FULL = "full"
    OPEN = "open"
    REFUSED = "refused"


def choose(rota: Rota[C], policy: str, now: float, dice: Dice, wish: Wish = ANY) -> Seat[C] | None:
    """Whose call it is; ``None``: nobody can be asked now, :func:`why` tells why."""
    seats, limit = rota.seats, wish.limit
    if wish.key is not None:
        owner = owner_of(wish.key, seats)
        return owner if owner.has_room(limit) and not wish.excludes(owner, now) else None
    if len(seats) == 1:
        rota.turn += 1
        only = seats[0]
        return only if only.has_room(limit) and (wish is ANY or not wish.excludes(only, now)) else None
    return (_least if policy == LEAST else _first)(rota, _order(rota, policy, dice), now, wish)


def _order(rota: Rota[C], policy: str, dice: Dice) -> Iterable[int]:
    count = len(rota.seats)
    if policy in ("roundrobin", LEAST):
        return range(rota.turn, rota.turn + count)
    if policy == "random":
        start = dice(count)
        return range(start, start + count)
    return range(count - 1, -1, -1) if policy == "last" else range(count)


def _first(rota: Rota[C], order: Iterable[int], now: float, wish: Wish) -> Seat[C] | None:
    seats, count, limit = rota.seats, len(rota.seats), wish.limit
    spare: Seat[C] | None = None
    next_turn, may_wait = 0, False
    for turn in order:
        rota.turn = turn + 1
        seat = seats[turn % count]
        if wish is not ANY and wish.excludes(seat, now):
            continue
        has_room = seat.has_room(limit)
        if not seat.is_stalled(now):
            if has_room:
                return seat
            may_wait = wish.is_patient
        elif spare is None and has_room:
            spare, next_turn = seat, turn + 1
    if spare is None or may_wait:
        return None
    rota.turn = next_turn
    return spare


def _least(rota: Rota[C], order: Iterable[int], now: float, wish: Wish) -> Seat[C] | None:
    seats, count, limit = rota.seats, len(rota.seats), wish.limit
    best: Seat[C] | None = None
    spare: Seat[C] | None = None
    fewest, soonest, may_wait = 0, 0.0, False
    for turn in order:
        seat = seats[turn % count]
        if wish is not ANY and wish.excludes(seat, now):
            continue
        if not seat.has_room(limit):
            may_wait = may_wait or (wish.is_patient and not seat.is_stalled(now))
            continue
        mean, in_hand = seat.mean or 0.0, seat.in_hand
        if in_hand and seat.is_stalled(now):
            if spare is None or in_hand < spare.in_hand:
                spare = seat
        elif best is None or in_hand < fewest or (in_hand == fewest and mean < soonest):
            best, fewest, soonest = seat, in_hand, mean
            rota.turn = turn + 1
    return best or (None if may_wait else spare)


def owner_of(key: str, seats: Sequence[Seat[C]]) -> Seat[C]:
    """Whose key it is. If a callee comes or goes, only keys that it gets or had move (rendezvous hashing)."""
    if len(seats) == 1:
        return seats[0]
    hashed = _hash(key)
    return max(seats, key=lambda seat: ((hashed ^ seat.salt) * _ODD & _BITS, seat.name))


_BITS = (1 << 64) - 1
_ODD = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio: multiplied by it, every bit has its part in the highest ones."""


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def why(rota: Rota[Any], now: float, wish: Wish = ANY) -> tuple[Why, float]:
    """Why nobody can be asked, and in how many seconds that may be otherwise, as far as anybody knows.

    Room is what a call can wait for: if one of its callees is full, that is the answer.
    """
    seats = [owner_of(wish.key, rota.seats)] if wish.key is not None else rota.seats
    allowed = [seat for seat in seats if not wish.excludes(seat, now)]
    if allowed:
        return Why.FULL, min((seat.mean for seat in allowed if seat.mean is not None), default=1.0)
    opened = [
        breaker.opens_in(now)
        for seat in seats
        if seat.callee not in wish.without and wish.breaker and (breaker := seat.breakers.get(wish.breaker)) is not None
    ]
    return (Why.OPEN, min(opened)) if opened else (Why.REFUSED, 1.0)
