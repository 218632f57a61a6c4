"""The WAMP doors: WebSocket at ``/ws`` and RawSocket on its own port, for stock clients and for services.

Handshake, framing and liveness are those of all WebSocket doors (``doors/websockets.py``), and Crossbar's on RawSocket.
Every message is framed and queued on the link, so that a reactor turn ends in one write per connection, and an event's
frame is the one that all connections with the same serializer and the same compression share.

What streams, newest values and calls need beyond WAMP stands in attributes of our own (``x_…``, WAMP basic profile,
section 3.1), which stock clients pass over:

    PUBLISH  x_hopsack_key, x_hopsack_delete           the publisher's idempotency key; a key has no value any more
    EVENT    x_hopsack_position, x_hopsack_deleted     where it stands in its stream; the same
    SUBSCRIBE  x_hopsack_after, x_hopsack_max_rate     where to resume (a pattern by topic), how fast
               x_hopsack_granted = true                wants to be told what it begins with
    EVENT    x_hopsack_granted = {…}                   no event: that, right behind SUBSCRIBED
    EVENT    x_hopsack_dropped = "slow",               no event: so many were dropped, the reader is too slow
             x_hopsack_count
    CALL     x_hopsack_key, x_hopsack_wait, …          what its caller asks for one call (``asked.Terms``)
    REGISTER x_hopsack_invoke                          a policy that WAMP lacks; ``invoke`` says what stock routers do
    INVOCATION  x_hopsack_window                       progressive results that may be sent before MORE comes
    MORE                                               a message of our own (``asked.More``), for peers whose roles
                                                       announce ``x_hopsack_flow``

``get_retained`` on SUBSCRIBE asks for newest values. Another SUBSCRIBE of the same topic changes its rate. Who knows
nothing of ours resumes by a call of ``hopsack.stream.read``. WELCOME has ``x_hopsack_granted`` too: this node knows it.

Bounds: a client that is not in a realm :data:`ARRIVAL` seconds after it connected is disconnected, and so is one that
sends a message of more than :data:`LARGEST_HELLO` bytes before, or of more than its role may afterwards.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import msgspec
from autobahn import util
from autobahn.exception import PayloadExceededError
from autobahn.wamp import message
from autobahn.wamp.exception import InvalidUriError, ProtocolError, TransportLost
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer
from autobahn.wamp.types import SessionDetails, TransportDetails
from crossbar.common.checkconfig import InvalidConfigException
from crossbar.router.protocol import WampRawSocketServerFactory, WampRawSocketServerProtocol
from crossbar.webservice.base import RouterWebService
from crossbar.worker.transport import RouterTransport
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.server import Request

from hopsack.deadlines import Lane
from hopsack.errors import BadRequest, RemoteError, to_wamp
from hopsack.wamp import messages as lean
from hopsack.wamp.codec import CODECS, Malformed
from hopsack.wamp.messages import ABSENT
from hopsack.wamp.rawsocket import LARGEST
from hopsack_router.access.tls import PLAIN
from hopsack_router.doors import places, swelling
from hopsack_router.doors.bearer import credential_of
from hopsack_router.doors.closing import NO_PROGRESS, NORMAL, dismissal_of, slow_reader
from hopsack_router.doors.frames import HEAD, PING, REGULAR, Frames, Unacceptable, pong
from hopsack_router.doors.handshake import Opening
from hopsack_router.doors.rfc6455 import PROTOCOL_ERROR, websocket_frame
from hopsack_router.doors.rounds import Rounds, Stop
from hopsack_router.doors.site import ARRIVAL, WebTransport, guarded, secured
from hopsack_router.doors.sockets import beneath, unwritten, write_straight
from hopsack_router.doors.websockets import OPEN, DoorFactory, DoorProtocol, DoorResource, WebSocketOptions
from hopsack_router.routing import asked, uris
from hopsack_router.routing.asked import Granted
from hopsack_router.routing.backlog import Channel, Why
from hopsack_router.routing.broker import to_message
from hopsack_router.routing.choosing import POLICIES
from hopsack_router.routing.deadlines import deadlines
from hopsack_router.routing.fanout import Delivery, Format, Outbox, Outlet
from hopsack_router.routing.farewell import Dismissal
from hopsack_router.routing.joining import Welcome, with_flow
from hopsack_router.routing.limiting import heard
from hopsack_router.routing.links import Link
from hopsack_router.routing.unread import Carried, is_frequent, read

LOG = Logger()
EVENT = lean.Event.number()
LARGEST_HELLO = 64 << 10
"""Bytes of a message of somebody who is not in a realm: a token has 16 KiB at most."""
LARGEST_HEAD = 10
"""Bytes that a WebSocket frame has before its payload, at most (RFC 6455, section 5.2; a server masks nothing)."""
RUNTIME_ERROR = "wamp.error.runtime_error"

LIVENESS = {
    "open_handshake_timeout": int(ARRIVAL * 1000),
    "close_handshake_timeout": 2000,
    "auto_ping_interval": 5000,
    "auto_ping_timeout": 5000,
    "compression": {"deflate": {}},
}
"""WebSocket options of all our listeners, in Crossbar's names (milliseconds): a dead peer is known within 10 s."""

