"""Errors on HTTP: problem details (RFC 9457) with the status, headers and fields of the one table of errors."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from twisted.web.server import Request

from hopsack.backoff import hint_of
from hopsack.errors import RemoteError
from hopsack_router.doors import envelopes

MEDIA_TYPE = "application/problem+json"


def problem_of(error: RemoteError, status: int | None = None) -> dict[str, Any]:
    """The document: RFC 9457's members, then ours, the same as every door's errors carry.

    ``type`` is a reference that stays the same: the error's own row in the reference of errors.
    """
    number = status or error.kind.status
    facts = {
        "type": f"/errors#{quote(error.code)}",
        "title": error.kind.meaning,
        "status": number,
        "detail": error.message,
    }
    return facts | {name: value for name, value in error.details().items() if name != "message"}


def headers_of(error: RemoteError, status: int) -> dict[str, str]:
    """Header fields that belong to an error's status."""
    fields = {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store"}
    if status == HTTPStatus.UNAUTHORIZED:
        fields["WWW-Authenticate"] = 'Bearer realm="hopsack", error="invalid_token"'
    if error.retry == "later":
        fields["Retry-After"] = str(max(1, math.ceil(hint_of(error.data) or 1)))
    return fields


def answer_problem(request: Request, error: RemoteError, status: int | None = None) -> bytes:
    """Set status and headers of a request that ends with an error, and give its body."""
    number = status or error.kind.status
    request.setResponseCode(number, HTTPStatus(number).phrase.encode())
    for name, value in headers_of(error, number).items():
        request.setHeader(name.encode(), value.encode())
    body = envelopes.encode(problem_of(error, number))
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return b"" if request.method == b"HEAD" else body


def not_allowed(request: Request, *methods: str) -> bytes:
    """Answer 405 (RFC 9110, section 15.5.6): the answer must name the methods that are allowed."""
    allowed = ", ".join(methods)
    request.setHeader(b"Allow", allowed.encode())
    method = request.method.decode("ascii", "replace")[:20]
    error = RemoteError(f"{method} does not work here", code="hopsack.method_not_allowed", advice=f"use {allowed}")
    return answer_problem(request, error)


def not_found(request: Request, advice: str) -> bytes:
    where = request.path.decode("ascii", "replace")[:200]
    return answer_problem(request, RemoteError(code="hopsack.not_found", where=where, advice=advice))
