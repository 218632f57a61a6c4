"""`docker-compose up`, for real: images built here, containers driven from outside as a browser and as a service."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.client import connect

from .page import Page
from .stack import CONTAINERS, SERVICES, Stack, StackFailed, what_is_missing

# The first test builds the images, which takes minutes on a machine that never did.
pytestmark = [pytest.mark.compose, pytest.mark.timeout(1200)]

NAME = "<img src=x> & hello.txt"
CALLEE = """
import asyncio, os
import hopsack
from hopsack.settings import Settings

async def main():
    settings = Settings.from_environ(os.environ)
    called = asyncio.Event()
    async def add(numbers):
        called.set()
        return sum(numbers)
    async with hopsack.connect(settings.url, token=settings.token) as fabric:
        await fabric.register("demo.add", add)
        print("registered", flush=True)
        await called.wait()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if lacking := what_is_missing():
        pytest.skip(lacking)  # `./hopsack test --all` makes this a failure
    watched = tmp_path_factory.mktemp("watched")
    watched.chmod(0o755)  # pytest makes it private; the container's user is another one
    stack = Stack.named(f"hopsack-test-{uuid.uuid4().hex[:8]}", watched)
    try:
        stack.start()
        yield stack
    finally:
        stack.remove()


@pytest.fixture
def page(stack: Stack) -> Iterator[Page]:
    with Page.open(stack.authority) as page:
        yield page


def read(stack: Stack, path: str, body: Any = None, token: str | None = None) -> bytes:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{stack.authority}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        content: bytes = answer.read()
    return content


def test_a_browser_gets_the_console_and_its_module(stack: Stack) -> None:
    console = read(stack, "/").decode()
    module = read(stack, "/sdk.js").decode()

    assert "<!doctype html>" in console.lower()
    assert "export" in module


def test_a_browser_sees_the_machine_move(page: Page) -> None:
    page.request("hopsack.subscribe", {"topic": "host.metrics"})

    first, second = page.event(), page.event()

    assert first["topic"] == second["topic"] == "host.metrics"
    assert second["data"]["at"] > first["data"]["at"]
    assert second["data"]["host"] == "docker"


def test_a_reader_without_any_protocol_sees_it_too(stack: Stack) -> None:
    with connect(f"ws://{stack.authority}/raw?topic=host.metrics", open_timeout=20) as reader:
        message = json.loads(reader.recv(timeout=30))

    assert message["params"]["topic"] == "host.metrics"


def test_curl_sees_it_too(stack: Stack) -> None:
    with urllib.request.urlopen(f"http://{stack.authority}/events?topic=host.metrics", timeout=30) as stream:
        lines = (line.decode().strip() for line in stream)

        assert next(line for line in lines if line.startswith("event:")) == "event: host.metrics"


def test_the_command_line_in_the_node_s_container_is_the_operator_s(stack: Stack) -> None:
    listed = stack.execute("node", "hopsack", "services", "ls", "--json").splitlines()

    assert sorted(json.loads(line)["name"] for line in listed) == sorted(SERVICES)


def test_a_file_made_on_this_machine_appears_on_the_page(stack: Stack, page: Page) -> None:
    page.request("hopsack.subscribe", {"topic": "watch.watched.changed"})

    (stack.watched / NAME).write_text("data, not markup")

    event = page.event(path=NAME)
    assert (event["topic"], event["data"]["kind"]) == ("watch.watched.changed", "created")


def test_an_alert_goes_from_host_through_alerts_to_the_page(stack: Stack, page: Page) -> None:
    page.request("hopsack.subscribe", {"topic": "alerts.raised"})
    token = stack.execute("alerts", "cat", "/tokens/alerts").strip()
    threshold = {"metric": "memory", "raise_at": 0.1, "clear_at": 0, "for_s": 0}

    read(stack, "/call/alerts.set", threshold, token)

    event = page.event(metric="memory")  # this machine may be busy enough for another alert
    assert event["data"]["host"] == "docker"


def test_a_service_from_outside_publishes_with_its_token_through_the_published_port(stack: Stack, page: Page) -> None:
    token = stack.execute("host", "cat", "/tokens/host").strip()
    page.request("hopsack.subscribe", {"topic": "demo.text"})

    with Page.open(stack.authority) as service:
        identity = service.request("hopsack.hello", {"token": token})["result"]
        service.request("hopsack.publish", {"topic": "demo.text", "data": "from outside"})

    assert (identity["authid"], identity["role"]) == ("host", "service")
    assert page.event() == {"topic": "demo.text", "data": "from outside"}


