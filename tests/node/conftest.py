"""A real node on free ports, one for each test module."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hopsack.settings import Settings
from hopsack.tokens import mint

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Node:
    """A running node.

    :ivar http: ``http://host:port``; WebSocket paths live on the same port.
    :ivar rawsocket: ``tcp://host:port``.
    :ivar data: its data folder.
    """

    http: str
    rawsocket: str
    pid: int
    data: Path

    def ws(self, path: str) -> str:
        return self.http.replace("http", "ws", 1) + path

    def token(self, role: str, sub: str = "tester") -> str:
        return mint(Settings.from_environ({}, data=self.data).secret(), sub=sub, role=role)


class NodeProcess:
    """Starts ``hopsack node``, waits for its ready line, ends it by pid.

    :param arguments: more arguments of the verb.
    :param variables: of its environment.
    """

    def __init__(self, data: Path, *arguments: str, **variables: str) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("HOPSACK_")}
        self.data = data
        self.log = (data / "node.log").open("w+")
        command = [sys.executable, "-m", "hopsack.cli", "node", "--json", "--port", "0", "--rawsocket-port", "0"]
        command += ["--schemas", str(ROOT / "schemas"), "--data", str(data), *arguments]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environ | variables, stdout=subprocess.PIPE, stderr=self.log, text=True
        )

    def ready(self) -> Node:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the node ended with {self.process.wait()}:\n{self.logged()}")
        facts = json.loads(line)
        return Node(facts["http"], facts["rawsocket"], facts["pid"], self.data)

    def logged(self) -> str:
        self.log.flush()
        return Path(self.log.name).read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        self.log.close()
        return code


def declared(folder: Path, name: str, contracts: str) -> str:
    """Write contracts, for a node to be started with.

    :param name: of their file. :returns: what ``--schemas`` takes.
    """
    schemas = folder / "schemas"
    schemas.mkdir()
    (schemas / f"{name}.yaml").write_text(contracts)
    return str(schemas)


@contextmanager
def running(data: Path, *arguments: str, **variables: str) -> Iterator[Node]:
    """A node for as long as somebody needs it; it must end cleanly."""
    process = NodeProcess(data, *arguments, **variables)
    try:
        yield process.ready()
    finally:
        assert process.stop() == 0, process.logged()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with the repository's contracts; it must end cleanly."""
    with running(tmp_path_factory.mktemp("node")) as node:
        yield node
