"""What clients have spent of their limits: by connection, subject and address. Pure: clock and rules are handed in.

    a connection comes       Limits.enters(address)     -> 0.0, or seconds after which it may  (nothing is read yet)
    a proof is refused       Limits.failed              -> and the next may have to wait (Limits.may_try)
    a session begins         Limits.meter(...)          -> its Meter; None: nothing of it is limited
    it asks for something    Meter.asks(kind)           -> 0.0, or seconds after which it may: it is told so
    it is no use             Meter.noise()              -> what asks for nothing, and cannot be refused
    it goes on all the same  Meter.is_beyond            -> it is to be closed

Who is told to wait :data:`TOLD` times within :data:`WINDOW` seconds, and still asks for more than :data:`TIMES` of what
it may, does not listen. It has :data:`HEARING` seconds for the first answer to reach it.

Limits of addresses hold for whole /64 networks of IPv6, of which every household has one. They do not hold for clients
of this machine while the node is in development, unless somebody has set them: what is tried out there, and what
measures, comes from one address.

Bounds: those of the tables (:mod:`~hopsack_router.access.buckets`). A connection that asks for nothing has no buckets.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable
from functools import lru_cache

from hopsack_router.access.buckets import Bucket, Guesses, Shared
from hopsack_router.access.limits import HOUSE, MANY, ROLES, Limit, Rules

PUBLISHES, CALLS, SUBSCRIPTIONS, NOISE = "publishes", "calls", "subscriptions", "messages"
"""What :meth:`Meter.asks` is asked about; each is a message, too."""

TOLD = 100
WINDOW = 10.0
TIMES = 10
HEARING = 0.4


@lru_cache(maxsize=4096)
def network_of(host: str) -> str | None:
    """What an address is counted as; ``None``: it is none (a Unix socket)."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None and not address.is_loopback:
            return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
        address = address.ipv4_mapped or address
    return str(address)


def host_of(peer: str | None) -> str:
    """The address in Autobahn's notation, ``tcp4:127.0.0.1:5000``; empty where there is none."""
    kind, _, rest = (peer or "").partition(":")
    return rest.rpartition(":")[0] if kind in ("tcp", "tcp4", "tcp6", "tls", "tls4", "tls6") else ""


def is_here(network: str) -> bool:
    return network.startswith("127.") or network == "::1"


class Levels:
    """How many, and how large, for one role."""

    __slots__ = ("payload", "registered", "subscribed", "unanswered")

    def __init__(self, rules: Rules, role: str) -> None:
        for name in self.__slots__:
            most = rules.of(f"{name}.connection", role).burst
            setattr(self, name, UNBOUND if most is None else int(most))

    payload: int
    registered: int
    subscribed: int
    unanswered: int


UNBOUND = 1 << 60
MOST_TOLD = 1024
"""Clients of which is remembered that the log has told about them."""


