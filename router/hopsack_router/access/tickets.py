"""Tokens as WAMP tickets: the authenticator that every door's sessions pass.

A token is a JWT (RFC 7519) with ``sub``, ``role``, ``iss`` and optionally ``exp``, signed with HS256 by the node's
secret. The role is checked against the list of roles that a token may give: never is a claim copied into Crossbar's
built-in role ``trusted``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
from autobahn.wamp.exception import ApplicationError

ROLES = frozenset(("guest", "user", "service", "operator"))
ISSUER = "hopsack"
LONGEST = 16 * 1024
"""Bytes of token that are looked at; no honest one is longer."""

_MALFORMED = (ArithmeticError, RecursionError, TypeError, ValueError)
"""What PyJWT lets through for JSON of the wrong shape: ``exp`` an object or infinite, a header nested too deep."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token says its bearer is."""

    subject: str
    role: str


class TokenRefused(Exception):
    """The token is not one this node accepts; the message is for its bearer."""


def verify(token: str, secret: str) -> Identity:
    """:raises TokenRefused: with a reason that tells a bearer what to do and a guesser nothing."""
    if len(token) > LONGEST:
        raise TokenRefused("the token is too long")
    try:
        claims = jwt.decode(
            token, secret, algorithms=["HS256"], issuer=ISSUER, options={"require": ["sub", "role", "iss"]}, leeway=5
        )
    except jwt.ExpiredSignatureError:
        raise TokenRefused("the token has expired") from None
    except (jwt.PyJWTError, *_MALFORMED):
        raise TokenRefused("the token is not one this node accepts") from None
    match claims["sub"], claims["role"]:  # signed, but made by anybody who has the secret: of any type
        case str(subject), str(role) if role in ROLES and 0 < len(subject) <= 200:
            return Identity(subject, role)
    raise TokenRefused("the token is not one this node accepts")


_secret: Callable[[], str] | None = None


def use_secret(secret: Callable[[], str]) -> None:
    """Say where the secret comes from: for the whole process, as Crossbar caches authenticators by name."""
    global _secret
    _secret = secret


def create(config: dict[str, Any], controller: Any = None) -> Callable[[str, str, dict[str, Any]], dict[str, Any]]:
    """Crossbar's plug for authenticators of ``"type": "function"``."""

    def authenticate(realm: str, authid: str, details: dict[str, Any]) -> dict[str, Any]:
        if _secret is None:
            raise ApplicationError(ApplicationError.AUTHENTICATION_FAILED, "this node accepts no tokens")
        try:
            identity = verify(details.get("ticket") or "", _secret())
        except TokenRefused as refused:
            raise ApplicationError(ApplicationError.AUTHENTICATION_FAILED, str(refused)) from None
        return {"realm": realm, "authid": identity.subject, "role": identity.role}

    return authenticate
