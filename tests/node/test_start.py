"""How a node starts and ends: what it prints, what it refuses, with which exit code."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from .conftest import ROOT, NodeProcess


@pytest.mark.node
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: int) -> None:
    process = NodeProcess(tmp_path)

    node = process.ready()
    with urllib.request.urlopen(f"{node.http}/readyz") as answer:
        ready = json.load(answer)
    code = process.stop(number)

    assert ready["ready"] is True
    assert code == 0, process.logged()


def run(tmp_path: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HOPSACK_")}
    command = [sys.executable, "-m", "hopsack.cli", "node", "--data", str(tmp_path / "data"), *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=clean | environ, capture_output=True, text=True, timeout=50, check=False
    )


@pytest.mark.node
def test_a_broken_contract_is_named_by_file_line_and_key(tmp_path: Path) -> None:
    schemas = tmp_path / "schemas"
    schemas.mkdir()
    (schemas / "lab.yaml").write_text("topics:\n  lab.reading:\n    sumary: One measurement.\n")

    ran = run(tmp_path, "--schemas", str(schemas))

    assert ran.returncode == 3
    assert "lab.yaml:3" in ran.stderr
    assert "sumary" in ran.stderr
    assert "summary" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.node
def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        ran = run(tmp_path, "--port", str(port), "--rawsocket-port", "0")

    assert ran.returncode == 1
    assert str(port) in ran.stderr
    assert "HOPSACK_PORT" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.node
def test_a_host_that_is_not_here_is_one_clear_line(tmp_path: Path) -> None:
    ran = run(tmp_path, "--host", "192.0.2.1", "--port", "0", "--rawsocket-port", "0")

    assert ran.returncode == 1
    assert ran.stderr.startswith("hopsack: cannot listen on 192.0.2.1: ")
    assert "HOPSACK_HOST" in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.node
def test_a_data_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")

    ran = run(tmp_path)

    assert ran.returncode == 1
    assert ran.stderr.startswith(f"hopsack: cannot write to the data folder {tmp_path / 'data'}: ")
    assert "HOPSACK_DATA" in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.node
def test_a_misspelt_variable_is_refused_with_the_right_one(tmp_path: Path) -> None:
    ran = run(tmp_path, HOPSACK_PROT="8000")

    assert ran.returncode == 3
    assert "HOPSACK_PORT" in ran.stderr


@pytest.mark.node
def test_a_second_node_on_the_same_data_folder_is_one_clear_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    first = NodeProcess(data)
    try:
        first.ready()

        second = run(tmp_path, "--port", "0", "--rawsocket-port", "0")
    finally:
        code = first.stop()

    assert (second.returncode, code) == (1, 0)
    assert second.stderr.strip().splitlines()[-1].startswith(f"hopsack node: {data / 'journal.sqlite'} is in use")
    assert "Traceback" not in second.stderr


@pytest.mark.node
def test_a_damaged_journal_is_put_aside_with_a_line_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"this is no database" * 1000)

    process = NodeProcess(tmp_path)
    process.ready()
    code = process.stop()

    assert code == 0
    assert "all streams begin anew" in process_log(tmp_path)
    assert len(list(tmp_path.glob("journal.sqlite.broken-*"))) == 1


def process_log(folder: Path) -> str:
    return (folder / "node.log").read_text()
