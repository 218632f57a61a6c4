"""The configuration: what is read, what is refused and by which words."""

from __future__ import annotations

import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hopsack.settings import VARIABLES, ConfigError, Settings

KEY = "k" * 32


def refused(**environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        Settings.from_environ(environ)
    return str(caught.value)


def test_nothing_set_is_a_node_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    settings = Settings.from_environ({"PATH": "/bin"})

    assert (settings.host, settings.port, settings.rawsocket_port) == ("127.0.0.1", 8080, 8081)
    assert settings.url == "tcp://127.0.0.1:8081"
    assert settings.data == tmp_path / ".hopsack"
    assert settings.schemas == tmp_path / "schemas"
    assert settings.web == tmp_path / "web_client" / "dist"
    assert (settings.env, settings.log, settings.token) == ("dev", "info", None)


def test_default_paths_follow_the_project_and_given_paths_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    settings = Settings.from_environ({"HOPSACK_PROJECT": "/srv/fabric", "HOPSACK_DATA": "state"})

    assert settings.schemas == Path("/srv/fabric/schemas")
    assert settings.data == tmp_path / "state"


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"HOPSACK_RAWSOCKET_PORT": "9001"}, "tcp://127.0.0.1:9001"),
        ({"HOPSACK_HOST": "0.0.0.0"}, "tcp://127.0.0.1:8081"),
        ({"HOPSACK_HOST": "10.1.2.3"}, "tcp://10.1.2.3:8081"),
        ({"HOPSACK_HOST": "::1"}, "tcp://[::1]:8081"),
        ({"HOPSACK_RAWSOCKET_PATH": "/run/h.sock"}, "unix:///run/h.sock"),
        ({"HOPSACK_URL": "wss://example.org/ws", "HOPSACK_RAWSOCKET_PORT": "1"}, "wss://example.org/ws"),
    ],
)
def test_the_url_follows_the_node_unless_it_is_given(environ: dict[str, str], url: str) -> None:
    assert Settings.from_environ(environ).url == url


def test_an_override_wins_over_the_environment_and_none_is_not_given() -> None:
    settings = Settings.from_environ({"HOPSACK_PORT": "1", "HOPSACK_LOG": "debug"}, port=2, log=None)

    assert (settings.port, settings.log) == (2, "debug")


def test_an_override_is_checked_like_a_variable() -> None:
    with pytest.raises(ConfigError, match=r"^--port=99999 is not a port"):
        Settings.from_environ({}, port=99999)
    with pytest.raises(ConfigError, match=r"^--rawsocket-port=x is not a port"):
        Settings.from_environ({}, rawsocket_port="x")
    with pytest.raises(ConfigError, match=r"^--mailbox=http://h is not the URL of a mailbox"):
        Settings.from_environ({}, given_mailbox="http://h")
    with pytest.raises(TypeError, match="no field 'prot'"):
        Settings.from_environ({}, prot=1)


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.from_environ({"HOPSACK_PORT": "", "HOPSACK_TOKEN": " "}) == Settings.from_environ({})


def test_an_unknown_variable_names_the_nearest() -> None:
    assert refused(HOPSACK_PROT="1") == "HOPSACK_PROT is not a variable of Hopsack (did you mean HOPSACK_PORT?)"
    assert "HOPSACK_HOST, HOPSACK_PORT" in refused(HOPSACK_QZX="1")