def test_a_further_service_in_a_container_serves_who_calls_from_outside(stack: Stack) -> None:
    run = [*stack.command, "run", "--rm", "-T", "--no-deps", "--entrypoint", "python", "host", "-uc", CALLEE]
    with subprocess.Popen(run, env=stack.environment, stdout=subprocess.PIPE, text=True) as callee:
        assert callee.stdout is not None
        assert callee.stdout.readline().strip() == "registered"

        total = json.loads(read(stack, "/call/demo.add", [1, 2, 39]))

    assert total == 42
    assert callee.returncode == 0


def test_a_guest_cannot_speak_for_the_host(page: Page) -> None:
    sample = {"topic": "host.metrics", "data": {}}

    answer = page.request("hopsack.publish", sample)

    assert "denied" in answer["error"]["data"]["code"]


def test_only_the_http_port_of_the_node_is_published(stack: Stack) -> None:
    published = {name: stack.inspect(name)["NetworkSettings"]["Ports"] or {} for name in CONTAINERS}

    bound = [(name, port) for name, ports in published.items() for port, binding in ports.items() if binding]
    assert bound == [("node", "8080/tcp")]


@pytest.mark.parametrize("name", CONTAINERS)
def test_nobody_is_root_and_nothing_can_be_written(stack: Stack, name: str) -> None:
    user = stack.execute(name, "id", "-u").strip()
    refused = stack.execute(name, "sh", "-c", "touch /app/x 2>/dev/null && echo written || echo refused").strip()
    facts = stack.inspect(name)["HostConfig"]

    assert (user, refused) == ("10001", "refused")
    assert (facts["ReadonlyRootfs"], facts["CapDrop"]) == (True, ["ALL"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_neither_crossbar_nor_the_key_that_signs(stack: Stack, name: str) -> None:
    looked = "import importlib.util as u; print([n for n in ('crossbar', 'autobahn', 'numpy') if u.find_spec(n)])"
    environment = stack.inspect(name)["Config"]["Env"]

    assert stack.execute(name, "python", "-c", looked).strip() == "[]"
    assert "secret" not in stack.execute(name, "ls", "-A", "/data").split()
    assert not [entry for entry in environment if entry.startswith("HOPSACK_SECRET")]


@pytest.mark.parametrize("name", CONTAINERS)
def test_process_1_reaps_what_others_leave_behind(stack: Stack, name: str) -> None:
    # A child leaves a grandchild behind; process 1 inherits it, and it must vanish once it has ended. The kernel tells
    # nobody of either: a pidfd speaks of the end, which is not yet the reaping. So these two look.
    orphan = (
        "import os, sys, time\n"
        "r, w = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    if os.fork() == 0:\n"
        "        while os.getppid() != 1: time.sleep(0.01)\n"
        "        os.write(w, str(os.getpid()).encode()); os._exit(0)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "pid = os.read(r, 16).decode()\n"
        "while os.path.exists('/proc/' + pid): time.sleep(0.01)\n"
        "print('reaped')\n"
    )

    assert stack.execute(name, "cat", "/proc/1/comm").strip() == "tini"
    assert stack.execute(name, "python", "-c", orphan).strip() == "reaped"


def test_the_node_meets_others_in_the_mailbox(stack: Stack) -> None:
    with pytest.raises(StackFailed, match=r"(?s)exited 6:\n.*the invitation has expired"):
        stack.execute("node", "hopsack", "invite", "--for", "1s")


def test_the_services_come_back_after_the_node_was_restarted(stack: Stack) -> None:
    since = int(time.time())
    stack.compose("restart", "node")
    stack.wait_until_healthy(["node"], since)

    with Page.open(stack.authority) as page:
        page.request("hopsack.subscribe", {"topic": "host.metrics"})
        event = page.event()

    assert event["topic"] == "host.metrics"


def test_sigterm_ends_every_container_in_time_with_exit_code_0(stack: Stack) -> None:
    # The engine kills whoever is not gone after the grace period: that would be 137 here.
    grace = {name: stack.inspect(name)["Config"]["StopTimeout"] for name in CONTAINERS}

    stack.compose("stop")

    states = {name: stack.inspect(name)["State"] for name in CONTAINERS}
    ends = {name: (state["Status"], state["ExitCode"]) for name, state in states.items()}
    # A service has 10 s for what it has in hand (HOPSACK_FINISH), and some on top.
    assert grace == dict.fromkeys(CONTAINERS, 15) | {"node": 10}
    assert ends == dict.fromkeys(CONTAINERS, ("exited", 0))
