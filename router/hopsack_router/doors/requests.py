"""HTTP requests on the one port: a bound on their bodies, and what the doors read of them.

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
from hopsack_router.doors.problems import answer_problem, headers_of, problem_of

MAX_BODY = 1 << 20
MAX_DISCARD = 16 << 20


class DoorRequest(Request):
    """Twisted's request with a bounded body in memory, and headers that every response has."""

    _received = 0
    _rejected = False

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
        set_headers(self, {"Server": "hopsack", "X-Content-Type-Options": "nosniff"})
        if self._received > MAX_BODY:
            resource = _TOO_LARGE
        Request.render(self, resource)

    def _reject(self) -> None:
        self._rejected = True
        answer_early(self.channel, _too_large(), 413)
        self.channel.loseConnection()


def answer_early(channel: Any, error: RemoteError, status: int) -> None:
    """Answer before the request is complete: Twisted has no response yet, so the bytes are written here."""
    body = envelopes.encode(problem_of(error, status))
    fields = headers_of(error, status) | {"Content-Length": str(len(body)), "Connection": "close"}
    fields |= {"Server": "hopsack", "X-Content-Type-Options": "nosniff"}
    head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in fields.items())]
    channel.write("\r\n".join((*head, "", "")).encode() + body)


class _TooLarge(Resource):
    """Takes the place of whatever was asked for."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        return answer_problem(request, _too_large())


_TOO_LARGE: Any = _TooLarge()  # type: ignore[no-untyped-call]


def _too_large() -> RemoteError:
    return RemoteError(f"the body is larger than {MAX_BODY} bytes", code="hopsack.too_large")


def segments_of(request: Request) -> list[bytes]:
    """The segments of the path that no resource has taken yet, decoded."""
    return request.postpath or []


def give_back_segment(request: Request, segment: bytes) -> None:
    """Undo the step by which Twisted took a segment off the path to find a child."""
    cast(list[bytes], request.prepath).pop()
    cast(list[bytes], request.postpath).insert(0, segment)


def body_of(request: Request) -> bytes:
    return request.content.read() if request.content is not None else b""


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


def peer_of(request: Request) -> str:
    """The client's address in Autobahn's notation, ``tcp4:127.0.0.1:5000``."""
    address = request.getClientAddress()
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    if host is None:
        return "unix"
    return f"tcp{'6' if ':' in host else '4'}:{host}:{port}"


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
