"""What strangers name, and what comes back in header fields, reasons, streams and the log: never a line of theirs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ..conftest import Node
from .attacker import FIN, TEXT, Attacker, masked
from .conftest import Log

pytestmark = pytest.mark.node

Connect = Callable[[], Attacker]
LINE = "X-Injected: yes"
BROKEN = ["%0d%0a", "%0a", "%0d", "%00", "%e2%80%a8", "%c2%85", "%1e", "%0b", "%1b%5b2J"]


@pytest.mark.parametrize(
    "path", ["/publish/demo.news{}X-Injected:%20yes", "/call/demo.{}X-Injected:%20yes.ask", "/{}{}"]
)
def test_names_in_paths(attacker: Connect, path: str) -> None:
    client = attacker()
    for broken in BROKEN:
        answer = client.ask("POST", path.format(broken, broken), body=b"{}")

        assert 400 <= answer.status < 500
        assert "x-injected" not in answer.fields
        assert answer.problem["status"] == answer.status


@pytest.mark.parametrize("query", ["topic=demo.{}x", "topic=demo.news&after={}x", "topic=demo.news&{}=x", "topic={}."])
def test_names_in_queries(attacker: Connect, query: str) -> None:
    for broken in BROKEN:
        client = attacker()
        client.send(client.head("GET", f"/events?{query.format(broken)}"))
        head = client.until(b"\r\n\r\n")

        assert LINE.lower().encode() not in head.lower()
        client.socket.close()


FIELDS = {
    "Idempotency-Key": "\x0b\x1f",
    "Hopsack-Timeout": "1\x0b2",
    "Content-Type": "application/json\x1e; x=y",
    "Authorization": "Bearer \x0b\x0c",
    "Cookie": "hopsack=\x0b; =; ;;;;",
    "Origin": "http://127.0.0.1\x0bx",
    "Sec-Fetch-Site": "same-origin\x0b",
    "X-Forwarded-For": "\x0b, 1.2.3.4, ::, [::1]:80, x" * 100,
    "X-Forwarded-Proto": "https\x0b",
    "X-Forwarded-Host": "evil.example",
    "Forwarded": "for=1.2.3.4;host=evil.example",
    "Last-Event-ID": "*,\x0b=\x0b:1",
    "User-Agent": "\x1b[2J\x0b" * 100,
    "Upgrade": "websocket\x0b",
    "Sec-WebSocket-Protocol": "wamp.2.json\x0b, x",
    "Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=10\x0b",
    "If-None-Match": '"\x0b", *',
    "Accept": "text/event-stream\x0b",
    "Expect": "100-continue\x0b",
    "Range": "bytes=0-18446744073709551615",
}


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/publish/demo.news"), ("GET", "/raw"), ("GET", "/"), ("OPTIONS", "/ws")]
)
@pytest.mark.parametrize(
    "bytes_", ["", "\xff\xfe", "\xed\xa0\x80"], ids=["control characters", "no UTF-8", "surrogates"]
)
def test_fields_of_all_kinds(attacker: Connect, method: str, path: str, bytes_: str) -> None:
    for name, value in FIELDS.items():
        client = attacker()
        body = b'{"headline":"x"}' if method == "POST" else b""
        length = f"Content-Length: {len(body)}"
        client.send(client.head(method, path, f"{name}: {value}{bytes_}", length, "Connection: close") + body)

        answer = client.rest()

        assert answer.startswith(b"HTTP/1.1 "), name
        assert not answer.startswith(b"HTTP/1.1 5"), (name, answer)
        assert b"evil.example" not in answer.partition(b"\r\n\r\n")[0], name
        client.socket.close()


WAITS: list[Any] = [1, 1.5, -1, 0, True, None, "1", f"1\r\n{LINE}", [], {}, 1e308, 1e-308, 10**15, "∞"]


def test_what_a_callee_answers(attacker: Connect) -> None:
    """A callee is a stranger, too: what it says in its error goes into the caller's headers, as far as it may."""
    callee = attacker().page()
    callee.result(1, "hopsack.register", {"procedure": "demo.eve.ask"})
    for code in ("hopsack.overloaded", "hopsack.unavailable", "demo.declined", f"demo.x\r\n{LINE}", "hopsack.expired"):
        for wait in WAITS:
            caller = attacker()
            body = b'{"text":"x"}'
            caller.send(caller.head("POST", "/call/demo.eve.ask", f"Content-Length: {len(body)}") + body)
            while "id" not in (asked := callee.hear()):
                pass  # a report that its last answer broke its contract
            data = {"code": code, "message": f"\r\n{LINE}", "data": {"retry_after": wait}}
            callee.say({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": 1, "message": "", "data": data}})

            answer = caller.response()
            caller.socket.close()

            assert "x-injected" not in answer.fields
            assert answer.fields.get("retry-after", "1").isdecimal(), (code, wait, answer)
            assert answer.status == answer.problem["status"]


def answers_with(number: float, request: int) -> list[list[Any]]:
    data = {"code": "hopsack.overloaded", "message": "x", "data": {"retry_after": number}}
    return [
        [70, request, {}, [number]],
        [8, 68, request, {}, "hopsack.error.overloaded", [], data],
        [8, 68, request, {}, "demo.declined", [number]],
    ]


def test_numbers_that_are_none(raw_attacker: Connect, attacker: Connect) -> None:
    """msgpack has infinity, which JSON has not: as a result, in an error, and as how long to wait."""
    callee = raw_attacker()
    callee.shake(2)
    callee.put(msgspec.msgpack.encode([1, "hopsack", {"roles": {"callee": {}}}]))
    _frame(callee)
    callee.put(msgspec.msgpack.encode([64, 1, {}, "demo.inf.ask"]))
    _frame(callee)
    for number in (float("inf"), float("-inf"), float("nan")):
        for kind in range(3):
            caller = attacker()
            body = b'{"text":"x"}'
            caller.send(caller.head("POST", "/call/demo.inf.ask", f"Content-Length: {len(body)}") + body)
            while (asked := msgspec.msgpack.decode(_frame(callee)))[0] != 68:
                pass
            request = asked[1]
            callee.put(msgspec.msgpack.encode(answers_with(number, request)[kind]))

            answered = caller.response()
            caller.socket.close()

            assert answered.fields.get("retry-after", "1").isdecimal()
            json.loads(answered.body, parse_constant=pytest.fail)


def _frame(client: Attacker) -> bytes:
    head = int.from_bytes(client.exactly(4), "big")
    return client.exactly(head & 0xFFFFFF)


def test_a_line_in_the_log(attacker: Connect, node: Node, log: Log) -> None:
    """What strangers call themselves and their topics is told in the log on the line that tells of it."""
    forged = "2026-01-01T00:00:00+0000 [forged] everything is fine"
    name = f"x\n{forged}\r\n{forged}\x1b[2J\u2028{forged}"
    talker = attacker()
    talker.open("/ws", "Sec-WebSocket-Protocol: wamp.2.json", "User-Agent: a\x1b[2J")
    talker.say([1, "hopsack", {"roles": {"publisher": {}}, "authid": name, "authextra": {"agent": name}}])
    assert talker.hear()[0] == 2

    talker.say([16, 1, {}, f"demo.{name}", [name]])
    talker.say([16, 2, {}, "demo.secret", [name]])
    talker.say([16, 3, {}, name.replace("\n", "."), [name]])
    talker.say([6, {"message": name}, name])
    talker.say([48, 4, {}, f"demo.{name}"])
    attacker().ask("GET", "/" + "%0a" + forged.replace(" ", "%20"))
    callee, caller = attacker().page(), attacker().page()
    callee.result(1, "hopsack.register", {"procedure": "demo.mallory.ask"})
    caller.request(1, "demo.mallory.ask", {"text": "x"})
    error = {"code": 1, "message": name, "data": {"code": f"demo.{name}", "message": name}}
    callee.say({"jsonrpc": "2.0", "id": callee.hear()["id"], "error": error})
    assert "error" in caller.hear()
    last = attacker()
    last.open("/ws", "Sec-WebSocket-Protocol: wamp.2.json")
    last.send(masked(FIN | TEXT, json.dumps([1, name, {"roles": {}}]).encode()))
    last.closed()

    lines: list[str] = log.text().splitlines()
    assert not [line for line in lines if line.lstrip().startswith("2026-01-01")]
    assert "\x1b" not in log.text()


def test_a_reason_is_a_sentence(attacker: Connect) -> None:
    for broken in BROKEN:
        client = attacker()
        client.open(f"/raw?topic=demo.{broken}x{broken}")
        closed = client.closed()

        assert (closed.code, len(closed.reason.encode()) <= 123) == (4404, True), closed


def test_lines_in_a_stream(attacker: Connect) -> None:
    """A payload is one line of SSE, whatever it holds, and so is the name of its event."""
    reader, writer = attacker(), attacker().page()
    reader.send(reader.head("GET", "/events?topic=demo.eve.said"))
    reader.until(b"retry: ")
    data: Any = "\n\nevent: hopsack.position\ndata: 1\r\r\n\x00\u2028\u2029"

    assert writer.result(1, "hopsack.publish", {"topic": "demo.eve.said", "data": data}) == {}

    block = reader.until(b"\n\n").partition(b"event: demo")[2]
    assert block.count(b"\n") == 3
    assert json.loads(block.partition(b"data: ")[2]) == data
