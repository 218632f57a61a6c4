"""Server-sent events at ``/events?topic=a&topic=b`` (WHATWG HTML, section 9.2), for ``EventSource`` and ``curl -N``.

A shell around :class:`~hopsack_router.doors.reading.Reader`, the machine of the raw door's read-only form. ``event:``
is the topic, ``id:`` the position, ``data:`` the payload as JSON on one line (JSON escapes line breaks inside strings,
so one line is always enough). What is no event of a topic has a name of our own:

    hopsack.recovery    {topic, recovered, reason}      first: reading does not resume where the reader wanted
    hopsack.position    the position                    first: where a new reader begins, which resumes from there
    hopsack.deleted     {topic, data}                   a key of a ``latest`` topic has no value any more
    hopsack.gap         {topic, dropped}                the reader was too slow
    hopsack.revoked     {uri, match, reason, error}     it may not read that any more
    hopsack.ended       an error                        last: the token expired, was revoked, or an operator did it

One encoding for many readers, though an ``id:`` is what one reader resumes with. To a reader of one topic the id is
the event's own position, a part of the frame that all of them share. To a reader of several topics it must name the
newest event of each, because a browser gives back only the last id it saw; that is different for every reader. So
theirs is another frame, without an id and again the same for all (:class:`Placed`), and the link writes the reader's
own ``id:`` line before it, as the frame leaves. It cannot be made earlier: a slow reader's events of one stream may
leave its queue and be read from the journal again, behind those of another, and an id that knew them would make the
reader skip them. An ``id:`` in a block of its own behind the event would be shorter, but some readers take a block
without data for an event.

Nothing is written before every subscription stands: what is refused is a problem document with its status, and an
``EventSource`` that gets one does not try again. So a browser that comes while the node stops gets an empty stream that
tells it when to come back, and a stream that the node ends has that for its last field. Bounds: what waits for a reader
that does not read is the link's (``routing/links.py``); every stream carries a comment each :data:`HEARTBEAT` seconds,
so that proxies keep it and a dead reader is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, assert_never

from autobahn.wamp import message
from autobahn.wamp.types import SessionDetails
from crossbar.webservice.base import RouterWebService
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from hopsack.backoff import hint_of
from hopsack.errors import BadRequest, Overloaded, RemoteError, Unavailable
from hopsack_router.doors import envelopes, places, reading
from hopsack_router.doors.bearer import credential_of
from hopsack_router.doors.effects import REALM, Join, Route
from hopsack_router.doors.host import Host
from hopsack_router.doors.origins import peer_of
from hopsack_router.doors.patterns import Pattern, after_of, patterns_of
from hopsack_router.doors.payloads import value_of
from hopsack_router.doors.places import After, Places
from hopsack_router.doors.problems import answer_problem, not_allowed
from hopsack_router.doors.reading import Dismiss, Refuse, Start, Tell
from hopsack_router.doors.requests import abort, check_options, query_of, refusal_of, set_headers
from hopsack_router.doors.sockets import unwritten, write_straight
from hopsack_router.routing.backlog import Channel, Why
from hopsack_router.routing.fanout import Delivery, Format, Outlet
from hopsack_router.routing.links import DoorLink

HEARTBEAT = 15.0
"""Seconds; the HTML standard suggests 15."""

RETRY = (1000, 5000)
"""Milliseconds to a reader's next try, drawn per stream: readers of one node do not come back all at once."""


def chunk(body: bytes) -> bytes:
    """One chunk of a response whose length is not known (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(body), body)


def as_it_is(body: bytes) -> bytes:
    return body


class Placed(bytes):
    """The frame of a stream's event without an ``id:``, and what the id of its reader has to know of it."""

    topic: str
    position: str


class SseFormat(Format):
    """An event as one server-sent event.

    :param frame: puts around it what the version of HTTP puts around a part of a response.
    :param is_placed: leave the ``id:`` to the link, as a reader of several topics needs it.
    """

    per_subscription = False

    def __init__(self, frame: Callable[[bytes], bytes], is_placed: bool) -> None:
        self.frame = frame
        self.is_placed = is_placed

    def event(self, delivery: Delivery) -> bytes:
        value, name = value_of(delivery), delivery.topic
        if delivery.deleted:
            value, name = {"topic": delivery.topic, "data": value}, "hopsack.deleted"
        if not self.is_placed or delivery.position is None:
            return self.frame(block(name, value, delivery.position))
        placed = Placed(self.frame(block(name, value)))
        placed.topic, placed.position = delivery.topic, delivery.position
        return placed

    def gap(self, channel: Channel, dropped: int | None) -> bytes:
        return self.frame(block("hopsack.gap", envelopes.gap(channel.topic, dropped)))


