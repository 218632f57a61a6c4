"""The group of verbs: what is listed, what is loaded, and where errors end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from hopsack.cli.exits import DeadlinePassed, Ended, Exit, Unreachable, exit_of
from hopsack.cli.main import VERBS, cli, main, show
from hopsack.contracts.problems import ContractsInvalid, Problem
from hopsack.errors import (
    ERRORS,
    BadRequest,
    DeclaredError,
    Disconnected,
    Invalid,
    OutcomeUnknown,
    RemoteError,
    Undeclared,
    UsageError,
    class_of,
)
from hopsack.settings import ConfigError


def run(*words: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of the command line in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HOPSACK_")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "hopsack.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=clean | (env or {}),
    )
    return done.returncode, done.stdout, done.stderr


def test_help_lists_every_verb_with_its_summary() -> None:
    text = CliRunner().invoke(cli, ["--help"]).output

    for name, verb in VERBS.items():
        assert name in text
        assert verb.summary in text


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_says_of_itself_what_the_list_says_of_it(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)

    assert command is not None
    assert command.name == name
    assert command.get_short_help_str(200) == VERBS[name].summary
    assert CliRunner().invoke(cli, [name, "--help"]).exit_code == 0


def test_help_loads_click_and_little_else() -> None:
    heavy = ["twisted", "msgspec", "rich", "yaml", "jwt", "asyncio", "jsonschema_rs", "crossbar", "websockets"]
    code = (
        "import sys\nfrom hopsack.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr.strip() == "[]"


def test_a_verb_that_is_not_there_names_the_nearest() -> None:
    assert run("stauts") == (2, "", "hopsack: there is no verb 'stauts': did you mean 'status'?\n")
    assert "`hopsack --help` lists them" in run("xyzzy")[2]


def test_wrong_usage_is_two_lines_and_exit_code_2() -> None:
    code, out, err = run("call")

    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "hopsack: Missing argument 'PROCEDURE'.",
        "  usage: hopsack call [OPTIONS] PROCEDURE [JSON|-]",
    ]


def test_a_misspelt_variable_stops_every_verb_with_exit_code_3() -> None:
    code, out, err = run("status", env={"HOPSACK_PROT": "1"})

    assert (code, out) == (3, "")
    assert err == "hopsack: HOPSACK_PROT is not a variable of Hopsack\n  did you mean HOPSACK_PORT?\n"


def test_no_node_is_exit_code_4_and_says_how_to_start_one(tmp_path: Path) -> None:
    code, out, err = run("call", "presence.list", "--url", "tcp://127.0.0.1:1", "--data", str(tmp_path))

    assert (code, out) == (4, "")
    assert err.splitlines()[0] == "hopsack: cannot connect to tcp://127.0.0.1:1: connection refused"
    assert "hopsack up` starts a node here" in err


def test_who_is_not_let_in_is_told_what_to_type(tmp_path: Path) -> None:
    from hopsack.cli.client import how_to_log_in
    from hopsack.keys import PrivateKey, public_text
    from hopsack.settings import Settings

    key = PrivateKey.new()
    key.write(tmp_path / "key")

    def told(token: str | None, **given: str) -> str:
        return how_to_log_in(Settings.from_environ({"HOPSACK_DATA": str(tmp_path)} | given), token) or ""

    assert "token NAME --role operator --for 1h)` makes you an operator" in told(None)
    assert f"hopsack keys add NAME {public_text(key.public)}`" in told(None, HOPSACK_KEY=str(tmp_path / "key"))
    assert told("given", HOPSACK_TOKEN="given").startswith("HOPSACK_TOKEN or --token is too old")
    assert told("made up", HOPSACK_SECRET="s" * 32) == "HOPSACK_SECRET is not the secret of this node"
    assert f"the secret in {tmp_path} is not the secret of this node: HOPSACK_DATA" in told("made up")


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_authorities_that_cannot_be_used_are_named(tmp_path: Path, text: str | None) -> None:
    from hopsack.link import trusting

    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)

    with pytest.raises(ConfigError) as refused:
        trusting(path)

    assert refused.value.message.startswith("HOPSACK_TLS_CA: ")
    assert str(path) in refused.value.message
    assert "_ssl.c" not in str(refused.value)


def test_with_json_an_error_is_json_too(tmp_path: Path) -> None:
    _, _, err = run("call", "a.b", "--json", "--url", "tcp://127.0.0.1:1", "--data", str(tmp_path))

    assert json.loads(err)["error"]["message"].endswith("connection refused")


def test_debug_shows_a_traceback_wherever_it_stands() -> None:
    for words in (["--debug", "call", "a.b"], ["call", "a.b", "--debug"]):
        err = run(*words, "--url", "tcp://127.0.0.1:1")[2]
        assert "Traceback" in err
        assert "connection refused" in err


def test_whoever_reads_may_stop_reading(tmp_path: Path) -> None:
    script = f"{sys.executable} -P -m hopsack.cli doctor --data {tmp_path} | true; echo ${{PIPESTATUS[0]}}"

    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)

    assert done.stderr == ""
    assert done.stdout in ("0\n", "1\n")  # 1: this machine may lack something


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), Exit.CONFIGURATION),
        (ContractsInvalid([Problem("f", 1, "/a", "bad")]), Exit.CONFIGURATION),
        (UsageError("x"), Exit.USAGE),
        (Unreachable("x"), Exit.UNREACHABLE),
        (Disconnected("x"), Exit.UNREACHABLE),
        (OutcomeUnknown("x"), Exit.FAILURE),
        (DeadlinePassed("x"), Exit.DEADLINE),
        (Ended("x", 3), Exit.CONFIGURATION),
        (Invalid(), Exit.CONTRACT),
        (Undeclared(), Exit.CONTRACT),
        (DeclaredError(code="host.unknown"), Exit.FAILURE),
        (ZeroDivisionError(), Exit.FAILURE),
    ],
)
def test_every_kind_of_error_has_its_exit_code(error: Exception, code: Exit) -> None:
    assert exit_of(error) == code


def test_the_codes_of_the_table_have_exit_codes() -> None:
    found = {code: exit_of(class_of(code)(code=code)) for code in ERRORS}

    assert {code for code, status in found.items() if status == Exit.DENIED} == {
        "hopsack.login_required",
        "hopsack.denied",
    }
    assert {code for code, status in found.items() if status == Exit.DEADLINE} == {"hopsack.deadline"}
    assert {code for code, status in found.items() if status == Exit.CONTRACT} == {
        "hopsack.invalid",
        "hopsack.undeclared",
        "hopsack.invalid_uri",
        "hopsack.broken_result",
    }


def shown(error: Exception, capsys: pytest.CaptureFixture[str]) -> list[str]:
    show(error)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_an_error_says_what_where_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    error = Invalid("must be a number, got true", where="host.metrics", path="/cpu", advice="send 12.5")

    assert shown(error, capsys) == [
        "hopsack: /cpu must be a number, got true [hopsack.invalid]",
        "  host.metrics; send 12.5",
    ]


def test_a_whole_sentence_does_not_begin_with_a_field(capsys: pytest.CaptureFixture[str]) -> None:
    error = BadRequest("there is no key 'x'", path="/key", advice="did you mean y?")

    assert shown(error, capsys) == ["hopsack: there is no key 'x' [hopsack.bad_request]", "  did you mean y?"]


def test_what_the_node_finds_wrong_with_what_was_typed_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    from hopsack.cli import talk

    async def call(*_: Any) -> Any:
        raise Invalid("must have at most 200 characters, has 300", path="/reason", where="hopsack.access.revoke")

    monkeypatch.setattr(talk, "_call", call)

    with pytest.raises(UsageError, match=r"^reason must have at most 200 characters, has 300$"):
        talk.ask("hopsack.access.revoke", {}, {})


def test_what_others_wrote_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(RemoteError("\x1b[2Jgone\x9b31m", where="a\x1b]0;b"), capsys) == [
        "hopsack: \\x1b[2Jgone\\u009b31m [hopsack.internal]",
        "  a\\x1b]0;b",
    ]


def test_a_mistake_of_ours_is_named_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(KeyError("x"), capsys) == [
        "hopsack: this is a mistake in Hopsack: KeyError: 'x'",
        "  the same command with --debug shows where",
    ]


def test_the_exit_code_of_a_verb_is_what_it_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_: Any, **__: Any) -> int:
        return 7

    monkeypatch.setattr(cli, "main", answer)

    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 7