class Limits:
    """The limits of one node, and what is spent of them.

    :ivar rules: what they are; after a change, :meth:`renew`.
    :param now: the clock, in seconds. :param spares_this_machine: whether limits of addresses that nobody has set hold
        for clients of this machine.
    """

    def __init__(self, rules: Rules, now: Callable[[], float], spares_this_machine: bool = False) -> None:
        self.rules = rules
        self.now = now
        self.refused: Counter[tuple[str, str | None]] = Counter()
        self._spares = spares_this_machine
        self._open: Counter[str] = Counter()
        self._by_subject: Counter[str] = Counter()
        self._told: dict[tuple[str, str | None], float] = {}
        self.renew()

    def renew(self) -> None:
        """The rules have changed. Everybody begins with full buckets; those who are there need new meters."""
        self._shared: dict[tuple[str, str | None], Shared] = {}
        self._levels = {role: Levels(self.rules, role) for role in ROLES}
        self._guesses = {scope: self._new_guesses(scope) for scope in ("subject", "address")}
        self._limited = {role: any(self.rules.of(name, role).holds for name in _NAMES) for role in ROLES}

    def _new_guesses(self, scope: str) -> Guesses | None:
        limit = self.rules.of(f"auth_failures.{scope}")
        if limit.rate is None or limit.burst is None:
            return None
        return Guesses(limit.rate, limit.burst, backoff=scope == "subject")

    def counted(self, limit: Limit) -> int:
        """How often more was wanted than this limit allows."""
        return self.refused[limit.name, limit.role]

    def note(self, limit: Limit) -> None:
        self.refused[limit.name, limit.role] += 1

    def is_news(self, limit: Limit, who: str | None) -> bool:
        """Whether the log has not said it of this subject, or of guests of this address, for a while: each request of a
        plain HTTP client is a session of its own."""
        now, key = self.now(), (limit.name, who)
        if now < self._told.get(key, now):
            return False
        if len(self._told) >= MOST_TOLD:
            self._told.clear()
        self._told[key] = now + WINDOW
        return True

    def _holds_for(self, limit: Limit, network: str | None) -> bool:
        if network is None or not limit.holds:
            return False
        return not (self._spares and limit.given == "default" and is_here(network))

    def shared(self, limit: Limit, key: str) -> Bucket:
        """The bucket of a subject or an address."""
        of_limit = self._shared.get((limit.name, limit.role))
        if of_limit is None:
            assert limit.rate is not None
            assert limit.burst is not None
            of_limit = self._shared[limit.name, limit.role] = Shared(limit.rate, limit.burst)
        return of_limit.of(key, self.now())

    # ---- connections ------------------------------------------------------------------------------------------------

    def enters(self, host: str) -> float:
        """A connection comes; where it is let in it is counted until :meth:`leaves`.

        :returns: 0: it may; else the seconds after which it may try again.
        """
        network = network_of(host)
        if network is None:
            return 0.0
        most, rate = self.rules.of("connections.address"), self.rules.of("connects.address")
        if self._holds_for(most, network) and self._open[network] >= (most.burst or 0):
            self.note(most)
            return CROWDED
        if self._holds_for(rate, network):
            wait = self.shared(rate, network).take(self.now())
            if wait:
                self.note(rate)
                return wait
        self._open[network] += 1
        return 0.0

    def leaves(self, host: str) -> None:
        network = network_of(host)
        if network is not None:
            _less(self._open, network)

    def joins(self, subject: str, role: str) -> Limit | None:
        """A session of this subject begins; where it may it is counted until :meth:`parts`.

        :returns: the limit that is in its way.
        """
        most = self.rules.of("connections.subject", role)
        if most.burst is not None and self._by_subject[subject] >= most.burst:
            self.note(most)
            return most
        self._by_subject[subject] += 1
        return None

    def parts(self, subject: str) -> None:
        _less(self._by_subject, subject)

    # ---- proofs ---------------------------------------------------------------------------------------------------

    def may_try(self, subject: str, host: str) -> float:
        """:returns: 0: somebody may try to prove that it is this subject; else the seconds after which it may."""
        now, waits = self.now(), [0.0]
        for scope, key in self._keys(subject, host):
            guesses = self._guesses[scope]
            if guesses is not None:
                waits.append(guesses.wait(key, now))
                if waits[-1] > 0:
                    self.note(self.rules.of(f"auth_failures.{scope}"))
        return max(waits)

    def failed(self, subject: str, host: str) -> None:
        """Its proof was refused."""
        for scope, key in self._keys(subject, host):
            guesses = self._guesses[scope]
            if guesses is not None:
                guesses.failed(key, self.now())

    def succeeded(self, subject: str, host: str) -> None:
        """It was accepted: what this subject has failed at is forgotten, what its address has is not."""
        guesses = self._guesses["subject"]
        if guesses is not None:
            guesses.succeeded((subject[:200], network_of(host)))

    def _keys(self, subject: str, host: str) -> list[tuple[str, object]]:
        network = network_of(host)
        keys: list[tuple[str, object]] = [("subject", (subject[:200], network))]
        return keys if network is None else [*keys, ("address", network)]

    # ---- sessions -------------------------------------------------------------------------------------------------

    def levels(self, role: str) -> Levels:
        return self._levels[role]

    def meter(self, role: str, subject: str | None, host: str) -> Meter | None:
        """The meter of a session that begins.

        :param subject: ``None``: of a guest, whom nobody else is.
        """
        network = network_of(host)
        if not self._limited[role] and (role in HOUSE or network is None):
            return None
        return Meter(self, role, subject, network)

    def buckets(self, kind: str, meter: Meter) -> tuple[tuple[Bucket, Limit], ...]:
        """What a request of a kind takes from: first the connection's own."""
        found: list[tuple[Bucket, Limit]] = []
        for what in dict.fromkeys((NOISE, kind)):
            for scope, key in (("connection", None), ("subject", meter.subject), ("address", meter.network)):
                limit = self.rules.of(f"{what}.{scope}", meter.role)
                if limit.rate is None or limit.burst is None:
                    continue
                if scope == "connection":
                    found.append((meter.own(limit), limit))
                elif key is not None and (scope == "subject" or self._holds_for(limit, key)):
                    found.append((self.shared(limit, key), limit))
        return tuple(found)