SLICE = 32
"""Messages of one read after which what came of them is written. A service may send hundreds at once: whom the first
is for need not wait for the last, and begins on its own core while the node reads on."""

SERIALIZERS = ["cbor", "msgpack", "json"]
INTERNAL_ERROR = 1011

_CLASSES = {"json": JsonSerializer, "msgpack": MsgPackSerializer, "cbor": CBORSerializer}


def rawsocket_frame(payload: bytes, binary: bool) -> bytes:
    """One regular message (WAMP advanced profile, RawSocket: 8 reserved and type bits, 24 bits of length)."""
    return len(payload).to_bytes(4, "big") + payload


def _unframed(payload: bytes, binary: bool) -> bytes:
    return payload


class WampFormat(Format):
    """Messages in one serialization and framing.

    :ivar codec: reads and writes the frequent messages without touching their payload; ``None`` for serializations
        that only Autobahn has.
    :ivar serializer: Autobahn's, for all other messages.
    :ivar binary: whether its messages are binary ones.
    """

    def __init__(self, serializer: Any, frame: Any) -> None:
        self.codec = CODECS.get(serializer.SERIALIZER_ID)
        self.serializer = serializer
        self.binary = serializer._serializer.BINARY
        self._frame = frame

    def event(self, delivery: Delivery) -> bytes:
        details = _ours(delivery)
        if self.codec is None or delivery.payload is not None or delivery.forward_for:
            event = to_message(delivery).marshal()
            event[3].update(details)
            return self._frame(self.serializer._serializer.serialize(event), self.binary)  # type: ignore[no-any-return]
        if delivery.retained:
            details["retained"] = True
        if delivery.match != "exact":
            details["topic"] = delivery.topic
        if delivery.publisher is not None:
            details["publisher"] = delivery.publisher
            details["publisher_authid"] = delivery.publisher_authid
            details["publisher_authrole"] = delivery.publisher_authrole
        return self.message((EVENT, delivery.subscription, delivery.publication, details), delivery.carried)

    def notice(self, delivery: Delivery, why: str, size: int) -> bytes:
        """An EVENT without a payload; its details say why, in attributes of our own (basic profile, section 3.1)."""
        details: dict[str, Any] = {"x_hopsack_dropped": why, "x_hopsack_size": size}
        if delivery.match != "exact":
            details["topic"] = delivery.topic
        event = [EVENT, delivery.subscription, delivery.publication, details]
        return self._frame(self.serializer._serializer.serialize(event), self.binary)  # type: ignore[no-any-return]

    def gap(self, channel: Channel, dropped: int | None) -> bytes:
        """An EVENT without a payload. It names its topic even if the subscription is exact: nobody minds."""
        details: dict[str, Any] = {"x_hopsack_dropped": "slow", "topic": channel.topic}
        if dropped is not None:
            details["x_hopsack_count"] = dropped
        event = [EVENT, channel.subscription, util.id(), details]
        return self._frame(self.serializer._serializer.serialize(event), self.binary)  # type: ignore[no-any-return]

    def granted(self, subscription: int, granted: Granted) -> bytes:
        """An EVENT without a payload, which belongs to SUBSCRIBED: WAMP has no room there."""
        event = [EVENT, subscription, util.id(), {"x_hopsack_granted": places.facts(granted)}]
        return self._frame(self.serializer._serializer.serialize(event), self.binary)  # type: ignore[no-any-return]

    def written(self, msg: message.Message) -> bytes:
        """Any other message, without its frame; those with nothing of an application's in them take the short way."""
        if self.codec is not None and type(msg) in _BARE and not getattr(msg, _BARE[type(msg)], None):
            return self.codec.envelope(tuple(msg.marshal()), ABSENT, ABSENT)
        payload: bytes = self.serializer.serialize(msg)[0]
        return payload

    def message(self, head: tuple[Any, ...], carried: Carried) -> bytes:
        """The frame of a message whose payload is passed through."""
        assert self.codec is not None
        return self._frame(self.codec.envelope(head, *carried.encoded(self.codec)), self.binary)  # type: ignore[no-any-return]


