"""Tokens as WAMP tickets: the authenticator that every door's sessions pass.

A token is a JWT (RFC 7519) with ``sub``, ``role``, ``iss`` and optionally ``exp``, signed with HS256 by the node's
secret. The role is checked against the list of roles that a token may give: never is a claim copied into Crossbar's
built-in role ``trusted``.

Nothing of a token is believed before its signature is: the header only says whether the token claims to be of the one
kind that there is. No key is looked up, so a token cannot name one (``jku``, ``jwk``, ``x5u``, ``x5c``), and ``kid`` is
a name that nobody asks for. Nothing is kept of a token that was accepted: the next one is verified again, with the
secret and the time there are then. That costs 10 µs; PyJWT, which mints them, takes 85.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from autobahn.wamp.exception import ApplicationError

from hopsack.errors import LoginRequired
from hopsack_router.access.identity import Identity

ROLES = frozenset(("guest", "user", "service", "operator"))
ISSUER = "hopsack"
LONGEST = 16 * 1024
"""Bytes of token that are looked at; no honest one is longer."""
LEEWAY = 5
"""Seconds by which the clocks of who mints and who verifies may differ."""
CREATE = "hopsack_router.access.tickets.create"
"""Where Crossbar's configuration finds :func:`create`."""

_FOREIGN = frozenset(("b64", "crit", "jku", "jwk", "x5c", "x5u"))
"""Members of a header that ask for other keys or other ways to sign, which there are not (RFC 7515, section 4.1)."""

_TO_STANDARD = str.maketrans("-_+/=", "+/***")
"""What must not stand in a part becomes what base64 does not have either."""


class TokenRefused(LoginRequired):
    """The token is not one this node accepts; the message is for its bearer."""

    def __init__(self, message: str) -> None:
        super().__init__(message, advice="get a new token, or send none")


def verify(token: str, secret: str, now: Callable[[], float] = time.time) -> Identity:
    """Read a token in the JWS compact serialization (RFC 7515, section 3.1).

    :param now: the clock, in seconds since the epoch.
    :raises TokenRefused: with a reason that tells a bearer what to do and a guesser nothing.
    """
    if len(token) > LONGEST:
        raise TokenRefused("the token is too long")
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    try:
        genuine = hmac.compare_digest(_signature(signed, secret), signature.encode("ascii"))
        if not (genuine and _is_ours(header)):
            raise TokenRefused(_NOT_OURS)
        claims = msgspec.json.decode(_decoded(payload), type=dict)
    except (binascii.Error, msgspec.MsgspecError, RecursionError, UnicodeError):
        raise TokenRefused(_NOT_OURS) from None
    _check_times(claims, now())
    return _identity(claims)


_NOT_OURS = "the token is not one this node accepts"


def _signature(signed: str, secret: str) -> bytes:
    digest = hmac.digest(secret.encode(), signed.encode("ascii"), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=")


@lru_cache(maxsize=64)
def _is_ours(header: str) -> bool:
    """Whether a token is of our kind, from its first part. Honest headers are few, and only genuine ones come here."""
    facts = msgspec.json.decode(_decoded(header), type=dict)
    return (
        facts.get("alg") == "HS256"
        and str(facts.get("typ", "JWT")).upper() == "JWT"
        and type(facts.get("kid", "")) is str
        and _FOREIGN.isdisjoint(facts)
    )


def _decoded(part: str) -> bytes:
    """Base64url without padding, and nothing that only resembles it (RFC 7515, section 2)."""
    return binascii.a2b_base64(part.translate(_TO_STANDARD) + "=" * (-len(part) % 4), strict_mode=True)


def _check_times(claims: dict[str, Any], now: float) -> None:
    """``exp``, ``nbf`` and ``iat`` (RFC 7519, section 4.1); each may be absent."""
    for name in ("exp", "nbf", "iat"):
        if type(claims.get(name, 0)) not in (int, float):
            raise TokenRefused(_NOT_OURS)
    if "exp" in claims and claims["exp"] <= now - LEEWAY:
        raise TokenRefused("the token has expired")
    if max(claims.get("nbf", 0), claims.get("iat", 0)) > now + LEEWAY:
        raise TokenRefused(_NOT_OURS)


def _identity(claims: dict[str, Any]) -> Identity:
    """Signed, but made by anybody who has the secret: of any type. ``aud`` says that it is for somebody else."""
    if claims.get("iss") == ISSUER and not claims.get("aud") and type(claims.get("jti", "")) is str:
        match claims.get("sub"), claims.get("role"):
            case str(subject), str(role) if role in ROLES and 0 < len(subject) <= 200:
                return Identity(
                    subject,
                    role,
                    issued=claims.get("iat"),
                    expires=claims.get("exp"),
                    proof="token",
                    token_id=claims.get("jti"),
                )
    raise TokenRefused(_NOT_OURS)


def no_tokens() -> LoginRequired:
    return LoginRequired("this node accepts no tokens", advice="send none")


def create(config: dict[str, Any], controller: Any = None) -> Callable[[str, str, dict[str, Any]], dict[str, Any]]:
    """Crossbar's plug for authenticators of ``"type": "function"``."""

    def authenticate(realm: str, authid: str, details: dict[str, Any]) -> dict[str, Any]:
        raise ApplicationError(ApplicationError.AUTHENTICATION_FAILED, str(no_tokens().message))

    return authenticate
