"""Clients that take their time: all of them are gone in what a handshake may take in total, however they drip."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from .attacker import FIN, PATIENCE, PING, PONG, Attacker, masked
from .conftest import Log

pytestmark = pytest.mark.node

Connect = Callable[[], Attacker]
DRIP = 0.25


@dataclass
class Slow:
    """One of them.

    :ivar sees: with what the node ends it; nothing: without a word. :ivar said: at once.
    :ivar drips: what it sends again and again. :ivar heard: what the node said.
    """

    name: str
    client: Attacker
    sees: bytes
    said: bytes = b""
    drips: bytes = b""
    heard: bytes = b""


TIMEOUT = b"HTTP/1.1 408 "
NO_PROGRESS = (4408).to_bytes(2, "big")


def everybody(attacker: Connect, raw_attacker: Connect) -> list[Slow]:
    ticket = b'[1,"hopsack",{"roles":{"caller":{}},"authmethods":["ticket"]}]'
    upgraded = [(attacker(), "/ws"), (attacker(), "/ws"), (attacker(), "/raw"), (attacker(), "/raw")]
    for client, path in upgraded:
        client.open(path, "Sec-WebSocket-Protocol: wamp.2.json")
    silent, waiting, page, ponging = (client for client, _ in upgraded)
    post = b"POST /publish/demo.news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    chunked = b"POST /publish/demo.news HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [
        Slow("a head that drips", attacker(), TIMEOUT, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"x"),
        Slow("a line that drips", attacker(), TIMEOUT, b"GET /", b"x"),
        Slow("fields without end", attacker(), TIMEOUT, b"GET / HTTP/1.1\r\n", b"X: y\r\n"),
        Slow("a body that drips", attacker(), TIMEOUT, post, b" "),
        Slow("chunks that drip", attacker(), TIMEOUT, chunked, b"1\r\n \r\n"),
        Slow("a body that stops", attacker(), TIMEOUT, post + b"x"),
        Slow("WAMP without HELLO", silent, NO_PROGRESS, b"", masked(FIN | PING)),
        Slow("no AUTHENTICATE", waiting, NO_PROGRESS, masked(FIN | 1, ticket), masked(FIN | PONG)),
        Slow("a page that says nothing", page, NO_PROGRESS),
        Slow("a page that only pings", ponging, NO_PROGRESS, b"", masked(FIN | PING, b"x")),
        Slow("RawSocket without a word", raw_attacker(), b""),
        Slow("RawSocket, half a handshake", raw_attacker(), b"", b"\x7f"),
        Slow("RawSocket without HELLO", raw_attacker(), b"", b"\x7f\xf1\0\0"),
        Slow("RawSocket, a HELLO that drips", raw_attacker(), b"", b"\x7f\xf1\0\0\0\0\xff\xff", b" "),
        Slow("RawSocket that pings", raw_attacker(), b"", b"\x7f\xf1\0\0", b"\1\0\0\0"),
    ]  # fmt: skip


def test_all_of_them_are_ended(attacker: Connect, raw_attacker: Connect, log: Log) -> None:
    all_ = everybody(attacker, raw_attacker)
    end_all(all_)

    assert {one.name: one.heard for one in all_ if one.sees not in one.heard} == {}
    told = {one.name: len(log.lines("closing", f"{one.client.peer}:")) for one in all_}
    assert told == {one.name: int(not one.sees.startswith(b"HTTP")) for one in all_}
    for why in ("the head did not arrive", "the body comes too slowly"):
        assert len(log.lines("requests that were not read", why)) == 1


def end_all(everybody: list[Slow]) -> None:
    """Let them drip until the node has ended all."""
    waiting = {one.client.socket: one for one in everybody}
    with selectors.DefaultSelector() as selector:
        for sock, one in waiting.items():
            one.client.send(one.said)
            selector.register(sock, selectors.EVENT_READ)
        begun = due = time.monotonic()
        while time.monotonic() < begun + PATIENCE:
            for key, _ in selector.select(DRIP):
                sock = waiting[key.fileobj].client.socket  # type: ignore[index]
                try:
                    heard = sock.recv(65536)
                except OSError:
                    heard = b""
                waiting[sock].heard += heard
                if not heard:
                    selector.unregister(sock)
                    del waiting[sock]
            if not waiting:
                return
            if time.monotonic() < due:
                continue
            due += DRIP
            for one in waiting.values():
                if one.drips:
                    one.client.send(one.drips)

    assert [one.name for one in waiting.values()] == []