def block(name: str, value: Any, identity: str | None = None) -> bytes:
    """One server-sent event."""
    head = f"event: {name}\n{id_line(identity)}data: "
    return head.encode() + envelopes.encode(value) + b"\n\n"


def id_line(identity: str | None) -> str:
    return f"id: {identity}\n" if identity else ""


CHUNKED, PLACED_CHUNKED = SseFormat(chunk, False), SseFormat(chunk, True)
"""HTTP/1.1: framed here, once for all readers, and written to the connection past Twisted's response."""

PLAIN, PLACED_PLAIN = SseFormat(as_it_is, False), SseFormat(as_it_is, True)
"""HTTP/1.0 has no frames; HTTP/2 has its own, which Twisted makes for each stream."""


def format_for(request: Request, patterns: Sequence[Pattern]) -> SseFormat:
    """The one format of this version of HTTP and this kind of reader."""
    reads_one = len(patterns) == 1 and patterns[0].match == "exact"
    if request.clientproto == b"HTTP/1.1":
        return CHUNKED if reads_one else PLACED_CHUNKED
    return PLAIN if reads_one else PLACED_PLAIN


class EventStream(DoorLink):
    """One reader: a machine, a session and an HTTP response that does not end."""

    door = "sse"
    format: SseFormat
    _paused = True  # until the headers are out, events wait here

    def __init__(self, request: Request, host: Host, reader: reading.Reader) -> None:
        self.outlet = Outlet(self, host.outbox)
        self.format = format_for(request, reader.patterns)
        self._places = Places() if self.format.is_placed else None
        self.peer = peer_of(request)
        self.agent = request.getHeader("user-agent")
        self._request = request
        self._host = host
        self._reader = reader
        self._open = True
        self._heartbeat: IDelayedCall | None = None

    # ---- inputs --------------------------------------------------------------------------------------------------

    def opened(self) -> None:
        self._request.notifyFinish().addBoth(self._lost)
        self._perform(self._reader.opened())

    def send(self, msg: message.Message) -> None:
        if not self.handshake(msg):
            self._perform(self._reader.routed(msg))

    def _joined(self, _: SessionDetails) -> None:
        self._perform(self._reader.joined())

    def _refused(self, failure: Failure) -> None:
        self._perform(self._reader.refused(refusal_of(failure)))

    def _lost(self, reason: object) -> None:
        """The response is over, whoever ended it."""
        self._open = False
        self._reader.lost()
        self.stopProducing()
        if self._heartbeat is not None and self._heartbeat.active():
            self._heartbeat.cancel()
        session = getattr(self, "session", None)
        if session is not None:
            session.onClose(not isinstance(reason, Failure))

    # ---- effects -------------------------------------------------------------------------------------------------

    def _perform(self, effects: Sequence[reading.Effect]) -> None:
        for effect in effects:
            match effect:
                case Join(token):
                    joining = self.join(self._host.new_session(), REALM, token)
                    joining.addCallbacks(self._joined, self._refused).addErrback(self._failed)
                case Route(msg):
                    self.session.onMessage(msg)
                case Start():
                    self._start(effect)
                case Refuse(_, error):
                    self._end_with(error)
                case Tell(facts):
                    self.queue(self.format.frame(block("hopsack.revoked", facts)))
                case Dismiss(_, _, RemoteError() as error):
                    self._dismiss(error)
                case Dismiss(code, None):
                    self._end_with(Overloaded(code.meaning, data={"retry_after": 1}))
                case Dismiss(code, retry_after):
                    self._end_with(Unavailable(code.meaning, data={"retry_after": retry_after}))
                case _:
                    assert_never(effect)

    def _start(self, start: Start) -> None:
        set_headers(self._request, STREAM_HEADERS)
        # No empty line behind it, nor behind a comment: some readers take a block without data for an event.
        self._request.write(b"retry: %d\n" % self._host.random.randint(*RETRY) + self._beginning(start))
        self._request.registerProducer(self, True)
        self._wait_for_silence()
        self.resumeProducing()

    def _beginning(self, start: Start) -> bytes:
        """What comes before all events: what is lost, and where reading begins if the reader does not know it."""
        if self._places is None:
            [(_, granted)] = start.granted
            begins = None if granted.snapshot or granted.recovered else granted.position
        else:
            for pattern, granted in start.granted:
                self._places.granted(pattern, granted)
            begins = self._places.line
        told: list[tuple[str, Any]] = [("hopsack.recovery", one) for one in start.lost]
        if begins and not told and not all(granted.recovered for _, granted in start.granted):
            told = [("hopsack.position", begins)]
        last = len(told) - 1
        return b"".join(block(name, value, begins if n == last else None) for n, (name, value) in enumerate(told))

    def _wait_for_silence(self) -> None:
        self._heartbeat = self._host.clock.callLater(HEARTBEAT, self._beat)

    def _beat(self) -> None:
        self.queue(self.format.frame(b":\n"))
        self._wait_for_silence()

    def _end_with(self, error: RemoteError) -> None:
        """Say why, where the response has not begun; a stream that runs just ends, and its reader comes back."""
        if not self._open:
            return
        if self._heartbeat is not None:
            self.flush()
            self.bend()
            self._request.unregisterProducer()
            self._request.write(_come_back(error))
        elif isinstance(error, Unavailable) and _is_event_source(self._request):
            set_headers(self._request, STREAM_HEADERS)
            self._request.write(_come_back(error))
        else:
            self._request.write(answer_problem(self._request, error))
        self._request.finish()

    def _dismiss(self, error: RemoteError) -> None:
        """The session ends: its reader is told why before its stream does."""
        if self._open and self._heartbeat is not None:
            self.queue(self.format.frame(block("hopsack.ended", error.details())))
        self._end_with(error)

    def _failed(self, failure: Failure) -> None:
        self._host.log.failure("the SSE door failed", failure=failure)
        self._end_with(RemoteError("the node failed; its log has the details"))

    # ---- the transport -------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if not self._open:
            return
        if self.format.frame is not chunk:
            self._request.write(data)
        else:
            socket = write_straight(self._channel.transport, data)
            # A reader of several topics is never straight: its events go through put().
            self.outlet.socket = socket if self._places is None else None

    def put(self, frames: list[bytes]) -> None:
        super().put(frames if self._places is None else self._with_ids(frames, self._places))

    def _with_ids(self, frames: list[bytes], places: Places) -> list[bytes]:
        written: list[bytes] = []
        for frame in frames:
            if isinstance(frame, Placed):
                places.given(frame.topic, frame.position)
                written.append(self.format.frame(id_line(places.line).encode()))
            written.append(frame)
        return written

    def unwritten(self) -> int | None:
        return unwritten(self._channel.transport) if self._open and self.format.frame is chunk else None

    @property
    def _channel(self) -> Any:
        return self._request.channel

    def dismiss(self, error: RemoteError) -> None:
        self._end_with(error)

    def overflow(self, why: Why, retry_after: float) -> None:
        self.abort()

    def isOpen(self) -> bool:
        return self._open

    def close(self) -> None:
        self._end_with(Overloaded("the node ended this session", data={"retry_after": 1}))

    def abort(self) -> None:
        if self._open:
            abort(self._request)


