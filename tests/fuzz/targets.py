"""Everything here that reads bytes of strangers: one function for each, which takes any bytes and never raises.

The error types that a parser declares are caught; anything else is a finding. Where there are two ways to the same
answer, they must agree. hypothesis drives them in tests/unit/fuzz, atheris by hand (README.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cbor2
import jwt
import msgspec

from hopsack import session as on
from hopsack.errors import HopsackError, RemoteError
from hopsack.raw import RawSession
from hopsack.wamp import rawsocket
from hopsack.wamp.codec import CODECS, JSON, Malformed
from hopsack.wamp.session import WampSession
from hopsack_router.access import verifying
from hopsack_router.access.keyring import Keyring
from hopsack_router.doors import (
    bearer,
    deflate,
    envelopes,
    frames,
    handshake,
    pages,
    patterns,
    places,
    proxies,
    rfc6455,
)

from .world import KEY, RENEWED, UPGRADE, Wire, World, check_head

SECRET = "s" * 32
KEYS = Keyring(lambda: SECRET, verifying.own())
SMALL = 4096
BETWEEN = b"\xc1\xc1"
"""What separates messages in an input of several: a byte that begins nothing in msgpack, twice."""

HELLO = [1, "hopsack", {"roles": {name: {} for name in ("caller", "callee", "publisher", "subscriber")}}]
WELCOME = [2, 77, {"authid": "ann", "authrole": "user", "realm": "hopsack", "agent": "hopsack/0.1.0"}]


# ---- parsers ---------------------------------------------------------------------------------------------------------


def websocket(data: bytes) -> None:
    """RFC 6455, with compression; cut anywhere, the same bytes are the same messages and the same violation."""
    flags, stream = (data[0], data[1:]) if data else (0, b"")
    step = flags >> 1 or 1
    cuts = [*range(0, len(stream), step), len(stream)]

    whole = _messages([stream], bool(flags & 1))
    in_pieces = _messages([stream[a:b] for a, b in pairwise(cuts)], bool(flags & 1))

    assert whole == in_pieces, (whole, in_pieces)


def _messages(chunks: list[bytes], inflating: bool) -> list[Any]:
    incoming, found = rfc6455.Incoming(SMALL, inflating), list[Any]()
    try:
        for chunk in chunks:
            for kind, payload in incoming.received(chunk):
                found.append((kind, payload))
                assert len(payload) <= SMALL
                if kind == rfc6455.CLOSE:
                    rfc6455.reason_in(payload)
                    return found
    except rfc6455.Violation as violation:
        found.append(violation.code)
    return found


def raw_socket(data: bytes) -> None:
    """RawSocket's framing: the node's machine and the library's agree about every frame."""
    found: list[Any] = []
    with suppress(frames.Unacceptable):
        found = frames.Frames(SMALL).received(data)
    library = rawsocket.RawSocket("server", serializers=(1, 2), limit=SMALL)
    outputs = library.receive(bytes((0x7F, 0xF2, 0, 0)))
    outputs += library.receive(data)
    payloads = [one.data for one in outputs if isinstance(one, on.Received)]
    if not any(isinstance(one, rawsocket.Broken) for one in outputs):
        assert payloads == [payload for kind, payload in found if kind == frames.REGULAR]
    rawsocket.RawSocket("client", serializers=(2,)).receive(data)


def codec(data: bytes) -> None:
    """WAMP messages in both codecs; what was read can be written, and is the same when it is read again."""
    for one in CODECS.values():
        with suppress(Malformed):
            message = one.decode(data)
            for name in ("args", "kwargs"):
                if getattr(message, name, b"") != b"":
                    one.unpack(getattr(message, name))
            again = one.decode(one.encode(message))
            assert type(again) is type(message)


def token(data: bytes) -> None:
    """A token as it comes, and one whose parts are signed with the node's own key."""
    text = data.decode("latin-1")
    header, _, claims = data.partition(b"\n")
    signed = jwt.utils.base64url_encode(header) + b"." + jwt.utils.base64url_encode(claims)
    mac = jwt.get_algorithm_by_name("HS256").sign(signed, SECRET.encode())
    for given in (text, f"{signed.decode()}.{jwt.utils.base64url_encode(mac).decode()}"):
        with suppress(verifying.TokenRefused):
            who = verifying.verify(given, KEYS, lambda: 1_800_000_000.0)
            assert who.role in verifying.ROLES
            assert 0 < len(who.subject) <= 200
    with suppress(RemoteError):
        bearer.token_of(text)