def _ours(delivery: Delivery) -> dict[str, Any]:
    """What the details of an event have beside WAMP's."""
    details: dict[str, Any] = {}
    if delivery.position is not None:
        details["x_hopsack_position"] = delivery.position
    if delivery.deleted:
        details["x_hopsack_deleted"] = True
    return details


_BARE = {
    Welcome: "authextra",
    message.Challenge: "extra",
    message.Subscribed: "",
    asked.Subscribed: "",
    message.Registered: "",
    message.Published: "",
    asked.Published: "",
    asked.More: "",
}
"""Messages that any codec writes as they are, unless this attribute of theirs has something of an application in it."""


@cache
def wamp_format(serializer_id: str, frame: Any) -> WampFormat:
    """The one format of a serializer (``json``, ``msgpack.batched``, …) under a framing."""
    name, _, batched = serializer_id.partition(".")
    return WampFormat(_CLASSES[name](batched=bool(batched)), frame)


def received(link: Any, payload: bytes) -> Iterable[message.Message]:
    """The messages in what a client sent: the frequent ones unread, the others as Autobahn reads them.

    :raises ProtocolError: the bytes are no WAMP message.
    """
    codec = link.format.codec
    if codec is not None and is_frequent(codec, payload):
        try:
            msg = read(codec, payload)
        except Malformed as error:
            # A URI that is no text is answered as one that is no URI. Nothing else of it is heard.
            for _ in messages(link._serializer, payload, link.send):
                raise ProtocolError(str(error)) from error
            return ()
        if msg is not None:
            return (msg,)
    return messages(link._serializer, payload, link.send)


