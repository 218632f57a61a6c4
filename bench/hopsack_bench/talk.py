"""What a client of each door says and is told, written by hand: no library of ours stands between node and checker.

Pure. Three encodings of the same conversation; each ``read_…`` turns what comes into one of :data:`Told`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import msgspec

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9

RESET = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
"""A socket option with which closing sends an RST, as a machine does that came back and knows nothing."""


class Confused(Exception):
    """What was told makes no sense in the protocol, or says that something went wrong."""


class Refused(Confused):
    """The node says no. It may say yes later."""


@dataclass(frozen=True, slots=True)
class Granted:
    """A subscription stands.

    :ivar positions: of its streams, by topic.
    :ivar recovered: the node goes on where it was asked to.
    """

    positions: Mapping[str, str]
    recovered: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Came:
    """An event."""

    topic: str
    position: str | None
    data: Any


@dataclass(frozen=True, slots=True)
class Taken:
    """The node took the event of this request. ``position``: if the door says it."""

    request: int
    position: str | None


@dataclass(frozen=True, slots=True)
class Answered:
    """A call has its result."""

    request: int
    value: Any


@dataclass(frozen=True, slots=True)
class Step:
    """WAMP's joining goes on: the type of the message that came."""

    code: int


Told = Granted | Came | Taken | Answered | Step

# ---- WebSocket (RFC 6455, section 5.2) -------------------------------------------------------------------------------


class Frames:
    """The frames of a server, from bytes in whatever pieces they come."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """:returns: opcode and payload of each frame that is whole now.

        :raises Confused: a masked or fragmented frame.
        """
        self._data += data
        found: list[tuple[int, bytes]] = []
        at, view = 0, self._data
        while len(view) - at >= 2:
            size, head = view[at + 1], 2
            if size & 128 or not view[at] & 128:
                raise Confused("the node sent a masked or fragmented frame")
            if size >= 126:
                head = 4 if size == 126 else 10
                size = int.from_bytes(view[at + 2 : at + head], "big")
            if len(view) - at < head + size:
                break
            found.append((view[at] & 15, bytes(view[at + head : at + head + size])))
            at += head + size
        del self._data[:at]
        return found


# ---- the raw door ----------------------------------------------------------------------------------------------------

HELLO, SUBSCRIBE = 0, 1
"""Numbers of requests; publications have those from 2 on."""


def raw(method: str, number: int, **params: Any) -> bytes:
    """A request of the raw door."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def read_raw(text: bytes, topic: str = "") -> Told | None:
    """What one message of the raw door tells.

    :param topic: that was asked for, which an answer does not repeat.
    :raises Confused: an error, a gap, or what cannot come here.
    """
    message: dict[str, Any] = msgspec.json.decode(text)
    match message:
        case {"method": "event", "params": {"topic": str(name), "data": data} as params}:
            return Came(name, params.get("position"), data)
        case {"id": int(number), "error": {"message": words}}:
            raise Refused(f"request {number}: {words}")
        case {"id": 0, "result": _}:
            return None
        case {"id": 1, "result": {"subscription": _} as facts}:
            return granted(topic, facts)
        case {"id": int(number), "result": dict(facts)}:
            return Taken(number, facts.get("position"))
        case {"method": "recovery", "params": {"topic": str(name), "recovered": False, "reason": reason}}:
            return Granted({}, False, f"{name}: {reason}")
        case other:
            raise Confused(f"unexpected: {other!r:.200}")


def granted(topic: str, facts: Mapping[str, Any]) -> Granted:
    positions = facts.get("positions") or ({topic: facts["position"]} if facts.get("position") else {})
    return Granted(positions, bool(facts.get("recovered")), facts.get("reason") or "")


# ---- server-sent events (HTML, section 9.2) over HTTP/1.1 chunks (RFC 9112, section 7.1) -----------------------------


