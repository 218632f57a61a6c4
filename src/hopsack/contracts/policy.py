"""What becomes of a procedure's calls beside input and output: who is asked, what waits, what is tried again. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from hopsack.contracts.section import Section

Invoke = Literal["single", "roundrobin", "random", "first", "last", "least"]
"""Which callee of several is asked: WAMP's policies, and ``least``: the one with the fewest calls in hand, then the
fastest."""

POLICY_KEYS = ("invoke", "shard_by", "wait", "concurrency", "queue", "retry", "breaker", "once")
BREAKER_KEYS = ("failures", "within", "open")

QUEUE = 100
"""Calls that wait where the contract lets them wait, and does not say how many."""

RETRY = 2
"""Further tries of an idempotent procedure whose contract does not say."""

ONCE = 600.0
"""Seconds for which a call's key is remembered."""

LEAST_ONCE = 120.0
"""Client libraries send a keyed call again for 110 s."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """When a callee is left in peace.

    :ivar failures: so many, and at least half of all outcomes, open it. :ivar within: seconds in which they count.
    :ivar open: seconds after which one call may try the callee again.
    """

    failures: int = 5
    within: float = 10.0
    open: float = 2.0


@dataclass(frozen=True, slots=True)
class Policy:
    """
    :ivar invoke: which callee is asked; ``None``: as they register.
    :ivar shard_by: a field of the input, or ``{name}`` of the URI: equal values go to one callee.
    :ivar wait: seconds that a call may wait for a callee where there is none.
    :ivar concurrency: calls that one callee has in hand at once; ``None``: as it registers.
    :ivar queue: calls that wait at the node at once, for a callee to come or to be free.
    :ivar retry: further tries.
    :ivar breaker: ``None``: none.
    :ivar once: seconds for which a call's key is remembered: a repeat gets the first one's outcome.
    """

    invoke: Invoke | None = None
    shard_by: str | None = None
    wait: float = 0.0
    concurrency: int | None = None
    queue: int = 0
    retry: int = 0
    breaker: Breaker | None = None
    once: float = ONCE


NONE = Policy()
"""Of what is not declared."""


def read(section: Section) -> Policy:
    """The policy that one procedure's section declares; what is wrong is noted there."""
    wait, concurrency = section.duration("wait") or 0.0, section.number("concurrency", 1)
    queue = section.number("queue", 0)
    if queue and not (wait or concurrency):
        section.wrong(("queue",), "nothing waits in the queue", "say `wait`, for a callee, or `concurrency`, for room")
    return Policy(
        invoke=_invoke(section),
        shard_by=_shard_by(section),
        wait=wait,
        concurrency=concurrency,
        queue=queue if queue is not None else QUEUE if wait or concurrency else 0,
        retry=_retry(section),
        breaker=_breaker(section),
        once=_once(section),
    )


def _once(section: Section) -> float:
    once = section.duration("once") or ONCE
    if once < LEAST_ONCE:
        section.wrong(("once",), "`once` must be at least 2m", "clients may send a call again for nearly that long")
    return once


def _invoke(section: Section) -> Invoke | None:
    value = section.value.get("invoke")
    if value is None:
        return None
    if value not in get_args(Invoke):
        section.wrong(("invoke",), "`invoke` must be one of " + ", ".join(get_args(Invoke)))
        return None
    known: Invoke = value
    return known


def _shard_by(section: Section) -> str | None:
    value = section.text("shard_by") or None
    if value and "invoke" in section.value:
        section.wrong(("shard_by",), "`shard_by` and `invoke` both say who is asked", "keep one")
    return value


def _retry(section: Section) -> int:
    idempotent = section.value.get("idempotent") is True
    value = section.number("retry", 0)
    if value and not idempotent:
        advice = "a second try may do it twice: say `idempotent: true` if that does no harm"
        section.wrong(("retry",), "only an idempotent procedure is tried again", advice)
    return value if value is not None else RETRY if idempotent else 0


def _breaker(section: Section) -> Breaker | None:
    value = section.value.get("breaker", False)
    if value is False or value is True:
        return Breaker() if value else None
    inner, usual = section.within("breaker", BREAKER_KEYS), Breaker()
    return Breaker(
        inner.number("failures", 1) or usual.failures,
        inner.duration("within") or usual.within,
        inner.duration("open") or usual.open,
    )
