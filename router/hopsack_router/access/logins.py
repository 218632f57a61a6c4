"""Who the bearer of a token is: by the keys that there are now.

    token -> Identity           its key is known, and it is good
          -> Deferred of one    its key may be among newer ones, which are fetched
          -> RemoteError        it is not good

Whether its bearer may still come is asked elsewhere, of all proofs alike (``routing/joining.py`` ``admit``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from twisted.internet.defer import Deferred

from hopsack.settings import ConfigError, Settings
from hopsack_router.access.fetching import Fetching
from hopsack_router.access.identity import Identity
from hopsack_router.access.jwks import JwkSet
from hopsack_router.access.keyring import Keyring, Source
from hopsack_router.access.secret import KeyFile, secret_of
from hopsack_router.access.verifying import Issuer, KeyUnknown, TokenRefused, own, verify


class Cookie(str):
    """A token that a browser sent as a cookie."""

    __slots__ = ()


class Logins:
    """The tokens of one node.

    :param keys: those that verify them.
    :param remote: the keys that are fetched, if some are.
    :param now: the clock, in seconds since the epoch.
    """

    def __init__(self, keys: Keyring, remote: JwkSet | None = None, now: Callable[[], float] = time.time) -> None:
        self._keys, self._remote, self._now = keys, remote, now

    @classmethod
    def of(cls, settings: Settings, reactor: Any, random: Random) -> Logins:
        """
        :raises ConfigError: the keys that the settings name cannot be had, or it is not said whose they are.
        """
        sources: list[Source] = []
        remote = None
        if settings.token_keys is not None or settings.jwks is not None:
            issuer = issuer_of(settings)
            if settings.token_keys is not None:
                sources.append(KeyFile(settings.token_keys, issuer))
            if settings.jwks is not None:
                remote = JwkSet(settings.jwks, issuer, Fetching(reactor, settings.tls_ca).get, reactor, random)
                sources.append(remote)
        return cls(Keyring(secret_of(settings), own(settings.audience), sources), remote)

    def start(self) -> None:
        """Fetch what is to be fetched."""
        if self._remote is not None:
            self._remote.start()

    def stop(self) -> None:
        if self._remote is not None:
            self._remote.stop()

    def identify(self, token: str) -> Identity | Deferred[Identity]:
        """
        :param token: a :class:`Cookie`, if it came as one.
        :raises RemoteError: it is not good, or that cannot be known now. The message is for the bearer.
        """
        try:
            return self._verified(token)
        except KeyUnknown:
            coming = None if self._remote is None else self._remote.newer()
            if coming is None:
                raise
            return coming.addCallback(lambda _: self._again(token))

    def _again(self, token: str) -> Identity:
        """Now that there may be newer keys."""
        try:
            return self._verified(token)
        except KeyUnknown:
            if self._remote is not None:
                self._remote.check()
            raise

    def _verified(self, token: str) -> Identity:
        if not isinstance(token, Cookie):
            return verify(token, self._keys, self._now)
        try:
            return replace(verify(token, self._keys, self._now), proof="cookie")
        except TokenRefused as refused:
            refused.advice = "POST /login with a new token, or POST /logout"
            raise


def issuer_of(settings: Settings) -> Issuer:
    """Whose the public keys are, and what is believed of tokens that they sign.

    :raises ConfigError: it is not said.
    """
    if settings.issuer is None:
        raise ConfigError(
            "HOPSACK_TOKEN_KEYS or HOPSACK_JWKS is set, and it is not said whose keys those are",
            "set HOPSACK_ISSUER to the iss of the tokens",
        )
    roles = frozenset(word.strip() for word in settings.token_roles.split(",") if word.strip())
    places = dict(word.split("=", 1) for word in settings.claims.split(",") if word.strip())
    return Issuer(
        settings.issuer,
        settings.audience,
        roles=roles,
        places={fact.strip(): place.strip() for fact, place in places.items()},
    )
