"""The one table of errors, and the exceptions that carry its rows.

Every error that crosses the fabric has a *code* from this table (or one that a contract declares). Each door
writes it in its own dialect from the same row: WAMP as the error URI that the specification names, where it names
one, else the code; JSON-RPC as ``error.data.code``; HTTP as an RFC 9457 problem with ``status``. The TypeScript
client's table and ``docs/reference/errors.md`` are generated from here.

Two families, because they ask for different repairs:

    HopsackError
      RemoteError      the other side said no: the row tells whether and when to try again
        Invalid, Undeclared, Denied, NoCallee, Deadline, Overloaded, Canceled, Internal, DeclaredError, …
      LocalError       this process made a mistake or lost its connection; nothing was refused by anybody
        UsageError, Disconnected
      OutcomeUnknown   both: a call was sent, and its callee or the connection was lost before the answer
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Retry = Literal["never", "later", "after_login"]


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One row of the table.

    :ivar code: the name, the same on every door.
    :ivar status: HTTP status (RFC 9110).
    :ivar jsonrpc: JSON-RPC 2.0 error number; -32768..-32000 is reserved by its section 5.1, ours are positive.
    :ivar wamp: the error URI that the WAMP specification gives this case, or ``None``: then the code is the URI.
    :ivar retry: what a caller should do.
    :ivar meaning: one sentence, shown in the reference and as the title of a problem document.
    """

    code: str
    status: int
    jsonrpc: int
    wamp: str | None
    retry: Retry
    meaning: str


_ROWS = (
    ErrorKind("hopsack.malformed", 400, -32700, None, "never", "The message could not be parsed."),
    ErrorKind(
        "hopsack.bad_request",
        400,
        -32600,
        "wamp.error.invalid_argument",
        "never",
        "The message is well-formed but is not one this door understands.",
    ),
    ErrorKind(
        "hopsack.invalid", 422, -32602, "wamp.error.invalid_argument", "never", "The payload breaks its contract."
    ),
    ErrorKind(
        "hopsack.undeclared",
        404,
        -32601,
        "wamp.error.no_such_procedure",
        "never",
        "No contract declares this topic or procedure.",
    ),
    ErrorKind(
        "hopsack.invalid_uri",
        400,
        1001,
        "wamp.error.invalid_uri",
        "never",
        "This is not a valid URI for a topic or procedure.",
    ),
    ErrorKind(
        "hopsack.login_required",
        401,
        1002,
        "wamp.error.authentication_failed",
        "after_login",
        "The token is missing, expired or not one this node accepts.",
    ),
    ErrorKind(
        "hopsack.denied", 403, 1003, "wamp.error.not_authorized", "after_login", "This session's role may not do that."
    ),
    ErrorKind(
        "hopsack.no_callee",
        503,
        1004,
        "wamp.error.no_such_procedure",
        "later",
        "The procedure is declared, and nobody serves it right now.",
    ),
    ErrorKind(
        "hopsack.already_registered",
        409,
        1005,
        "wamp.error.procedure_already_exists",
        "never",
        "Another session serves this procedure and does not share it.",
    ),
    ErrorKind(
        "hopsack.no_such_subscription",
        404,
        1006,
        "wamp.error.no_such_subscription",
        "never",
        "The session has no such subscription.",
    ),
    ErrorKind(
        "hopsack.no_such_registration",
        404,
        1007,
        "wamp.error.no_such_registration",
        "never",
        "The session has no such registration.",
    ),
    ErrorKind(
        "hopsack.deadline", 504, 1008, "wamp.error.timeout", "later", "The call did not end before its deadline."
    ),
    ErrorKind(
        "hopsack.canceled",
        503,
        1009,
        "wamp.error.canceled",
        "later",
        "The call was cancelled before it was answered.",
    ),
    ErrorKind(
        "hopsack.broken_result",
        502,
        1010,
        "wamp.error.invalid_argument",
        "never",
        "The callee's answer breaks the contract and was withheld.",
    ),
    ErrorKind(
        "hopsack.internal",
        500,
        1011,
        "wamp.error.runtime_error",
        "later",
        "The callee failed in a way its contract does not declare; its log has the incident.",
    ),
    ErrorKind(
        "hopsack.too_large",
        413,
        1012,
        "wamp.error.payload_size_exceeded",
        "never",
        "The message is larger than this connection may carry.",
    ),
    ErrorKind("hopsack.overloaded", 503, 1013, None, "later", "Too much is queued; try again after the time given."),
    ErrorKind(
        "hopsack.unavailable",
        503,
        1018,
        None,
        "later",
        "The node is stopping. This was not carried out; connect again after the time given.",
    ),
    ErrorKind(
        "hopsack.outcome_unknown",
        502,
        1020,
        "wamp.error.canceled",
        "never",
        "The callee, or the way to it, was lost before the answer: the call may have run, or not.",
    ),
    ErrorKind(
        "hopsack.breaker_open",
        503,
        1021,
        None,
        "later",
        "Every callee failed too often and is left in peace for a while; this call was not tried.",
    ),
    ErrorKind("hopsack.not_held", 409, 1022, None, "never", "This session does not hold that lock with that token."),
    ErrorKind("hopsack.method_not_allowed", 405, 1014, None, "never", "This path does not take that HTTP method."),
    ErrorKind("hopsack.not_found", 404, 1015, None, "never", "There is nothing at this path."),
    ErrorKind(
        "hopsack.declared",
        422,
        1016,
        None,
        "never",
        "The callee answered with an error that its contract declares; the code is the contract's.",
    ),
    ErrorKind(
        "hopsack.store_failed",
        507,
        1017,
        None,
        "later",
        "The node's journal cannot be written or read, a full disk perhaps. An event refused so was not kept.",
    ),
    ErrorKind(
        "hopsack.too_many",
        429,
        1019,
        None,
        "never",
        "The session has as many of these as one may have; let go of some first.",
    ),
    ErrorKind(
        "hopsack.rate_limited",
        429,
        1023,
        None,
        "later",
        "This client asks too often: try again when `retry_after` seconds have passed.",
    ),
    ErrorKind(
        "hopsack.revoked",
        401,
        1024,
        None,
        "after_login",
        "What this client logged in with has been revoked.",
    ),
    ErrorKind(
        "hopsack.expired",
        401,
        1025,
        None,
        "after_login",
        "The token has expired, and no newer one has come.",
    ),
)