def messages(serializer: Any, payload: bytes, answer: Callable[[message.Error], object]) -> Iterator[message.Message]:
    """Read what a client sent. A request whose URI is none is answered here, and the connection goes on.

    :param answer: takes the ERROR of such a request; stock Crossbar closes the connection instead.
    :raises ProtocolError: the bytes are no WAMP message.
    """
    own = serializer._serializer
    parts = swelling.batch_of(payload, own.BINARY) if own._batched else [payload]
    if parts is None:
        raise ProtocolError(f"a batch holds {swelling.MOST_IN_BATCH} messages at most")
    if type(serializer) is CBORSerializer and any(map(swelling.is_beyond_json, parts)):
        raise ProtocolError("not JSON in CBOR: references, regular expressions and MIME have no place here")
    try:
        decoded = own.unserialize(payload)
        _check_surrogates(serializer, payload)
    except Exception as error:
        raise ProtocolError(f"not {serializer.SERIALIZER_ID}: {type(error).__name__}") from error
    for raw in decoded:
        if type(raw) is not list or not raw or type(raw[0]) is not int:
            raise ProtocolError("a WAMP message is a list that starts with its type")
        kind: Any = serializer.MESSAGE_TYPE_MAP.get(raw[0]) or _OUR_KINDS.get(raw[0])
        if kind is None:
            raise ProtocolError(f"there is no WAMP message type {raw[0]}")
        listed = swelling.too_long_a_list(raw)
        if listed is not None:
            raise ProtocolError(f"the list {listed} is longer than this node reads")
        try:
            msg = _with_ours(_parsed(kind, raw), raw)
        except InvalidUriError as error:
            if kind is message.Error and len(raw) >= 5 and raw[1] == message.Invocation.MESSAGE_TYPE:
                yield message.Error(raw[1], raw[2], RUNTIME_ERROR, args=[f"raised {raw[4]!r:.100}"])
                continue
            if kind not in _WITH_URI or len(raw) < 4 or type(raw[1]) is not int:
                raise ProtocolError(f"{kind.__name__} with a URI that is none") from error
            if kind is not message.Publish or (isinstance(raw[2], dict) and raw[2].get("acknowledge")):
                uri = raw[3] if type(raw[3]) is str else f"<{type(raw[3]).__name__}>"
                refusal = uris.invalid(uri, _WITH_URI[kind])
                uri, args, kwargs = to_wamp(refusal)
                answer(message.Error(kind.MESSAGE_TYPE, raw[1], uri, args=args, kwargs=kwargs))
        else:
            yield msg


def _check_surrogates(serializer: Any, payload: bytes) -> None:
    """Half of a surrogate pair is no text (RFC 8259, section 8.2). Python's reader takes it, and no writer does.

    :raises ValueError: there is one.
    """
    if not serializer._serializer.BINARY and _SURROGATE.search(payload):
        for part in payload.split(b"\x18"):  # of a batch
            if part:
                msgspec.json.decode(part)


_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _parsed(kind: Any, raw: list[Any]) -> message.Message:
    """:raises ProtocolError: also where Autobahn asserts what its client should have kept to."""
    try:
        return kind.parse(raw)
    except (ProtocolError, InvalidUriError):
        raise
    except Exception as error:
        raise ProtocolError(f"not a well-formed {kind.__name__}: {type(error).__name__}") from error


def _with_ours(msg: message.Message, raw: list[Any]) -> message.Message:
    """A message with the options that Autobahn does not know. Broker and dealer say if they are no good.

    :raises ProtocolError: there is no such policy.
    """
    match msg:
        case message.Publish() if raw[2].keys() & _OURS:
            key, delete = raw[2].get("x_hopsack_key"), raw[2].get("x_hopsack_delete", False)
            return _as(message.Publish, msg, asked.Publish(msg.request, msg.topic, key=key, delete=delete))
        case message.Subscribe() if any(name in raw[2] for name in _ASKED):
            after, rate, told = (raw[2].get(name) for name in _ASKED)
            ours = asked.Subscribe(msg.request, msg.topic, after=after, max_rate=rate, newest=False, told=told is True)
            return _as(message.Subscribe, msg, ours)
        case message.Call() if (terms := asked.terms_of(raw[2])) is not None:
            return _as(message.Call, msg, asked.Call(msg.request, msg.procedure, terms=terms))
        case message.Register() if "x_hopsack_invoke" in raw[2]:
            policy = raw[2]["x_hopsack_invoke"]
            if policy not in POLICIES:
                raise ProtocolError(f"x_hopsack_invoke is one of {', '.join(POLICIES)}")
            msg.invoke = policy
        case message.Hello():
            return with_flow(msg, raw[2])
    return msg


def _as(kind: Any, msg: message.Message, ours: Any) -> message.Message:
    """:returns: ``ours``, with everything that Autobahn has read."""
    for name in kind.__slots__:
        setattr(ours, name, getattr(msg, name))
    return ours


_OURS = frozenset(("x_hopsack_key", "x_hopsack_delete"))
_ASKED = ("x_hopsack_after", "x_hopsack_max_rate", "x_hopsack_granted")
_OUR_KINDS = {asked.More.MESSAGE_TYPE: asked.More}