def url(data: bytes) -> None:
    """The query of a reader, what it resumes from, and the ids that SSE gives out and takes back."""
    query, _, identity = data.decode("ascii", "replace").partition("\n")
    with suppress(RemoteError):
        wanted = patterns.patterns_of(query)
        if wanted:
            places.read_id(identity, wanted)
            places.read(patterns.after_of(query), wanted)
    kept = places.Places()
    for number, topic in enumerate(identity.split(",")[:200]):
        kept.given(topic, f"abcdefgh:{number}")
        assert len(kept.line) <= places.MAX_LENGTH + 200
        assert not set(kept.line) & set("\r\n\0")


def opening(data: bytes) -> None:
    """The fields of a WebSocket's opening handshake, and the extensions that are offered in it."""
    fields: dict[bytes, list[bytes]] = {}
    for line in data.split(b"\r\n"):
        name, _, value = line.partition(b":")
        fields.setdefault(name.strip().lower(), []).append(value)
    origins = pages.Origins(("https://*.good.example:443",), is_dev=True, is_local=True)
    for origin in fields.get(b"origin", ()):
        host = fields.get(b"host", [b""])[0].decode("latin-1")
        origins.page(pages.Sender(origin.decode("latin-1"), None, host))
        origins.is_own_name(host)
    for forwarded in fields.get(b"x-forwarded-for", ()):
        proxies.Proxies(["10.0.0.0/8"]).client("10.0.0.1", [forwarded.decode("latin-1")])
    with suppress(RemoteError):
        found = handshake.opening_of(lambda name: fields.get(name.lower(), ()))
        check_head(handshake.answer(found, None, None))
    agreed = deflate.negotiate(data.decode("latin-1"))
    if agreed is not None:
        check_head(b"HTTP/1.1 101 x\r\nSec-WebSocket-Extensions: " + agreed.answer.encode() + b"\r\n\r\n")


def json_text(data: bytes) -> None:
    """A JSON text of a stranger's, as one message of the raw door."""
    with suppress(RemoteError):
        envelopes.read(envelopes.decode(data))


# ---- clients: what a node, or who pretends to be one, sends them -----------------------------------------------------


def wamp_client(data: bytes) -> None:
    session = WampSession(JSON, realm="hopsack", agent="fuzz", token=None, service="fuzz")
    asked: list[on.Input] = [
        on.CallRequested(1, "demo.add", None),
        on.SubscribeRequested(2, "demo.news", "exact"),
        on.PublishRequested(3, "demo.news", None),
        on.RegisterRequested(4, "demo.ann.ask", "exact", "single"),
    ]
    session.take(on.Opened(SMALL))
    session.take(on.Received(json.dumps(WELCOME).encode()))
    for event in (*asked, *(on.Received(line) for line in data.split(b"\n")[:20])):
        _take(session, event)


def raw_client(data: bytes) -> None:
    session = RawSession()
    _take(session, on.Opened(SMALL))
    welcome = {"session": 1, "authid": "a", "role": "guest", "realm": "hopsack", "server": "hopsack/0.1.0"}
    _take(session, on.Received(json.dumps({"jsonrpc": "2.0", "id": 1, "result": welcome}).encode()))
    _take(session, on.CallRequested(1, "demo.add", None))
    _take(session, on.SubscribeRequested(2, "demo.news", "exact"))
    for line in data.split(b"\n")[:20]:
        _take(session, on.Received(line))


def _take(session: Any, event: on.Input) -> None:
    """What a client cannot take it says as an error of ours; a payload is read by whom it is for."""
    try:
        effects = session.take(event)
    except HopsackError:
        return
    for effect in effects:
        for name in ("payload", "value"):
            read = getattr(getattr(effect, name, None), "read", None)
            if read is not None:
                with suppress(HopsackError):
                    read()


# ---- doors: the whole node in memory ---------------------------------------------------------------------------------


class _Worlds:
    """The world that is in use, made anew now and then."""

    def __init__(self) -> None:
        self._world: World | None = None
        self._used = 0

    def get(self) -> World:
        if self._world is None or self._used >= RENEWED:
            self._world, self._used = World(KEYS), 0
        self._used += 1
        return self._world

    def spoilt(self) -> None:
        self._world = None


_WORLDS = _Worlds()


def _talk(open_: Callable[[World], Wire], sent: Iterator[bytes]) -> None:
    world = _WORLDS.get()
    try:
        wire = open_(world)
        for data in sent:
            world.feed(wire, data)
        world.end(wire)
    except BaseException:
        _WORLDS.spoilt()
        raise


def _masked(payload: bytes, opcode: int) -> bytes:
    plain = rfc6455.frame(0x80 | opcode, payload)
    head = plain[: len(plain) - len(payload)]
    return bytes((head[0], head[1] | 0x80)) + head[2:] + b"\0\0\0\0" + payload