ERRORS: Mapping[str, ErrorKind] = {row.code: row for row in _ROWS}
"""Code → row."""


class HopsackError(Exception):
    """Base of everything this library raises on purpose."""


class LocalError(HopsackError):
    """A mistake or a loss on this side of the connection."""


class UsageError(LocalError):
    """The program used the library in a way that cannot work; the message says what to write instead."""


class Disconnected(LocalError):
    """There is no connection, and the operation was not sent."""


class RemoteError(HopsackError):
    """The other side refused or failed.

    :param message: what is wrong, for a person.
    :param code: a row of :data:`ERRORS`, or a code that a contract declares.
    :param where: the topic or procedure.
    :param path: JSON Pointer (RFC 6901) to the field at fault, ``""`` for the whole payload, ``None`` if no field is.
    :param advice: what to do, for a person.
    :param data: further facts (``incident``, ``nearest``, ``retry_after`` in seconds, a declared error's own fields).
    """

    CODE: ClassVar[str] = "hopsack.internal"

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        where: str | None = None,
        path: str | None = None,
        advice: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self.code = code or self.CODE
        self.message = message or self.kind.meaning
        self.where = where
        self.path = path
        self.advice = advice
        self.data = dict(data or {})
        super().__init__(self.message)

    @property
    def kind(self) -> ErrorKind:
        """The row of the table; a code that a contract declares has the row ``hopsack.declared``."""
        return ERRORS.get(self.code) or ERRORS["hopsack.declared"]

    @property
    def retry(self) -> Retry:
        return self.kind.retry

    def __str__(self) -> str:
        text = f"{self.code}: {self.message}"
        if self.where:
            text += f" [{self.where}{' at ' + self.path if self.path else ''}]"
        if self.advice:
            text += f" ({self.advice})"
        return text

    def details(self) -> dict[str, Any]:
        """The same facts as a JSON object: what every door sends and :func:`from_details` reads back."""
        facts: dict[str, Any] = {"code": self.code, "message": self.message, "retry": self.retry}
        for name in ("where", "path", "advice"):
            value = getattr(self, name)
            if value is not None:
                facts[name] = value
        return facts | ({"data": self.data} if self.data else {})


class BadRequest(RemoteError):
    CODE = "hopsack.bad_request"


class Invalid(RemoteError):
    CODE = "hopsack.invalid"


