"""Tokens: who somebody is and what role they have, signed with the node's secret (JWT, RFC 7519, HS256).

Minting stands here, where the command line and tests need it; the node verifies in its own access package.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jwt

from hopsack.errors import UsageError

__all__ = ["ALGORITHM", "ISSUER", "ROLES", "mint"]

ALGORITHM = "HS256"
ISSUER = "hopsack"
ROLES = ("guest", "user", "service", "operator")
"""The roles a token may carry. ``trusted`` is the node's own and never stands in a token."""


def mint(
    secret: str,
    *,
    sub: str,
    role: str,
    ttl: float | None = None,
    now: Callable[[], float] = time.time,
) -> str:
    """A token for ``sub`` with ``role``.

    :param secret: the node's key, 32 bytes or more (RFC 7518, section 3.2).
    :param ttl: seconds until it expires; ``None`` is never.
    :param now: the clock, in seconds since the epoch.
    :raises UsageError: a role that no token may carry, or a lifetime that is not positive.
    """
    if role not in ROLES:
        raise UsageError(f"a token cannot carry the role {role!r}: write one of {', '.join(ROLES)}")
    if ttl is not None and ttl <= 0:
        raise UsageError(f"a token that lives {ttl:g} s is never valid: write a lifetime above zero")
    issued = int(now())
    claims: dict[str, Any] = {"sub": sub, "role": role, "iat": issued, "iss": ISSUER}
    if ttl is not None:
        claims["exp"] = issued + max(1, round(ttl))
    return jwt.encode(claims, secret, algorithm=ALGORITHM)