_WITH_URI = {
    message.Publish: "topic",
    message.Subscribe: "topic",
    message.Call: "procedure",
    message.Register: "procedure",
}


class WebSocketLink(Link, DoorProtocol):
    """A WAMP client over WebSocket."""

    door = "wamp-websocket"
    factory: WampFactory
    format: WampFormat

    # What Crossbar's session reads of a transport: nobody is authenticated by it. A token that came with the upgrade is
    # kept, for whoever leaves and joins again must not be nobody then.
    _authid = _authrole = _authmethod = _authprovider = _authrealm = _authextra = None
    _cbtid = None

    _session: Any = None
    _serializer: Any

    @property
    def transport_details(self) -> TransportDetails:
        return TransportDetails(
            channel_type=TransportDetails.CHANNEL_TYPE_TCP,
            channel_framing=TransportDetails.CHANNEL_FRAMING_WEBSOCKET,
            channel_serializer=TransportDetails.CHANNEL_SERIALIZER_FROM_STR[self._serializer.SERIALIZER_ID],
            peer=self.peer,
            is_server=True,
        )

    def onConnect(self, request: Request, opening: Opening) -> str | None:
        for protocol in opening.protocols:
            serializer = self.factory.serializers.get(protocol)
            if serializer is not None:
                self._serializer = serializer
                self.credential = credential_of(request)
                return protocol
        known = ", ".join(self.factory.serializers)
        raise BadRequest("WAMP needs a subprotocol", where="Sec-WebSocket-Protocol", advice=f"offer one of {known}")

    def onOpen(self) -> None:
        limit = self.factory.options.max_message_size
        self.outlet = Outlet(self, self.factory.outbox, limit + LARGEST_HEAD)
        self.format = wamp_format(self._serializer.SERIALIZER_ID, self.framing)
        self.transport.registerProducer(self, True)
        self.takes(LARGEST_HELLO)
        self.await_arrival()
        self._session = self.factory.new_session()
        self._session.onOpen(self)

    def joined(self, details: SessionDetails) -> None:
        """The client is in its realm (the session calls this)."""
        self.arrived()
        if self._session.levels is None:
            self.takes(LARGEST)

    def late(self) -> None:
        self._told("it did not join")
        self.end(NO_PROGRESS.number, "Say HELLO soon after connecting.")

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        session, self._session = self._session, None
        self.stopProducing()
        if session is not None:
            session.onClose(wasClean)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        try:
            meter = self._session.meter if self._session is not None else None
            if meter is not None:
                meter.size += len(payload)
            if isBinary != self._serializer._serializer.BINARY:
                raise ProtocolError(f"{self._serializer.SERIALIZER_ID} takes the other kind of frame")
            for msg in received(self, payload):
                if self._session is not None:
                    self._session.onMessage(msg)
        except ProtocolError as error:
            LOG.info("closing {peer}: {error}", peer=self.peer, error=error)
            self.end(PROTOCOL_ERROR, f"WAMP: {error}")
        except Exception:
            LOG.failure("the node failed on a message of {peer}", peer=self.peer)
            self.end(INTERNAL_ERROR, "the node failed on this message")

    def send(self, msg: message.Message) -> None:
        if not self.isOpen():
            raise TransportLost()
        payload = self.format.written(msg)
        limit = self.factory.options.max_message_size
        if len(payload) > limit:
            raise PayloadExceededError(f"message of {len(payload)} bytes, the connection takes {limit}")
        self.queue(self.framing(payload, self.format.binary))

    def carry(self, number: int, head: tuple[Any, ...], carried: Carried) -> None:
        if self.format.codec is None:
            super().carry(number, head, carried)
            return
        frame = self.format.message((number, *head), carried)
        if len(frame) > self.outlet.most:
            limit = self.factory.options.max_message_size
            raise PayloadExceededError(f"message of {len(frame)} bytes, {self.door} takes {limit}")
        self.queue(frame)

    def write(self, data: bytes) -> None:
        if self.state == OPEN:
            self.outlet.socket = write_straight(self.transport, data)

    def end(self, code: int, reason: str) -> None:
        self.flush()
        super().end(code, reason)

    def dismiss(self, error: RemoteError) -> None:
        say_goodbye(self, error)
        self.end(*dismissal_of(error))

    def overflow(self, why: Why, retry_after: float) -> None:
        super().end(NO_PROGRESS.number, slow_reader(why, retry_after))

    def unwritten(self) -> int | None:
        return unwritten(self.transport)

    def congested(self) -> bool:
        return self._paused

    def resumeProducing(self) -> None:
        self.progressed()
        super().resumeProducing()

    def isOpen(self) -> bool:
        return self._session is not None and self.state == OPEN

    def close(self) -> None:
        self.end(NORMAL.number, NORMAL.meaning)

    def abort(self) -> None:
        self.drop()


