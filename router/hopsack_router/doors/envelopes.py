"""JSON-RPC 2.0 objects: read them strictly, write them plainly (https://www.jsonrpc.org/specification).

Pure. ``read`` tells what one decoded JSON value is; the rest builds the objects that go out. One liberty is taken:
``params`` may be any JSON value, where section 4.2 names arrays and objects only, because a payload here is one JSON
value and a procedure may take a plain string.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from hopsack.errors import BadRequest, RemoteError, from_details

VERSION: Final = "2.0"

Id = str | int | float | None
"""A request's id (section 4). A bool is none, although Python calls it an int."""


NAMELESS: Final = "jsonrpc.error"
"""Code of a page's error that names none. No contract declares it, so the router makes an incident of it."""


class Absent:
    """The type of :data:`ABSENT`."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()
"""A member that is not there, where ``null`` means something else: no ``id`` makes a request a notification."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, or a notification when ``id`` is :data:`ABSENT`.

    :ivar extra: the member ``hopsack``, which says what JSON-RPC has no word for.
    """

    id: Id | Absent
    method: str
    params: Any | Absent
    extra: Any = None


@dataclass(frozen=True, slots=True)
class Response:
    """The peer's answer to a request of ours: a result, or an error."""

    id: Id
    result: Any
    error: RemoteError | None


@dataclass(frozen=True, slots=True)
class Malformed:
    """Something that is neither; ``id`` is the one found in it, else ``None`` (section 5, ``id``)."""

    id: Id
    error: RemoteError


def read(value: Any) -> Request | Response | Malformed:
    """Tell what one message, or one element of a batch, is."""
    if not isinstance(value, dict):
        return Malformed(None, BadRequest("a request is a JSON object", advice=_SHAPE))
    identity = value.get("id", ABSENT)
    if identity is not ABSENT and not _is_id(identity):
        return Malformed(None, BadRequest("an id is a string, a number or null", path="/id"))
    known = None if isinstance(identity, Absent) else identity
    if value.get("jsonrpc") != VERSION:
        return Malformed(known, BadRequest('the member jsonrpc is missing or not "2.0"', path="/jsonrpc"))
    if "method" not in value and ("result" in value or "error" in value):
        return Response(known, value.get("result"), _error_of(value))
    method = value.get("method", ABSENT)
    if not isinstance(method, str) or not method:
        return Malformed(known, BadRequest("the member method is missing or not a name", path="/method", advice=_SHAPE))
    return Request(identity, method, value.get("params", ABSENT), value.get("hopsack"))


_SHAPE = '{"jsonrpc": "2.0", "id": 1, "method": "…", "params": {…}}'


def _is_id(value: Any) -> bool:
    return value is None or (isinstance(value, str | int | float) and not isinstance(value, bool))


def _error_of(response: Mapping[str, Any]) -> RemoteError | None:
    """A callee's error. Whatever it looks like, the caller gets an answer."""
    if "error" not in response:
        return None
    error = response["error"]
    if "result" in response or not isinstance(error, dict):
        return RemoteError("the callee's answer is not a JSON-RPC response")
    message = str(error.get("message", ""))
    data = error.get("data")
    if isinstance(data, dict) and isinstance(data.get("code"), str):
        return from_details({"message": message, **data})
    return from_details({"code": NAMELESS, "message": message})


def request(identity: Id, method: str, params: Any | Absent, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A request of the node to its peer; no ``params`` where there is no input.

    :param extra: the member ``hopsack``, if there is something to say.
    """
    body: dict[str, Any] = {"jsonrpc": VERSION, "id": identity, "method": method}
    if params is not ABSENT:
        body["params"] = params
    if extra:
        body["hopsack"] = extra
    return body


def notification(method: str, params: Any) -> dict[str, Any]:
    return {"jsonrpc": VERSION, "method": method, "params": params}


def success(identity: Id, result: Any) -> dict[str, Any]:
    return {"jsonrpc": VERSION, "id": identity, "result": result}


def failure(identity: Id, error: RemoteError) -> dict[str, Any]:
    """An error response; ``data`` is the error as every door writes it."""
    details = {"code": error.kind.jsonrpc, "message": error.message, "data": error.details()}
    return {"jsonrpc": VERSION, "id": identity, "error": details}


def report(identity: Id, error: RemoteError) -> dict[str, Any]:
    """The notification that an answer of the page's was withheld. JSON-RPC has no answer to an answer."""
    return notification("hopsack.report", {"id": identity, "error": failure(identity, error)["error"]})


def event(
    topic: str, data: Any, position: str | None = None, deleted: bool = False, retained: bool = False
) -> dict[str, Any]:
    """The notification that carries an event.

    :param deleted: ``data`` names a key that has no value any more.
    :param retained: it is one of the newest values with which a subscription begins.
    """
    params = {"topic": topic, "data": data}
    if position is not None:
        params["position"] = position
    if deleted:
        params["deleted"] = True
    if retained:
        params["retained"] = True
    return notification("event", params)


def gap(topic: str, dropped: int | None) -> dict[str, Any]:
    """What tells that so many events of a topic are gone; ``null``: nobody knows how many."""
    return {"topic": topic, "dropped": dropped}


def decode(text: bytes) -> Any:
    """Decode one JSON text (RFC 8259).

    :raises RemoteError: ``hopsack.malformed``, with what the decoder says.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise RemoteError(f"this is not JSON: {error}", code="hopsack.malformed") from error
    except RecursionError as error:
        raise RemoteError("this JSON is nested too deeply", code="hopsack.malformed") from error


encode = msgspec.json.Encoder().encode
"""Encode one JSON text as UTF-8 bytes."""
