"""Clients that take their time: all of them are gone in what a handshake may take in total, however they drip."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from .attacker import FIN, PATIENCE, PING, PONG, Attacker, masked

pytestmark = pytest.mark.node

Connect = Callable[[], Attacker]
DRIP = 0.25


@dataclass
class Slow:
    """One of them.

    :ivar said: at once. :ivar drips: what it sends again and again.
    """

    name: str
    client: Attacker
    said: bytes = b""
    drips: bytes = b""


def everybody(attacker: Connect, raw_attacker: Connect) -> list[Slow]:
    ticket = b'[1,"hopsack",{"roles":{"caller":{}},"authmethods":["ticket"]}]'
    upgraded = [(attacker(), "/ws"), (attacker(), "/ws"), (attacker(), "/raw"), (attacker(), "/raw")]
    for client, path in upgraded:
        client.open(path, "Sec-WebSocket-Protocol: wamp.2.json")
    silent, waiting, page, ponging = (client for client, _ in upgraded)
    post = b"POST /publish/demo.news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    chunked = b"POST /publish/demo.news HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [
        Slow("a head that drips", attacker(), b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"x"),
        Slow("a line that drips", attacker(), b"GET /", b"x"),
        Slow("fields without end", attacker(), b"GET / HTTP/1.1\r\n", b"X: y\r\n"),
        Slow("a body that drips", attacker(), post, b" "),
        Slow("chunks that drip", attacker(), chunked, b"1\r\n \r\n"),
        Slow("a body that stops", attacker(), post + b"x"),
        Slow("WAMP without HELLO", silent, b"", masked(FIN | PING)),
        Slow("no AUTHENTICATE", waiting, masked(FIN | 1, ticket), masked(FIN | PONG)),
        Slow("a page that says nothing", page),
        Slow("a page that only pings", ponging, b"", masked(FIN | PING, b"x")),
        Slow("RawSocket without a word", raw_attacker()),
        Slow("RawSocket, half a handshake", raw_attacker(), b"\x7f"),
        Slow("RawSocket without HELLO", raw_attacker(), b"\x7f\xf1\0\0"),
        Slow("RawSocket, a HELLO that drips", raw_attacker(), b"\x7f\xf1\0\0\0\0\xff\xff", b" "),
        Slow("RawSocket that pings", raw_attacker(), b"\x7f\xf1\0\0", b"\1\0\0\0"),
    ]  # fmt: skip


def test_all_of_them_are_ended(attacker: Connect, raw_attacker: Connect) -> None:
    waiting = {one.client.socket: one for one in everybody(attacker, raw_attacker)}
    with selectors.DefaultSelector() as selector:
        for sock, one in waiting.items():
            one.client.send(one.said)
            selector.register(sock, selectors.EVENT_READ)
        begun = time.monotonic()
        while time.monotonic() < begun + PATIENCE:
            for key, _ in selector.select(DRIP):
                sock = waiting[key.fileobj].client.socket  # type: ignore[index]
                try:
                    ended = not sock.recv(65536)
                except OSError:
                    ended = True
                if ended:
                    selector.unregister(sock)
                    del waiting[sock]
            if not waiting:
                return
            for one in waiting.values():
                if one.drips:
                    one.client.send(one.drips)

    assert [one.name for one in waiting.values()] == []