class WampFactory(DoorFactory):
    """Makes the WAMP connections of one node.

    :param new_session: makes a session that has not joined yet.
    :param outbox: where links queue what they have to write.
    :param clock: schedules what the connections wait for.
    :param config: Crossbar's configuration of a ``websocket`` service.
    :raises InvalidConfigException: it asks for what this door does not have.
    """

    def __init__(
        self, new_session: Callable[[], Any], outbox: Outbox, clock: IReactorTime, config: dict[str, Any]
    ) -> None:
        super().__init__(WebSocketLink, websocket_options(config.get("options", {})), clock)
        if "cookie" in config:
            raise InvalidConfigException("this door knows its clients by their tokens: it takes no 'cookie'")
        self.new_session = new_session
        self.outbox = outbox
        self._config = config
        names = [name for name in SERIALIZERS if name in config.get("serializers", SERIALIZERS)]
        every = (f"{name}{batched}" for name in names for batched in ("", ".batched"))
        self.serializers = {f"wamp.2.{name}": wamp_format(name, websocket_frame).serializer for name in every}


_CROSSBARS_OPTIONS = {
    "max_message_size": ("max_message_size", 1),
    "auto_ping_interval": ("ping_interval", 1000),
    "auto_ping_timeout": ("ping_timeout", 1000),
    "close_handshake_timeout": ("close_timeout", 1000),
    "open_handshake_timeout": ("hello_timeout", 1000),
}
"""Crossbar's name → ours, and how many of Crossbar's units are one of ours."""


def websocket_options(given: Mapping[str, Any]) -> WebSocketOptions:
    """Our options from those of a Crossbar ``websocket`` service.

    :raises InvalidConfigException: there is one that this door does not have.
    """
    options: dict[str, Any] = {"type": "websocket", "max_message_size": 1 << 24, "hello_timeout": ARRIVAL}
    options["compression"] = "deflate" in given.get("compression", {})
    for name, value in given.items():
        if name == "compression":
            continue
        if name in ("allowed_origins", "allow_null_origin"):
            raise InvalidConfigException(f"websocket: in place of {name}, HOPSACK_ORIGINS says it for all doors")
        if name not in _CROSSBARS_OPTIONS:
            known = sorted((*_CROSSBARS_OPTIONS, "compression"))
            raise InvalidConfigException(f"websocket: this door has no option {name!r}, it has {known}")
        ours, unit = _CROSSBARS_OPTIONS[name]
        options[ours] = value / unit
    return WebSocketOptions.from_config(options)


_KEEP_ALIVE = (
    ("SOL_SOCKET", "SO_KEEPALIVE", 1),
    ("IPPROTO_TCP", "TCP_KEEPIDLE", 5),
    ("IPPROTO_TCP", "TCP_KEEPINTVL", 2),
    ("IPPROTO_TCP", "TCP_KEEPCNT", 2),
    ("IPPROTO_TCP", "TCP_USER_TIMEOUT", 9000),
)
"""Seconds, and milliseconds for the last: with or without traffic, a silent peer is known within ten seconds."""