def test_the_variables_kubernetes_injects_are_named_as_such() -> None:
    assert "enableServiceLinks: false" in refused(HOPSACK_SERVICE_PORT_HTTP_MAIN="80")
    assert "enableServiceLinks: false" in refused(HOPSACK_PORT="tcp://10.0.0.1:8080")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HOPSACK_PORT", "70000", "not a port"),
        ("HOPSACK_PORT", "-1", "not a port"),
        ("HOPSACK_PORT", "²", "not a port"),
        ("HOPSACK_ENV", "production", "did you mean prod?"),
        ("HOPSACK_LOG", "INFO", "did you mean info?"),
        ("HOPSACK_LOG", "loud", "one of debug, info, warning"),
        ("HOPSACK_HOST", "http://localhost", "not an interface"),
        ("HOPSACK_HOST", "127.0.0.1:80", "not an interface"),
        ("HOPSACK_URL", "localhost:8081", "not a URL of a node"),
        ("HOPSACK_URL", "tcp://localhost", "names no place"),
        ("HOPSACK_URL", "tcp://localhost:99999", "names no place"),
        ("HOPSACK_URL", "unix://", "names no place"),
        ("HOPSACK_SECRET", "short", "too short: 5 bytes"),
        ("HOPSACK_TOKEN", "a b", "white space"),
        ("HOPSACK_TOKEN_FILE", "/nonexistent/t", "cannot read /nonexistent/t: No such file"),
    ],
)
def test_a_value_that_cannot_be_right_is_refused(name: str, value: str, words: str) -> None:
    message = refused(**{name: value})

    assert name in message
    assert words in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOPSACK_JWKS", "https://ann:hunter2@login.example/keys"),
        ("HOPSACK_JWKS", "https://hunter2@login.example/keys"),
        ("HOPSACK_JWKS", "http://login.example/keys?key=hunter2"),
        ("HOPSACK_JWKS", "ftp://ann:p@hunter2@login.example"),
        ("HOPSACK_MAILBOX", "http://ann:hunter2@mail.example/v1?key=hunter2#hunter2"),
    ],
)
def test_a_url_that_is_refused_is_told_without_what_is_secret_in_it(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.from_environ({name: value})

    assert f"{name}=" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_two_doors_cannot_share_a_port_but_both_may_be_any() -> None:
    assert "both 5000" in refused(HOPSACK_PORT="5000", HOPSACK_RAWSOCKET_PORT="5000")
    assert Settings.from_environ({"HOPSACK_PORT": "0", "HOPSACK_RAWSOCKET_PORT": "0"}).port == 0


def test_token_and_secret_may_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc.def.ghi\n")
    (tmp_path / "secret").write_text(KEY + "\n")

    settings = Settings.from_environ(
        {"HOPSACK_TOKEN_FILE": str(tmp_path / "token"), "HOPSACK_SECRET_FILE": str(tmp_path / "secret")}
    )

    assert settings.token == "abc.def.ghi"
    assert settings.secret() == KEY


def test_a_value_and_its_file_together_are_ambiguous(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")

    assert "both set" in refused(HOPSACK_TOKEN="t", HOPSACK_TOKEN_FILE=str(tmp_path / "token"))


def test_secrets_are_masked_everywhere_they_are_shown() -> None:
    settings = Settings.from_environ({"HOPSACK_SECRET": KEY, "HOPSACK_TOKEN": "abc.def"})

    assert settings.masked()["secret"] == "(set)"
    assert settings.masked()["token"] == "(set)"
    assert KEY not in f"{settings!r}{settings.masked()}{settings.environ()}"
    assert "abc.def" not in f"{settings!r}{settings.masked()}{settings.environ()}"


def test_the_variables_for_a_child_read_back_as_the_same_settings() -> None:
    settings = Settings.from_environ(
        {"HOPSACK_PORT": "0", "HOPSACK_RAWSOCKET_PATH": "/run/h.sock", "HOPSACK_LOG": "debug"}
    )

    assert Settings.from_environ(settings.environ()) == replace(settings, url_is_given=True)


def test_development_makes_its_secret_once_and_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings.from_environ({"HOPSACK_DATA": str(tmp_path / "data")})

    first, second = settings.secret(), settings.secret()

    assert first == second
    assert len(first) >= 32
    assert stat.S_IMODE(settings.secret_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.data.stat().st_mode) == 0o700
    assert [p.name for p in settings.data.iterdir()] == ["secret"]


def test_production_makes_no_secret(tmp_path: Path) -> None:
    settings = Settings.from_environ({"HOPSACK_DATA": str(tmp_path), "HOPSACK_ENV": "prod"})

    with pytest.raises(ConfigError, match="HOPSACK_SECRET or HOPSACK_SECRET_FILE"):
        settings.secret()
    assert not settings.secret_path.exists()


def test_a_data_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings.from_environ({"HOPSACK_DATA": str(tmp_path / "file" / "data")})

    with pytest.raises(ConfigError, match=r"cannot write .*: Not a directory .*HOPSACK_DATA"):
        settings.secret()


def test_the_command_line_is_operator_of_its_own_node_only(tmp_path: Path) -> None:
    from hopsack.settings import _make_secret

    local = Settings.from_environ({"HOPSACK_DATA": str(tmp_path)})
    assert local.operator_token() is None  # no node has made a secret here yet
    assert not local.secret_path.exists()

    _make_secret(local.secret_path)
    remote = Settings.from_environ({"HOPSACK_DATA": str(tmp_path), "HOPSACK_URL": "wss://example.org/ws"})
    production = Settings.from_environ({"HOPSACK_DATA": str(tmp_path), "HOPSACK_ENV": "prod"})

    assert (local.operator_token() or "").count(".") == 2
    assert remote.operator_token() is None
    assert production.operator_token() is None
    assert Settings.from_environ({"HOPSACK_TOKEN": "given"}).operator_token() == "given"
    assert replace(local, key=Path("a.key")).operator_token() is None  # it logs in with the key


def test_reading_the_settings_loads_nothing_heavy() -> None:
    code = (
        "import sys, hopsack.settings; print([m for m in ('twisted', 'msgspec', 'yaml', 'rich') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_every_field_has_a_row_in_the_reference() -> None:
    fields = {row.field for row in VARIABLES.values() if row.field}
    assert fields | {"url_is_given", "token_file", "secret_file"} == set(Settings.__slots__)