class Chunks:
    """The body of a response, from its chunks."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> bytes:
        """:returns: what there is of the body now.

        :raises EOFError: the last chunk came.
        """
        self._data += data
        body = bytearray()
        while (line := self._data.find(b"\r\n")) >= 0:
            size = int(self._data[:line], 16)
            if not size:
                raise EOFError
            if len(self._data) < line + 2 + size + 2:
                break
            body += self._data[line + 2 : line + 2 + size]
            del self._data[: line + 2 + size + 2]
        return bytes(body)


class Blocks:
    """The events of an event stream: what a browser's ``EventSource`` would make of it.

    :param topic: the only one that is read; ``None``: several, whose ``id`` names them all.
    """

    def __init__(self, topic: str | None) -> None:
        self._topic = topic
        self._rest = b""
        self._fields: dict[str, str] = {}
        self.last_id = ""

    def feed(self, data: bytes) -> Iterator[Told]:
        """:raises Confused: a gap, or what cannot come here."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line:
                name, _, value = line.decode().partition(":")
                self._fields[name] = value.removeprefix(" ")
                continue
            fields, self._fields = self._fields, {}
            if "id" in fields:
                self.last_id = fields["id"]
            if "data" in fields:
                yield self._told(fields.get("event", "message"), msgspec.json.decode(fields["data"]))

    def _told(self, name: str, data: Any) -> Told:
        if name == "hopsack.position":
            return Granted(self.positions(), False)
        if name == "hopsack.recovery":
            return Granted(self.positions(), False, f"{data.get('topic')}: {data.get('reason')}")
        if name.startswith("hopsack."):
            raise Confused(f"{name}: {data!r:.200}")
        return Came(name, self.positions().get(name), data)

    def positions(self) -> dict[str, str]:
        """What the newest id says, by topic."""
        if self._topic is not None:
            return {self._topic: self.last_id} if self.last_id else {}
        pairs = (entry.rpartition("=") for entry in self.last_id.split(",") if "=" in entry)
        return {unquote(topic): position for topic, _, position in pairs}


def last_event_id(topic: str | None, places: Mapping[str, str]) -> str:
    """What a browser would send back that has read so far."""
    if topic is not None:
        return places.get(topic, "")
    return ",".join(f"{quote(name)}={position}" for name, position in places.items())


# ---- WAMP in JSON ----------------------------------------------------------------------------------------------------

_ROLES = {"publisher": {}, "subscriber": {"features": {"pattern_based_subscription": True}}, "caller": {}}
WELCOME, CHALLENGE, ABORT, GOODBYE, ERROR, PUBLISHED, SUBSCRIBED, EVENT, RESULT = 2, 4, 3, 6, 8, 17, 33, 36, 50


RAWSOCKET_JSON = b"\x7f\xf1\0\0"
"""The handshake over RawSocket: magic, the longest message that we take (2**24) and JSON, two reserved bytes."""
RAWSOCKET_PING, RAWSOCKET_PONG = 1, 2


def hello(realm: str) -> bytes:
    return msgspec.json.encode([1, realm, {"roles": _ROLES, "authmethods": ["ticket"], "authid": "checker"}])


def authenticate(ticket: str) -> bytes:
    return msgspec.json.encode([5, ticket, {}])


def wamp_subscribe(number: int, topic: str, match: str) -> bytes:
    return msgspec.json.encode([32, number, {"match": match}, topic])


def wamp_call(number: int, procedure: str, **input: Any) -> bytes:
    return msgspec.json.encode([48, number, {}, procedure, [input]])


def wamp_publish(number: int, topic: str, data: Any, key: str, *, delete: bool = False) -> bytes:
    options = {"acknowledge": True, "x_hopsack_key": key} | ({"x_hopsack_delete": True} if delete else {})
    return msgspec.json.encode([16, number, options, topic, [data]])


def read_wamp(text: bytes, topic: str = "") -> Told:
    """What one WAMP message tells.

    :param topic: that the subscription is for, which an event of an exact one need not repeat.
    :raises Confused: an error, or what cannot come here.
    """
    match msgspec.json.decode(text):
        case [36, _, _, {"x_hopsack_dropped": _} as details, *_]:
            raise Confused(f"dropped: {details}")
        case [36, _, _, details, [data, *_], *_]:
            return Came(details.get("topic", topic), details.get("x_hopsack_position"), data)
        case [17, int(number), _]:
            return Taken(number, None)
        case [50, int(number), _, [value, *_], *_]:
            return Answered(number, value)
        case [8, _, int(number), _, uri, *more]:
            raise Refused(f"request {number}: {uri} {more!r:.200}")
        case [2 | 4 | 33 as code, *_]:
            return Step(code)
        case [3 | 6, *_] as end:
            raise Refused(f"the node says goodbye: {end!r:.200}")
        case other:
            raise Confused(f"unexpected: {other!r:.200}")


# ---- a page of a stream ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """What ``hopsack.stream.read`` answers."""

    events: tuple[tuple[str, Any], ...]
    position: str
    recovered: bool
    reason: str
    end: bool


def page_of(value: Any) -> Page:
    """:raises Confused: it is none."""
    match value:
        case {"events": list(events), "position": str(position), "recovered": bool(recovered), "end": bool(end)}:
            told = tuple((one["position"], one["data"]) for one in events)
            return Page(told, position, recovered, value.get("reason") or "", end)
    raise Confused(f"no page of a stream: {value!r:.200}")
