"""The command line against a real node, each verb in a process of its own, as in a shell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import websockets.sync.client

from tests.node.conftest import ROOT, Node

COMMAND = [sys.executable, "-P", "-m", "hopsack.cli"]
HELLO = {"by": "me", "text": "hello"}


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HOPSACK_")}


def start(node: Node, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *words, "--url", node.rawsocket, "--data", str(node.data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(),
        text=True,
    )


def run(node: Node, *words: str, feed: str | None = None) -> tuple[int, str, str]:
    """(exit code, stdout, stderr)."""
    stdin: dict[str, Any] = {"input": feed} if feed is not None else {"stdin": subprocess.DEVNULL}
    command = [*COMMAND, *words, "--url", node.rawsocket, "--data", str(node.data)]
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, capture_output=True, text=True, check=False, env=clean_environment(), timeout=30, **stdin
    )
    return done.returncode, done.stdout, done.stderr


def data_of(out: str) -> list[Any]:
    return [json.loads(line) for line in out.splitlines()]


class Listener:
    """A ``sub`` that has subscribed: it has read one event of ours."""

    def __init__(self, node: Node, *words: str, room: str) -> None:
        self.process = start(node, "sub", *words)
        assert self.process.stdout is not None
        # Publish until it answers: it says nothing at the moment it has subscribed.
        with websockets.sync.client.connect(node.ws("/raw")) as page:
            while True:
                note = {"jsonrpc": "2.0", "method": "hopsack.publish"}
                page.send(json.dumps({**note, "params": {"topic": f"chat.room.{room}", "data": HELLO}}))
                if _is_readable(self.process.stdout):
                    break
        self.process.stdout.readline()

    def until(self, is_last: Callable[[Any], bool]) -> list[Any]:
        """The events up to one, and the end of it."""
        assert self.process.stdout is not None
        found = []
        for line in self.process.stdout:
            found.append(json.loads(line))
            if is_last(found[-1]):
                break
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)
        return found

    def rest(self) -> list[Any]:
        return data_of(self.process.communicate(timeout=30)[0])


def _is_readable(stream: Any) -> bool:
    import select

    return bool(select.select([stream], [], [], 0.05)[0])


# ----- call


def test_a_result_is_one_line_of_json(node: Node) -> None:
    code, out, err = run(node, "call", "presence.list")

    assert (code, err) == (0, "")
    (result,) = data_of(out)
    assert ("cli", "operator") in [(member["authid"], member["role"]) for member in result["members"]]


def test_who_has_a_token_is_that(node: Node) -> None:
    out = run(node, "call", "presence.list", "--token", node.token("user", "alice"))[1]

    assert "alice" in [member["authid"] for member in data_of(out)[0]["members"]]


@pytest.mark.parametrize("path", ["/ws", "/raw"])
def test_every_door_that_has_a_url_will_do(node: Node, path: str) -> None:
    done = subprocess.run(
        [*COMMAND, "call", "presence.list", "--url", node.ws(path)],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment() | {"HOPSACK_DATA": str(node.data)},
    )

    assert data_of(done.stdout)[0]["count"] >= 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["call", "host.descibe"], 7, ["[hopsack.undeclared]", "did you mean host.describe?"]),
        (["call", "host.describe", '{"host": 1}'], 7, ["/host must be a string", "[hopsack.invalid]"]),
        (["call", "host.describe", '{"host": "x"}'], 1, ["[hopsack.no_callee]"]),
        (["call", "presence.list", "--token", "nonsense"], 5, ["[hopsack.login_required]"]),
        (["pub", "presence.count", "{}", "--token", "GUEST"], 5, ["[hopsack.denied]", "presence.count"]),
        (["sub", "chat.rom.x"], 7, ["did you mean chat.room.{room}?"]),
    ],
)
def test_a_refusal_has_its_exit_code_and_says_what_to_do(
    node: Node, words: list[str], code: int, said: list[str]
) -> None:
    words = [node.token("guest", "visitor") if word == "GUEST" else word for word in words]

    found, out, err = run(node, *words)

    assert (found, out) == (code, "")
    assert all(text in err for text in said), err
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 2


# ----- pub and sub


def test_what_is_published_is_printed(node: Node) -> None:
    listener = Listener(node, "chat.room.one", room="one")

    assert run(node, "pub", "chat.room.one", '{"by": "a", "text": "1"}') == (0, "", "")
    assert run(node, "pub", "chat.room.one", feed='{"by": "a", "text": "2"}\n\n{"by": "a", "text": "3"}\n')[0] == 0

    heard = listener.until(lambda event: event["data"]["text"] == "3")
    found = [event for event in heard if event["data"] != HELLO]
    epochs, offsets = zip(*(event.pop("position").split(":") for event in found), strict=True)
    assert found == [{"topic": "chat.room.one", "data": {"by": "a", "text": text}} for text in "123"]
    assert len(set(epochs)) == 1
    assert [int(offset) - int(offsets[0]) for offset in offsets] == [0, 1, 2]


def test_a_pattern_is_read_like_a_topic(node: Node) -> None:
    listener = Listener(node, "chat.room.", "--match", "prefix", room="two")

    run(node, "pub", "chat.room.three", json.dumps(HELLO))
    run(node, "pub", "chat.room.four", json.dumps(HELLO))

    found = listener.until(lambda event: event["topic"] == "chat.room.four")
    assert "chat.room.three" in [event["topic"] for event in found]


def test_it_ends_after_as_many_as_were_asked_for(node: Node) -> None:
    listener = Listener(node, "chat.room.eight", "--count", "2", room="eight")

    run(node, "pub", "chat.room.eight", json.dumps(HELLO))

    assert len(listener.rest()) == 1
    assert listener.process.returncode == 0


def test_ctrl_c_is_a_good_end(node: Node) -> None:
    listener = Listener(node, "chat.room.five", room="five")

    listener.process.send_signal(signal.SIGINT)
    listener.rest()

    assert listener.process.returncode == 0


def test_a_reader_that_leaves_ends_it_quietly(node: Node) -> None:
    listener = Listener(node, "chat.room.six", room="six")
    assert listener.process.stdout is not None
    listener.process.stdout.close()

    assert listener.process.stderr is not None
    while listener.process.poll() is None:
        run(node, "pub", "chat.room.six", json.dumps(HELLO))

    assert listener.process.returncode == 0
    assert listener.process.stderr.read() == ""


def test_too_few_in_time_is_exit_code_6(node: Node) -> None:
    code, out, err = run(node, "sub", "chat.room.nobody", "--count", "1", "--timeout", "0.05")

    assert (code, out, err) == (6, "", "hopsack: not enough events within 0.05 s\n")


def test_a_line_that_is_refused_is_named(node: Node) -> None:
    code, _, err = run(node, "pub", "chat.room.seven", feed=json.dumps(HELLO) + '\n{"by": 5, "text": "x"}\n')

    assert code == 7
    assert "/by must be a string" in err
    assert "chat.room.seven, event 2" in err


# ----- lists


def test_lists_are_one_object_a_line(node: Node) -> None:
    topics = data_of(run(node, "topics", "ls")[1])
    procedures = data_of(run(node, "procedures", "ls", "presence.")[1])
    sessions = data_of(run(node, "sessions", "ls")[1])
    services = run(node, "services", "ls")

    assert "chat.room.{room}" in [row["uri"] for row in topics]
    assert [row["uri"] for row in procedures] == ["presence.list"]
    assert ("cli", "operator", "wamp-rawsocket") in [(row["authid"], row["role"], row["door"]) for row in sessions]
    assert services[0] == 0


def test_a_guest_may_not_list_sessions(node: Node) -> None:
    code, _, err = run(node, "sessions", "ls", "--token", node.token("guest", "visitor"))

    assert code == 5
    assert "[hopsack.denied]" in err


# ----- wait


def test_wait_ends_when_a_session_can_be_opened(node: Node) -> None:
    assert run(node, "wait", "--timeout", "20") == (0, "", "")


def test_a_service_without_a_node_says_once_where_it_looked_and_what_to_do(node: Node) -> None:
    command = [*COMMAND, "run", "services/host", "--url", "tcp://127.0.0.1:1", "--data", str(node.data)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, env=clean_environment(), text=True)
    assert process.stderr is not None
    said = json.loads(process.stderr.readline())
    process.terminate()
    rest = process.communicate(timeout=30)[1]

    assert said["event"].startswith("no node at tcp://127.0.0.1:1: connection refused; `hopsack up` starts one here")
    assert (process.returncode, rest) == (0, "")


def test_an_operator_sees_who_is_connected(node: Node) -> None:
    code, out, _ = run(node, "sessions", "ls")

    assert code == 0
    assert [row["role"] for row in data_of(out)] == ["operator"]
