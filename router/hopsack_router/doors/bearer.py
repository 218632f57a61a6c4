"""What a request has with it to say who sends it: a bearer token (RFC 6750, section 2.1), or a cookie with one.

    Authorization   counts, whoever sends it; a client that means to be somebody must not go on as nobody
    the cookie      where there is no such field, and only if the browser says that a page of this node sends it

The cookie is the token itself, set by ``POST /login`` (``doors/login.py``). A browser sends it with whatever it is
told to fetch, so what it is told by other pages does not count, even where ``HOPSACK_ORIGINS`` lets those in. Where a
browser does not say whose page it is, the cookie does not count either: that is a page's ``GET`` over plain HTTP from
another machine.
"""

from __future__ import annotations

from twisted.web.server import Request

from hopsack.errors import BadRequest, LoginRequired
from hopsack_router.access.logins import Cookie
from hopsack_router.doors.origins import is_https, is_own_page

COOKIE = "hopsack"
SECURE_COOKIE = "__Host-hopsack"
"""Over TLS. The prefix keeps other hosts of the domain from setting it (RFC 6265bis, section 4.1.3.2)."""


def credential_of(request: Request) -> str | None:
    """The token, a :class:`~hopsack_router.access.logins.Cookie` if it came as one; ``None``: the client is a guest.

    :raises BadRequest: there are several. :raises LoginRequired: there is something, and it cannot be a token.
    """
    token = bearer_of(request)
    if token is not None:
        return token
    return cookie_of(request) if is_own_page(request) else None


def bearer_of(request: Request) -> str | None:
    """The token of the Authorization field; ``None``: there is no such field.

    :raises BadRequest: there are several, equal or not. The field is no list (RFC 9110, section 11.6.2), and what
        stands in front of the node may have looked at another of them.
    :raises LoginRequired: it holds no token.
    """
    fields = request.requestHeaders.getRawHeaders(b"authorization", ())
    if len(fields) > 1:
        raise BadRequest("there are several Authorization headers", advice="send one")
    return token_of(fields[0].decode("latin-1")) if fields else None


def token_of(header: str) -> str:
    """The token in an Authorization field.

    :raises LoginRequired: it holds none.
    """
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    raise LoginRequired("the Authorization header holds no bearer token", advice="send Authorization: Bearer <token>")


def cookie_of(request: Request) -> Cookie | None:
    """The token in the cookie, whoever sends it.

    :raises LoginRequired: there are two, of which another host or path may have set one.
    """
    wanted, found = name_for(request), set()
    for field in request.requestHeaders.getRawHeaders(b"cookie", ()):
        for pair in field.decode("latin-1").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == wanted and value:
                found.add(value)
    if len(found) > 1:
        raise LoginRequired(
            f"there are two cookies {wanted}", advice="delete the cookies of this site, and log in again"
        )
    return Cookie(found.pop()) if found else None


def name_for(request: Request) -> str:
    """The cookie's name. Over TLS one that was set without it does not count."""
    return SECURE_COOKIE if is_https(request) else COOKIE
