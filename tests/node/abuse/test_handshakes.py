"""Opening handshakes that are odd: refused as HTTP, at once, or taken as what they are. Never a crash, never a hang."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .attacker import KEY, Attacker
from .conftest import Log

pytestmark = pytest.mark.node

Connect = Callable[[], Attacker]
UPGRADE, CONNECTION = "Upgrade: websocket", "Connection: Upgrade"
GOOD_KEY, VERSION = f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13"
GOOD = (UPGRADE, CONNECTION, GOOD_KEY, VERSION)

ODD: dict[str, tuple[str, ...]] = {
    "2,000 fields": (*GOOD, *(f"X-{n}: y" for n in range(2000))),
    "a field of 64 KiB": (*GOOD, "X: " + "y" * (64 << 10)),
    "a field that is all name": (*GOOD, "y" * (64 << 10)),
    "a field without a colon": (*GOOD, "nothing"),
    "a field with a space before its colon": (*GOOD, "X : y"),
    "a field that is folded": (*GOOD, "X: y", "\tz", " no name"),
    "no key": (UPGRADE, CONNECTION, VERSION),
    "a key twice": (*GOOD, GOOD_KEY),
    "a short key": (UPGRADE, CONNECTION, "Sec-WebSocket-Key: eA==", VERSION),
    "a key that is not base64": (UPGRADE, CONNECTION, "Sec-WebSocket-Key: " + "\xff" * 24, VERSION),
    "no version": (UPGRADE, CONNECTION, GOOD_KEY),
    "version 8": (UPGRADE, CONNECTION, GOOD_KEY, "Sec-WebSocket-Version: 8"),
    "version 12": (UPGRADE, CONNECTION, GOOD_KEY, "Sec-WebSocket-Version: 12"),
    "two versions": (*GOOD, "Sec-WebSocket-Version: 8"),
    "a version beyond all": (UPGRADE, CONNECTION, GOOD_KEY, "Sec-WebSocket-Version: " + "9" * 5000),
    "a version in other digits": (UPGRADE, CONNECTION, GOOD_KEY, "Sec-WebSocket-Version: \xd9\xa1\xd9\xa3"),
    "another upgrade": ("Upgrade: h2c", CONNECTION, GOOD_KEY, VERSION),
    "a body": (*GOOD, "Content-Length: 5"),
    "two lengths": (*GOOD, "Content-Length: 5", "Content-Length: 6"),
    "a length and chunks": (*GOOD, "Content-Length: 5", "Transfer-Encoding: chunked"),
}  # fmt: skip

NAMES = {
    "30,000 spaces": " " * 30_000 + "wamp.2.json",
    "30,000 spaces within": "wamp.2.json" + " " * 30_000 + ",",
    "30,000 commas": "," * 30_000,
    "10,000 names": ",".join(["x"] * 10_000),
    "not ASCII": "\xfc\xf6\xe4",
    "not UTF-8": "\xff\xfe",
    "quotes": '"wamp.2.json"',
    "nothing": "",
}


@pytest.mark.parametrize("path", ["/raw", "/ws", "/echo"])
def test_odd_fields(attacker: Connect, log: Log, path: str) -> None:
    for name, fields in ODD.items():
        client = attacker()
        client.send(client.head("GET", path, "Sec-WebSocket-Protocol: wamp.2.json", *fields) + b"12345")
        answer = client.until(b"\r\n")
        client.socket.close()

        assert answer.startswith(b"HTTP/1.1 4") or name in MAY_BE_TAKEN, (name, answer)
    assert len(log.text().splitlines()) <= 5


MAY_BE_TAKEN = {"a field that is folded", "a body"}


@pytest.mark.parametrize("field", ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"])
def test_odd_names_of_protocols_and_extensions(attacker: Connect, field: str) -> None:
    """The raw door asks for no protocol, and extensions are only offered: what is not known is not taken."""
    for path in ("/raw", "/ws"):
        for name, value in NAMES.items():
            answer = attacker().upgrade(path, f"{field}: {value}")

            knows = "wamp.2.json" in value and field == "Sec-WebSocket-Protocol" and name != "quotes"
            assert answer.status == 101 or 400 <= answer.status < 500, (path, name, answer)
            assert answer.fields.get("sec-websocket-protocol") == ("wamp.2.json" if knows and path == "/ws" else None)
            assert "sec-websocket-extensions" not in answer.fields
