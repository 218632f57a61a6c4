"""How connections end when it is not their client that ends them."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ..conftest import Node, NodeProcess
from .conftest import CONTRACTS, Page

pytestmark = pytest.mark.node


def code_of(page: Page) -> int:
    """Wait until the node has closed a page's connection, and say how."""
    try:
        while True:
            page.socket.recv(timeout=20)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 1006


def kill(node: Node, http: httpx.Client, session: int) -> None:
    headers = {"Authorization": f"Bearer {node.token('operator')}"}
    http.post("/call/wamp.session.kill", json=session, headers=headers).raise_for_status()


def test_an_operator_ends_a_page(node: Node, page: Any, http: httpx.Client) -> None:
    victim = page()
    session = victim.ask("hopsack.hello", {})["session"]

    kill(node, http, session)

    assert code_of(victim) == 4403


def test_an_operator_ends_a_stream(node: Node, page: Any, http: httpx.Client) -> None:
    watcher = page()
    watcher.ask("hopsack.subscribe", {"topic": "presence.joined"})
    with connect_sse(httpx.Client(base_url=node.http), "GET", "/events?topic=demo.news") as stream:
        joined = watcher.event()["data"]

        kill(node, http, joined["session"])

        [last] = stream.iter_sse()
        assert (last.event, last.json()["code"]) == ("hopsack.ended", "hopsack.denied")
    assert joined["door"] == "sse"


def test_a_node_that_stops_says_so_on_every_door(tmp_path: Any) -> None:
    process = NodeProcess(tmp_path, "--schemas", str(CONTRACTS), HOPSACK_DRAIN="0")
    try:
        node = process.ready()
        with connect(node.ws("/raw")) as talking, connect(node.ws("/raw?topic=demo.news")) as reading:
            ann = Page(talking)
            ann.ask("hopsack.register", {"procedure": "demo.ann.ask"})
            command = ["curl", "-s", "--json", '{"text": "Ready?"}', f"{node.http}/call/demo.ann.ask"]
            curl = subprocess.Popen(command, stdout=subprocess.PIPE)
            ann.request()
            with connect_sse(httpx.Client(base_url=node.http), "GET", "/events?topic=demo.news") as stream:
                code = process.stop()

                assert list(stream.iter_sse()) == []
            assert (code_of(ann), code_of(Page(reading))) == (1001, 1001)
            assert json.loads(curl.communicate(timeout=20)[0])["status"] == 503
    finally:
        process.stop()
    assert code == 0
