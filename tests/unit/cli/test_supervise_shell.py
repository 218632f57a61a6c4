"""The supervisor with real processes: small programs that play node and services."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from hopsack.supervise import machine
from hopsack.supervise.logs import LONGEST_LINE
from hopsack.supervise.machine import Finish, Program, Supervisor
from hopsack.supervise.programs import Launch
from hopsack.supervise.shell import Supervision, ready_line
from hopsack.supervise.state import identify

# Says it is ready, and writes its name to a file when it is asked to end.
POLITE = """
import json, os, signal, sys
name, diary = sys.argv[1:]
def end(*_):
    with open(diary, "a") as file:
        file.write(name + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print(json.dumps({"ready": True, "http": "http://127.0.0.1:5000", "rawsocket": "tcp://127.0.0.1:5001",
                  "url": os.environ.get("HOPSACK_URL")}), flush=True)
while True:
    signal.pause()
"""
STUBBORN = POLITE.replace("signal.signal(signal.SIGTERM, end)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")


class Witness:
    """An audience that writes down what it is told and stops when a wish comes true."""

    def __init__(self, stop_when: Callable[[Witness], bool] = lambda witness: bool(witness.settlements)) -> None:
        self.lines: list[tuple[str, str]] = []
        self.tells: list[tuple[str, str]] = []
        self.settlements: list[tuple[str, ...]] = []
        self.pids: dict[str, list[int]] = {}
        self.node: Mapping[str, Any] = {}
        self.supervision: Supervision | None = None
        self._stop_when = stop_when

    def line(self, name: str, text: str) -> None:
        self.lines.append((name, text))
        self._look()

    def told(self, name: str, text: str) -> None:
        self.tells.append((name, text))
        self._look()

    def changed(self, programs: Mapping[str, Program], node: Mapping[str, Any], stopping: bool) -> None:
        self.node = node
        for program in programs.values():
            seen = self.pids.setdefault(program.name, [])
            if program.pid is not None and program.pid not in seen:
                seen.append(program.pid)

    def settled(self, failing: tuple[str, ...], node: Mapping[str, Any]) -> bool:
        self.settlements.append(failing)
        self._look()
        return True

    def _look(self) -> None:
        if self._stop_when(self) and self.supervision is not None:
            supervision, self.supervision = self.supervision, None
            asyncio.get_running_loop().call_soon(supervision.stop)


def program(name: str, code: str, *args: str, **env: str) -> Launch:
    kind: machine.Kind = "node" if name == "node" else "service"
    return Launch(name, kind, (sys.executable, "-S", "-E", "-c", code, *args), env, Path.cwd())


def supervise(witness: Witness, *launches: Launch) -> Finish:
    services = [launch.name for launch in launches if launch.kind == "service"]
    supervisor = Supervisor("node", services, lambda: 0.0)

    async def run() -> Finish:
        witness.supervision = Supervision(launches, supervisor, witness)
        return await witness.supervision.run()

    return asyncio.run(run())


@pytest.fixture
def diary(tmp_path: Path) -> str:
    return str(tmp_path / "diary")


def test_services_are_told_where_the_node_is(diary: str) -> None:
    tell = "import os; print(os.environ['HOPSACK_URL'], os.environ['HOPSACK_PORT'], flush=True)" + POLITE
    witness = Witness()

    finish = supervise(witness, program("node", POLITE, "node", diary), program("host", tell, "host", diary))

    assert finish == Finish(0)
    assert witness.lines == [("host", "tcp://127.0.0.1:5001 5000")]
    assert witness.node["http"] == "http://127.0.0.1:5000"
    assert witness.settlements == [()]


def test_services_end_before_the_node(diary: str) -> None:
    supervise(
        Witness(),
        program("node", POLITE, "node", diary),
        program("a", POLITE, "a", diary),
        program("b", POLITE, "b", diary),
    )

    ended = Path(diary).read_text().split()
    assert sorted(ended) == ["a", "b", "node"]
    assert ended[-1] == "node"


def test_a_program_that_is_killed_comes_back(diary: str) -> None:
    def kill_once(witness: Witness) -> bool:
        if witness.settlements and not witness.tells:
            os.kill(witness.pids["host"][0], signal.SIGKILL)
        return ("host", "is ready again") in witness.tells

    witness = Witness(kill_once)
    supervise(witness, program("node", POLITE, "node", diary), program("host", POLITE, "host", diary))

    assert witness.tells == [("host", "ended (signal 9); starting it again in 0.0 s"), ("host", "is ready again")]
    assert len(witness.pids["host"]) == 2


def test_a_node_on_any_port_comes_back_to_the_same_one(diary: str) -> None:
    told = "import os; print('port', os.environ.get('HOPSACK_PORT'), flush=True)" + POLITE

    def kill_once(witness: Witness) -> bool:
        if witness.settlements and not witness.tells:
            os.kill(witness.pids["node"][0], signal.SIGKILL)
        return ("node", "is ready again") in witness.tells

    witness = Witness(kill_once)
    supervise(witness, program("node", told, "node", diary, HOPSACK_PORT="0"))

    assert witness.lines == [("node", "port 0"), ("node", "port 5000")]


def test_what_ignores_the_request_is_killed(diary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SERVICES_KILLED_AFTER", 0.05)
    witness = Witness()

    finish = supervise(witness, program("node", POLITE, "node", diary), program("host", STUBBORN, "host", diary))

    assert finish == Finish(0)
    assert witness.tells == [("host", "does not end: killed")]
    assert Path(diary).read_text().split() == ["node"]


def test_a_node_that_refuses_to_start_ends_the_run_with_its_status() -> None:
    refuse = "import sys; print('schemas/host.yaml:3: topics: bad', file=sys.stderr); sys.exit(3)"
    witness = Witness()

    finish = supervise(witness, program("node", refuse), program("host", POLITE))

    assert finish == Finish(3, "the node did not start: it ended (exit 3)")
    assert witness.lines == [("node", "schemas/host.yaml:3: topics: bad")]
    assert witness.pids["host"] == []


def test_a_program_that_is_not_there_is_told() -> None:
    missing = Launch("node", "node", ("/nonexistent/python",), {}, Path.cwd())

    finish = supervise(Witness(), missing)

    assert finish.status == 1
    assert "could not be started: No such file or directory" in str(finish.reason)


def test_last_words_are_heard_and_long_lines_are_cut(diary: str) -> None:
    talk = f"import sys; sys.stdout.write('x' * {3 * LONGEST_LINE} + '\\nlast words without an end'); sys.exit(1)"
    witness = Witness(lambda witness: ("host", "last words without an end") in witness.lines)

    supervise(witness, program("node", POLITE, "node", diary), program("host", talk))

    assert max(len(text) for _, text in witness.lines) == LONGEST_LINE


def test_a_mistake_of_the_audience_ends_the_run_and_the_programs(diary: str) -> None:
    class Clumsy(Witness):
        def settled(self, failing: tuple[str, ...], node: Mapping[str, Any]) -> bool:
            raise ZeroDivisionError

    witness = Clumsy()
    with pytest.raises(ZeroDivisionError):
        supervise(witness, program("node", POLITE, "node", diary))

    left = identify(witness.pids["node"][0])
    assert left is None or left.wait(20)


def test_a_ready_line_is_one_json_object_that_says_so() -> None:
    assert ready_line('{"ready": true, "service": "host"}') == {"ready": True, "service": "host"}
    assert ready_line('{"ready": false, "service": "host"}') == {"ready": False, "service": "host"}
    assert ready_line('{"ready": "soon"}') is None
    assert ready_line("{ready}") is None
    assert ready_line('["ready"]') is None


def test_a_child_ends_when_its_supervisor_is_gone() -> None:
    code = "from hopsack.cli.parent import end_with_parent; import signal; end_with_parent(); signal.pause()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    assert child.stdin is not None

    child.stdin.close()

    assert child.wait(30) == -signal.SIGTERM
