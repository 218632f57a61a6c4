"""Tokens: who somebody is and what role they have, signed with the node's secret (JWT, RFC 7519, HS256).

Minting stands here, where the command line and tests need it; the node verifies in its own access package. Tests of
what a login service signs mint with its private key: EdDSA and RS256, for which ``cryptography`` must be installed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

import jwt

from hopsack.errors import UsageError

__all__ = ["ALGORITHM", "ISSUER", "ROLES", "mint"]

ALGORITHM = "HS256"
ISSUER = "hopsack"
ROLES = ("guest", "user", "service", "operator")
"""The roles a token may carry. ``trusted`` is the node's own and never stands in a token."""
LONGEST_NAME = 200
"""Characters of a subject, a group or a tenant."""
MOST_GROUPS = 100


def mint(
    key: Any,
    *,
    sub: str,
    role: str,
    ttl: float | None = None,
    groups: Iterable[str] = (),
    tenant: str | None = None,
    algorithm: Literal["HS256", "EdDSA", "RS256"] = "HS256",
    kid: str | None = None,
    issuer: str = ISSUER,
    audience: str | None = None,
    now: Callable[[], float] = time.time,
) -> str:
    """A token for ``sub`` with ``role``.

    :param key: the node's secret, 32 bytes or more (RFC 7518, section 3.2); a private key for the other algorithms.
    :param ttl: seconds until it expires; ``None`` is never.
    :param groups: the groups that it is in. :param tenant: whose customer it is.
    :param kid: the key's name, for the header.
    :param now: the clock, in seconds since the epoch.
    :raises UsageError: a role that no token may carry, a name that no node takes, or a lifetime that is not positive.
    """
    if role not in ROLES:
        raise UsageError(f"a token cannot carry the role {role!r}: write one of {', '.join(ROLES)}")
    if ttl is not None and ttl <= 0:
        raise UsageError(f"a token that lives {ttl:g} s is never valid: write a lifetime above zero")
    names = sorted(set(groups))
    _check_names(sub, *names, *(() if tenant is None else (tenant,)))
    if len(names) > MOST_GROUPS:
        raise UsageError(f"a token has {MOST_GROUPS} groups at most, this one {len(names)}")
    issued = int(now())
    claims: dict[str, Any] = {"sub": sub, "role": role, "iat": issued, "iss": issuer}
    optional = {"groups": names, "tenant": tenant, "aud": audience}
    claims |= {name: value for name, value in optional.items() if value}
    if ttl is not None:
        claims["exp"] = issued + max(1, round(ttl))
    return jwt.encode(claims, key, algorithm=algorithm, headers=None if kid is None else {"kid": kid})


def _check_names(*names: str) -> None:
    for name in names:
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            raise UsageError(f"{name[:50]!r} is no name: write 1 to {LONGEST_NAME} printable characters")
