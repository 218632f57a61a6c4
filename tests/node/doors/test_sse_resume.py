"""Server-sent events resume in stock clients: a hundred connections cut off, nothing missed and nothing twice."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent, connect_sse

from ..conftest import ROOT, Node
from .cutting import CuttingProxy
from .readers import PATIENCE, Http

pytestmark = pytest.mark.node

CUTS = 100
EACH = 20
"""Events that are published after a connection opens, more than fit in before it is cut off: so it resumes among events
that are kept and reads on among those that come."""

COUNT = CUTS * EACH
MOST = 1300

MODULES = ROOT / "web_client" / "node_modules"

Told = tuple[str, str, Any]
"""Name, id and data of an event."""


def told(event: ServerSentEvent) -> Told:
    return event.event, event.id, event.json()


def with_httpx(url: str) -> Generator[Told, None, None]:
    last = ""
    with httpx.Client(timeout=PATIENCE) as client:
        while True:
            headers = {"Last-Event-ID": last} if last else {}
            with suppress(httpx.TransportError), connect_sse(client, "GET", url, headers=headers) as stream:
                for event in stream.iter_sse():
                    last = event.id
                    if event.data:
                        yield told(event)


def with_curl(url: str) -> Generator[Told, None, None]:
    last = ""
    while True:
        headers = ["-H", f"Last-Event-ID: {last}"] if last else []
        curl = subprocess.Popen(["curl", "-sN", *headers, url], stdout=subprocess.PIPE, text=True)
        assert curl.stdout is not None
        try:
            fields: dict[str, str] = {}
            for line in curl.stdout:
                name, _, value = line.removesuffix("\n").partition(": ")
                if line != "\n":
                    fields[name] = value
                    continue
                last = fields.get("id", last)
                if "data" in fields:
                    yield fields["event"], last, json.loads(fields["data"])
                fields = {}
        finally:
            curl.kill()
            curl.wait(PATIENCE)
            curl.stdout.close()


def with_event_source(url: str) -> Generator[Told, None, None]:
    """The package ``eventsource``, which comes back by itself."""
    if not (MODULES / "eventsource").exists():
        pytest.skip("needs Node.js and `npm ci` in web_client/")
    client = ROOT / "tests" / "node" / "clients" / "event_source_log.mjs"
    command = ["node", str(client), str(MODULES), url, str(COUNT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as source:
        assert source.stdout is not None
        try:
            for line in source.stdout:
                name, identifier, data = json.loads(line)
                yield name, identifier, data
        finally:
            source.kill()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("client", [with_httpx, with_curl, with_event_source])
def test_a_hundred_reconnects_leave_no_gap_and_no_duplicate(
    node: Node, client: Callable[[str], Generator[Told, None, None]]
) -> None:
    topic = f"demo.{client.__name__.replace('_', '')}.told"
    publisher = Http(node)
    epoch = publisher.publish(topic, "0").partition(":")[0]

    with CuttingProxy(node, CUTS, MOST) as proxy:
        writer = threading.Thread(target=publish, args=(publisher, topic, proxy), daemon=True)
        writer.start()
        events = client(f"{proxy.http}/events?topic={topic}&after={epoch}:0")
        seen = [next(events) for _ in range(COUNT)]
        events.close()
        writer.join(PATIENCE)

    assert proxy.cuts_left == 0
    assert seen == [(topic, f"{epoch}:{number + 1}", str(number)) for number in range(COUNT)]
    publisher.close()


def publish(publisher: Http, topic: str, proxy: CuttingProxy) -> None:
    for number in range(1, COUNT):
        if number % EACH == 0 and not proxy.opened.acquire(timeout=PATIENCE):
            return
        publisher.publish(topic, str(number))
