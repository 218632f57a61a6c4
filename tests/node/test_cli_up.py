"""``hopsack up`` and its companions with a real node, as a person types them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from hopsack.supervise import state

pytestmark = pytest.mark.timeout(120)  # each test starts a node or two, which takes its time on a busy machine

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-P", "-m", "hopsack.cli"]
ANY_PORTS = ["--port", "0", "--rawsocket-port", "0"]

SERVICE = """
from hopsack import Service, procedure

class Greeter(Service):
    @procedure("demo.greet")
    async def greet(self, who: dict[str, str]) -> str:
        return f"hello, {who['name']}"
"""


@dataclass(frozen=True)
class Site:
    """A data folder, a folder of services, and the command line in their midst."""

    data: Path
    services: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HOPSACK_")}
        ours = {"HOPSACK_DATA": str(self.data), "HOPSACK_PROJECT": str(ROOT), "HOPSACK_MAILBOX_PORT": "0"}
        return clean | ours | self.variables

    def add(self, name: str, code: str) -> None:
        (self.services / name).mkdir(parents=True)
        (self.services / name / "service.py").write_text(code)

    def run(self, *words: str) -> tuple[int, str, str]:
        """(exit code, stdout, stderr)."""
        done = subprocess.run(
            [*COMMAND, *words],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env=self.environ,
            timeout=100,
        )
        return done.returncode, done.stdout, done.stderr

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environ,
            text=True,
        )

    def detach(self, *words: str) -> dict[str, Any]:
        code, out, err = self.run("up", "--detach", *ANY_PORTS, *words)
        assert code == 0, err
        facts: dict[str, Any] = json.loads(out)
        return facts

    def logged(self, service: str) -> str:
        return self.run("logs", service)[1]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Nothing is left running, whatever a test did."""
    site = Site(tmp_path / "data", tmp_path / "services")
    site.services.mkdir()
    yield site
    assert site.run("down")[0] == 0
    assert state.running(site.data) is None


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate()[1])
    facts: dict[str, Any] = json.loads(line)
    return facts


def test_in_the_foreground_it_says_where_it_is_and_ends_with_ctrl_c(site: Site) -> None:
    process = site.start("up", "--no-services", *ANY_PORTS)
    facts = ready(process)

    assert facts["ready"] is True
    assert facts["programs"] == ["node"]
    assert site.run("status")[0] == 0
    assert site.run("call", "presence.list")[0] == 0  # finds the node on whatever port it is

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert site.run("status")[0] == 1
    assert state.read(site.data) is None


def test_left_alone_it_goes_on_alone_until_it_is_told(site: Site) -> None:
    facts = site.detach("--no-services")

    code, out, _ = site.run("status")
    assert code == 0
    assert [json.loads(line)["state"] for line in out.splitlines()] == ["ready"]
    assert site.run("wait", "--timeout", "20") == (0, "", "")
    for words in (["up"], ["up", "--detach"]):
        code, out, err = site.run(*words, "--no-services", *ANY_PORTS)
        assert (code, out) == (1, "")
        assert f"already running here (process {facts['pid']}, {facts['http']})" in err

    assert site.run("down") == (0, "", "hopsack: everything has ended\n")
    assert site.run("wait", "--for", "down", "--timeout", "0")[0] == 0
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(facts["http"].rpartition(":")[2])))


@pytest.mark.parametrize("how", [[], ["--detach"]])
def test_a_taken_port_is_one_clear_line(site: Site, how: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, out, err = site.run("up", "--no-services", "--port", str(port), "--rawsocket-port", "0", *how)

    assert (code, out) == (1, "")
    assert err.splitlines()[0] == f"hopsack: port {port} is taken by process {os.getpid()} ({_command()})"
    assert "HOPSACK_PORT=" in err.splitlines()[1]


def _command() -> str:
    from hopsack.supervise.ports import command_of

    return command_of(os.getpid())


@pytest.mark.parametrize("how", [[], ["--detach"]])
def test_faulty_contracts_are_told_and_nothing_is_left(site: Site, tmp_path: Path, how: list[str]) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "host.yaml").write_text("topics:\n  host.metrics:\n    sumary: x\n")

    code, out, err = site.run("up", "--no-services", "--schemas", str(tmp_path / "schemas"), *ANY_PORTS, *how)

    assert (code, out) == (3, "")
    assert "host.yaml:3" in err
    assert "the node did not start: it ended (exit 3)" in err
    assert site.run("status")[0] == 1


def test_a_supervisor_that_is_killed_takes_its_programs_along(site: Site) -> None:
    facts = site.detach("--no-services")
    run = state.running(site.data)
    assert run is not None
    node = run.programs[0].identity
    assert node is not None

    os.kill(facts["pid"], signal.SIGKILL)

    assert node.wait(20)
    assert site.run("status")[0] == 1
    site.detach("--no-services")


