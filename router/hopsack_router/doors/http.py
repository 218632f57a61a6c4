"""The HTTP door: ``POST /call/<procedure>`` and ``POST /publish/<topic>``, the body being the input or the payload.

``DELETE /publish/<topic>`` tells that a key of a ``latest`` topic has no value any more; the body names the key. The
header ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header) lets a publish be sent again: what the stream has
under the key already is answered with its first position. The answer is ``{}``, or ``{"position": …}`` of a stream.

The same header lets a call be sent again: it is executed once, and a repeat gets the outcome of the first. The header
``Hopsack-Timeout`` says how many milliseconds its caller waits; no longer than the contract gives. An answer that says
when to try again has ``Retry-After``.

One request is one session: it joins, asks once, and leaves. The answer is 200 with the result, or a problem document
with the status that fits. A caller that goes away takes its call with it: the session ends, the callee is interrupted.

What a body calls itself counts for nothing: ``curl -d`` calls everything a form. A page of another site can make a
browser post text, forms and untyped bytes anywhere without asking (Fetch standard, "CORS-safelisted request-header");
it gets no further than ``doors/requests.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autobahn.wamp import message
from autobahn.wamp.types import SessionDetails
from crossbar.webservice.base import RouterWebService
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from hopsack.contracts import payload_of
from hopsack.errors import BadRequest, BrokenResult, Invalid, Overloaded, RemoteError, Unavailable, from_wamp
from hopsack_router.doors import envelopes
from hopsack_router.doors.bearer import credential_of
from hopsack_router.doors.closing import ended_by
from hopsack_router.doors.effects import REALM
from hopsack_router.doors.host import Host
from hopsack_router.doors.origins import peer_of
from hopsack_router.doors.problems import answer_problem, not_allowed, not_found
from hopsack_router.doors.raw import FORMAT
from hopsack_router.doors.requests import (
    abort,
    body_of,
    check_options,
    purse_of,
    refusal_of,
    segments_of,
    set_headers,
    size_of,
)
from hopsack_router.routing import asked, uris
from hopsack_router.routing.backlog import Why
from hopsack_router.routing.fanout import Outlet
from hopsack_router.routing.farewell import Farewell
from hopsack_router.routing.links import DoorLink
from hopsack_router.streams.events import MAX_KEY

Build = Callable[[str, bytes, Request], message.Message]

ONLY = 1
"""The request id of the one request that a session here makes."""


def call_of(procedure: str, body: bytes, request: Request) -> message.Call:
    """:raises RemoteError: the procedure can be none, the body is not JSON, or a header says nothing that is meant."""
    _check(procedure, "procedure")
    args, timeout, key = [envelopes.decode(body)] if body else None, timeout_of(request), key_of(request)
    terms = None if key is None else asked.Terms(key=key)
    return asked.Call(ONLY, procedure, args=args, timeout=timeout, terms=terms)


def timeout_of(request: Request) -> int | None:
    """The milliseconds of ``Hopsack-Timeout``.

    :raises BadRequest: they are none.
    """
    given = request.getHeader("hopsack-timeout")
    if given is None:
        return None
    text = given.strip()
    if text.isascii() and text.isdecimal() and len(text) <= 15 and int(text) > 0:
        return int(text)
    raise BadRequest("Hopsack-Timeout is a number of milliseconds above 0", path="Hopsack-Timeout")


def publish_of(topic: str, body: bytes, request: Request) -> asked.Publish:
    """:raises RemoteError: the topic can be none, the body is not JSON, or the key is none."""
    _check(topic, "topic")
    args = [envelopes.decode(body) if body else None]
    return asked.Publish(ONLY, topic, args, acknowledge=True, key=key_of(request), delete=request.method == b"DELETE")


def key_of(request: Request) -> str | None:
    """The ``Idempotency-Key``. The draft makes it a quoted string (RFC 9651, section 3.3.3); nearly nobody quotes it.

    :raises BadRequest: it is empty, or longer than a key may be.
    """
    given = request.getHeader("idempotency-key")
    if given is None:
        return None
    text = given.strip()
    key = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    if 0 < len(key) <= MAX_KEY:
        return key
    raise BadRequest(f"an Idempotency-Key has 1 to {MAX_KEY} characters, this one {len(key)}", path="Idempotency-Key")


def _check(uri: str, where: str) -> None:
    refusal = uris.check(uri, restricted=False, where=where)
    if refusal is not None:
        raise refusal


class Exchange(DoorLink):
    """One HTTP request and its session."""

    door = "http"
    format = FORMAT  # never used: this session subscribes to nothing

    def __init__(self, request: Request, host: Host, wanted: message.Message, where: str) -> None:
        self.outlet = Outlet(self, host.outbox)
        self.peer = peer_of(request)
        self.agent = request.getHeader("user-agent")
        self._request = request
        self._host = host
        self._wanted = wanted
        self._where = where
        self._size = size_of(request)
        self.purse = purse_of(request)
        self._open = True
        self._gone = False
        self._is_too_large = False

    def opened(self, token: str | None) -> None:
        self._request.notifyFinish().addBoth(self._ended)
        joining = self.join(self._host.new_session(), REALM, token)
        joining.addCallbacks(self._joined, self._refused).addErrback(self._failed)

    def _joined(self, _: SessionDetails) -> None:
        if self._is_too_large:
            self._fail(RemoteError("the body is larger than this role may send", code="hopsack.too_large"))
            return
        if self.session.meter is not None:
            self.session.meter.size = self._size
        self.session.onMessage(self._wanted)

    def _refused(self, failure: Failure) -> None:
        self._fail(refusal_of(failure))

    def _failed(self, failure: Failure) -> None:
        self._host.log.failure("the HTTP door failed", failure=failure)
        self._fail(RemoteError("the node failed; its log has the details", where=self._where))

    def _ended(self, reason: object) -> None:
        """The response is written, or the client is gone: the session leaves, and with it what it asked for."""
        self._open, self._gone = False, True
        session = getattr(self, "session", None)
        if session is not None:
            session.onClose(not isinstance(reason, Failure))

    def send(self, msg: message.Message) -> None:
        if self.handshake(msg):
            return
        match msg:
            case message.Result() if not msg.progress:
                try:
                    self._succeed(payload_of(msg.args, msg.kwargs, array=False))
                except Invalid as invalid:
                    self._fail(BrokenResult(invalid.message, where=self._where))
            case asked.Published() if msg.position is not None:
                self._succeed({"position": msg.position})
            case message.Published():
                self._succeed({})
            case message.Error():
                error = from_wamp(msg.error, msg.args, msg.kwargs)
                error.where = error.where or self._where
                self._fail(error)
            case Farewell():
                self._fail(Unavailable(where=self._where, data={"retry_after": msg.retry_after}))
            case message.Goodbye():
                self._fail(ended_by(msg))

    def _succeed(self, value: Any) -> None:
        body = envelopes.encode(value)
        fields = {"Content-Type": "application/json", "Cache-Control": "no-store", "Content-Length": str(len(body))}
        set_headers(self._request, fields)
        self._answer(body)

    def _fail(self, error: RemoteError) -> None:
        if self._open:
            self._answer(answer_problem(self._request, error))

    def _answer(self, body: bytes) -> None:
        """Answer at the end of the turn: the router is still at work on the message that this is the answer to."""
        if self._open:
            self._open = False
            self.queue(body)

    # ---- the transport -------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if not self._gone:
            self._request.write(data)
            self._request.finish()

    def dismiss(self, error: RemoteError) -> None:
        self._fail(error)

    def takes(self, size: int) -> None:
        self._is_too_large = self._size > size

    def overflow(self, why: Why, retry_after: float) -> None:
        self.abort()

    def isOpen(self) -> bool:
        return self._open

    def close(self) -> None:
        self._fail(Overloaded("the node is going away", where=self._where, data={"retry_after": 1}))

    def abort(self) -> None:
        if self._open:
            abort(self._request)


class AskResource(Resource):
    """``/call/…`` or ``/publish/…``.

    :param build: makes the WAMP message of a URI, a body and a request.
    :param methods: of HTTP.
    """

    isLeaf = True

    def __init__(self, host: Host, build: Build, methods: tuple[str, ...]) -> None:
        Resource.__init__(self)
        self._host = host
        self._build = build
        self._methods = methods

    def render(self, request: Request) -> Any:
        uri = _one_segment(segments_of(request))
        if uri is None:
            return not_found(request, "the path is /call/<procedure> or /publish/<topic>, in one segment")
        if request.method.decode("ascii", "replace") not in self._methods:
            return not_allowed(request, *self._methods)
        try:
            token = credential_of(request)
            wanted = self._build(uri, body_of(request), request)
        except RemoteError as error:
            error.where = error.where or uri
            return answer_problem(request, error)
        Exchange(request, self._host, wanted, uri).opened(token)
        return NOT_DONE_YET


def _one_segment(segments: list[bytes]) -> str | None:
    try:
        return segments[0].decode() if len(segments) == 1 and segments[0] else None
    except UnicodeDecodeError:
        return None


class AskService(RouterWebService):  # type: ignore[misc]
    """Base of the web services that ask once for each request."""

    build: Build
    methods: tuple[str, ...] = ("POST",)

    @classmethod
    def create(cls, transport: Any, path: str, config: dict[str, Any]) -> AskService:
        return cls(transport, path, config, AskResource(Host.of(transport), cls.build, cls.methods))

    @staticmethod
    def check(personality: Any, config: dict[str, Any]) -> None:
        check_options(config)


class CallService(AskService):
    """The web service type ``hopsack-call``."""

    build = staticmethod(call_of)


class PublishService(AskService):
    """The web service type ``hopsack-publish``."""

    build = staticmethod(publish_of)
    methods = ("POST", "DELETE")
