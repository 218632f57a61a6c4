"""Limits on a real node: floods are held back or ended, and who keeps to them does not notice."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from hopsack.tokens import mint

from .conftest import Node, NodeProcess, running

CONFIGURED = (
    "publishes.connection=100/s burst 200, calls.connection.user=1/min burst 20, "
    "connects.address=1000/s burst 1000, connections.address=60, subscribed.connection=5, payload.connection=64 KiB"
)
PATIENCE = 20.0


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with running(tmp_path_factory.mktemp("limits"), HOPSACK_LIMITS=CONFIGURED) as node:
        yield node


class Page:
    """A page's connection to the raw door."""

    def __init__(self, node: Node, token: str | None = None) -> None:
        self.socket: ClientConnection = connect(node.ws("/raw"), open_timeout=PATIENCE)
        self._requests = 0
        self.hello = self.ask("hopsack.hello", {} if token is None else {"token": token})

    def tell(self, method: str, params: Any) -> None:
        self.socket.send(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}))

    def send(self, method: str, params: Any) -> int:
        self._requests += 1
        self.socket.send(json.dumps({"jsonrpc": "2.0", "id": self._requests, "method": method, "params": params}))
        return self._requests

    def hear(self) -> dict[str, Any]:
        heard: dict[str, Any] = json.loads(self.socket.recv(timeout=PATIENCE))
        return heard

    def ask(self, method: str, params: Any) -> dict[str, Any]:
        self.send(method, params)
        return self.hear()

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def pages(node: Node) -> Iterator[Any]:
    with ExitStack() as stack:

        def open_page(token: str | None = None) -> Page:
            page = Page(node, token)
            stack.callback(page.close)
            return page

        yield open_page


class Quiet:
    """Somebody writes a line, somebody reads it, and only then comes the next."""

    ROOM = "chat.room.quiet"

    def __init__(self, writer: Page, reader: Page) -> None:
        self._writer, self._reader = writer, reader
        self._reader.ask("hopsack.subscribe", {"topic": self.ROOM})
        self.written = 0
        self.read: list[str] = []

    def line(self) -> float:
        """:returns: how long it took to arrive."""
        begun = time.monotonic()
        self.written += 1
        self._writer.tell("hopsack.publish", {"topic": self.ROOM, "data": {"by": "a", "text": str(self.written)}})
        self.read.append(self._reader.hear()["params"]["data"]["text"])
        return time.monotonic() - begun