STREAM_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx holds responses back otherwise
}


def _come_back(error: RemoteError) -> bytes:
    """The field that tells the reader of a node that stops when to try again, in milliseconds."""
    wait = hint_of(error.data) if isinstance(error, Unavailable) else None
    return b"" if wait is None else b"retry: %d\n" % round(wait * 1000)


def _is_event_source(request: Request) -> bool:
    """Whether a status other than 200 would end this reader for good (HTML, section 9.2.3): a browser says so."""
    return "text/event-stream" in (request.getHeader("accept") or "")


class EventsResource(Resource):
    """``/events``."""

    isLeaf = True

    def __init__(self, host: Host) -> None:
        Resource.__init__(self)
        self._host = host

    def render(self, request: Request) -> Any:
        if request.method not in (b"GET", b"HEAD"):
            return not_allowed(request, "GET", "HEAD")
        try:
            token = credential_of(request)
            patterns = patterns_of(query_of(request))
            if not patterns:
                raise BadRequest("no topic is named", path="topic", advice="for example /events?topic=host.metrics")
            after = _after_of(request, patterns)
        except RemoteError as error:
            return answer_problem(request, error)
        if request.method == b"HEAD":
            set_headers(request, STREAM_HEADERS)
            return b""
        EventStream(request, self._host, reading.Reader(patterns, token, after)).opened()
        return NOT_DONE_YET


def _after_of(request: Request, patterns: Sequence[Pattern]) -> After:
    """Where the reader resumes: a browser that comes back says it in the header, and the URL is still the first one.

    :raises BadRequest: the URL says something else.
    """
    header = request.getHeader("last-event-id")
    if header:
        return places.read_id(header, patterns)
    return places.read(after_of(query_of(request)), patterns)


class SseService(RouterWebService):  # type: ignore[misc]
    """The web service type ``hopsack-sse``."""

    @staticmethod
    def create(transport: Any, path: str, config: dict[str, Any]) -> SseService:
        return SseService(transport, path, config, EventsResource(Host.of(transport)))

    @staticmethod
    def check(personality: Any, config: dict[str, Any]) -> None:
        check_options(config)