def test_a_node_that_is_killed_comes_back_to_the_same_ports(site: Site) -> None:
    facts = site.detach("--no-services")
    run = state.running(site.data)
    assert run is not None
    assert run.programs[0].pid is not None

    os.kill(run.programs[0].pid, signal.SIGKILL)
    log = site.start("logs", "-f", "node")
    assert log.stdout is not None
    for line in log.stdout:
        if "is ready again" in line:
            break
    log.terminate()
    log.communicate()

    assert site.run("wait", "--timeout", "30")[0] == 0
    assert site.run("call", "presence.list", "--url", facts["rawsocket"])[0] == 0
    (row,) = [json.loads(line) for line in site.run("status")[1].splitlines()]
    assert (row["restarts"], row["last_exit"]) == (1, -9)


def test_services_run_with_their_own_tokens(site: Site) -> None:
    site.add("greeter", SERVICE)
    facts = site.detach("--services", str(site.services))

    assert facts["programs"] == ["node", "greeter"]
    assert site.run("call", "demo.greet", '{"name": "Ada"}') == (0, '"hello, Ada"\n', "")
    sessions = [json.loads(line) for line in site.run("sessions", "ls")[1].splitlines()]
    assert ("greeter", "service") in [(row["authid"], row["role"]) for row in sessions]
    assert [json.loads(line)["name"] for line in site.run("services", "ls")[1].splitlines()] == ["greeter"]


def test_a_service_that_is_drained_begins_again(site: Site) -> None:
    site.add("greeter", SERVICE)
    site.detach("--services", str(site.services))

    assert site.run("drain", "greeter")[0] == 0
    assert site.run("call", "demo.greet", '{"name": "Ada"}', "--wait", "20", "--timeout", "20")[0] == 0

    told = {row["name"]: row for row in map(json.loads, site.run("status")[1].splitlines())}
    assert (told["greeter"]["restarts"], told["greeter"]["last_exit"]) == (1, 0)


def test_a_service_is_not_ready_while_its_node_is_gone(site: Site) -> None:
    site.add("greeter", SERVICE)
    site.detach("--services", str(site.services))
    run = state.running(site.data)
    assert run is not None
    assert run.programs[0].pid is not None

    os.kill(run.programs[0].pid, signal.SIGKILL)
    while run is not None and [program.state for program in run.programs] == ["ready", "ready"]:
        run = state.read(site.data)
    told = {row["name"]: row["state"] for row in map(json.loads, site.run("status")[1].splitlines())}

    assert told["node"] in ("restarting", "starting")
    assert told["greeter"] == "reconnecting"
    assert site.run("wait", "--timeout", "60")[0] == 0
    assert site.run("call", "demo.greet", '{"name": "Ada"}')[1] == '"hello, Ada"\n'
    rows = [json.loads(line) for line in site.run("status")[1].splitlines()]
    assert [(row["name"], row["state"], row["restarts"]) for row in rows] == [
        ("node", "ready", 1),
        ("greeter", "ready", 0),
    ]


def test_a_service_that_cannot_start_is_told_with_its_last_words(site: Site) -> None:
    site.add("broken", "raise SystemExit('the disk it watches is not there')\n")

    code, out, err = site.run("up", "--detach", "--services", str(site.services), *ANY_PORTS)

    assert (code, out) == (1, "")
    assert "not ready: broken" in err
    assert "the disk it watches is not there" in err
    assert site.run("status")[0] == 1


def test_a_folder_of_services_that_is_not_there_is_exit_code_3(site: Site) -> None:
    code, _, err = site.run("up", "--services", str(site.services) + "s", *ANY_PORTS)

    assert code == 3
    assert "did you mean services?" in err


# ----- the mailbox


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.skipif(find_spec("wormhole_mailbox_server") is None, reason="needs pip install 'hopsack-router[enrol]'")
def test_a_mailbox_runs_beside_and_nobody_waits_for_it(site: Site) -> None:
    site.variables["HOPSACK_MAILBOX_PORT"] = str(free_port())

    facts = site.detach("--no-services")
    run = state.running(site.data)
    while run is not None and [program.state for program in run.programs] != ["ready", "ready"]:
        run = state.read(site.data)
    process = site.start("invite", "--for", "1m")
    code = ready(process)["code"]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)

    assert facts["programs"] == ["node"]
    assert run is not None
    assert [program.name for program in run.programs] == ["node", "mailbox"]
    assert re.fullmatch(r"\d+-[a-z]+-[a-z]+", code)
    assert process.returncode == 130


def test_a_mailbox_whose_port_is_taken_keeps_nobody(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        site.variables["HOPSACK_MAILBOX_PORT"] = str(taken.getsockname()[1])
        process = site.start("up", "--no-services", *ANY_PORTS)
        ready(process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)

    assert process.returncode == 0
    assert f"no mailbox for invitations: port {site.variables['HOPSACK_MAILBOX_PORT']} is taken" in said
