"""Tokens as WAMP tickets, in Crossbar's configuration: ``{"type": "function", "create": …}``.

That is how our listeners say that they take tokens, and Crossbar's check of configurations understands it. Our sessions
find it there and ask :class:`~hopsack_router.access.logins.Logins`; Crossbar's way to such functions is not taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autobahn.wamp.exception import ApplicationError

from hopsack.errors import LoginRequired

CREATE = "hopsack_router.access.tickets.create"
"""Where Crossbar's configuration finds :func:`create`."""


def no_tokens() -> LoginRequired:
    """What the bearer of a token is told where there is nothing to verify it with."""
    return LoginRequired("this node accepts no tokens", advice="send none")


def create(config: dict[str, Any], controller: Any = None) -> Callable[[str, str, dict[str, Any]], dict[str, Any]]:
    """Crossbar's plug; a transport with sessions that are not ours lets nobody in by it."""

    def authenticate(realm: str, authid: str, details: dict[str, Any]) -> dict[str, Any]:
        raise ApplicationError(ApplicationError.AUTHENTICATION_FAILED, no_tokens().message)

    return authenticate
