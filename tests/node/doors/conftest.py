"""One node for all tests of the doors, with the contracts of the recorded conversations and a small web client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from ..conftest import ROOT, Node, running

CONTRACTS = ROOT / "tests" / "conversations" / "schemas"


@pytest.fixture(scope="package")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    web = tmp_path_factory.mktemp("web")
    (web / "assets").mkdir()
    (web / "index.html").write_text("<!doctype html><title>console</title>")
    (web / "sdk.js").write_text("export const answer = 42;\n")
    (web / "assets" / "app-CklgpGzG.js").write_text("console.log('app');\n")
    (web / "assets" / "theme.js").write_text("console.log('theme');\n")
    (web.parent / "outside.txt").write_text("not for the web")
    (web / "link.txt").symlink_to(web.parent / "outside.txt")
    with running(tmp_path_factory.mktemp("doors"), "--schemas", str(CONTRACTS), "--web", str(web)) as node:
        yield node


@pytest.fixture
def http(node: Node) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=node.http, timeout=20) as client:
        yield client


class Page:
    """A page's connection to the raw door: a plain WebSocket and JSON, no library of ours.

    Answers and events are told apart as they come, so a test may ask for either first.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._requests = 0
        self._kept: list[dict[str, Any]] = []

    def send(self, method: str, params: Any = None, *, notify: bool = False) -> int:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        if not notify:
            self._requests += 1
            message["id"] = self._requests
        self.socket.send(json.dumps(message))
        return self._requests

    def ask(self, method: str, params: Any = None) -> Any:
        """Send a request and wait for its result."""
        answer = self.answer(self.send(method, params))
        assert "error" not in answer, answer
        return answer["result"]

    def refused(self, method: str, params: Any = None) -> Any:
        """Send a request and wait for its error's data."""
        answer = self.answer(self.send(method, params))
        assert "result" not in answer, answer
        return answer["error"]["data"]

    def answer(self, number: int) -> dict[str, Any]:
        return self._next(lambda one: one.get("id") == number and "method" not in one)

    def event(self) -> dict[str, Any]:
        params: dict[str, Any] = self._next(lambda one: one.get("method") == "event")["params"]
        return params

    def request(self) -> dict[str, Any]:
        """What the node asks of this page."""
        return self._next(lambda one: "method" in one and "id" in one)

    def notification(self, method: str) -> Any:
        return self._next(lambda one: one.get("method") == method and "id" not in one)["params"]

    def respond(self, asked: dict[str, Any], result: Any) -> None:
        self.socket.send(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}))

    def _next(self, wanted: Any) -> dict[str, Any]:
        for index, kept in enumerate(self._kept):
            if wanted(kept):
                return self._kept.pop(index)
        while True:
            message: dict[str, Any] = json.loads(self.socket.recv(timeout=20))
            if wanted(message):
                return message
            self._kept.append(message)


@pytest.fixture
def page(node: Node) -> Iterator[Any]:
    """Opens pages; call it once for each."""
    with ExitStack() as opened:

        def open_page(path: str = "/raw", token: str | None = None) -> Page:
            headers = {"Authorization": f"Bearer {token}"} if token else None
            return Page(opened.enter_context(connect(node.ws(path), additional_headers=headers, open_timeout=20)))

        yield open_page


def sessions(node: Node, http: httpx.Client) -> list[dict[str, Any]]:
    """Everybody who is connected, as an operator sees it."""
    headers = {"Authorization": f"Bearer {node.token('operator')}"}
    answer = http.post("/call/hopsack.sessions.list", headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def leaving(watcher: Page, authid: str) -> dict[str, Any]:
    """Wait until somebody has left; ``watcher`` subscribes to ``presence.left``."""
    while True:
        left = watcher.event()
        if left["topic"] == "presence.left" and left["data"]["authid"] == authid:
            data: dict[str, Any] = left["data"]
            return data
