"""The abuser's end of a connection: bytes and nothing that keeps one from sending wrong ones."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 20.0
"""Seconds until a test gives up. Nothing here waits for time to pass."""

FIN, TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x80, 0x1, 0x2, 0x0, 0x8, 0x9, 0xA
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def masked(first: int, payload: bytes = b"", length: int | None = None) -> bytes:
    """A frame as a client sends it, with a key of zeros.

    :param length: what its head says; that need not be true.
    """
    said = len(payload) if length is None else length
    if said < 126:
        head = bytes((first, 0x80 | said))
    elif said < 1 << 16:
        head = bytes((first, 0x80 | 126)) + said.to_bytes(2, "big")
    else:
        head = bytes((first, 0x80 | 127)) + said.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


@dataclass(frozen=True)
class Closed:
    """How the node ended a connection. ``code`` is ``None`` where it said nothing."""

    code: int | None
    reason: str = ""


@dataclass(frozen=True)
class Response:
    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Attacker:
    """One TCP connection to a port of the node.

    :param address: where it comes from; all of ``127.0.0.0/8`` is this machine.
    :ivar peer: how the node's log names it.
    """

    def __init__(self, url: str, address: str | None = None) -> None:
        parts = urlsplit(url)
        self.host = parts.netloc
        source = None if address is None else (address, 0)
        self.socket = socket.create_connection((parts.hostname, parts.port), PATIENCE, source)
        self.peer = "tcp4:{}:{}".format(*self.socket.getsockname())
        self._read = b""

    def __enter__(self) -> Attacker:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send, or as much of it as the node takes before it ends the connection."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def rest(self) -> bytes:
        """Everything until the node ends the connection."""
        while self._more():
            pass
        read, self._read = self._read, b""
        return read

    def exactly(self, count: int) -> bytes:
        while len(self._read) < count:
            if not self._more():
                raise EOFError(self._read)
        found, self._read = self._read[:count], self._read[count:]
        return found

    def until(self, end: bytes) -> bytes:
        while end not in self._read:
            if not self._more():
                raise EOFError(self._read)
        found, _, self._read = self._read.partition(end)
        return found + end

    def _more(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self._read += data
        return bool(data)

    # ---- HTTP ------------------------------------------------------------------------------------------------------

    def head(self, method: str, path: str, *fields: str) -> bytes:
        return "\r\n".join((f"{method} {path} HTTP/1.1", f"Host: {self.host}", *fields, "", "")).encode("latin-1")

    def ask(self, method: str, path: str, *fields: str, body: bytes = b"") -> Response:
        length = (f"Content-Length: {len(body)}",) if body else ()
        self.send(self.head(method, path, *fields, *length) + body)
        return self.response()

    def response(self) -> Response:
        first, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        return Response(int(first.split()[1]), fields, self.exactly(int(fields.get("content-length", "0"))))

    # ---- WebSocket -------------------------------------------------------------------------------------------------

    def upgrade(self, path: str, *fields: str) -> Response:
        """Ask for a WebSocket; whatever the answer is."""
        asked = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13")
        self.send(self.head("GET", path, *asked, *fields))
        return self.response()

    def open(self, path: str, *fields: str) -> None:
        answer = self.upgrade(path, *fields)
        assert answer.status == 101, answer

    def say(self, value: Any) -> None:
        """A JSON message in one text frame."""
        self.send(masked(FIN | TEXT, json.dumps(value).encode()))

    def frame(self) -> tuple[int, bytes]:
        """The next frame that the node sends: opcode and payload."""
        first, length = self.exactly(2)
        if length > 125:
            length = int.from_bytes(self.exactly(2 if length == 126 else 8), "big")
        return first & 0x0F, self.exactly(length)

    def hear(self) -> Any:
        """The next JSON message; pings are answered."""
        while True:
            kind, payload = self.frame()
            if kind == PING:
                self.send(masked(FIN | PONG, payload))
            elif kind == CLOSE:
                raise EOFError(payload)
            else:
                return json.loads(payload)

    def closed(self) -> Closed:
        """How the node ends the connection; what else it says before is passed over."""
        while True:
            try:
                kind, payload = self.frame()
            except EOFError:
                return Closed(None)
            if kind == CLOSE:
                return Closed(int.from_bytes(payload[:2], "big"), payload[2:].decode())

    def page(self, token: str | None = None) -> Attacker:
        """Open the raw door."""
        self.open("/raw", *([f"Authorization: Bearer {token}"] if token else []))
        return self

    def request(self, number: Any, method: str, params: Any = None) -> None:
        self.say({"jsonrpc": "2.0", "id": number, "method": method, "params": params})

    def result(self, number: Any, method: str, params: Any = None) -> Any:
        """Ask, and hear the result."""
        self.request(number, method, params)
        answer = self.hear()
        assert "result" in answer, answer
        return answer["result"]

    def wamp(self, **features: Any) -> Attacker:
        """Open the WAMP door, in JSON, and join as a guest."""
        self.open("/ws", "Sec-WebSocket-Protocol: wamp.2.json")
        roles = {name: {"features": features} for name in ("caller", "callee", "publisher", "subscriber")}
        self.say([1, "hopsack", {"roles": roles}])
        assert self.hear()[0] == 2
        return self

    def reply(self, *message: Any) -> Any:
        """Say a WAMP message, and hear what comes."""
        self.say(message)
        return self.hear()

    # ---- RawSocket -------------------------------------------------------------------------------------------------

    def shake(self, serializer: int = 1) -> None:
        self.send(bytes((0x7F, 0xF0 | serializer, 0, 0)))
        assert self.exactly(4)[1] & 0x0F == serializer

    def put(self, message: bytes) -> None:
        """A regular message."""
        self.send(len(message).to_bytes(4, "big") + message)

    def got(self) -> Any:
        """The next regular message, which is JSON."""
        head = int.from_bytes(self.exactly(4), "big")
        return json.loads(self.exactly(head & 0xFFFFFF))
