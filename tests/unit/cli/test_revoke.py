"""``revoke`` and ``sessions kick``: what they ask the node, what they print, and their exit codes."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from hopsack.cli import revoke
from hopsack.cli.exits import Exit
from hopsack.cli.main import cli
from hopsack.errors import RemoteError, UsageError


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
    result = invoke("revoke", "ann", "--restore")

    assert result.return_value == Exit.OK
    assert node.asked == [("hopsack.access.revoked", None), ("hopsack.access.restore", {"subject": "ann"})]


@pytest.mark.parametrize(("name", "hint"), [("anne", "did you mean ann?"), ("zoe", "revoke --list` shows who is")])
def test_who_was_never_revoked_is_not_restored(node: Node, name: str, hint: str) -> None:
    result = invoke("revoke", name, "--restore")

    assert result.return_value == Exit.FAILURE
    assert f"{name} is not revoked; " in result.stderr
    assert hint in result.stderr
    assert node.asked == [("hopsack.access.revoked", None)]


@pytest.mark.parametrize(
    "words", [["revoke", ""], ["revoke", "a\nb"], ["why", "", "call", "a.b"], ["keys", "add", "", "x"]]
)
def test_what_is_no_name_is_not_asked_about(node: Node, words: list[str]) -> None:
    refused = invoke(*words).exception

    assert isinstance(refused, click.UsageError)
    assert "is no name: write 1 to 200 printable characters" in refused.format_message()
    assert node.asked == []


def test_a_session_that_is_not_there_is_told_with_the_list_of_those_that_are(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: Any) -> Any:
        raise RemoteError("there is no session 7", code="hopsack.no_such_session", path="/session")

    monkeypatch.setattr(revoke, "ask", ask)

    refused = invoke("sessions", "kick", "7").exception

    assert isinstance(refused, RemoteError)
    assert "sessions ls` lists them" in (refused.advice or "")


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
