"""Bearer tokens in an Authorization header (RFC 6750, section 2.1)."""

from __future__ import annotations

from hopsack.errors import LoginRequired


def token_of(header: str | None) -> str | None:
    """The token, or ``None`` where there is no header: the client is a guest.

    :raises LoginRequired: there is a header, and it is not a bearer token. A client that means to be somebody must not
        go on as nobody.
    """
    if header is None:
        return None
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    raise LoginRequired("the Authorization header holds no bearer token", advice="send Authorization: Bearer <token>")
