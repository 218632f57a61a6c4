"""Where a node is and what to speak there, read from one URL.

    tcp://host:8081             WAMP, msgpack, RawSocket; tls:// with TLS
    unix:///run/hopsack.sock    the same over a Unix socket
    ws://host:8080/ws           WAMP, msgpack, WebSocket; wss:// with TLS; http(s):// is the same; /ws may be left out
    ws://host:8080/raw          JSON-RPC 2.0, WebSocket

``?codec=json`` asks for WAMP in JSON, for whoever reads along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, parse_qs, urlsplit

from hopsack.errors import UsageError

__all__ = ["Address"]

_EXAMPLES = (
    "such as tcp://127.0.0.1:8081, tls://host:8081, unix:///run/hopsack.sock, ws://host:8080/ws or ws://host:8080/raw"
)
_WEB = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


@dataclass(frozen=True, slots=True)
class Address:
    """One place to connect to.

    :ivar carrier: how bytes travel.
    :ivar dialect: what is spoken over them.
    :ivar codec: name of the WAMP serialization; the raw dialect is always JSON.
    :ivar path: of the Unix socket, or of the WebSocket resource.
    """

    carrier: Literal["tcp", "unix", "websocket"]
    dialect: Literal["wamp", "raw"]
    codec: Literal["msgpack", "json"]
    host: str
    port: int
    path: str
    is_tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Address:
        """:raises UsageError: not a URL of a node; the message says what one looks like."""
        parts = urlsplit(url)
        _refuse_secrets(parts)
        try:
            port = parts.port
        except ValueError as error:
            raise UsageError(f"{url!r} is not the URL of a node: {error}") from error
        codec = _codec(url, parts.query)
        if parts.scheme == "unix" and parts.path:
            return cls("unix", "wamp", codec, "", 0, parts.path)
        if parts.scheme in ("tcp", "tls") and parts.hostname and port and parts.path in ("", "/"):
            return cls("tcp", "wamp", codec, parts.hostname, port, "", parts.scheme == "tls")
        if parts.scheme in _WEB and parts.hostname:
            return _web(url, _WEB[parts.scheme], codec, parts.hostname, port, parts.path)
        raise UsageError(f"{url!r} is not the URL of a node: write one {_EXAMPLES}")

    @property
    def url(self) -> str:
        """The address as a WebSocket URL, or as it would be written for the other carriers."""
        if self.carrier == "unix":
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = {"websocket": ("ws", "wss"), "tcp": ("tcp", "tls")}[self.carrier][self.is_tls]
        return f"{scheme}://{host}:{self.port}{self.path}"


def _refuse_secrets(parts: SplitResult) -> None:
    """:raises UsageError: the URL has a secret in it. It is not repeated: that is how they get into logs."""
    names = {name.lower() for name in parse_qs(parts.query, keep_blank_values=True)}
    if parts.password is None and parts.username is None and not names & _SECRETS:
        return
    raise UsageError("a URL is no place for a token: logs keep it; give the token itself, in HOPSACK_TOKEN for example")


_SECRETS = {"token", "access_token", "id_token", "bearer", "jwt", "ticket", "authorization", "secret", "password"}


def _codec(url: str, query: str) -> Literal["msgpack", "json"]:
    match parse_qs(query):
        case {"codec": ["json"]}:
            return "json"
        case {"codec": ["msgpack"]}:
            return "msgpack"
        case options if not options:
            return "msgpack"
    raise UsageError(f"{url!r}: after the question mark, only codec=msgpack and codec=json are known")


def _web(url: str, scheme: str, codec: Literal["msgpack", "json"], host: str, port: int | None, path: str) -> Address:
    is_tls = scheme == "wss"
    path = path.rstrip("/") or "/ws"
    # Behind a proxy the doors may stand below a prefix: only the last component tells them apart.
    door = path.rpartition("/")[2]
    if door not in ("ws", "raw"):
        raise UsageError(f"{url!r} names no door: its path ends in /ws (WAMP) or /raw (JSON-RPC)")
    is_raw = door == "raw"
    return Address(
        "websocket",
        "raw" if is_raw else "wamp",
        "json" if is_raw else codec,
        host,
        port or (443 if is_tls else 80),
        path,
        is_tls,
    )
