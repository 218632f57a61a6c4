"""What is compared: one door of one server, and how a client uses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hopsack.tokens import mint
from hopsack_bench import wire
from hopsack_bench.peers import AUTHID, REALM, TOPIC
from hopsack_bench.servers import Place
from hopsack_bench.wire import Login, Publisher, Script

_EXACT = ((TOPIC, "exact"),)


@dataclass(frozen=True, slots=True)
class Subject:
    """A door.

    :ivar peer: name of its server.
    :ivar reader: what a client says to read :data:`TOPIC`.
    :ivar publisher: how to publish a payload to it.
    :ivar join: what client number ``n`` says to be there and nothing else, authenticated where the server can.
    :ivar port: name of the readers' port.
    :ivar websocket: whether the readers' bytes are WebSocket frames.
    """

    name: str
    peer: str
    title: str
    reader: Callable[[Place], Script]
    publisher: Callable[[Place, Any], Publisher]
    join: Callable[[Place, int], Script]
    port: str = "http"
    websocket: bool = True


def _token(place: Place, sub: str, role: str) -> str:
    return mint(place.secret, sub=sub, role=role)


def _hopsack_publisher(place: Place, payload: Any) -> Publisher:
    login = Login(AUTHID, _token(place, AUTHID, "service"))
    return wire.wamp_publisher(place.ports["rawsocket"], REALM, TOPIC, payload, login=login)


def _hopsack_wamp(serializer: wire.Serializer, peer: str = "hopsack") -> Subject:
    suffix = "" if peer == "hopsack" else ", unchecked"

    def join(place: Place, number: int) -> Script:
        login = Login(f"user-{number}", _token(place, f"user-{number}", "user"))
        return wire.wamp_reader(serializer, REALM, (), login=login)

    return Subject(
        f"{peer}-{serializer}",
        peer,
        f"Hopsack, WAMP {serializer}{suffix}",
        lambda place: wire.wamp_reader(serializer, REALM, _EXACT),
        _hopsack_publisher,
        join,
    )


def _hopsack_raw(peer: str = "hopsack") -> Subject:
    suffix = "" if peer == "hopsack" else ", unchecked"
    return Subject(
        f"{peer}-raw",
        peer,
        f"Hopsack, raw{suffix}",
        lambda place: wire.raw_reader((TOPIC,)),
        _hopsack_publisher,
        lambda place, number: wire.raw_reader((), _token(place, f"user-{number}", "user")),
    )


def _stock(serializer: wire.Serializer) -> Subject:
    return Subject(
        f"stock-{serializer}",
        "stock",
        f"stock Crossbar, WAMP {serializer}",
        lambda place: wire.wamp_reader(serializer, REALM, _EXACT),
        lambda place, payload: wire.wamp_publisher(place.ports["rawsocket"], REALM, TOPIC, payload),
        lambda place, number: wire.wamp_reader(serializer, REALM, (), login=Login(AUTHID, place.secret)),
    )


def _plain(name: str, title: str) -> Subject:
    """Readers that only connect, and a publisher that sends a message."""
    return Subject(
        name,
        name,
        title,
        lambda place: wire.plain_reader("/sub"),
        lambda place, payload: wire.websocket_publisher(place.ports["http"], "/pub", payload),
        lambda place, number: wire.plain_reader("/sub"),
    )


def _nats(place: Place, payload: Any) -> Publisher:
    return wire.nats_publisher(place.ports["tcp"], TOPIC, payload)


_ROWS = (
    _hopsack_raw(),
    _hopsack_wamp("json"),
    _hopsack_wamp("msgpack"),
    _hopsack_raw("hopsack-open"),
    _hopsack_wamp("json", "hopsack-open"),
    _stock("json"),
    _stock("msgpack"),
    _plain("floor", "floor: C, one send per event"),
    _plain("floor-turn", "floor: C, one send per turn"),
    Subject(
        "nats-ws",
        "nats",
        "nats-server, WebSocket",
        lambda place: wire.nats_websocket_reader(TOPIC),
        _nats,
        lambda place, number: wire.nats_websocket_reader(""),
    ),
    Subject(
        "nats-tcp",
        "nats",
        "nats-server, TCP",
        lambda place: wire.nats_reader(TOPIC),
        _nats,
        lambda place, number: wire.nats_reader(""),
        port="tcp",
        websocket=False,
    ),
    Subject(
        "nchan",
        "nchan",
        "nginx with nchan",
        lambda place: wire.plain_reader("/sub"),
        lambda place, payload: wire.http_publisher(place.ports["http"], "/pub", payload),
        lambda place, number: wire.plain_reader("/sub"),
    ),
    _plain("ws", "Node.js ws"),
    Subject(
        "socketio",
        "socketio",
        "socket.io",
        lambda place: wire.socketio_reader(),
        lambda place, payload: wire.socketio_publisher(place.ports["http"], payload),
        lambda place, number: wire.socketio_reader(),
    ),
)
SUBJECTS: Mapping[str, Subject] = {subject.name: subject for subject in _ROWS}