def keep_alive(transport: Any) -> None:
    """Let the kernel notice a dead peer: stock RawSocket clients hang up on a RawSocket PING.

    It does not notice one whose kernel lives, or a proxy's: our own clients are asked (:meth:`RawSocketLink.visit`).
    """
    connection = beneath(transport).getHandle()
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    for level, option, value in _KEEP_ALIVE:
        if hasattr(socket, option):  # which of these there are depends on the system
            connection.setsockopt(getattr(socket, level), getattr(socket, option), value)


OURS = "hopsack-"
"""What the agents of our libraries begin with."""

ROUND = 5.0
"""Seconds between two questions whether a client of ours is there: one that is not is known within two rounds."""

MAX_PINGS = 1000
"""RawSocket PINGs of a client that is not in a realm."""

ARE_YOU_THERE = (PING << 24).to_bytes(HEAD, "big")


class RawSocketLink(Link, WampRawSocketServerProtocol):  # type: ignore[misc]
    """A WAMP client over RawSocket: what services use."""

    door = "wamp-rawsocket"
    format: WampFormat
    _arrival: Lane | None = None
    _max_len_send: int  # bytes of a message, which Autobahn reads from the handshake
    _is_aborted: bool = False
    _stop: Stop | None = None
    _is_asked: bool = False
    _pings: int = 0

    def connectionMade(self) -> None:
        super().connectionMade()
        self._arrival = self.factory.arrivals.begin(self, ARRIVAL)

    def connectionLost(self, reason: Any) -> None:
        self.joined()
        if self._stop is not None:
            self._stop.discard(self)
        super().connectionLost(reason)

    def joined(self, details: SessionDetails | None = None) -> None:
        """The client is in its realm (the session calls this), or it is gone."""
        lane, self._arrival = self._arrival, None
        if lane is not None:
            lane.end(self)
        if details is None:
            return
        if self._session.levels is None:
            self.takes(self.MAX_LENGTH)
        if (self._session.agent or "").startswith(OURS):
            self._stop = self.factory.rounds.join(self)

    def visit(self) -> None:
        """:data:`ROUND` has passed, and this is a client of ours, which answers a RawSocket PING."""
        if self._is_aborted or self._paused:
            return  # it does not read, and would not see the ping; there is another limit for that
        if self._is_asked:
            LOG.info("closing {peer}: it does not answer pings", peer=self.peer)
            self.abort()
            return
        self._is_asked = True
        self.queue(ARE_YOU_THERE)

    def late(self) -> None:
        """It did not join in time."""
        LOG.info("closing {peer}: it did not join", peer=self.peer)
        self.abort()

    def _on_handshake_complete(self) -> None:
        self._max_len_send = min(self._max_len_send, LARGEST)  # one byte less than most clients say that they take
        self.outlet = Outlet(self, self.factory.outbox, self._max_len_send + 4)
        self.format = wamp_format(self._serializer.SERIALIZER_ID, rawsocket_frame)
        self.transport.registerProducer(self, True)
        keep_alive(self.transport)
        self._frames = Frames(LARGEST_HELLO)
        super()._on_handshake_complete()

    def dataReceived(self, data: bytes) -> None:
        if self._is_aborted:
            return
        self._is_asked = False
        if not self._handshake_complete:
            super().dataReceived(data)  # comes back with what is behind the handshake
            return
        try:
            frames = self._frames.received(data)
        except Unacceptable as error:
            LOG.info("closing {peer}: {error}", peer=self.peer, error=error)
            self.abort()
            return
        for number, (kind, payload) in enumerate(frames, 1):
            if kind == REGULAR:
                self.stringReceived(payload)
            elif kind == PING:
                self._pinged(payload)
            if self._is_aborted:
                return
            if number % SLICE == 0:
                self.outlet.outbox.relieve()

    def _pinged(self, payload: bytes) -> None:
        if self._arrival is not None:
            self._pings += 1
            if self._pings > MAX_PINGS:
                LOG.info("closing {peer}: it sends pings and does not join", peer=self.peer)
                self.abort()
        elif self._session is not None:
            heard(self._session)
        if not self._paused and not self._is_aborted:
            self.queue(pong(payload))

    def takes(self, size: int) -> None:
        self._frames.takes(min(size, self.MAX_LENGTH))

    def stringReceived(self, payload: bytes) -> None:
        try:
            meter = self._session.meter if self._session is not None else None
            if meter is not None:
                meter.size += len(payload)
            for msg in received(self, payload):
                if self._session is not None and not self._is_aborted:
                    self._session.onMessage(msg)
        except ProtocolError as error:
            LOG.info("closing {peer}: {error}", peer=self.peer, error=error)
            self.abort()
        except Exception:
            LOG.failure("the node failed on a message of {peer}", peer=self.peer)
            self.abort()

    def send(self, msg: message.Message) -> None:
        if not self.isOpen():
            raise TransportLost()
        payload = self.format.written(msg)
        if len(payload) > self._max_len_send:
            raise PayloadExceededError(f"message of {len(payload)} bytes, the connection takes {self._max_len_send}")
        self.queue(rawsocket_frame(payload, True))

    def carry(self, number: int, head: tuple[Any, ...], carried: Carried) -> None:
        if self.format.codec is None:
            super().carry(number, head, carried)
            return
        frame = self.format.message((number, *head), carried)
        if len(frame) > self.outlet.most:
            raise PayloadExceededError(f"message of {len(frame)} bytes, the client takes {self._max_len_send}")
        self.queue(frame)

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.outlet.socket = write_straight(self.transport, data)

    def close(self) -> None:
        self.flush()
        self.transport.unregisterProducer()
        super().close()

    def dismiss(self, error: RemoteError) -> None:
        say_goodbye(self, error)
        self.close()
        self._is_aborted = True

    def abort(self) -> None:
        """End the connection; what else has been read of it is not heard."""
        if not self._is_aborted:
            self._is_aborted = True
            super().abort()

    def overflow(self, why: Why, retry_after: float) -> None:
        self.abort()

    def unwritten(self) -> int | None:
        return unwritten(self.transport)