def raw_door(data: bytes) -> None:
    """Lines, each a message of a page's."""
    lines = (_masked(line, rfc6455.BINARY) for line in data.split(b"\n")[:20])
    _talk(lambda world: world.open(b"/raw"), lines)


def websocket_door(data: bytes) -> None:
    """Bytes behind the handshake."""
    _talk(lambda world: world.open(b"/raw", b"Sec-WebSocket-Extensions: permessage-deflate"), iter([data]))


def http_door(data: bytes) -> None:
    """Bytes into a new connection, in pieces as long as the first byte says."""
    step = data[0] or 1 if data else 1
    world, stream = _WORLDS.get(), data[1:]
    try:
        wire = world.connect()
        for at in range(0, len(stream), max(step, 1 + len(stream) // 20)):
            world.feed(wire, stream[at : at + max(step, 1 + len(stream) // 20)])
        check_head(wire.written())
        world.end(wire)
    except BaseException:
        _WORLDS.spoilt()
        raise


def _wamp_door(name: str, encode: Callable[[Any], bytes], messages: list[bytes]) -> None:
    opcode = rfc6455.TEXT if name.startswith("json") else rfc6455.BINARY
    sent = (_masked(one, opcode) for one in (encode(HELLO), *messages[:20]))
    _talk(lambda world: world.open(b"/ws", b"Sec-WebSocket-Protocol: wamp.2." + name.encode()), sent)


def wamp_json(data: bytes) -> None:
    _wamp_door("json", msgspec.json.encode, data.split(b"\n"))


def wamp_msgpack(data: bytes) -> None:
    _wamp_door("msgpack", msgspec.msgpack.encode, data.split(BETWEEN))


def wamp_cbor(data: bytes) -> None:
    _wamp_door("cbor", cbor2.dumps, data.split(BETWEEN))


def wamp_batched(data: bytes) -> None:
    _wamp_door("json.batched", lambda one: msgspec.json.encode(one) + b"\x18", [data])


def wamp_values(data: bytes) -> None:
    """Lines of JSON, each a message that is sent in msgpack: what is well-formed goes deeper."""
    values = []
    for line in data.split(b"\n")[:20]:
        with suppress(msgspec.MsgspecError, RecursionError, UnicodeDecodeError, OverflowError):
            values.append(msgspec.msgpack.encode(msgspec.json.decode(line)))
    _wamp_door("msgpack", msgspec.msgpack.encode, values)


# ---- the table -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """
    :ivar run: takes any bytes; what it raises is a finding.
    :ivar seeds: inputs to begin with.
    :ivar words: what inputs are made of.
    """

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()


def _lines(*values: Any) -> bytes:
    return b"\n".join(msgspec.json.encode(one) for one in values)


def _asks(**methods: Any) -> list[Any]:
    return [
        {"jsonrpc": "2.0", "id": number, "method": name.replace("__", "."), "params": params}
        for number, (name, params) in enumerate(methods.items(), 1)
    ]


_PAGE = _asks(
    hopsack__hello={},
    hopsack__subscribe={"topic": "demo.news", "match": "exact"},
    hopsack__publish={"topic": "demo.ticker", "data": {"headline": "x"}, "key": "k"},
    hopsack__register={"procedure": "demo.ann.ask"},
    demo__ann__ask={"text": "x"},
    hopsack__cancel={"id": 5},
    hopsack__rate={"subscription": 1, "max_rate": 2.5},
    hopsack__more={"id": 5, "n": 3},
    hopsack__input={"id": 5, "data": 1, "end": True},
    hopsack__stream__read={"topic": "demo.ticker", "after": "abcdefgh:1", "limit": 3},
    demo__count=3,
    hopsack__ping={},
)
_WAMP: tuple[Any, ...] = (
    [32, 1, {"match": "prefix"}, "demo.hall."],
    [64, 2, {"invoke": "roundrobin", "x_hopsack_invoke": "least"}, "demo.add"],
    [16, 3, {"acknowledge": True, "exclude_me": False, "eligible": [1]}, "demo.news", [{"headline": "x"}]],
    [48, 4, {"timeout": 1000, "receive_progress": True, "x_hopsack_key": "k"}, "demo.add", [{"a": 1, "b": 2}]],
    [70, 1, {"progress": True}, [3]],
    [8, 68, 1, {}, "demo.overflow", ["x"], {"data": {}}],
    [49, 4, {"mode": "kill"}],
    [66, 5, 1],
    [34, 6, 1],
    [48, 7, {"x_hopsack_wait": 1, "progress": True}, "demo.sum"],
    [513, 48, 4, 3],
    [6, {}, "wamp.close.normal"],
)
_WORDS = (
    b'"jsonrpc":"2.0"', b'"method":', b'"params":', b'"id":', b'"hopsack.', b'"demo.', b"hopsack.subscribe", b"after",
    b"wildcard", b"prefix", b"x_hopsack_key", b"x_hopsack_after", b"receive_progress", b"acknowledge", b"eligible",
    b"1e400", b"-0.0", b"9007199254740993", b"\\ud800", b"[[[[[[[[", b"null", b"true", b"\\u0000",
)  # fmt: skip
_FRAMES = _masked(b"hello", rfc6455.TEXT) + _masked(b"", rfc6455.PING) + _masked(b"\x03\xe8bye", rfc6455.CLOSE)
_SQUEEZED = deflate.compress(b'{"jsonrpc":"2.0"}' * 40, 15) or b""
_POST = (
    b"POST /publish/demo.news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\nContent-Type: application/json\r\n"
    b'Idempotency-Key: "k"\r\n\r\n{"headline":"x"}'
)
_GET = (
    b"GET /events?topic=demo.ticker&after=abcdefgh:1 HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: abcdefgh:2\r\n\r\n"
)
_OPENING = b"Host: localhost\r\n" + UPGRADE + KEY + b"Origin: https://a.good.example"
_CHUNKED = (
    b"POST /call/demo.add HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nHopsack-Timeout: 5\r\n\r\n"
    b'd\r\n{"a":1,"b":2}\r\n0\r\n\r\n'
)

TARGETS: dict[str, Target] = {
    "websocket": Target(
        websocket, (b"\x03" + _FRAMES, b"\x01" + bytes((0xC1, 0x80 | len(_SQUEEZED))) + b"\0\0\0\0" + _SQUEEZED)
    ),
    "raw_socket": Target(raw_socket, (b"\0\0\0\5hello\1\0\0\2hi", b"\0\0\x10\0")),
    "codec": Target(codec, (_lines(_WAMP[3]), msgspec.msgpack.encode(_WAMP[2]), msgspec.msgpack.encode(HELLO))),
    "token": Target(
        token, (b'{"alg":"HS256","typ":"JWT"}\n{"sub":"a","role":"user","iss":"hopsack","exp":1900000000}',), _WORDS
    ),
    "url": Target(url, (b"topic=demo.news&topic=demo.&after=demo.news%3Dabcdefgh:1\n*,demo.news=abcdefgh:3",)),
    "opening": Target(opening, (_OPENING, b"permessage-deflate; server_max_window_bits=10; client_max_window_bits")),
    "json_text": Target(json_text, (_lines(_PAGE[1]),), _WORDS),
    "wamp_client": Target(
        wamp_client,
        (
            _lines([50, 1, {}, [1]], [33, 2, 7], [36, 7, 1, {}, [1]], [17, 3, 9], [65, 4, 8], [68, 1, 8, {}, [1]]),
            _lines([8, 48, 1, {}, "demo.overflow", ["x"]], [6, {}, "wamp.close.normal"]),
        ),
        _WORDS,
    ),
    "raw_client": Target(
        raw_client,
        (
            _lines(
                {"jsonrpc": "2.0", "id": 2, "result": 3},
                {"jsonrpc": "2.0", "id": 3, "result": {"subscription": 1}},
                {"jsonrpc": "2.0", "method": "event", "params": {"topic": "demo.news", "data": 1}},
            ),
        ),
        _WORDS,
    ),
    "raw_door": Target(raw_door, (_lines(*_PAGE), _lines(_PAGE[3:9])), _WORDS),
    "websocket_door": Target(websocket_door, (_FRAMES, b"\xc1" + bytes((0x80 | len(_SQUEEZED),)) + b"\0" * 4)),
    "http_door": Target(
        http_door,
        (b"\xff" + _POST, b"\xff" + _GET, b"\x10" + _CHUNKED, b"\xffGET /raw HTTP/1.1\r\n" + _OPENING + b"\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"Content-Length: ", b"HTTP/1.0", b"Expect: 100-continue", b"/%2e%2e/"),
    ),
    "wamp_json": Target(wamp_json, (_lines(*_WAMP),), _WORDS),
    "wamp_msgpack": Target(wamp_msgpack, (BETWEEN.join(map(msgspec.msgpack.encode, _WAMP)),), _WORDS),
    "wamp_cbor": Target(wamp_cbor, (BETWEEN.join(map(cbor2.dumps, _WAMP)),), _WORDS),
    "wamp_batched": Target(wamp_batched, (b"\x18".join(map(msgspec.json.encode, _WAMP)) + b"\x18",), _WORDS),
    "wamp_values": Target(wamp_values, (_lines(*_WAMP),), _WORDS),
}
