"""HTTP requests on the one port: who may send them, a bound on their bodies, and what the doors read of them.

Every request passes :meth:`DoorRequest.render` before a door sees it. There the headers that all responses have are
set, and pages that may not speak to this node are turned away (``doors/origins.py``).

A body larger than :data:`MAX_BODY` is answered with 413. Up to :data:`MAX_DISCARD` the rest is read and thrown away
first, because a client that is still sending when the connection is cut may never see the answer; past that, or where
the client waits for leave to send (``Expect: 100-continue``), the answer comes at once and the connection ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from io import BytesIO
from typing import Any, cast

from crossbar.common.checkconfig import InvalidConfigException
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request

from hopsack.errors import RemoteError
from hopsack_router.doors import envelopes
from hopsack_router.doors.origins import MAY_BE_SENT, front_of, headers_for_page, is_https, is_preflight, refused_to
from hopsack_router.doors.problems import answer_problem, headers_of, problem_of

MAX_BODY = 1 << 20
MAX_DISCARD = 16 << 20

HEADERS = {
    "Server": "hopsack",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""What every response has; pages have a content security policy of their own (``doors/console.py``)."""

STRICT_TRANSPORT = {"Strict-Transport-Security": "max-age=31536000"}
"""RFC 6797. In production only: a browser would hold it against every other server of a developer's machine."""


class DoorRequest(Request):
    """Twisted's request with a bounded body in memory, and headers that every response has."""

    _received = 0
    _rejected = False

    def getHeader(self, key: Any) -> Any:
        """A field by its name. Twisted's raises an error where a value is not UTF-8; here such bytes are U+FFFD."""
        value = super().getHeader(key.encode() if isinstance(key, str) else key)
        return value.decode(errors="replace") if isinstance(key, str) and value is not None else value

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()
        if length is None or length <= MAX_BODY:
            return
        expects = self.getHeader("expect") or ""
        if length > MAX_DISCARD or expects.lower() == "100-continue":
            self._reject()

    def handleContentChunk(self, data: bytes) -> None:
        if self._rejected:
            return
        self._received += len(data)
        if self._received <= MAX_BODY:
            cast(BytesIO, self.content).write(data)
        elif self._received > MAX_DISCARD:
            self._reject()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if not self._rejected:
            Request.requestReceived(self, command, path, version)

    def render(self, resource: Any) -> None:
        set_headers(self, HEADERS)
        if front_of(self).is_strict and is_https(self):
            set_headers(self, STRICT_TRANSPORT)
        Request.render(self, self._instead_of(resource))

    def _instead_of(self, resource: Any) -> Any:
        """The resource, if this request may see it."""
        is_public = getattr(resource, "is_public", False)
        refusal = refused_to(self, is_public)
        if refusal is not None:
            return _Refused(refusal.error, refusal.status)
        if not is_public:
            set_headers(self, headers_for_page(self))
            if is_preflight(self):
                return _PREFLIGHT
        return _TOO_LARGE if self._received > MAX_BODY else resource

    def _reject(self) -> None:
        self._rejected = True
        answer_early(self.channel, _too_large(), 413)
        self.channel.loseConnection()


def answer_early(channel: Any, error: RemoteError, status: int) -> None:
    """Answer before the request is complete: Twisted has no response yet, so the bytes are written here."""
    body = envelopes.encode(problem_of(error, status))
    fields = headers_of(error, status) | {"Content-Length": str(len(body)), "Connection": "close"}
    fields |= HEADERS
    head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in fields.items())]
    channel.write("\r\n".join((*head, "", "")).encode() + body)


class _Refused(Resource):
    """Takes the place of whatever was asked for."""

    isLeaf = True

    def __init__(self, error: RemoteError, status: int | None = None) -> None:
        Resource.__init__(self)
        self._error = error
        self._status = status

    def render(self, request: Request) -> bytes:
        return answer_problem(request, self._error, self._status)


class _Preflight(Resource):
    """What a browser asks before it lets a page send something unusual (Fetch standard, CORS-preflight request)."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        request.setResponseCode(HTTPStatus.NO_CONTENT)
        set_headers(request, MAY_BE_SENT)
        return b""


_PREFLIGHT = _Preflight()  # type: ignore[no-untyped-call]


def _too_large() -> RemoteError:
    return RemoteError(f"the body is larger than {MAX_BODY} bytes", code="hopsack.too_large")


_TOO_LARGE = _Refused(_too_large())


def segments_of(request: Request) -> list[bytes]:
    """The segments of the path that no resource has taken yet, decoded."""
    return request.postpath or []


def give_back_segment(request: Request, segment: bytes) -> None:
    """Undo the step by which Twisted took a segment off the path to find a child."""
    cast(list[bytes], request.prepath).pop()
    cast(list[bytes], request.postpath).insert(0, segment)


def body_of(request: Request) -> bytes:
    return request.content.read() if request.content is not None else b""


def size_of(request: Request) -> int:
    """Bytes of the body."""
    return getattr(request, "_received", 0)


def purse_of(request: Request) -> dict[str, Any]:
    """What the requests of one connection have spent of its limits."""
    channel: Any = request.channel
    purse: dict[str, Any] | None = getattr(channel, "purse", None)
    if purse is None:
        purse = channel.purse = {}
    return purse


def set_headers(request: Request, fields: Mapping[str, str]) -> None:
    for name, value in fields.items():
        request.setHeader(name.encode(), value.encode())


def abort(request: Request) -> None:
    """End the connection of a client that does not read: what is still buffered for it is thrown away."""
    transport: Any = request.transport
    if transport is not None:
        transport.abortConnection()


def refusal_of(failure: Failure) -> RemoteError:
    """Why a session could not join. Anything but a refusal is a defect, and raised."""
    if isinstance(failure.value, RemoteError):
        return failure.value
    failure.raiseException()
    raise AssertionError


def query_of(request: Request) -> str:
    """The part of the URL behind ``?``, still percent-encoded."""
    return request.uri.partition(b"?")[2].decode("ascii", "replace")


def check_options(config: Mapping[str, Any]) -> None:
    """Check the configuration of a web service that has no options.

    :raises InvalidConfigException: it has some.
    """
    unknown = sorted(set(config) - {"type", "id"})
    if unknown:
        raise InvalidConfigException(f"{config['type']}: unknown option {unknown[0]!r}, there are none")
