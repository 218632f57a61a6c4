"""An issuer's JWK set (RFC 7517), fetched again and again: its keys change without notice.

                                  IDLE                          FETCHING
    time to refresh               -> fetch                      nothing: one is under way
    a token with an unknown key   -> fetch, and wait for it     wait for it
                                  -> no: one has just been tried
    the set has come              -                             keep it; who waits tries again
    it cannot be had              -                             keep the old one; who waits tries again

The set that there is stays in use while a newer one cannot be had, for :data:`STALE` at most: an issuer that is away
for a day is one whose withdrawn keys would go on for ever. Only the URL of the configuration is ever asked, whatever a
token says; a token can have it asked once in :data:`PAUSE` seconds.

:class:`Freshness` decides, and knows neither socket nor clock; :class:`JwkSet` is its shell. Bound:
:data:`MOST_WAITING` tokens wait for a fetch, as long as it takes: :data:`~hopsack_router.access.fetching.TIMEOUT`
seconds at most.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from hopsack.errors import Overloaded, Unavailable
from hopsack.settings import shown
from hopsack_router.access.fetching import Unfetched
from hopsack_router.access.keyring import KeysInvalid, PublicKey, read_jwks
from hopsack_router.access.verifying import Issuer

LOG = Logger()

REFRESH = 600.0
"""Seconds after which a set is fetched again, give or take :data:`JITTER` of them: many nodes ask one issuer."""
JITTER = 0.1
PAUSE = 30.0
"""Seconds between a fetch and the next that a token may cause, or that one that failed does."""
STALE = 86_400.0
"""Seconds for which a set is good."""
MOST_WAITING = 1000


@dataclass(slots=True)
class Freshness:
    """When to fetch. All times are seconds of one clock, which never goes back.

    :ivar begun: when the last fetch began; ``None``: there was none.
    :ivar had: when the set that there is began to be fetched; ``None``: there is none.
    """

    begun: float | None = None
    had: float | None = None
    is_fetching: bool = False

    def begins(self, now: float) -> None:
        self.begun, self.is_fetching = now, True

    def ends(self, well: bool) -> None:
        self.is_fetching = False
        if well:
            self.had = self.begun

    def wants(self, now: float) -> bool:
        """Whether a token with an unknown key is worth a fetch."""
        return not self.is_fetching and (self.begun is None or now - self.begun >= PAUSE)

    def is_good(self, now: float) -> bool:
        return self.had is not None and now - self.had <= STALE


class JwkSet:
    """The keys of one issuer.

    :param url: where they are. :param fetch: gets it: a Deferred of its bytes, which fails with :exc:`Unfetched`.
    :param issuer: what is believed of tokens that they sign.
    :param random: spreads the refreshes of many nodes.
    """

    def __init__(
        self,
        url: str,
        issuer: Issuer,
        fetch: Callable[[str], Deferred[bytes]],
        clock: IReactorTime,
        random: Random,
    ) -> None:
        self._url, self._issuer, self._fetch = url, issuer, fetch
        self._clock, self._random = clock, random
        self._freshness = Freshness()
        self._keys: tuple[PublicKey, ...] = ()
        self._waiting: list[Deferred[None]] = []
        self._next: IDelayedCall | None = None
        self._said = ""
        self._is_over = False

    def __call__(self) -> tuple[PublicKey, ...]:
        """The keys that there are now."""
        return self._keys if self._freshness.is_good(self._clock.seconds()) else ()

    def start(self) -> None:
        """Fetch it for the first time, unless that has been done."""
        if self._freshness.begun is None:
            self._begin()

    def stop(self) -> None:
        self._is_over = True
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = None

    def newer(self) -> Deferred[None] | None:
        """There is a token whose key is not among these.

        :returns: fires when it may be; ``None``: it is not worth asking again yet.
        :raises Unavailable: there are no keys, and it is not known when there will be some.
        :raises Overloaded: too many wait.
        """
        now = self._clock.seconds()
        if self._freshness.wants(now) and not self._is_over:
            self._begin()
        elif not self._freshness.is_fetching:
            self.check()
            return None
        if len(self._waiting) >= MOST_WAITING:
            raise Overloaded("too many wait for the keys that verify tokens", data={"retry_after": 1})
        waiting: Deferred[None] = Deferred(self._left)
        self._waiting.append(waiting)
        if not self._freshness.is_fetching:  # it has come at once
            self._release()
        return waiting

    def _left(self, waiting: Deferred[None]) -> None:
        """It waits no more, and has no place any more: else who asks and gives up, again and again, takes all."""
        with suppress(ValueError):  # it is being told just now
            self._waiting.remove(waiting)

    def check(self) -> None:
        """:raises Unavailable: there are no keys: a token cannot be told to be bad."""
        if not self._freshness.is_good(self._clock.seconds()):
            raise Unavailable("the keys that verify tokens cannot be had now", data={"retry_after": 5})

    # ---- fetching ----------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = None
        if self._is_over or self._freshness.is_fetching:
            return
        self._freshness.begins(self._clock.seconds())
        coming = self._fetch(self._url)
        coming.addCallback(self._came).addErrback(self._missed).addErrback(_failed).addBoth(self._settled)

    def _came(self, text: bytes) -> None:
        self._keys = read_jwks(text, self._issuer)
        self._freshness.ends(well=True)
        self._said = ""

    def _missed(self, failure: Failure) -> None:
        self._freshness.ends(well=False)
        failure.trap(Unfetched, KeysInvalid)
        if self._said != str(failure.value):
            self._said = str(failure.value)
            goes_on = "those of before go on" if self() else "there are none"
            LOG.warn(
                "cannot get keys from {url}: {why}; {goes_on}", url=shown(self._url), why=self._said, goes_on=goes_on
            )

    def _settled(self, _: object) -> None:
        is_new = self._freshness.had == self._freshness.begun
        wait = REFRESH * (1 + JITTER * (2 * self._random.random() - 1)) if is_new else PAUSE
        if not self._is_over:
            self._next = self._clock.callLater(wait, self._begin)
        self._release()

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)


def _failed(failure: Failure) -> None:
    LOG.failure("the node failed to read a JWK set", failure)
