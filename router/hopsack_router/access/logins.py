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

from twisted.internet.defer import Deferred

from hopsack_router.access import tickets
from hopsack_router.access.identity import Identity


class Cookie(str):
    """A token that a browser sent as a cookie."""

    __slots__ = ()


class Logins:
    """The tokens of one node.

    :param secret: gives the node's own key, as it is now.
    :param now: the clock, in seconds since the epoch.
    """

    def __init__(self, secret: Callable[[], str], now: Callable[[], float] = time.time) -> None:
        self._secret, self._now = secret, now

    def identify(self, token: str) -> Identity | Deferred[Identity]:
        """
        :raises LoginRequired: the message is for the bearer.
        """
        found = tickets.verify(token, self._secret(), self._now)
        return replace(found, proof="cookie") if isinstance(token, Cookie) else found
