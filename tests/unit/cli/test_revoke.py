"""``revoke`` and ``sessions kick``: what they ask the node, what they print, and their exit codes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hopsack.cli import revoke
from hopsack.cli.exits import Exit
from hopsack.cli.main import cli
from hopsack.errors import UsageError


class Node:
    """Answers what a test says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.answers: dict[str, Any] = {
            "hopsack.access.revoke": {"ended": [11, 12], "keys": 1, "since": 100.0},
            "hopsack.access.restore": None,
            "hopsack.access.revoked": [{"subject": "bob", "since": 5.0}, {"subject": "ann", "since": 4.0}],
            "hopsack.sessions.end": {"ended": [11]},
        }

    def ask(self, procedure: str, _given: Any, payload: Any = None) -> Any:
        self.asked.append((procedure, payload))
        return self.answers[procedure]


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    node = Node()
    monkeypatch.setattr(revoke, "ask", node.ask)
    return node


def invoke(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words), standalone_mode=False)


def test_revoke_names_the_subject_and_why(node: Node) -> None:
    result = invoke("revoke", "ann", "--reason", "lost her laptop")

    assert node.asked == [("hopsack.access.revoke", {"subject": "ann", "reason": "lost her laptop"})]
    assert json.loads(result.stdout) == {"ended": [11, 12], "keys": 1, "since": 100.0}


def test_restore_takes_it_back(node: Node) -> None:
    invoke("revoke", "ann", "--restore")

    assert node.asked == [("hopsack.access.restore", {"subject": "ann"})]


def test_the_list_is_sorted(node: Node) -> None:
    result = invoke("revoke", "--list")

    assert [json.loads(line)["subject"] for line in result.stdout.splitlines()] == ["ann", "bob"]


@pytest.mark.parametrize("words", [[], ["ann", "--list"], ["--list", "--restore"], ["--restore"]])
def test_one_of_them_is_meant(node: Node, words: list[str]) -> None:
    assert isinstance(invoke("revoke", *words).exception, UsageError)
    assert node.asked == []


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["4711"], {"session": 4711}),
        (["ann"], {"subject": "ann"}),
        (["4711", "--subject"], {"subject": "4711"}),
        (["ann", "--reason", "Too loud."], {"subject": "ann", "reason": "Too loud."}),
    ],
)
def test_kick_takes_a_session_or_a_subject(node: Node, words: list[str], asked: Any) -> None:
    result = invoke("sessions", "kick", *words)

    assert result.return_value == Exit.OK
    assert node.asked == [("hopsack.sessions.end", asked)]


def test_kicking_nobody_is_a_failure(node: Node) -> None:
    node.answers["hopsack.sessions.end"] = {"ended": []}

    result = invoke("sessions", "kick", "ann")

    assert result.return_value == Exit.FAILURE
    assert "ann has no session" in result.stderr
