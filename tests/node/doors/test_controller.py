"""The doors under a full Crossbar node: the same classes, in a worker process that Crossbar starts."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from httpx_sse import connect_sse
from websockets.sync.client import connect

from ..conftest import NodeProcess
from .conftest import CONTRACTS, Page

pytestmark = pytest.mark.node

NEWS = {"headline": "Rain later"}


def test_every_door(tmp_path: Path) -> None:
    process = NodeProcess(tmp_path, "--controller", "--schemas", str(CONTRACTS))
    try:
        node = process.ready()
        with httpx.Client(base_url=node.http, timeout=20) as http, connect(node.ws("/raw")) as socket:
            page = Page(socket)
            page.ask("hopsack.subscribe", {"topic": "demo.news"})
            with connect_sse(http, "GET", "/events?topic=demo.news") as stream:
                httpx.post(f"{node.http}/publish/demo.news", json=NEWS).raise_for_status()

                assert page.event()["data"] == NEWS
                assert next(stream.iter_sse()).json() == NEWS
        assert httpx.get(f"{node.http}/readyz").json() == {"ready": True}
        assert httpx.post(f"{node.http}/call/presence.list").status_code == 200
    finally:
        assert process.stop() == 0, process.logged()
