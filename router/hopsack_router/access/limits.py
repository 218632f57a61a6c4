"""How much clients may do: the names of the limits, their values, and how both change. Pure.

A limit is named by what is counted, and of whom: ``messages.connection``. It is a rate with a burst, or a level (how
many, or how large). It may have a value of its own for a role.

    the defaults           DEFAULTS
    then HOPSACK_LIMITS    read(text)
    then what is live      Rules.set, Rules.reset

Guests and users have the rates of no role in particular. Services and operators have none but those that are named for
them: they are programs of the house, and bounded by what waits and how large it is. Levels hold for everybody.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from hopsack import rates
from hopsack.errors import BadRequest
from hopsack.settings import ConfigError

Given = Literal["default", "configuration", "live"]

KINDS: Mapping[str, str] = {
    "connects": "new connections",
    "auth_failures": "failed logins",
    "messages": "requests",
    "publishes": "published events",
    "calls": "calls",
    "subscriptions": "subscriptions and registrations begun",
    "bytes": "bytes of requests",
    "connections": "connections at once",
    "subscribed": "subscriptions at once",
    "registered": "registrations at once",
    "unanswered": "calls under way at once",
    "payload": "bytes of one message",
}
LEVELS = frozenset(("connections", "subscribed", "registered", "unanswered", "payload"))
IN_BYTES = frozenset(("bytes", "payload"))
ROLES = ("guest", "user", "service", "operator")
HOUSE = frozenset(("service", "operator"))
"""Roles that have no rate but one of their own."""

MANY = "messages", "publishes", "calls", "subscriptions", "bytes"
"""What is counted of sessions."""

SCOPES: Mapping[str, tuple[str, ...]] = {
    "connects": ("address",),
    "auth_failures": ("subject", "address"),
    **dict.fromkeys(MANY, ("connection", "subject", "address")),
    "connections": ("subject", "address"),
    **dict.fromkeys(("subscribed", "registered", "unanswered", "payload"), ("connection",)),
}
NAMES = tuple(f"{kind}.{scope}" for kind, scopes in SCOPES.items() for scope in scopes)


@dataclass(frozen=True, slots=True)
class Limit:
    """One row.

    :ivar name: such as ``messages.connection``.
    :ivar role: whom it holds for; ``None``: all that have none of their own.
    :ivar rate: a second; ``None``: there is none, or this is a level. :ivar burst: what may come at once, or the level.
    :ivar given: where it comes from.
    """

    name: str
    role: str | None = None
    rate: float | None = None
    burst: float | None = None
    given: Given = "default"

    @property
    def kind(self) -> str:
        return self.name.partition(".")[0]

    @property
    def scope(self) -> str:
        return self.name.partition(".")[2]

    @property
    def is_level(self) -> bool:
        return self.kind in LEVELS

    @property
    def holds(self) -> bool:
        return (self.burst if self.is_level else self.rate) is not None


MIB = 1 << 20
MINUTE = 1 / 60
MOST = 1e12
"""No rate, burst or level is larger."""

DEFAULTS: tuple[Limit, ...] = (
    Limit("connects.address", None, 50, 250),
    Limit("connections.address", None, None, 250),
    Limit("connections.subject", None, None, 100),
    Limit("connections.subject", "service"),
    Limit("connections.subject", "operator"),
    Limit("auth_failures.subject", None, 10 * MINUTE, 10),
    Limit("auth_failures.address", None, 60 * MINUTE, 60),
    Limit("messages.connection", None, 3000, 20_000),
    Limit("messages.subject", None, 10_000, 50_000),
    Limit("messages.address", None, 20_000, 100_000),
    Limit("publishes.connection", None, 1000, 5000),
    Limit("calls.connection", None, 2000, 10_000),
    Limit("subscriptions.connection", None, 100, 2000),
    Limit("bytes.connection", None, 8 * MIB, 64 * MIB),
    Limit("subscribed.connection", None, None, 1000),
    Limit("registered.connection", None, None, 1000),
    Limit("registered.connection", "service", None, 10_000),
    Limit("registered.connection", "operator", None, 10_000),
    Limit("unanswered.connection", None, None, 1000),
    Limit("unanswered.connection", "service", None, 10_000),
    Limit("unanswered.connection", "operator", None, 10_000),
    Limit("payload.connection", None, None, MIB),
    Limit("payload.connection", "service", None, 16 * MIB),
    Limit("payload.connection", "operator", None, 16 * MIB),
)


# ---- reading -----------------------------------------------------------------------------------------------------

BURST = 2.0
"""Seconds of a rate that may come at once where nothing is said of a burst; one at least."""


def read(text: str) -> tuple[Limit, ...]:
    """The limits of ``HOPSACK_LIMITS``: ``messages.connection=500/s, calls.connection.user=50/s burst 200,
    connections.address=none, payload.connection=4 MiB``.

    :raises ConfigError: with what is known, or how it is written.
    """
    found: dict[tuple[str, str | None], Limit] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        place, equals, value = (word.strip() for word in part.partition("="))
        try:
            if not equals:
                raise BadRequest(f"{part} has no value", advice="such as messages.connection=500/s")
            name, role = _place(place)
            limit = valued(name, role, value, "configuration")
        except BadRequest as error:
            raise ConfigError(f"HOPSACK_LIMITS: {error.message}", error.advice) from None
        found[name, role] = limit
    return tuple(found.values())


def _place(place: str) -> tuple[str, str | None]:
    name, role = place, None
    if place.count(".") == 2:
        name, _, role = place.rpartition(".")
    check(name, role)
    return name, role


def check(name: str, role: str | None) -> None:
    """:raises BadRequest: there is no such limit, or no such role, or it is counted before anybody has one."""
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        advice = f"did you mean {near[0]}?" if near else "one of " + ", ".join(NAMES)
        raise BadRequest(f"{name[:100]} is not a limit", advice=advice)
    if role is not None and role not in ROLES:
        raise BadRequest(f"{role[:100]} is not a role", advice="one of " + ", ".join(ROLES))
    if role is not None and not has_roles(name):
        raise BadRequest(f"{name} holds whatever the role is", advice="leave the role out")


def has_roles(name: str) -> bool:
    """Whether it may have a value for a role: what is counted of an address is counted before it says who it is."""
    kind, _, scope = name.partition(".")
    return kind not in ("connects", "auth_failures") and not (kind == "connections" and scope == "address")


def valued(name: str, role: str | None, value: str, given: Given) -> Limit:
    """A limit with a value as people write it: ``500/s``, ``10/min burst 20``, ``4 MiB``, ``none``.

    :raises BadRequest: it is none.
    """
    is_level = Limit(name).is_level
    try:
        rate, burst = rates.read(value)
    except ValueError as error:
        raise BadRequest(str(error), where=name) from None
    if rate is None and burst is None:
        return Limit(name, role, given=given)
    if is_level != (rate is None):
        advice = "such as 500, or 4 MiB, or none" if is_level else "such as 500/s, 10/min burst 20, or none"
        raise BadRequest(f"{name}={value[:100]} is not a value", where=name, advice=advice)
    return with_numbers(name, role, rate, burst, given)


def with_numbers(name: str, role: str | None, rate: float | None, burst: float | None, given: Given) -> Limit:
    """A limit with numbers; what is not said of the burst of a rate is :data:`BURST` seconds of it.

    :raises BadRequest: it is a level with a rate, or a rate that is left out beside its burst, or a number is none.
    """
    check(name, role)
    limit = Limit(name, role, rate, burst, given)
    for number in (rate, burst):
        if number is not None and not (math.isfinite(number) and 0 <= number <= MOST):
            raise BadRequest(f"{number} is no number of {KINDS[limit.kind]}", where=name)
    if limit.is_level:
        if rate is not None:
            raise BadRequest(
                f"{name} is a level and has no rate", where=name, advice="a level is one number, such as 250 or 4 MiB"
            )
        return limit
    if rate is None:
        if burst is not None:  # `5` for `5/s`: taken for no limit it would open what was to be closed
            raise BadRequest(f"{name} has no rate", where=name, advice="such as 500/s, 10/min burst 20, or none")
        return limit
    return replace(limit, burst=max(rate * BURST, 1.0) if burst is None else max(burst, 1.0))


def written(limit: Limit) -> str:
    """A value as people write it; :func:`valued` reads it."""
    return rates.write(limit.rate, limit.burst, in_bytes=limit.kind in IN_BYTES) if limit.holds else "none"


# ---- what is in force --------------------------------------------------------------------------------------------


class Rules:
    """The limits in force.

    :param configured: changes to the defaults that the node was started with.
    :param live: changes that were made since, and kept.
    """

    def __init__(self, configured: tuple[Limit, ...] = (), live: tuple[Limit, ...] = ()) -> None:
        self._first = {(one.name, one.role): one for one in (*DEFAULTS, *configured)}
        self._live = {(one.name, one.role): replace(one, given="live") for one in live}

    def of(self, name: str, role: str | None = None) -> Limit:
        """What holds for a role."""
        for key in ((name, role), (name, None)):
            found = self._live.get(key) or self._first.get(key)
            if found is not None and (key[1] is not None or role not in HOUSE or found.is_level):
                return found
        return Limit(name, role)

    def rows(self) -> Iterator[Limit]:
        """Every limit that there could be, and those that a role has of its own, in the order of the reference."""
        known = self._first | self._live
        for name in NAMES:
            yield known.get((name, None), Limit(name))
            yield from (known[name, role] for role in ROLES if (name, role) in known)

    @property
    def live(self) -> tuple[Limit, ...]:
        return tuple(self._live.values())

    def set(self, limit: Limit) -> Limit:
        changed = replace(limit, given="live")
        self._live[limit.name, limit.role] = changed
        return changed

    def reset(self, name: str | None = None) -> list[Limit]:
        """:returns: the limits that have another value now, with what holds in its place."""
        gone = [key for key in self._live if name in (None, key[0])]
        for key in gone:
            del self._live[key]
        return [replace(self.of(*key), role=key[1]) for key in gone]


def facts(limit: Limit, refused: int) -> dict[str, Any]:
    """As the contract of ``hopsack.limits.list`` has it."""
    return {
        "name": limit.name,
        "role": limit.role,
        "rate": limit.rate,
        "burst": limit.burst,
        "refused": refused,
        "given": limit.given,
    }
