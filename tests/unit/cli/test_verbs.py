"""The verbs that need no node."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import jwt
import pytest
from click.testing import CliRunner, Result

from hopsack.cli import output
from hopsack.cli import test as test_verb
from hopsack.cli.control import duration
from hopsack.cli.lines import readable
from hopsack.cli.main import cli
from hopsack.cli.talk import _Printer, _value, _values
from hopsack.cli.test import Outcome, skipped_in
from hopsack.errors import LocalError, UsageError
from hopsack.session import Event
from hopsack.supervise import state
from hopsack.supervise.logs import LogFile
from hopsack.supervise.state import ProgramState, RunState, identify

SECRET = "s" * 32


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("HOPSACK_"):
            monkeypatch.delenv(name)


def invoke(*words: str, **env: str) -> Result:
    return CliRunner().invoke(cli, list(words), env=env, standalone_mode=False)


def rows(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


# ----- token


def test_a_token_says_who_and_for_how_long() -> None:
    result = invoke("token", "--sub", "alice", "--role", "service", "--for", "90s", "--json", HOPSACK_SECRET=SECRET)

    (row,) = rows(result)
    claims = jwt.decode(row["token"], SECRET, algorithms=["HS256"], issuer="hopsack")
    assert (claims["sub"], claims["role"]) == ("alice", "service")
    assert claims["exp"] - claims["iat"] == 90


def test_a_token_names_groups_and_a_tenant() -> None:
    result = invoke(
        "token", "alice", "--group", "b", "--group", "a", "--group", "b", "--tenant", "acme", "--json",
        HOPSACK_SECRET=SECRET,
    )  # fmt: skip

    (row,) = rows(result)
    claims = jwt.decode(row["token"], SECRET, algorithms=["HS256"], issuer="hopsack")
    assert (claims["sub"], claims["role"], claims["groups"], claims["tenant"]) == ("alice", "user", ["a", "b"], "acme")
    assert (row["groups"], row["tenant"], row["expires"]) == (["a", "b"], "acme", None)


@pytest.mark.parametrize("words", [(), ("alice", "--sub", "bob")])
def test_a_token_is_for_one_subject(words: tuple[str, ...]) -> None:
    assert isinstance(invoke("token", *words, HOPSACK_SECRET=SECRET).exception, click.UsageError)


@pytest.mark.parametrize(
    "words", [("x" * 201,), ("",), ("a\nb",), ("alice", "--group", ""), ("alice", "--tenant", "\t")]
)
def test_a_token_that_no_node_would_take_is_not_made(words: tuple[str, ...]) -> None:
    result = invoke("token", *words, HOPSACK_SECRET=SECRET)

    assert isinstance(result.exception, (UsageError, click.UsageError))


def test_a_token_in_a_pipe_is_the_token_alone() -> None:
    result = invoke("token", "--sub", "alice", HOPSACK_SECRET=SECRET)

    assert "exp" not in jwt.decode(result.stdout.strip(), SECRET, algorithms=["HS256"])


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("1.5h", 5400), ("7d", 604800), ("1w", 604800)]
)
def test_times_are_read(text: str, seconds: float) -> None:
    from hopsack.cli.token import Duration

    assert Duration().convert(text, None, None) == seconds


# ----- check, generate


def test_faults_are_told_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "host.yaml").write_text("topics:\n  host.metrics:\n    sumary: x\n")

    result = invoke("check", "--schemas", str(tmp_path), "--json")

    assert result.return_value == 3
    assert {row["ok"] for row in rows(result)} == {False}
    assert any(row["line"] == 3 and "sumary" in row["key"] + row["message"] for row in rows(result))


def test_sound_contracts_are_counted() -> None:
    result = invoke("check", "--schemas", str(Path(__file__).parents[3] / "schemas"))

    assert result.return_value == 0
    assert rows(result)[0]["ok"] is True


def test_the_folder_of_the_contracts_may_stand_alone(tmp_path: Path) -> None:
    (tmp_path / "host.yaml").write_text("topics:\n  host.metrics:\n    sumary: x\n")

    assert invoke("check", str(tmp_path)).return_value == 3
    twice = invoke("check", str(tmp_path), "--schemas", str(tmp_path))
    assert isinstance(twice.exception, UsageError)
    assert "named twice" in str(twice.exception)


def test_generate_writes_once_and_checks(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "a.yaml").write_text(
        "topics:\n  a.b:\n    summary: One.\n    payload: {type: integer}\n    publish: [user]\n    subscribe: [user]\n"
    )
    words = ["generate", "--python", str(tmp_path / "types.py"), "--json"]
    env = {"HOPSACK_PROJECT": str(tmp_path)}

    before = invoke(*words, "--check", **env)
    written = invoke(*words, **env)
    after = invoke(*words, "--check", **env)

    assert (before.return_value, written.return_value, after.return_value) == (1, 0, 0)
    assert rows(written)[0]["written"] is True
    assert rows(after)[0]["differs"] is False
    assert "A_B" in (tmp_path / "types.py").read_text()


# ----- doctor


def test_the_doctor_sees_this_machine(tmp_path: Path) -> None:
    result = invoke("doctor", "--json", HOPSACK_DATA=str(tmp_path))

    found = {row["what"]: row["verdict"] for row in rows(result)}
    assert found["Python"] == "ok"
    assert found["data folder"] == "ok"
    assert {"Node.js", "Chromium", "Docker", "docker-compose", "web pages", "contracts"} <= set(found)


def test_what_is_missing_comes_with_its_cure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    result = invoke("doctor", "--json", HOPSACK_PROJECT=str(tmp_path), HOPSACK_SCHEMAS="/nonexistent")

    found = {row["what"]: row for row in rows(result)}
    assert {found[what]["verdict"] for what in ("Node.js", "Chromium", "Docker", "web pages")} == {"missing"}
    assert found["contracts"]["verdict"] == "wrong"
    assert all(row["cure"] for row in found.values() if row["verdict"] != "ok")
    assert result.return_value == 1


# ----- status, logs, down, wait


def leave_state(data: Path, pid: int, began: str, program: str = "ready") -> RunState:
    programs = (ProgramState("node", "node", program, pid, began, time.time() - 200, 1, -9),)
    run = RunState(pid, began, time.time() - 300, program, "/srv", "http://127.0.0.1:1", None, programs)
    state.write(data, run)
    return run


def test_status_of_nothing_is_a_failure(tmp_path: Path) -> None:
    result = invoke("status", "--data", str(tmp_path))

    assert (result.return_value, result.stdout) == (1, "")
    assert f"nothing runs on {tmp_path}; `hopsack up` starts it" in result.stderr


def test_status_of_a_supervisor_that_was_killed_says_so(tmp_path: Path) -> None:
    leave_state(tmp_path, os.getpid(), "another process that had this number")

    result = invoke("status", "--data", str(tmp_path))

    assert result.return_value == 1
    assert "which was here last, ended without a word" in result.stderr


@pytest.mark.parametrize(("program", "code"), [("ready", 0), ("restarting", 1)])
def test_status_is_good_when_everything_is_ready(tmp_path: Path, program: str, code: int) -> None:
    me = identify(os.getpid())
    assert me is not None
    leave_state(tmp_path, me.pid, me.began, program)

    result = invoke("status", "--data", str(tmp_path))

    assert result.return_value == code
    (row,) = rows(result)
    assert (row["name"], row["state"], row["restarts"], row["last_exit"]) == ("node", program, 1, -9)
    assert 199 < row["uptime"] < 260


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (360000, "4 d 4 h")],
)
def test_durations_are_said_in_two_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_logs_are_merged_and_chosen(tmp_path: Path) -> None:
    for name, text, moment in (("node", "one", 1.0), ("host", "two", 2.0), ("node", "three", 3.0)):
        LogFile(tmp_path / "logs" / f"{name}.log").write(text, moment)

    everything = invoke("logs", "--data", str(tmp_path))
    host = invoke("logs", "host", "--data", str(tmp_path))
    last = invoke("logs", "-n", "1", "--data", str(tmp_path))

    assert [row["text"] for row in rows(everything)] == ["one", "two", "three"]
    assert rows(host) == [{"time": "1970-01-01T00:00:02.000Z", "service": "host", "text": "two"}]
    assert [row["text"] for row in rows(last)] == ["three"]


def test_a_log_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    LogFile(tmp_path / "logs" / "node.log").write("one", 1.0)

    result = invoke("logs", "hots", "--data", str(tmp_path))

    assert isinstance(result.exception, UsageError)
    assert "known are node" in str(result.exception)


def test_following_ends_with_the_supervisor(tmp_path: Path) -> None:
    LogFile(tmp_path / "logs" / "node.log").write("last words", 1.0)

    result = invoke("logs", "-f", "--data", str(tmp_path))

    assert [row["text"] for row in rows(result)] == ["last words"]


def test_down_with_nothing_to_end_is_fine(tmp_path: Path) -> None:
    result = invoke("down", "--data", str(tmp_path))

    assert result.exception is None
    assert f"nothing runs on {tmp_path}" in result.stderr


def test_down_ends_the_programs_of_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    orphan = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    who = identify(orphan.pid)
    assert who is not None
    gone = RunState(
        2**22 + 1, "gone", 0.0, "ready", "/srv", programs=(ProgramState("a", "service", "ready", who.pid, who.began),)
    )
    state.write(tmp_path, gone)

    result = invoke("down", "--data", str(tmp_path))

    assert result.exception is None
    assert orphan.wait(10) == -signal.SIGTERM
    assert state.read(tmp_path) is None


def test_down_leaves_a_stranger_with_the_same_number_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        leave_state(tmp_path, stranger.pid, "another beginning")

        invoke("down", "--data", str(tmp_path))

        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_down_tells_if_it_does_not_end(tmp_path: Path) -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
    stubborn = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()
        who = identify(stubborn.pid)
        assert who is not None
        leave_state(tmp_path, who.pid, who.began)

        result = invoke("down", "--timeout", "0.1", "--data", str(tmp_path))

        assert isinstance(result.exception, LocalError)
        assert "has not ended" in str(result.exception)
    finally:
        stubborn.kill()
        stubborn.communicate()


def test_wait_tells_what_is_late(tmp_path: Path) -> None:
    me = identify(os.getpid())
    assert me is not None
    leave_state(tmp_path, me.pid, me.began, "restarting")

    result = invoke("wait", "--timeout", "0", "--data", str(tmp_path))

    assert str(result.exception) == "not ready after 0 s: node is restarting"


def test_wait_ends_when_all_is_ready(tmp_path: Path) -> None:
    me = identify(os.getpid())
    assert me is not None
    leave_state(tmp_path, me.pid, me.began, "ready")

    assert invoke("wait", "--timeout", "0", "--data", str(tmp_path)).exception is None
    assert invoke("wait", "--for", "down", "--timeout", "0", "--data", str(tmp_path)).exception is not None


# ----- pub, call: what is typed


def test_a_text_without_quotes_is_answered_with_the_quoting() -> None:
    with pytest.raises(UsageError) as text:
        _value("it's tea", "hopsack pub demo.text")
    with pytest.raises(UsageError) as composed:
        _value("{host: x}", "hopsack call host.describe")

    assert str(text.value).endswith("""a string:  hopsack pub demo.text '"it'"'"'s tea"'""")
    assert """hopsack call host.describe '{"name": "value"}'""" in str(composed.value)


def test_lines_of_a_pipe_are_values_and_empty_ones_are_not() -> None:
    assert list(_values(['{"a": 1}\n', "\n", "2"])) == [{"a": 1}, 2]
    with pytest.raises(UsageError, match="line 2 of stdin is not JSON"):
        list(_values(["1\n", "two\n"]))


# ----- output


def test_json_keeps_letters_and_writes_bytes_as_wamp_does() -> None:
    assert output.to_json({"ü": b"\x00\xff"}) == '{"ü":"\\u0000AP8="}'


def test_a_log_line_is_shown_as_a_sentence_with_its_facts() -> None:
    line = '{"event": "sampled", "level": "info", "timestamp": "t", "service": "host", "host": "a b", "n": 3}'
    failed = '{"event": "it \\u001b[2J failed", "level": "error", "exception": "Traceback\\n  here"}'

    assert [click.unstyle(text) for text in readable(line)] == ['sampled  host="a b"  n=3']
    assert [click.unstyle(text) for text in readable(failed)] == [
        "error: it \\x1b[2J failed",
        "  Traceback",
        "    here",
    ]
    assert readable("plain text") == ["plain text"]
    assert readable('{"not": "a log line"}') == ['{"not": "a log line"}']


# ----- test


def test_what_skipped_itself_is_told_once_with_its_number(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.skip(reason='needs a peer: apt install peer')\n@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_a(n): pass\n"
        "@pytest.mark.xfail(reason='known')\ndef test_b(): assert False\n"
        "def test_c(): pass\n"
    )
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", str(tmp_path)]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)

    assert skipped_in(report) == {"needs a peer: apt install peer": 2}


def test_left_out_is_a_failure_only_if_nothing_may_be() -> None:
    partly = Outcome("node", "passed", 1.0, ("1 skipped: x",))

    assert not partly.is_failure(strict=False)
    assert partly.is_failure(strict=True)
    assert Outcome("node", "failed").is_failure(strict=False)


def test_what_is_not_to_be_had_is_no_failure_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "tests" / "unit").mkdir(parents=True)
    (tmp_path / "tests" / "unit" / "test_it.py").write_text(
        f"import pytest\ndef test_a(): pytest.skip({test_verb.NO_PYTHON_2!r})\ndef test_b(): pass\n"
    )

    told = invoke("test", "unit", "--all", HOPSACK_PROJECT=str(tmp_path))

    assert told.return_value == 0
    assert f"exempt: 1 skipped: {test_verb.NO_PYTHON_2}" in told.stderr
    assert "exempt: a part of unit" in told.stderr
    assert Outcome("unit", "passed", exempt=("1 skipped: x",)).to_json()["exempt"] == ["1 skipped: x"]


def test_a_layer_without_what_it_needs_is_left_out_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))

    lenient = invoke("test", "compose", "--json", HOPSACK_PROJECT=str(tmp_path))
    strict = invoke("test", "compose", "--all", HOPSACK_PROJECT=str(tmp_path))

    assert (lenient.return_value, strict.return_value) == (0, 1)
    (row,) = rows(lenient)
    assert (row["layer"], row["verdict"]) == ("compose", "left out")
    assert any("apt install docker.io" in text for text in row["left_out"])
    assert "failed: compose" in strict.stderr


def test_an_unknown_layer_names_those_there_are() -> None:
    result = invoke("test", "units")

    assert isinstance(result.exception, UsageError)
    assert ", ".join(test_verb.LAYERS) in str(result.exception)


def test_the_layers_name_folders_that_are_there() -> None:
    root = Path(__file__).parents[3]

    missing = [path for layer in test_verb.LAYERS.values() for path in layer.paths if not (root / path).is_dir()]
    assert missing == []


# ----- sub, pub


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sub", "a.b", "--last", "3", "--since", "10m"], "give one of them"),
        (["sub", "a.", "--match", "prefix", "--last", "3"], "a pattern has no one beginning"),
        (["sub", "a.b", "a.c", "--after", "e:4"], "a position of one topic"),
        (["pub", "a.b", "-", "--key", "k"], "--key names one event"),
    ],
)
def test_options_that_contradict_each_other(words: list[str], said: str) -> None:
    result = invoke(*words)

    assert isinstance(result.exception, click.UsageError)
    assert said in str(result.exception)


def test_an_event_is_a_line_with_its_position(capsys: pytest.CaptureFixture[str]) -> None:
    events: list[Event[Any]] = [
        Event(topic="a.b", position="e:4", data=1),
        Event(topic="a.b", deleted=True, data={"id": 1}),
        Event(topic="a.b", data="one too many"),
    ]

    printer = _Printer(2, people=False)
    printer.print_all(events)

    assert capsys.readouterr().out.splitlines() == [
        '{"topic":"a.b","position":"e:4","data":1}',
        '{"topic":"a.b","data":{"id":1},"deleted":true}',
    ]
    assert printer.enough.is_set()


# ----- why

ANSWER = {
    "allowed": False,
    "who": {"subject": "ann", "role": "user", "groups": ["ops"], "tenant": "acme"},
    "rule": None,
    "contract": "inbox.{sub}",
    "place": "schemas/inbox.yaml:6",
    "code": "hopsack.denied",
    "why": "schemas/inbox.yaml:6 subscribe: [service] does not allow it",
}


def test_why_asks_the_node_and_prints_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    from hopsack.cli import why

    asked: list[Any] = []

    def ask(*question: Any) -> Any:
        asked.append(question)
        return ANSWER

    monkeypatch.setattr(why, "ask", ask)

    words = (
        "why",
        "ann",
        "subscribe",
        "inbox.bob.",
        "--match",
        "prefix",
        "--group",
        "ops",
        "--group",
        "all",
        "--role",
        "user",
    )
    result = invoke(*words)

    assert rows(result) == [ANSWER]
    assert result.return_value == 1
    ((procedure, _, question),) = asked
    assert procedure == "hopsack.access.why"
    assert question == {
        "subject": "ann",
        "action": "subscribe",
        "uri": "inbox.bob.",
        "match": "prefix",
        "role": "user",
        "groups": ["ops", "all"],
    }


@pytest.mark.parametrize(("allowed", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_of_why_is_its_answer(monkeypatch: pytest.MonkeyPatch, allowed: bool, code: int) -> None:
    from hopsack.cli import why

    monkeypatch.setattr(why, "ask", lambda *_: ANSWER | {"allowed": allowed})

    assert invoke("why", "ann", "call", "stock.take").return_value == code


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            {},
            "no: user ann, in ops, of acme may not subscribe to inbox.bob [hopsack.denied]\n"
            "  schemas/inbox.yaml:6 subscribe: [service] does not allow it",
        ),
        (
            {"allowed": True, "rule": "user:{sub}", "why": "schemas/inbox.yaml:6", "code": None},
            "yes: user ann, in ops, of acme may subscribe to inbox.bob\n  user:{sub}: schemas/inbox.yaml:6",
        ),
        (
            {"code": "hopsack.undeclared", "why": "no contract declares it", "nearest": "inbox.{sub}"},
            "no: user ann, in ops, of acme may not subscribe to inbox.bob [hopsack.undeclared]\n"
            "  no contract declares it\n  did you mean inbox.{sub}?",
        ),
    ],
)
def test_a_person_gets_the_answer_in_a_few_lines(answer: dict[str, Any], text: str) -> None:
    from hopsack.cli.why import plain_answer

    shown = {key: value for key, value in (ANSWER | answer).items() if key != "code" or value is not None}

    assert click.unstyle(plain_answer(shown, "subscribe", "inbox.bob")) == text
