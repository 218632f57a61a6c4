"""Who stands in front of the node: pages, by their origin, and proxies. Asked for every request, before any door.

    a name that is not this node's      421
    a page that may not connect         403
    a token in the URL                  400
    a preflight of a page that may      204, and what it may send

A resource with ``is_public`` is the same for everybody, so pages do not matter to it. The decisions are those of
``doors/pages.py`` and ``doors/proxies.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic
from urllib.parse import unquote_plus

from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.web.server import Request

from hopsack.errors import BadRequest, RemoteError
from hopsack.settings import Settings
from hopsack_router.doors.pages import Origins, Page, Sender, is_loopback, origins_of
from hopsack_router.doors.proxies import Proxies, proxies_of
from hopsack_router.runs import Runs

LOG = Logger()

MAX_TOLD = 100
"""Refused pages, and names that are not this node's, that the log names, each once."""


@dataclass(frozen=True, slots=True)
class Front:
    """What a node knows of those who may stand in front of it.

    :ivar origins: which pages may connect. :ivar proxies: whose word on the client counts.
    :ivar is_strict: whether browsers are told to come back by TLS only.
    :ivar told: what the log has said already. :ivar runs: what it says again after a while.
    """

    origins: Origins = field(default_factory=Origins)
    proxies: Proxies = field(default_factory=Proxies)
    is_strict: bool = False
    told: set[str] = field(default_factory=set)
    runs: Runs = field(default_factory=lambda: Runs(monotonic))

    @classmethod
    def of(cls, settings: Settings) -> Front:
        is_dev, is_local = settings.env == "dev", is_loopback(settings.host)
        origins = Origins(origins_of(settings.origins), is_dev=is_dev, is_local=is_local)
        return cls(origins, proxies_of(settings.proxy), not is_dev)


_OPEN_FRONT = Front()


def front_of(request: Request) -> Front:
    """What the node knows of those in front of it; a site that was told nothing lets every page be judged by itself."""
    front: Front = getattr(getattr(request, "site", None), "front", _OPEN_FRONT)
    return front


def is_https(request: Request) -> bool:
    """Whether the client speaks TLS: with this node, or with a proxy that it trusts."""
    if _speaks_tls(request):
        return True
    return front_of(request).proxies.is_https(_host_of(request) or "", _values(request, b"x-forwarded-proto"))


def _speaks_tls(request: Request) -> bool:
    return isinstance(getattr(request.channel, "transport", None), TLSMemoryBIOProtocol)


def page_of(request: Request) -> Page:
    """Whose page sends this."""
    origins = _values(request, b"origin")
    if len(origins) > 1:
        return Page.FOREIGN
    sender = Sender(
        origin=origins[0].strip() if origins else None,
        site=(request.getHeader("sec-fetch-site") or "").strip().lower() or None,
        host=request.getHeader("host"),
        is_https=is_https(request),
    )
    return front_of(request).origins.page(sender)


def is_own_page(request: Request) -> bool:
    """Whether the browser says that a page of this node sends this: only then its cookie counts."""
    return page_of(request) is Page.OWN


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that no door sees.

    :ivar status: of HTTP, where it is not the error's own.
    """

    error: RemoteError
    status: int | None = None


def refused_to(request: Request, is_public: bool) -> Refusal | None:
    """Why no door may see a request.

    :param is_public: whether what it asks for is the same for everybody.
    """
    front = front_of(request)
    if not front.origins.is_own_name(request.getHeader("host")):
        return Refusal(_not_our_name(request, front), HTTPStatus.MISDIRECTED_REQUEST)
    if is_public:
        return None
    page = page_of(request)
    if page is Page.FOREIGN or (page is Page.NAMELESS and not _is_upgrade(request)):
        return Refusal(_foreign(request, front), HTTPStatus.FORBIDDEN)
    told = _token_in(request.uri.partition(b"?")[2])
    return None if told is None else Refusal(told)


def headers_for_page(request: Request) -> Mapping[str, str]:
    """What lets an allowed page read the answer: never with the browser's cookies (Fetch standard, CORS protocol)."""
    if page_of(request) is not Page.ALLOWED:
        return {}
    return READABLE | {"Access-Control-Allow-Origin": request.getHeader("origin") or ""}


def is_preflight(request: Request) -> bool:
    """Whether a browser asks for leave to send something that a form could not."""
    return request.method == b"OPTIONS" and request.getHeader("access-control-request-method") is not None


READABLE = {"Access-Control-Expose-Headers": "Retry-After, WWW-Authenticate", "Vary": "Origin"}
MAY_BE_SENT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
    "Access-Control-Allow-Headers": "authorization, content-type, hopsack-timeout, idempotency-key, last-event-id",
    "Access-Control-Max-Age": "600",
}
"""The answer to a preflight."""


def _is_upgrade(request: Request) -> bool:
    return (request.getHeader("upgrade") or "").lower() == "websocket"


def _not_our_name(request: Request, front: Front) -> RemoteError:
    name = (request.getHeader("host") or "")[:200]
    if _is_news(front, f"name {name}"):
        LOG.info("a browser or a proxy calls this node {name!r}, which it is not called in development", name=name)
    advice = f"use a loopback address, or set HOPSACK_ORIGINS=http://{name}, if this node is called so"
    return BadRequest("in development, this node does not answer to this name", where=name, advice=advice)


def _is_news(front: Front, what: str) -> bool:
    if what in front.told or len(front.told) >= MAX_TOLD:
        return False
    front.told.add(what)
    return True


def _foreign(request: Request, front: Front) -> RemoteError:
    origin = (request.getHeader("origin") or "another site")[:200]
    if _is_news(front, origin):
        LOG.info("a page of {origin} may not connect; HOPSACK_ORIGINS says which may", origin=origin)
    advice = "add its origin to HOPSACK_ORIGINS, if you trust it"
    return BadRequest(f"a page of {origin} may not connect", where="Origin", advice=advice)


SECRETS = frozenset(("token", "access_token", "id_token", "bearer", "jwt", "ticket", "authorization", "secret"))
"""Names of what people put into URLs, where proxies, histories and logs keep it."""


def _token_in(query: bytes) -> RemoteError | None:
    for part in query.decode("ascii", "replace").split("&") if query else ():
        name = unquote_plus(part.partition("=")[0])
        if name.lower() in SECRETS:
            advice = "send Authorization: Bearer <token>, or hopsack.hello; and get a new token, this one may be known"
            return BadRequest("a URL is no place for a token: histories and logs keep it", path=name, advice=advice)
    return None


def peer_of(request: Request) -> str:
    """The client's address in Autobahn's notation, ``tcp4:127.0.0.1:5000``; port 0 where a proxy tells of it."""
    host = _host_of(request)
    if host is None:
        return "unix"
    proxies, port = front_of(request).proxies, getattr(request.getClientAddress(), "port", 0)
    if proxies.trusts(host):
        client = proxies.client(host, _values(request, b"x-forwarded-for"))
        host, port = client, port if client == host else 0
    return f"tcp{'6' if ':' in host else '4'}:{host}:{port}"


def _values(request: Request, name: bytes) -> list[str]:
    """A field's values, whatever their bytes are; Twisted raises an error where they are not UTF-8."""
    return [value.decode("latin-1") for value in request.requestHeaders.getRawHeaders(name, ())]


def _host_of(request: Request) -> str | None:
    """The address of who has connected, which may be a proxy."""
    host: str | None = getattr(request.getClientAddress(), "host", None)
    return host
