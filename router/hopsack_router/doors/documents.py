"""What a node tells about itself over HTTP: health, readiness, version, metrics, and the contracts as AsyncAPI."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from html import escape
from importlib.metadata import version
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request

from hopsack.errors import ERRORS
from hopsack_router.doors import envelopes
from hopsack_router.doors.host import Host
from hopsack_router.doors.problems import not_allowed
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

    def render(self, request: Request) -> bytes:
        if request.method not in (b"GET", b"HEAD"):
            return not_allowed(request, "GET", "HEAD")
        set_headers(request, {"Cache-Control": "no-store"})
        body = self._make(request)
        if request.code != http.NOT_MODIFIED:
            set_headers(request, {"Content-Length": str(len(body))})
        return b"" if request.method == b"HEAD" else body


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
        set_headers(request, OPEN | {"Cache-Control": "no-cache", "Content-Type": "application/json"})
        return b"" if request.setETag(etag_of(body)) is http.CACHED else body

    makers: dict[bytes, Callable[[Request], bytes]] = {
        b"healthz": lambda request: _json(request, {"alive": True}),
        b"readyz": ready,
        b"version": lambda request: _json(request, _VERSION if host.explains else _LEAN_VERSION),
        b"metrics": _metrics,
        b"asyncapi.json": asyncapi,
        b"errors": _errors,
    }
    return {name: Document(make) for name, make in makers.items()}


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
