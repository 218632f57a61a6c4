"""What a connection logs in with, and when it wants a newer one.

    a token              is shown at every connection
    a function           is asked before every connection, and again before what it gave expires, on one that stands
    it gives what was refused, or several in a row are refused -> that is the end

A function may be a plain one or a coroutine function. What it fails with is told, and it is asked again later.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from hopsack.errors import Expired, HopsackError, LocalError, LoginRequired, RemoteError, Revoked

__all__ = ["Login", "Token", "early", "later"]

Token: TypeAlias = str | Callable[[], str | Awaitable[str | None] | None] | None
"""Who one is: a token, a function that gives one, or ``None`` for a guest."""

REFUSALS = 3
"""Tokens of a function that may be refused in a row."""

MARGIN, SOONEST, LATEST, PAUSE = 30.0, 1.0, 12 * 3600.0, 30.0
"""Seconds."""


class Login:
    """
    :param token: the token, or the function that gives one.
    """

    def __init__(self, token: Token) -> None:
        self._given = token
        self._shown: str | None = None
        self._refusal: RemoteError | None = None
        self._refusals = 0

    @property
    def is_asked(self) -> bool:
        """Whether there is a function to ask."""
        return callable(self._given)

    async def next(self) -> str | None:
        """The token for a new connection.

        :raises RemoteError: it is the one that was refused. :raises LocalError: the function has failed.
        """
        token = await self._ask()
        if self._refusal is not None and token == self._shown:
            raise self._refusal
        self._shown, self._refusal = token, None
        return token

    async def newer(self) -> str:
        """The token for the connection that stands.

        :raises LocalError: the function has failed, or has none that is newer.
        """
        token = await self._ask()
        if token is None or token == self._shown:
            raise LocalError("the token expires soon, and the function that gives tokens has no newer one")
        return token

    def renewed(self, token: str) -> None:
        """The node has taken it."""
        self._shown = token

    def joined(self) -> None:
        self._refusals = 0

    def tries_another(self, refusal: RemoteError) -> bool:
        """The node has refused the token, or ended the session over it: whether another one may be let in."""
        if not self.is_asked or not isinstance(refusal, (LoginRequired, Expired, Revoked)):
            return False
        self._refusal = refusal
        self._refusals += 1
        return self._refusals < REFUSALS

    async def _ask(self) -> str | None:
        given = self._given
        if not callable(given):
            return given
        try:
            token = given()
            return await token if inspect.isawaitable(token) else token
        except HopsackError:
            raise
        except Exception as error:
            raise LocalError(f"there is no token: {str(error) or type(error).__name__}") from error


def early(left: float, chance: float) -> float:
    """Seconds until a newer token is asked for: at four fifths of its time, but no later than 30 s before its end where
    that leaves it half.

    :param left: seconds that it is worth something. :param chance: a random number from 0 to 1.
    """
    latest = max(left / 2, min(left * 0.8, left - MARGIN))
    return min(max(latest * (0.9 + 0.1 * chance), SOONEST), LATEST)


def later(failures: int, chance: float, hint: float | None = None) -> float:
    """Seconds until it is tried again. :param hint: what the node asks for."""
    wait: float = min(SOONEST * 2.0 ** min(failures, 16), PAUSE)
    return max(hint or 0.0, wait) * (1 + 0.2 * chance)