class Undeclared(RemoteError):
    CODE = "hopsack.undeclared"


class LoginRequired(RemoteError):
    CODE = "hopsack.login_required"


class Denied(RemoteError):
    """
    :ivar rule: the rule that decided, for the node's own log; ``None``: it is not known here. Never sent.
    """

    CODE = "hopsack.denied"
    rule: str | None = None


class NoCallee(RemoteError):
    CODE = "hopsack.no_callee"


class AlreadyRegistered(RemoteError):
    CODE = "hopsack.already_registered"


class Deadline(RemoteError):
    CODE = "hopsack.deadline"


class Canceled(RemoteError):
    CODE = "hopsack.canceled"


class BrokenResult(RemoteError):
    CODE = "hopsack.broken_result"


class Internal(RemoteError):
    CODE = "hopsack.internal"


class Overloaded(RemoteError):
    CODE = "hopsack.overloaded"


class Unavailable(RemoteError):
    CODE = "hopsack.unavailable"


class BreakerOpen(RemoteError):
    CODE = "hopsack.breaker_open"


class NotHeld(RemoteError):
    CODE = "hopsack.not_held"


class OutcomeUnknown(RemoteError, LocalError):
    """A call was sent, and its callee or the connection to the node was lost before the answer: it may have run."""

    CODE = "hopsack.outcome_unknown"


class StoreFailed(RemoteError):
    CODE = "hopsack.store_failed"


class TooMany(RemoteError):
    CODE = "hopsack.too_many"


class RateLimited(RemoteError):
    """``data.retry_after``: seconds."""

    CODE = "hopsack.rate_limited"


class Revoked(RemoteError):
    CODE = "hopsack.revoked"


class Expired(RemoteError):
    CODE = "hopsack.expired"


class DeclaredError(RemoteError):
    """An error that a contract declares. Generated subclasses set ``CODE``; handlers raise them."""

    CODE = "hopsack.declared"


_CLASSES: dict[str, type[RemoteError]] = {
    cls.CODE: cls
    for cls in (
        BadRequest,
        Invalid,
        Undeclared,
        LoginRequired,
        Denied,
        NoCallee,
        AlreadyRegistered,
        Deadline,
        Canceled,
        BrokenResult,
        Internal,
        Overloaded,
        Unavailable,
        TooMany,
        StoreFailed,
        BreakerOpen,
        NotHeld,
        OutcomeUnknown,
        RateLimited,
        Revoked,
        Expired,
    )
}

_CODES_OF_WAMP: dict[str, str] = {
    "wamp.error.no_such_procedure": "hopsack.no_callee",
    "wamp.error.invalid_argument": "hopsack.invalid",
    **{row.wamp: row.code for row in reversed(_ROWS) if row.wamp and row.jsonrpc > 1000},
}


def class_of(code: str) -> type[RemoteError]:
    """The exception class of a code; :class:`DeclaredError` for codes that only a contract knows."""
    return _CLASSES.get(code) or (RemoteError if code in ERRORS else DeclaredError)


def wamp_uri(error: RemoteError) -> str:
    """The error URI to put in a WAMP ERROR for this error (WAMP basic profile, section 9.2.5)."""
    return error.kind.wamp or error.code if error.code in ERRORS else error.code


def from_details(details: Mapping[str, Any]) -> RemoteError:
    """The exception of what :meth:`RemoteError.details` wrote."""
    code = str(details.get("code", "hopsack.internal"))
    return class_of(code)(
        str(details.get("message", "")),
        code=code,
        where=details.get("where"),
        path=details.get("path"),
        advice=details.get("advice"),
        data=details.get("data") if isinstance(details.get("data"), Mapping) else None,
    )


def to_wamp(error: RemoteError) -> tuple[str, list[Any], dict[str, Any]]:
    """``(uri, args, kwargs)`` of a WAMP ERROR: the message stays in ``args[0]``, where stock clients look."""
    return wamp_uri(error), [error.message], error.details()


def from_wamp(uri: str, args: list[Any] | None, kwargs: Mapping[str, Any] | None) -> RemoteError:
    """Read a WAMP ERROR, of ours or of a stock peer."""
    message = str(args[0]) if args else ""
    if kwargs and isinstance(kwargs.get("code"), str):
        return from_details({"message": message, **kwargs})
    code = _CODES_OF_WAMP.get(uri, uri)
    return class_of(code)(message, code=code, data=kwargs)
