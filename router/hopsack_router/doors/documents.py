"""What a node tells about itself over HTTP: health, readiness, version, metrics, and the contracts as AsyncAPI.

    /healthz, /readyz, /version, /errors   anybody
    /metrics, /asyncapi.json               in development anybody; in production services and operators, with a token

In production the last two would be a map: what is declared, what is in use, how much the node has to do. Where a client
comes from is no proof there: behind a proxy or a tunnel on this machine, everybody comes from loopback.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from html import escape
from importlib.metadata import version
from typing import Any

from autobahn.wamp import message
from autobahn.wamp.types import SessionDetails
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from hopsack.errors import ERRORS, Denied, LoginRequired, RemoteError
from hopsack_router.doors import envelopes
from hopsack_router.doors.bearer import credential_of
from hopsack_router.doors.host import Host
from hopsack_router.doors.http import Exchange
from hopsack_router.doors.problems import answer_problem, not_allowed
from hopsack_router.doors.requests import set_headers
from hopsack_router.metrics import REGISTRY

PROTOCOL = 1
"""Version of the raw door's protocol; it rises when an old client would no longer understand."""


OPEN = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
"""Any site's pages may read this (Fetch standard, CORS protocol), without credentials: it is the same for everybody."""


class Document(Resource):
    """A page that is made anew for every request.

    :param make: sets status and headers, and gives the body.
    """

    isLeaf = True
    is_public = True

    def __init__(self, make: Callable[[Request], bytes]) -> None:
        Resource.__init__(self)
        self._make = make

    def render(self, request: Request) -> Any:
        if request.method not in (b"GET", b"HEAD"):
            return not_allowed(request, "GET", "HEAD")
        return self.asked(request)

    def asked(self, request: Request) -> Any:
        return self.made(request)

    def made(self, request: Request) -> bytes:
        set_headers(request, {"Cache-Control": "no-store"})
        body = self._make(request)
        if request.code != http.NOT_MODIFIED:
            set_headers(request, {"Content-Length": str(len(body))})
        return b"" if request.method == b"HEAD" else body


class Guarded(Document):
    """A page for :data:`READERS` alone. To read it is to join, as to log in is (``doors/login.py``)."""

    is_public = False

    def __init__(self, make: Callable[[Request], bytes], host: Host) -> None:
        super().__init__(make)
        self._host = host

    def asked(self, request: Request) -> Any:
        try:
            token = credential_of(request)
            if token is None:
                advice = "send Authorization: Bearer with the token of a service or an operator"
                raise LoginRequired("in production this is not for guests", advice=advice)
        except RemoteError as error:
            return answer_problem(request, error)
        Reading(request, self._host, self.made).opened(token)
        return NOT_DONE_YET


class Reading(Exchange):
    """One request for a guarded page, and the session that shows who asks."""

    def __init__(self, request: Request, host: Host, made: Callable[[Request], bytes]) -> None:
        super().__init__(request, host, _NOTHING, request.path.decode("ascii", "replace"))
        self._made = made

    def _joined(self, _: SessionDetails) -> None:
        role = self.session._authrole
        if role in READERS:
            self._answer(self._made(self._request))
        else:
            self._fail(Denied(f"role {role} may not read {self._where}", where=self._where))


READERS = ("operator", "service")
_NOTHING = message.Goodbye()
"""What a reader asks of its session: nothing."""


def documents(host: Host) -> dict[bytes, Resource]:
    """The documents of a node, by path segment."""

    def ready(request: Request) -> bytes:
        is_ready = host.ready()
        if not is_ready:
            request.setResponseCode(503)
            set_headers(request, {"Retry-After": "1"})
        return _json(request, {"ready": is_ready})

    def asyncapi(request: Request) -> bytes:
        body = envelopes.encode(host.catalogue().asyncapi(roles=host.explains))
        fields = {"Cache-Control": "no-cache", "Content-Type": "application/json"}
        set_headers(request, OPEN | fields if host.explains else fields)
        return b"" if request.setETag(etag_of(body)) is http.CACHED else body

    makers: dict[bytes, Callable[[Request], bytes]] = {
        b"healthz": lambda request: _json(request, {"alive": True}),
        b"readyz": ready,
        b"version": lambda request: _json(request, _VERSION if host.explains else _LEAN_VERSION),
        b"metrics": _metrics,
        b"asyncapi.json": asyncapi,
        b"errors": _errors,
    }
    guarded = frozenset[bytes]() if host.explains else GUARDED
    return {name: Guarded(make, host) if name in guarded else Document(make) for name, make in makers.items()}


GUARDED = frozenset((b"asyncapi.json", b"metrics"))
"""In production."""

_LEAN_VERSION = {"hopsack": version("hopsack"), "protocol": PROTOCOL}
_VERSION = _LEAN_VERSION | {"crossbar": version("crossbar")}


def _json(request: Request, value: Any) -> bytes:
    set_headers(request, {"Content-Type": "application/json"})
    return envelopes.encode(value)


def _metrics(request: Request) -> bytes:
    set_headers(request, {"Content-Type": CONTENT_TYPE_LATEST})
    return generate_latest(REGISTRY)


def _errors(request: Request) -> bytes:
    """What the ``type`` of a problem document leads to: the one table of errors."""
    rows = "".join(
        f'<tr id="{row.code}"><td><code>{row.code}</code><td>{row.status}<td>{row.retry}<td>{escape(row.meaning)}'
        for row in ERRORS.values()
    )
    set_headers(request, {"Content-Type": "text/html; charset=utf-8"})
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Errors</title><h1>Errors</h1>'
        f"<table><tr><th>code<th>status<th>try again<th>meaning{rows}</table>"
    ).encode()


def etag_of(body: bytes) -> bytes:
    """A strong validator (RFC 9110, section 8.8.3): the content's own hash."""
    return b'"' + hashlib.sha256(body).hexdigest()[:32].encode() + b'"'