def say_goodbye(link: Any, error: RemoteError) -> None:
    """GOODBYE with an error for its reason, where the client is in its realm."""
    session = link._session
    if session is None or session._session_id is None or session._goodbye_sent:
        return
    session._goodbye_sent = True
    with suppress(TransportLost):
        link.send(Dismissal(error))


def with_links(factory: Any, outbox: Outbox, clock: IReactorTime) -> None:
    """Let Crossbar's RawSocket factory make our links."""
    factory.protocol, factory.outbox = RawSocketLink, outbox
    factory.arrivals = deadlines(clock, lambda link, _: link.late())
    factory.rounds = Rounds(clock, ROUND)


class WampService(RouterWebService):  # type: ignore[misc]
    """The web service type ``websocket``, with our protocol."""

    @staticmethod
    def create(transport: Any, path: str, config: dict[str, Any]) -> WampService:
        worker = transport._worker
        factory = WampFactory(worker.router_session_factory, worker.outbox, worker._reactor, config)
        return WampService(transport, path, config, DoorResource(factory))


def create_transport(worker: Any, transport_id: str, config: dict[str, Any]) -> RouterTransport:
    """Crossbar's transports, with our protocol on RawSocket (``Personality.create_router_transport``)."""
    if config["type"] == "web":
        return WebTransport(worker, transport_id, config)
    return _Transport(worker, transport_id, config)


class _Transport(RouterTransport):  # type: ignore[misc]
    def _create_factory(self, create_paths: bool = False, ignore: Any = ()) -> Any:
        return (
            super()._create_factory(create_paths, ignore).addCallback(self._with_link).addCallback(secured, self, PLAIN)
        )

    def start(self, *args: Any, **kwargs: Any) -> Any:
        return super().start(*args, **kwargs).addCallback(guarded)

    def _with_link(self, made: tuple[Any, Any]) -> tuple[Any, Any]:
        factory, root = made
        if isinstance(factory, WampRawSocketServerFactory):
            with_links(factory, self._worker.outbox, self._worker._reactor)
        return factory, root
