"""Servers under measurement: each in its own process on the server's core, ready before it is used, ended by pid.

What is started, and how one knows that it is ready, stands in :mod:`hopsack_bench.peers`; here are the processes.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hopsack_bench import machine
from hopsack_bench.wire import Script

READY_SECONDS = 40.0
STOP_SECONDS = 10.0


class Broken(Exception):
    """A server or a load did not do what it must. The run goes on with the other subjects."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a server.

    :ivar ports: the ports it was told to listen on, by name.
    :ivar announced: reads its ports from the JSON line it prints when it is ready, if it prints one.
    :ivar probe: else, a port by name and what a client says there: it is ready when it answers.
    :ivar end: the signal that ends it.
    """

    command: tuple[str, ...]
    ports: Mapping[str, int] = field(default_factory=dict)
    announced: Callable[[dict[str, object]], Mapping[str, int]] | None = None
    probe: tuple[str, Script] | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    end: signal.Signals = signal.SIGTERM


@dataclass(frozen=True, slots=True)
class Place:
    """A server that runs.

    :ivar secret: what tokens for it are signed with, or its clients' ticket.
    """

    pid: int
    ports: Mapping[str, int]
    secret: str


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses at the moment."""
    with ExitStack() as held:
        sockets = [held.enter_context(closing(socket.socket())) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def running(launch: Launch, folder: Path, secret: str, core: int) -> Iterator[Place]:
    """Start a server, wait until it is ready, and end it when done.

    :raises Broken: it ended, or was not ready in time; the message holds the end of its log.
    """
    log_path = folder / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            launch.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=folder,
            env={**_environ(), **launch.environ},
            start_new_session=True,
            preexec_fn=machine.on_core(core),
        )
    try:
        try:
            ports = _ports_when_ready(process, launch)
        except Broken as error:
            raise Broken(f"{error}\n{_end_of(log_path)}") from None
        yield Place(process.pid, ports, secret)
    finally:
        _end(process, launch.end)


def _environ() -> dict[str, str]:
    """Nobody's settings of Hopsack may reach the servers."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HOPSACK_")}


def _ports_when_ready(process: subprocess.Popen[bytes], launch: Launch) -> Mapping[str, int]:
    deadline = time.monotonic() + READY_SECONDS
    if launch.announced is not None:
        return launch.announced(_announcement(process, deadline))
    assert launch.probe is not None
    name, script = launch.probe
    while not _answers(launch.ports[name], script):
        if process.poll() is not None:
            raise Broken(f"the server ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise Broken(f"the server was not ready after {READY_SECONDS:g} s")
        time.sleep(0.05)
    return launch.ports


def _announcement(process: subprocess.Popen[bytes], deadline: float) -> dict[str, object]:
    assert process.stdout is not None
    while select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
        line = process.stdout.readline()
        if not line:
            raise Broken(f"the server ended with {process.wait()}")
        with suppress(ValueError):
            facts: dict[str, object] = json.loads(line)
            return facts
    raise Broken(f"the server was not ready after {READY_SECONDS:g} s")


def _answers(port: int, script: Script) -> bool:
    """Whether a client can open. Servers listen before they are ready to serve."""
    try:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=2)) as client:
            answer = b""
            for step in script:
                client.sendall(step.send)
                while step.expect not in answer:
                    data = client.recv(65536)
                    if not data:
                        return False
                    answer += data
                # A server that speaks first may have said the next thing in the same breath.
                answer = answer.partition(step.expect)[2]
        return True
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Ask it to end; then its whole session, which is its own."""
    if process.poll() is None:
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-8:])