class Meter:
    """What one session spends.

    :ivar size: bytes it has sent since it was last asked; the doors add to it.
    :ivar refused: what it is told to wait for.
    """

    __slots__ = (
        "_asked",
        "_bytes",
        "_limits",
        "_now",
        "_own",
        "_since",
        "_told",
        "dropped",
        "network",
        "refused",
        "role",
        "size",
        "subject",
    )

    def __init__(self, limits: Limits, role: str, subject: str | None, network: str | None) -> None:
        self._limits = limits
        self._now = limits.now
        self.role, self.subject, self.network = role, subject, network
        self._asked: dict[str, tuple[tuple[Bucket, Limit], ...]] = {}
        self._own: dict[str, Bucket] = {}
        self._bytes: tuple[tuple[Bucket, Limit], ...] | None = None
        self.size = 0
        self.refused: Limit | None = None
        self.dropped = 0
        self._told = 0
        self._since = 0.0

    def own(self, limit: Limit) -> Bucket:
        """The connection's bucket of a limit."""
        assert limit.rate is not None
        assert limit.burst is not None
        new, found = Bucket(limit.rate, limit.burst), self._own.get(limit.name)
        if found is None or (found.cost, found.burst) != (new.cost, new.burst):  # a purse from before a change
            found = self._own[limit.name] = new
        return found

    def share(self, purse: dict[str, dict[str, Bucket]]) -> None:
        """Take the connection's own buckets from where other sessions over the same connection have theirs.

        :param purse: by role.
        """
        self._own = purse.setdefault(self.role, {})

    def purse(self) -> dict[str, dict[str, Bucket]]:
        """What the next session over this connection goes on with: to leave and to join again fills no bucket."""
        return {self.role: self._own}

    def asks(self, kind: str) -> float:
        """It asks for something of a kind.

        :returns: 0: it may; else the seconds after which it may, and :attr:`refused` says why.
        """
        buckets = self._asked.get(kind)
        if buckets is None:
            buckets = self._asked[kind] = self._limits.buckets(kind, self)
        now = self._now()
        for bucket, limit in buckets:
            # Bucket.take(now), for one token; called for each message.
            full_at = bucket.full_at
            if full_at < now:
                full_at = now
            full_at += bucket.cost
            if full_at - now > bucket.span:
                self.size = 0
                return self._refuse(limit, bucket.late(now), now)
            bucket.full_at = full_at
        if self.size > FREE:
            return self._weigh(now)
        return 0.0

    def noise(self) -> None:
        """It sent what cannot be refused: it asks for nothing, or is no message."""
        self.asks(NOISE)

    def excused(self) -> None:
        """What it has sent was asked for."""
        self.size = 0

    def _weigh(self, now: float) -> float:
        size, self.size = self.size, 0
        if self._bytes is None:
            self._bytes = tuple(one for one in self._limits.buckets("bytes", self) if one[1].kind == "bytes")
        for bucket, limit in self._bytes:
            wait = bucket.take(now, size)
            if wait:
                return self._refuse(limit, wait, now)
        return 0.0

    def _refuse(self, limit: Limit, wait: float, now: float) -> float:
        self._limits.note(limit)
        self.refused = limit
        if now - self._since > WINDOW:
            self._since, self._told = now, 0
        self._told += 1
        return wait

    @property
    def is_first(self) -> bool:
        """Whether this was the first refusal of a while: the log says it once."""
        return self._told == 1

    @property
    def is_news(self) -> bool:
        """Whether the log should tell about this refusal."""
        return self.refused is not None and self._limits.is_news(self.refused, self.subject or self.network)

    @property
    def is_beyond(self) -> bool:
        """Whether it has been told often enough, and goes on."""
        limit = self.refused
        if limit is None or self._told < TOLD:
            return False
        lasted = self._now() - self._since
        return lasted >= HEARING and self._told > (TIMES - 1) * (limit.rate or 0) * lasted / _WEIGHT.get(limit.kind, 1)


FREE = 1024
"""Bytes that are not weighed until more have come: most messages are shorter."""

CROWDED = 10.0
"""Seconds after which a connection may try again that came when all there may be were there."""

_WEIGHT = {"bytes": FREE}
"""Tokens that a refused request has asked for, at least."""

_NAMES = tuple(f"{kind}.{scope}" for kind in MANY for scope in ("connection", "subject", "address"))


def _less(counts: Counter[str], key: str) -> None:
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]