def flood(page: Page, most: int) -> int | None:
    """Publish without waiting, until the node ends it.

    :returns: the close code; ``None``: it did not.
    """
    event = {"jsonrpc": "2.0", "method": "hopsack.publish", "params": {"topic": "demo.text", "data": "x"}}
    text = json.dumps(event).encode()
    frame = bytes((0x81, 0x80 | len(text))) + bytes(4) + text  # masked with zeros
    try:
        for _ in range(most // 100):
            page.socket.socket.sendall(frame * 100)
    except OSError:
        pass
    try:
        page.socket.recv(timeout=PATIENCE)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else None
    return None


def test_a_flood_of_events_is_ended_with_a_code_and_others_get_theirs(node: Node, pages: Any) -> None:
    quiet = Quiet(pages(node.token("service")), pages())
    calm = [quiet.line() for _ in range(100)]
    flooding, codes = pages(), list[int | None]()
    flooder = threading.Thread(target=lambda: codes.append(flood(flooding, 1_000_000)))

    flooder.start()
    rough: list[float] = [quiet.line()]
    while flooder.is_alive():
        rough.append(quiet.line())
    flooder.join()

    assert codes == [4429]
    assert "result" in pages().hello
    assert quiet.read == [str(number) for number in range(1, quiet.written + 1)]
    assert sorted(rough)[len(rough) // 2] < 100 * sorted(calm)[len(calm) // 2]


def test_who_asks_too_often_is_told_when_to_come_back(node: Node, pages: Any) -> None:
    page = pages(node.token("user"))
    numbers = [page.send("presence.list", None) for _ in range(30)]
    answers = {answer["id"]: answer for answer in (page.hear() for _ in numbers)}

    refused = [one["error"] for one in answers.values() if "error" in one]
    assert len(refused) == 10
    assert {one["data"]["code"] for one in refused} == {"hopsack.rate_limited"}
    assert all(0 < one["data"]["data"]["retry_after"] <= 60 for one in refused)
    assert refused[0]["data"]["data"]["limit"] == "calls.connection"
    assert refused[0]["data"]["where"] == "presence.list"


def test_a_service_is_not_limited(node: Node, pages: Any) -> None:
    page = pages(node.token("service"))
    numbers = [page.send("presence.list", None) for _ in range(100)]

    assert all("result" in page.hear() for _ in numbers)


def test_requests_over_http_are_told_by_their_status(node: Node) -> None:
    with httpx.Client(base_url=node.http, timeout=PATIENCE) as http:
        answers = [ask(http, node.token("user", "ann")) for _ in range(30)]

    refused = answers[20:]
    assert [one.status_code for one in answers] == [200] * 20 + [429] * 10
    assert int(refused[0].headers["Retry-After"]) >= 1
    assert refused[0].json()["code"] == "hopsack.rate_limited"


def test_levels_hold(pages: Any) -> None:
    page = pages()
    for number in range(5):
        assert "result" in page.ask("hopsack.subscribe", {"topic": f"chat.room.{number}"})

    full = page.ask("hopsack.subscribe", {"topic": "chat.room.5"})
    again = page.ask("hopsack.subscribe", {"topic": "chat.room.0"})

    assert full["error"]["data"]["code"] == "hopsack.too_many"
    assert "result" in again
    page.socket.send(" " * (65 << 10))
    with pytest.raises(ConnectionClosed) as closed:
        page.hear()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def test_an_address_has_so_many_connections_and_no_more(node: Node) -> None:
    where = urlsplit(node.http)
    with ExitStack() as stack:
        opened = []
        for _ in range(500):
            client = stack.enter_context(socket.create_connection((where.hostname, where.port or 0), PATIENCE))
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            opened.append(client)
        heads = [head_of(client) for client in opened]

    let_in = [head for head in heads if head.startswith(b"HTTP/1.1 200")]
    told = [head for head in heads if head.startswith(b"HTTP/1.1 429")]
    assert 50 <= len(let_in) <= 60
    assert told
    assert all(b"Retry-After: " in head for head in told)
    assert len(let_in) + len(told) + heads.count(b"") == 500
    with httpx.Client(base_url=node.http, timeout=PATIENCE) as http:
        assert settled(lambda: http.get("/healthz").status_code == 200)


def head_of(client: socket.socket) -> bytes:
    """The beginning of a response; nothing if the connection was closed."""
    try:
        return client.recv(4096)
    except ConnectionError:
        return b""


def settled(is_so: Any) -> bool:
    """Ask until it is so; the connections of the test have to end first."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if is_so():
                return True
        except httpx.TransportError:
            pass
    return False


def test_pings_without_end_are_ended(pages: Any) -> None:
    page = pages()
    raw = page.socket.socket
    try:
        for _ in range(100):
            raw.sendall(b"\x89\x80\0\0\0\0" * 100)
    except OSError:
        pass

    with pytest.raises(ConnectionClosed) as closed:
        page.hear()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4429


# ---- proofs ----------------------------------------------------------------------------------------------------------


def test_guesses_wait_and_a_good_token_does_not(tmp_path: Path) -> None:
    process = NodeProcess(tmp_path)
    try:
        node = process.ready()
        forged = mint("another-secret-of-thirty-two-bytes!!", sub="ann", role="user")
        with httpx.Client(base_url=node.http, timeout=PATIENCE) as http:
            answers = [ask(http, forged) for _ in range(15)]
            good = ask(http, node.token("user", "ann"))
            unknown = ask(http, mint("another-secret-of-thirty-two-bytes!!", sub="nobody", role="user"))

        assert [one.status_code for one in answers] == [401] * 10 + [429] * 5
        assert int(answers[-1].headers["Retry-After"]) >= 1
        assert good.status_code == 200
        assert unknown.status_code == 429
        assert len({one.text for one in answers[:10]}) == 1
    finally:
        process.stop()


def ask(http: httpx.Client, token: str) -> httpx.Response:
    return http.post("/call/presence.list", json=None, headers={"Authorization": f"Bearer {token}"})


# ---- changed live ----------------------------------------------------------------------------------------------------


def test_limits_change_while_the_node_runs_and_over_a_restart(tmp_path: Path) -> None:
    process = NodeProcess(tmp_path, HOPSACK_LIMITS="calls.connection.user=100/s burst 100")
    try:
        node = process.ready()
        operator, user = Page(node, node.token("operator", "ops")), Page(node, node.token("user", "ann"))
        before = user.ask("presence.list", None)
        changed = operator.ask(
            "hopsack.limits.set", {"name": "calls.connection", "role": "user", "rate": 0.01, "burst": 1}
        )
        first, second = user.ask("presence.list", None), user.ask("presence.list", None)
        row = limit(operator, "calls.connection", "user")
        wrong = operator.ask("hopsack.limits.set", {"name": "call.connection", "rate": 1})
        unknown = operator.ask("hopsack.limits.reset", {"name": "call.connection"})
        denied = user.ask("hopsack.limits.list", None)
        audit = (tmp_path / "audit.jsonl").read_text()
    finally:
        assert process.stop() == 0

    assert "result" in before
    assert changed["result"]["given"] == "live"
    assert "result" in first
    assert second["error"]["data"]["code"] == "hopsack.rate_limited"
    assert row["refused"] == 1
    assert "did you mean calls.connection?" in wrong["error"]["data"]["advice"]
    assert "did you mean calls.connection?" in unknown["error"]["data"]["advice"]
    assert denied["error"]["data"]["code"] in ("hopsack.denied", "hopsack.rate_limited")
    assert '"limits_changed"' in audit

    process = NodeProcess(tmp_path, HOPSACK_LIMITS="calls.connection.user=100/s burst 100")
    try:
        node = process.ready()
        operator = Page(node, node.token("operator", "ops"))
        kept = limit(operator, "calls.connection", "user")
        back = operator.ask("hopsack.limits.reset", {})["result"]
        again = limit(operator, "calls.connection", "user")
    finally:
        assert process.stop() == 0

    assert (kept["rate"], kept["given"]) == (0.01, "live")
    assert [(one["name"], one["rate"], one["given"]) for one in back] == [("calls.connection", 100, "configuration")]
    assert again["rate"] == 100


def limit(page: Page, name: str, role: str | None) -> dict[str, Any]:
    rows = page.ask("hopsack.limits.list", None)["result"]
    [row] = [one for one in rows if (one["name"], one["role"]) == (name, role)]
    return dict(row)


def test_limits_that_cannot_be_read_end_the_start(tmp_path: Path) -> None:
    process = NodeProcess(tmp_path, HOPSACK_LIMITS="mesages.connection=5/s")

    assert process.process.wait(timeout=PATIENCE) == 3
    assert "did you mean messages.connection?" in process.logged()
    process.stop()
