"""What the supervisor leaves on disk: logs, run.json, the hold; and who has a port."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hopsack.errors import LocalError
from hopsack.settings import ConfigError, Settings
from hopsack.supervise import state
from hopsack.supervise.logs import Follower, Line, LogFile, names, read, timestamp
from hopsack.supervise.machine import NODE_KILLED_AFTER, SERVICES_KILLED_AFTER
from hopsack.supervise.ports import PortTaken, check_free
from hopsack.supervise.programs import find_services, launch_node, launch_service, placed
from hopsack.supervise.state import AlreadyRunning, Identity, ProgramState, RunState, identify

NOON = 1_700_000_000.0


# ----- logs


def test_lines_of_several_logs_are_read_in_the_order_of_time(tmp_path: Path) -> None:
    node, host = LogFile(tmp_path / "node.log"), LogFile(tmp_path / "host.log")
    node.write("one", NOON)
    host.write("two", NOON + 1)
    node.write("three", NOON + 2)

    assert names(tmp_path) == ["host", "node"]
    assert [line.text for line in read(tmp_path, ["host", "node"], last=10)] == ["one", "two", "three"]
    assert read(tmp_path, ["host", "node"], last=1) == [Line(timestamp(NOON + 2), "node", "three")]
    assert read(tmp_path, ["host", "node"], last=0) == []


def test_a_log_is_bounded_and_the_oldest_is_dropped(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "host.log", rotate_at=200)

    for number in range(40):
        log.write(f"line {number}", NOON + number)

    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["host.log", "host.log.1", "host.log.2"]
    assert all(path.stat().st_size <= 200 for path in files)
    kept = [line.text for line in read(tmp_path, ["host"], last=100)]
    assert kept == [f"line {number}" for number in range(40 - len(kept), 40)]


def test_a_log_goes_on_where_the_last_run_stopped(tmp_path: Path) -> None:
    for text in ("first run", "second run"):
        log = LogFile(tmp_path / "host.log")
        log.write(text, NOON)
        log.close()

    assert [line.text for line in read(tmp_path, ["host"], last=9)] == ["first run", "second run"]


def test_a_follower_gets_each_new_line_once_and_through_a_rotation(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "host.log", rotate_at=100)
    log.write("before", NOON)
    follower = Follower(tmp_path, "host")
    seen: list[str] = []

    for number in range(12):
        log.write(f"line {number}", NOON)
        seen += [line.text for line in follower.lines()]

    assert seen == [f"line {number}" for number in range(12)]
    assert follower.lines() == []


def test_an_unfinished_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "host.log"
    path.touch()
    follower = Follower(tmp_path, "host")

    with path.open("ab", buffering=0) as file:
        file.write(b"2023-11-14T22:13:20.000Z hal")
        first = follower.lines()
        file.write(b"ves\n")

    assert first == []
    assert follower.lines() == [Line("2023-11-14T22:13:20.000Z", "host", "halves")]


def test_a_disk_that_cannot_be_written_loses_lines_only(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where a folder should be")

    LogFile(tmp_path / "logs" / "host.log").write("lost", NOON)


# ----- whose process it is


def test_a_process_is_known_by_its_number_and_its_beginning() -> None:
    me = identify(os.getpid())
    assert me is not None

    assert me.is_alive()
    assert not replace(me, began=me.began + "0").is_alive()


def test_a_number_that_is_used_again_is_not_sent_a_signal() -> None:
    other = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        stranger = Identity(other.pid, "another boot/123")

        assert stranger.send(signal.SIGKILL) is False
        assert stranger.wait(10)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_waiting_ends_with_the_process() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    who = identify(child.pid)
    assert who is not None
    assert child.stdin is not None

    assert who.wait(0) is False
    child.stdin.close()

    assert who.wait(30)  # a zombie, which it is until we collect it, counts as gone
    child.wait()
    assert identify(child.pid) is None


# ----- run.json


def run_state(pid: int, began: str) -> RunState:
    program = ProgramState("node", "node", "ready", pid, began, NOON, 2, -9)
    return RunState(pid, began, NOON, "ready", "/srv", "http://127.0.0.1:1", "tcp://127.0.0.1:2", (program,))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    written = run_state(1, "x")

    state.write(tmp_path, written)

    assert state.read(tmp_path) == written


def test_a_state_whose_process_is_gone_is_stale(tmp_path: Path) -> None:
    me = identify(os.getpid())
    assert me is not None

    state.write(tmp_path, run_state(me.pid, me.began))
    assert state.running(tmp_path) is not None

    state.write(tmp_path, run_state(me.pid, "long ago"))
    assert state.running(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"programs": [{"x": 1}]}'])
def test_a_state_that_cannot_be_read_tells_nothing(tmp_path: Path, text: str) -> None:
    state.path_of(tmp_path).write_text(text)

    assert state.read(tmp_path) is None


def test_one_data_folder_has_one_holder(tmp_path: Path) -> None:
    held = state.hold(tmp_path)

    with pytest.raises(AlreadyRunning, match="already running here"):
        state.hold(tmp_path)
    os.close(held)

    os.close(state.hold(tmp_path))


def test_a_data_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(LocalError, match=r"cannot write to the data folder .*set HOPSACK_DATA"):
        state.hold(tmp_path / "file" / "data")


# ----- ports


def test_a_free_port_is_free_and_any_port_is_not_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    check_free("127.0.0.1", port, "HOPSACK_PORT")
    check_free("127.0.0.1", 0, "HOPSACK_PORT")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_says_by_whom_and_what_to_set(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTaken) as caught:
            check_free(host, port, "HOPSACK_PORT")

    assert f"port {port} is taken" in caught.value.message
    if Path("/proc/self").exists():
        assert f"by process {os.getpid()} (" in caught.value.message
    assert "HOPSACK_PORT=" in caught.value.advice


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-name.invalid"])
@pytest.mark.parametrize("port", [0, 1234])
def test_an_interface_that_is_not_here_names_its_variable(host: str, port: int) -> None:
    with pytest.raises(LocalError, match=rf"cannot listen on {re.escape(host)}: .*; set HOPSACK_HOST") as caught:
        check_free(host, port, "HOPSACK_PORT")

    assert "HOPSACK_PORT" not in str(caught.value)


# ----- what is started


def test_services_are_the_folders_with_a_service_in_them(tmp_path: Path) -> None:
    for name in ("watch", "host", "not_one"):
        (tmp_path / "services" / name).mkdir(parents=True)
    for name in ("watch", "host"):
        (tmp_path / "services" / name / "service.py").touch()

    assert [path.name for path in find_services(tmp_path / "services")] == ["host", "watch"]
    with pytest.raises(ConfigError, match=r"no folder .*servcies.*did you mean services\?"):
        find_services(tmp_path / "servcies")


def test_no_service_may_take_the_nodes_name(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "service.py").touch()

    with pytest.raises(ConfigError, match="cannot be called node"):
        find_services(tmp_path)


def test_a_service_gets_its_own_token_and_no_secret(tmp_path: Path) -> None:
    environ = {"PATH": "/bin", "HOPSACK_SECRET": "s" * 32, "HOPSACK_TOKEN": "operator", "ALERTS_CPU": "90"}
    settings = Settings.from_environ(environ)

    service = launch_service(tmp_path / "host", settings, environ, lambda name: f"token-of-{name}")
    node = launch_node(settings, environ)

    assert service.env["HOPSACK_TOKEN"] == "token-of-host"
    assert (service.env["PATH"], service.env["ALERTS_CPU"]) == ("/bin", "90")
    assert "HOPSACK_SECRET" not in service.env
    assert node.env["HOPSACK_SECRET"] == "s" * 32
    assert "HOPSACK_TOKEN" not in node.env
    assert float(node.env["HOPSACK_DRAIN"]) < NODE_KILLED_AFTER - SERVICES_KILLED_AFTER
    assert float(service.env["HOPSACK_FINISH"]) < SERVICES_KILLED_AFTER
    assert Settings.from_environ(dict(service.env)).data == settings.data


def test_what_the_node_says_places_the_others(tmp_path: Path) -> None:
    settings = Settings.from_environ({"HOPSACK_PORT": "0", "HOPSACK_RAWSOCKET_PATH": "/run/h.sock"})
    said = {"http": "http://[::1]:8080", "rawsocket": "unix:///run/h.sock"}

    service = placed(launch_service(tmp_path / "host", settings, {}, lambda name: ""), said)
    node = placed(launch_node(settings, {}), said)

    assert (service.env["HOPSACK_URL"], service.env["HOPSACK_PORT"]) == ("unix:///run/h.sock", "8080")
    assert node.env["HOPSACK_PORT"] == "8080"
    assert "HOPSACK_URL" not in node.env
