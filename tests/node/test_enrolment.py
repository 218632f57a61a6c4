"""Enrolment as people do it: the command line on both sides, a real wormhole, a real mailbox, a real node."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hopsack import connect
from hopsack.keys import PrivateKey, public_text

from .conftest import ROOT, Node

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(
        not all(map(find_spec, ("wormhole", "wormhole_mailbox_server"))),
        reason="needs pip install 'hopsack-router[enrol]'",
    ),
]


class Program:
    """A verb that runs, spoken to by its pipes."""

    def __init__(self, *words: str, **variables: str) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("HOPSACK_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hopsack.cli", *words],
            cwd=ROOT,
            env=environ | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def says(self) -> dict[str, Any]:
        """The next line of JSON."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.ends())
        facts: dict[str, Any] = json.loads(line)
        return facts

    def hears(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def killed(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def ends(self) -> tuple[int, str]:
        """The exit code, and what it said on stderr."""
        _, said = self.process.communicate(timeout=40)
        return self.process.returncode, said


class Place:
    """The node's machine and another one, both with folders of their own."""

    def __init__(self, node: Node, path: Path, stack: ExitStack) -> None:
        self.node, self.path, self._stack = node, path, stack
        self.mailbox = "ws://127.0.0.1:9/v1"

    def open_mailbox(self, port: int | None = 0) -> Program:
        program = self.run("mailbox", "--data", str(self.path / "mailbox"), "--port", str(port))
        self.mailbox = program.says()["mailbox"]
        return program

    def run(self, *words: str, **variables: str) -> Program:
        return self._stack.enter_context(Program(*words, **variables))

    def invite(self, *words: str) -> Program:
        where = ["--data", str(self.node.data), "--url", self.node.rawsocket, "--mailbox", self.mailbox]
        return self.run("invite", *where, *words)

    def join(self, code: str, *words: str) -> Program:
        return self.run("join", code, "--mailbox", self.mailbox, "--key", str(self.key), *words)

    @property
    def key(self) -> Path:
        return self.path / "joiner" / "key"

    def accepted(self) -> list[str]:
        return [one.name for one in (self.node.data / "keys").glob("*.pub")] if self.node.data.exists() else []


@pytest.fixture
def place(node: Node, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(node, tmp_path, stack)


async def whoami(node: Node, key: Path) -> dict[str, Any]:
    async with connect(node.rawsocket, key=key) as fabric:
        facts: dict[str, Any] = await fabric.call("hopsack.session.whoami")
        return facts


def test_a_machine_that_nobody_knows_gets_a_key_accepted(place: Place) -> None:
    place.open_mailbox()
    inviter = place.invite("--role", "service", "--name", "garden", "--for", "1m")
    code = inviter.says()["code"]
    joiner = place.join(code, "--name", "shed")
    seen, shown = joiner.says(), inviter.says()
    was_written = place.key.exists()

    inviter.hears("y")
    told, added = joiner.says(), inviter.says()

    assert re.fullmatch(r"\d+-[a-z]+-[a-z]+", code)
    assert re.fullmatch(r"([0-9a-f]{4} ){7}[0-9a-f]{4}", seen["verifier"])
    assert shown["verifier"] == seen["verifier"]
    assert (shown["subject"], shown["called"], was_written) == ("garden", "shed", False)
    assert added["public"] == public_text(PrivateKey.read(place.key).public)
    assert added["note"] == "invited, from shed"
    assert told == {
        "accepted": True,
        "subject": "garden",
        "role": "service",
        "fingerprint": added["fingerprint"],
        "key": str(place.key),
        "url": place.node.rawsocket,
    }
    assert (inviter.ends()[0], joiner.ends()[0]) == (0, 0)
    facts = asyncio.run(whoami(place.node, place.key))
    assert (facts["subject"], facts["role"], facts["proof"]) == ("garden", "service", "key")


def test_nothing_of_it_crosses_the_mailbox_in_clear(place: Place) -> None:
    place.open_mailbox()
    with Recorder(place.mailbox) as recorder:
        place.mailbox = recorder.url
        inviter = place.invite("--name", "secret-subject")
        joiner = place.join(inviter.says()["code"], "--name", "secret-host")
        verifier = joiner.says()["verifier"]
        inviter.says()
        inviter.hears("y")
        added = inviter.says()
        assert (inviter.ends()[0], joiner.ends()[0]) == (0, 0)

    key = PrivateKey.read(place.key)
    crossed = recorder.crossed()
    phases = set(re.findall(rb'"phase": ?"(\w+)"', bytes(recorder.bytes)))
    secrets = [key.public, key.public.hex(), added["public"], added["fingerprint"], key.seed, key.seed.hex()]
    secrets += [verifier, verifier.replace(" ", ""), "secret-subject", "secret-host", "accepted", "asking"]
    assert {b"pake", b"version", b"0"} <= phases
    for secret in secrets:
        assert (secret if isinstance(secret, bytes) else secret.encode()) not in crossed


def test_a_wrong_code_burns_the_invitation_and_both_are_told(place: Place) -> None:
    place.open_mailbox()
    before = place.accepted()
    inviter = place.invite()
    number = inviter.says()["code"].partition("-")[0]

    joiner = place.join(f"{number}-guessed-wrong")
    there, here = joiner.ends(), inviter.ends()
    again = place.join(f"{number}-guessed-again", "--wait", "1s").ends()

    assert (there[0], here[0], again[0]) == (1, 1, 6)
    assert "that code is wrong" in there[1]
    assert "somebody used a wrong code: this invitation is void" in here[1]
    assert "nobody is at the other end" in again[1]
    assert not place.key.exists()
    assert place.accepted() == before


def test_who_says_no_lets_nobody_in(place: Place) -> None:
    place.open_mailbox()
    before = place.accepted()
    inviter = place.invite()
    joiner = place.join(inviter.says()["code"])
    inviter.says()

    inviter.hears("n")
    there, here = joiner.ends(), inviter.ends()

    assert (there[0], here[0]) == (5, 5)
    assert "not accepted: the person who invites has said no" in there[1]
    assert not place.key.exists()
    assert place.accepted() == before


@pytest.mark.timeout(90)
def test_a_mailbox_that_is_killed_midway_and_started_again_completes(place: Place) -> None:
    first = place.open_mailbox()
    port = urlsplit(place.mailbox).port
    inviter = place.invite("--name", "killed")
    code = inviter.says()["code"]
    first.killed()
    second = place.open_mailbox(port)
    joiner = place.join(code)
    seen, shown = joiner.says(), inviter.says()
    second.killed()
    inviter.hears("y")
    place.open_mailbox(port)

    told = joiner.says()

    assert seen["verifier"] == shown["verifier"]
    assert told["subject"] == "killed"
    assert asyncio.run(whoami(place.node, place.key))["subject"] == "killed"


def test_an_invitation_is_over_when_its_time_is(place: Place) -> None:
    place.open_mailbox()
    inviter = place.invite("--for", "0.5s")
    inviter.says()

    code, said = inviter.ends()

    assert code == 6
    assert "the invitation has expired: nobody has used it" in said


def test_who_comes_and_is_not_answered_in_time_is_told(place: Place) -> None:
    place.open_mailbox()
    inviter = place.invite("--for", "4s")
    joiner = place.join(inviter.says()["code"])
    joiner.says()

    there, here = joiner.ends(), inviter.ends()

    assert (there[0], here[0]) == (5, 6)
    assert "the invitation has expired" in there[1]
    assert not place.key.exists()


def test_without_a_mailbox_both_say_what_runs_one(place: Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        place.mailbox = f"ws://127.0.0.1:{taken.getsockname()[1]}/v1"
        ends = [place.invite().ends(), place.join("7-crossover-clockwork").ends()]

    assert [code for code, _ in ends] == [4, 4]
    assert all("cannot reach the mailbox" in said and "`hopsack mailbox`" in said for _, said in ends)
    assert all(f"{place.mailbox}: connection refused" in said for _, said in ends)


def test_only_who_may_accept_keys_may_invite(place: Place) -> None:
    code, said = place.invite("--token", place.node.token("user")).ends()

    assert code == 5
    assert "hopsack.keys.list" in said


def test_no_key_is_written_over(place: Place) -> None:
    place.key.parent.mkdir()
    place.key.write_text("mine")

    code, said = place.join("7-crossover-clockwork").ends()

    assert code == 2
    assert "is there already" in said
    assert place.key.read_text() == "mine"


def test_what_is_no_code_is_told(place: Place) -> None:
    code, said = place.join("crossover clockwork").ends()

    assert code == 2
    assert "7-crossover-clockwork" in said


def test_a_mailbox_that_cannot_have_its_port_says_so(place: Place) -> None:
    place.open_mailbox()
    port = str(urlsplit(place.mailbox).port)

    code, said = place.run("mailbox", "--data", str(place.path / "other"), "--port", port).ends()

    assert code == 1
    assert f"port {port} is taken" in said
    assert "HOPSACK_MAILBOX_PORT" in said


class Recorder:
    """Stands before a mailbox and keeps what it sends: it repeats to both sides whatever either of them says."""

    def __init__(self, mailbox: str) -> None:
        self._there = ("127.0.0.1", urlsplit(mailbox).port)
        self.bytes = bytearray()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listening.getsockname()[1]}/v1"

    def __enter__(self) -> Recorder:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def crossed(self) -> bytes:
        """Everything, and what the bodies of messages are when their hex is undone."""
        bodies = re.findall(rb'"body": ?"([0-9a-f]*)"', bytes(self.bytes))
        return bytes(self.bytes) + b"\n".join(bytes.fromhex(one.decode()) for one in bodies)

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listening.accept()
            except OSError:
                return
            there = socket.create_connection(self._there)
            threading.Thread(target=self._pump, args=(here, there, None), daemon=True).start()
            threading.Thread(target=self._pump, args=(there, here, self.bytes), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, kept: bytearray | None) -> None:
        try:
            while data := source.recv(65536):
                if kept is not None:
                    kept += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass
