"""``POST /login`` changes a token for a cookie that scripts cannot read; ``POST /logout`` takes it back.

    POST /login {token}, or with Authorization: Bearer   204, and the cookie, until the token expires
    POST /logout                                         204, and no cookie; the token itself is as good as before

The cookie is the token: nothing is kept of it here. ``HttpOnly`` keeps scripts from it, ``SameSite=Strict`` other
sites, ``Secure`` other machines on the way; it is for this host and all its paths. Only the node's own pages may ask
for it, so that no other page logs somebody in as somebody else; programs may, which have nothing to gain by it.

To log in is to join: a session is opened with the token, and left again. So whatever keeps somebody from a session
keeps him from the cookie, with the same words, limits and notes.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from autobahn.wamp import message
from autobahn.wamp.types import SessionDetails
from crossbar.webservice.base import RouterWebService
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from hopsack.errors import Denied, Invalid, LoginRequired, RemoteError
from hopsack_router.access.identity import Identity
from hopsack_router.doors import envelopes
from hopsack_router.doors.bearer import COOKIE, SECURE_COOKIE, bearer_of, cookie_of, name_for
from hopsack_router.doors.host import Host
from hopsack_router.doors.http import Exchange
from hopsack_router.doors.origins import is_https, page_of, peer_of
from hopsack_router.doors.pages import Page
from hopsack_router.doors.problems import answer_problem, not_allowed, not_found
from hopsack_router.doors.requests import body_of, check_options, segments_of, set_headers
from hopsack_router.routing.links import now

LONGEST = 3800
"""Characters of a token that becomes a cookie: browsers forget a larger one without a word (RFC 6265, section 6.1)."""


class Login(Exchange):
    """One request for a cookie, and the session that shows whether its token is good."""

    def __init__(self, request: Request, host: Host, token: str) -> None:
        super().__init__(request, host, _NOTHING, "/login")
        self._token = token

    def _joined(self, _: SessionDetails) -> None:
        identity: Identity | None = self.session.identity
        expires = None if identity is None else identity.expires
        age = None if expires is None else max(0, int(expires - now()))
        self._request.setResponseCode(HTTPStatus.NO_CONTENT)
        set_headers(self._request, _PRIVATE)
        self._request.responseHeaders.addRawHeader(b"set-cookie", cookie(self._request, self._token, age).encode())
        self._answer(b"")


_NOTHING = message.Goodbye()
"""What a login asks of its session: nothing."""
_PRIVATE = {"Cache-Control": "no-store"}


def cookie(request: Request, token: str, age: int | None, name: str | None = None) -> str:
    """The value of ``Set-Cookie`` (RFC 6265bis, section 4.1).

    :param age: seconds for which it is kept; ``None``: as long as the browser runs.
    """
    attributes = ["Path=/", "HttpOnly", "SameSite=Strict"]
    if is_https(request):
        attributes.append("Secure")
    if age is not None:
        attributes.append(f"Max-Age={age}")
    return "; ".join((f"{name or name_for(request)}={token}", *attributes))


class _Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: str


def token_in(request: Request) -> str:
    """The token that is to become a cookie.

    :raises RemoteError: there is none, or it cannot be one.
    """
    token = bearer_of(request)
    if token is None:
        try:
            token = msgspec.convert(envelopes.decode(body_of(request)), _Token).token
        except msgspec.ValidationError as error:
            raise Invalid(str(error), path="", advice='send {"token": "…"}') from error
    if len(token) > LONGEST:
        advice = "send it as Authorization: Bearer, or get one with fewer claims"
        raise RemoteError("the token is too long for a cookie", code="hopsack.too_large", advice=advice)
    if not token.isascii() or not token.isprintable() or any(character in _NO_COOKIE for character in token):
        raise LoginRequired("this is not a token", advice="get one")
    return token


_NO_COOKIE = frozenset(' ",;\\')
"""What a cookie's value cannot hold (RFC 6265, section 4.1.1); no token has it."""


def check_page(request: Request) -> None:
    """:raises Denied: a page that is not this node's wants to log somebody in or out."""
    if page_of(request) not in (Page.OWN, Page.NONE):
        raise Denied("only this node's own pages log in with a cookie", advice="send Authorization: Bearer <token>")


class LoginResource(Resource):
    """``/login`` and ``/logout``."""

    isLeaf = True

    def __init__(self, host: Host) -> None:
        Resource.__init__(self)
        self._host = host

    def render(self, request: Request) -> Any:
        if any(segments_of(request)):
            return not_found(request, "the path ends here")
        if request.method != b"POST":
            return not_allowed(request, "POST")
        try:
            check_page(request)
            return self.asked(request)
        except RemoteError as error:
            return answer_problem(request, error)

    def asked(self, request: Request) -> Any:
        """:raises RemoteError: it does not go on to a session."""
        Login(request, self._host, token := token_in(request)).opened(token)
        return NOT_DONE_YET


class LogoutResource(LoginResource):
    def asked(self, request: Request) -> bytes:
        self._note(request)
        request.setResponseCode(HTTPStatus.NO_CONTENT)
        set_headers(request, _PRIVATE)
        for name in (COOKIE, SECURE_COOKIE) if is_https(request) else (COOKIE,):
            request.responseHeaders.addRawHeader(b"set-cookie", cookie(request, "", 0, name).encode())
        return b""

    def _note(self, request: Request) -> None:
        logins = self._host.logins()
        try:
            given = cookie_of(request)
            who = None if given is None or logins is None else logins.identify(given)
        except RemoteError:
            return
        if isinstance(who, Deferred):
            who.addErrback(lambda _: None)
        elif who is not None:
            self._host.audit.note(
                "logout", subject=who.subject, role=who.role, proof=who.proof, address=peer_of(request), door="http"
            )


class LoginService(RouterWebService):  # type: ignore[misc]
    """The web service type ``hopsack-login``."""

    @staticmethod
    def create(transport: Any, path: str, config: dict[str, Any]) -> LoginService:
        return LoginService(transport, path, config, LoginResource(Host.of(transport)))

    @staticmethod
    def check(personality: Any, config: dict[str, Any]) -> None:
        check_options(config)


class LogoutService(LoginService):
    """The web service type ``hopsack-logout``."""

    @staticmethod
    def create(transport: Any, path: str, config: dict[str, Any]) -> LoginService:
        return LogoutService(transport, path, config, LogoutResource(Host.of(transport)))
