"""What readers and publishers say to each server while they open, as plain bytes. Pure.

``load/readers.c`` plays these scripts: send some bytes, wait until the answer contains some others, next step. Client
frames of a WebSocket are masked with a key of zeros, which RFC 6455 (section 5.3) allows on the wire and which lets the
publisher change the time in a finished frame.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

Serializer = Literal["json", "msgpack"]

MARK = "@ns="
"""Stands before the time an event was due at, wherever the event is."""
DIGITS = 19
STAMP = MARK + "0" * DIGITS

_SEQUENCE = 0xB16B00C0FFEE0001
"""Where a frame has the number of its request: changed for every event."""

_KEY = "aG9wc2Fjay1iZW5jaC0xNg=="
_encode = {"json": msgspec.json.encode, "msgpack": msgspec.msgpack.encode}


@dataclass(frozen=True, slots=True)
class Step:
    """Say something, then wait until the answer contains ``expect``."""

    send: bytes
    expect: bytes = b""


Script = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Publisher:
    """How to publish.

    :ivar port: where to.
    :ivar template: the bytes of one event.
    :ivar at: offset of the 19 digits.
    :ivar sequence: offset of 8 bytes that count up, if there are any.
    """

    port: int
    script: Script
    template: bytes
    at: int
    sequence: int | None

    @classmethod
    def of(cls, port: int, script: Script, template: bytes) -> Publisher:
        """Find what changes in ``template``."""
        number = template.find(_SEQUENCE.to_bytes(8, "big"))
        return cls(port, script, template, template.index(MARK.encode()) + len(MARK), None if number < 0 else number)


def event(size: int) -> dict[str, Any]:
    """A payload as a service would send it, whose JSON is ``size`` bytes long (128 at least)."""
    payload: dict[str, Any] = {"at": STAMP, "host": "host-17", "load": [0.52, 0.48, 0.44], "free": 11534336, "note": ""}
    short = len(msgspec.json.encode(payload))
    if size < short:
        raise ValueError(f"an event is {short} bytes long at least")
    return payload | {"note": "n" * (size - short)}


# ---- carriers -------------------------------------------------------------------------------------------------------


def upgrade(path: str, protocol: str = "", headers: Mapping[str, str] | None = None) -> Step:
    """The opening request of a WebSocket; its answer ends with an empty line."""
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: Upgrade", "Upgrade: websocket"]
    lines += [f"Sec-WebSocket-Key: {_KEY}", "Sec-WebSocket-Version: 13"]
    if protocol:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return Step("\r\n".join([*lines, "", ""]).encode(), b"\r\n\r\n")


def frame(payload: bytes, *, binary: bool = False) -> bytes:
    """One client frame (RFC 6455, section 5.2)."""
    first = 0x82 if binary else 0x81
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", first, 0x80 | size)
    elif size < 65536:
        head = struct.pack(">BBH", first, 0xFE, size)
    else:
        head = struct.pack(">BBQ", first, 0xFF, size)
    return head + b"\0\0\0\0" + payload


def rawsocket_frame(payload: bytes) -> bytes:
    """One RawSocket message (WAMP advanced profile, section 15.1.3)."""
    return len(payload).to_bytes(4, "big") + payload


# ---- WAMP -----------------------------------------------------------------------------------------------------------

_ROLES = {"publisher": {}, "subscriber": {"features": {"pattern_based_subscription": True}}}


@dataclass(frozen=True, slots=True)
class Login:
    """Who a WAMP session is: a ticket, or nobody in particular."""

    authid: str | None = None
    ticket: str | None = None


GUEST = Login()


def _first(serializer: Serializer, length: int, code: int) -> bytes:
    """How a message of ``length`` items and this type code begins."""
    return b"[%d," % code if serializer == "json" else bytes((0x90 + length, code))


def _session(serializer: Serializer, realm: str, login: Login) -> list[tuple[list[Any], bytes]]:
    details: dict[str, Any] = {"roles": _ROLES, "authmethods": ["anonymous" if login.ticket is None else "ticket"]}
    if login.authid is not None:
        details["authid"] = login.authid
    welcome = _first(serializer, 3, 2)
    if login.ticket is None:
        return [([1, realm, details], welcome)]
    return [([1, realm, details], _first(serializer, 3, 4)), ([5, login.ticket, {}], welcome)]


def _subscriptions(serializer: Serializer, topics: Sequence[tuple[str, str]]) -> list[tuple[list[Any], bytes]]:
    subscribed = _first(serializer, 3, 33)
    return [
        (
            [32, number, {} if match == "exact" else {"match": match}, topic],
            subscribed + (b"%d," % number if serializer == "json" else bytes((number,))),
        )
        for number, (topic, match) in enumerate(topics, 1)
    ]


def wamp_reader(
    serializer: Serializer,
    realm: str,
    topics: Sequence[tuple[str, str]],
    *,
    login: Login = GUEST,
    path: str = "/ws",
) -> Script:
    """A WAMP session over WebSocket with subscriptions.

    :param topics: pairs of topic and match; fewer than 128.
    """
    messages = _session(serializer, realm, login) + _subscriptions(serializer, topics)
    encode = _encode[serializer]
    steps = [Step(frame(encode(message), binary=serializer == "msgpack"), expect) for message, expect in messages]
    return (upgrade(path, f"wamp.2.{serializer}"), *steps)


def wamp_publisher(port: int, realm: str, topic: str, payload: Any, *, login: Login = GUEST) -> Publisher:
    """A WAMP session over RawSocket, in msgpack; it asks for no acknowledgement."""
    # RawSocket handshake: magic, the longest message we take (2**24) and msgpack, two reserved bytes.
    steps = [Step(b"\x7f\xf2\0\0", b"\x7f")]
    steps += [
        Step(rawsocket_frame(msgspec.msgpack.encode(message)), expect)
        for message, expect in _session("msgpack", realm, login)
    ]
    publish = rawsocket_frame(msgspec.msgpack.encode([16, _SEQUENCE, {}, topic, [payload]]))
    # Requests are numbered from 1 (WAMP basic profile, section 5.1.2); readers.c counts before it sends.
    return Publisher.of(port, tuple(steps), publish)


# ---- the raw door ---------------------------------------------------------------------------------------------------


def raw_reader(topics: Sequence[str], token: str | None = None) -> Script:
    """JSON-RPC 2.0: hello, then subscriptions."""
    hello = {"jsonrpc": "2.0", "id": 0, "method": "hopsack.hello", "params": {"token": token} if token else {}}
    asked = [
        {"jsonrpc": "2.0", "id": number, "method": "hopsack.subscribe", "params": {"topic": topic}}
        for number, topic in enumerate(topics, 1)
    ]
    steps = [Step(frame(msgspec.json.encode(hello)), b'"session"')]
    steps += [Step(frame(msgspec.json.encode(one)), b'"subscription"') for one in asked]
    return (upgrade("/raw"), *steps)


# ---- peers ----------------------------------------------------------------------------------------------------------


def nats_reader(subject: str) -> Script:
    """NATS over TCP. The server speaks first."""
    return (Step(b"", b"INFO "), _nats_opening(subject))


def nats_websocket_reader(subject: str) -> Script:
    opening = _nats_opening(subject)
    return (upgrade("/"), Step(b"", b"INFO "), Step(frame(opening.send, binary=True), opening.expect))


def _nats_opening(subject: str) -> Step:
    connect = b'CONNECT {"verbose":false,"pedantic":false,"lang":"c","version":"1","protocol":1}\r\n'
    subscribe = b"SUB %s 1\r\n" % subject.encode() if subject else b""
    return Step(connect + subscribe + b"PING\r\n", b"PONG\r\n")


def nats_publisher(port: int, subject: str, payload: Any) -> Publisher:
    body = msgspec.json.encode(payload)
    script = (Step(b"", b"INFO "), _nats_opening(""))
    return Publisher.of(port, script, b"PUB %s %d\r\n%s\r\n" % (subject.encode(), len(body), body))


def plain_reader(path: str) -> Script:
    """A WebSocket that only reads."""
    return (upgrade(path),)


def websocket_publisher(port: int, path: str, payload: Any) -> Publisher:
    return Publisher.of(port, (upgrade(path),), frame(msgspec.json.encode(payload)))


def http_publisher(port: int, path: str, payload: Any) -> Publisher:
    body = msgspec.json.encode(payload)
    head = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return Publisher.of(port, (), "\r\n".join([*head, "", ""]).encode() + body)


_SOCKET_IO = "/socket.io/?EIO=4&transport=websocket"


def socketio_reader() -> Script:
    """Engine.IO 4: the server speaks first; ``40`` connects to the main namespace."""
    return (upgrade(_SOCKET_IO), Step(b"", b'0{"sid"'), Step(frame(b"40"), b'40{"sid"'))


def socketio_publisher(port: int, payload: Any) -> Publisher:
    return Publisher.of(port, socketio_reader(), frame(b'42["pub",' + msgspec.json.encode(payload) + b"]"))
