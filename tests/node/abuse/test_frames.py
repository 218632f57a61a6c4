"""Frames that no client may send: closed with the code that RFC 6455 has for it, and one line in the log."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache

import pytest

from .attacker import BINARY, CLOSE, CONTINUATION, FIN, PING, TEXT, Attacker, Closed, masked
from .conftest import Log

pytestmark = pytest.mark.node

Connect = Callable[[], Attacker]
MAX = 1 << 20
DOORS = {
    "raw": ("/raw",),
    "reading": ("/raw?topic=demo.news",),
    "echo": ("/echo",),
    "wamp": ("/ws", "Sec-WebSocket-Protocol: wamp.2.json"),
}

WRONG = {
    "no mask": (bytes((FIN | TEXT, 2)) + b"{}", 1002),
    "a reserved bit": (masked(FIN | 0x20 | TEXT, b"{}"), 1002),
    "compressed, and nobody agreed": (masked(FIN | 0x40 | TEXT, b"{}"), 1002),
    "a reserved opcode": (masked(FIN | 0x3, b"{}"), 1002),
    "a reserved control opcode": (masked(FIN | 0xF), 1002),
    "nothing to continue": (masked(FIN | CONTINUATION, b"x"), 1002),
    "a message within a message": (masked(TEXT, b"a") + masked(FIN | TEXT, b"b"), 1002),
    "a fragmented ping": (masked(PING), 1002),
    "a long ping": (masked(FIN | PING, b"x" * 126), 1002),
    "a length in a longer form": (bytes((FIN | BINARY, 0x80 | 126)) + b"\0\5\0\0\0\0hello", 1002),
    "a length beyond 2^63": (bytes((FIN | BINARY, 0x80 | 127)) + b"\xff" * 8 + b"\0" * 4, 1002),
    "not UTF-8": (masked(FIN | TEXT, b"\xff\xfe"), 1007),
    "UTF-8 of a surrogate": (masked(FIN | TEXT, b"\xed\xa0\x80"), 1007),
    "UTF-8 that ends too early": (masked(TEXT, b"\xc3") + masked(FIN | CONTINUATION), 1007),
    "a close code that is none": (masked(FIN | CLOSE, (1005).to_bytes(2, "big")), 1002),
    "a close of one byte": (masked(FIN | CLOSE, b"\3"), 1002),
    "a reason that is not UTF-8": (masked(FIN | CLOSE, b"\x03\xe8\xff"), 1007),
    "too large, by its head": (masked(FIN | BINARY, length=1 << 40), 1009),
}


@pytest.mark.parametrize("door", DOORS)
def test_what_may_not_be_sent(attacker: Connect, log: Log, door: str) -> None:
    told = {}
    for name, (sent, _) in WRONG.items():
        client = attacker()
        client.open(*DOORS[door])
        client.send(sent)
        told[name] = (client.closed().code, len(log.lines("closing", f"{client.peer}:")))

    assert told == {name: (code, 1) for name, (_, code) in WRONG.items()}


@pytest.mark.parametrize("door", ["raw", "echo"])
def test_fragments_that_never_end(attacker: Connect, log: Log, door: str) -> None:
    client = attacker()
    client.open(*DOORS[door])

    client.send(masked(BINARY, b"x"))
    client.send(b"".join(masked(CONTINUATION, b"x" * 1024) for _ in range(MAX // 1024)))

    assert client.closed() == Closed(1009, f"received a message of more than {MAX} bytes")
    assert len(log.lines(client.peer, "closing")) == 1


def test_empty_fragments_that_never_end(attacker: Connect) -> None:
    """They cost no memory, and would be read for ever."""
    client = attacker()
    client.open("/raw")

    client.send(masked(TEXT, b"{"))
    for _ in range(100):
        client.send(masked(CONTINUATION) * 1000)

    assert client.closed() in (Closed(1008, "received a message in too many fragments"), Closed(None))


@cache
def bomb(size: int) -> bytes:
    """A small frame's payload that inflates to ``size`` zeros."""
    deflater = zlib.compressobj(9, wbits=-15)
    squeezed = deflater.compress(b"\0" * size) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return squeezed[:-4]


@pytest.mark.parametrize("door", ["raw", "echo", "wamp"])
def test_a_decompression_bomb(attacker: Connect, log: Log, door: str) -> None:
    """128 MiB in 128 KiB: it takes no more of the node than a message that fits."""
    client = attacker()
    client.open(*DOORS[door], "Sec-WebSocket-Extensions: permessage-deflate")

    client.send(masked(FIN | 0x40 | BINARY, bomb(1 << 27)))

    closed = client.closed()
    assert closed.code == 1009
    assert len(log.lines(client.peer, "closing")) == 1


def test_a_hundred_bombs_at_once(attacker: Connect) -> None:
    frame = masked(FIN | 0x40 | BINARY, bomb(1 << 24))
    clients = [attacker() for _ in range(100)]
    for client in clients:
        client.open("/raw", "Sec-WebSocket-Extensions: permessage-deflate")

    for client in clients:
        client.send(frame)

    assert [client.closed().code for client in clients] == [1009] * len(clients)


def test_pings_of_one_who_does_not_read(attacker: Connect) -> None:
    """The answers would fill the node's memory: there are none while the client does not take them."""
    client = attacker()
    client.open("/raw")
    pings = masked(FIN | PING, b"x" * 125) * 1000

    client.socket.setblocking(False)
    sent = 0
    try:
        for _ in range(400):
            sent += client.socket.send(pings)
    except BlockingIOError:
        pass

    assert sent


@pytest.mark.parametrize("door", DOORS)
def test_pings_without_end(attacker: Connect, log: Log, door: str) -> None:
    client = attacker()
    client.open(*DOORS[door])

    client.send(masked(FIN | PING) * 2000)

    assert client.closed().code == 4429
    assert len(log.lines("closing", f"{client.peer}:")) == 1


RAW_SOCKET = {
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "nothing but zeros": bytes(64),
    "no serializer": b"\x7f\xf0\0\0",
    "an unknown serializer": b"\x7f\xfe\0\0",
    "a frame of no type": b"\x7f\xf1\0\0" + b"\3\0\0\0",
    "a reserved bit of a frame": b"\x7f\xf1\0\0" + b"\x80\0\0\0",
    "a message of no message": b"\x7f\xf1\0\0" + b"\0\0\0\0",
    "no message": b"\x7f\xf1\0\0" + b"\0\0\0\2[]",
    "a message cut short": b"\x7f\xf2\0\0" + b"\0\0\0\1\x95",
}


@pytest.mark.parametrize("name", RAW_SOCKET)
def test_raw_socket(raw_attacker: Connect, log: Log, name: str) -> None:
    client = raw_attacker()

    client.send(RAW_SOCKET[name])

    assert len(client.rest()) <= 4  # the answer to a handshake, and then nothing
    assert len(log.lines("closing", client.peer) + log.lines("opening handshake")) == 1


def test_a_hundred_frames_that_never_come(raw_attacker: Connect) -> None:
    """Each says that sixteen megabytes come, and sends ten bytes: nothing is set aside for what has not come."""
    for _ in range(100):
        client = raw_attacker()
        client.shake()
        client.send(b"\0\xff\xff\xff" + b"x" * 10)
