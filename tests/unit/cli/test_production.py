"""What a node in production does not start with, and what it does."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hopsack import production
from hopsack.cli.doctor import fitness
from hopsack.cli.exits import Exit, exit_of
from hopsack.contracts import Catalogue, load
from hopsack.production import Surroundings, Unfit, check, look, problems, warnings
from hopsack.settings import DEVELOPMENT, Settings

CONTRACTS = """
topics:
  news:
    summary: Everybody writes.
    payload: {type: string}
    publish: [guest, user]
    subscribe: [guest]
  mine:
    summary: One's own.
    payload: {type: string}
    publish: ["guest:{name}"]
    subscribe: [user]
procedures:
  read:
    summary: Harmless.
    idempotent: true
    call: [guest]
    register: [service]
  write:
    summary: Not harmless.
    call: [guest]
    register: [service, guest]
"""
GOOD = Surroundings(secret=secrets.token_hex(32))


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    schemas = tmp_path / "schemas"
    schemas.mkdir()
    text = CONTRACTS.replace("  news:", "  lab.news:").replace("  mine:", "  'lab.{name}.mine':")
    (schemas / "lab.yaml").write_text(text.replace("  read:", "  lab.read:").replace("  write:", "  lab.write:"))
    return load(schemas)


def settings(tmp_path: Path, **changes: str) -> Settings:
    given = {"HOPSACK_ENV": "prod", "HOPSACK_DATA": str(tmp_path / "data"), "HOPSACK_PROXY": "10.0.0.5"}
    return Settings.from_environ({name: value for name, value in (given | changes).items() if value})


def told(catalogue: Catalogue, tmp_path: Path, /, surroundings: Surroundings = GOOD, **changes: Any) -> list[str]:
    return [str(one) for one in problems(settings(tmp_path, **changes), catalogue, surroundings)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"HOPSACK_PROXY": "", "HOPSACK_TLS_CERT": "/a", "HOPSACK_TLS_KEY": "/b"},
        {"HOPSACK_GUESTS": "read"},
        {"HOPSACK_GUESTS": "none"},
        {"HOPSACK_ORIGINS": "https://app.example, https://*.example, http://[::1]:3000"},
        {"HOPSACK_PROXY": "10.0.0.0/8, 2001:db8::/32"},
    ],
)
def test_a_configuration_that_is_right(catalogue: Catalogue, tmp_path: Path, changes: dict[str, Any]) -> None:
    assert told(catalogue, tmp_path, **changes) == []


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (None, "there is no secret"),
        (DEVELOPMENT + "HYkNzSs2X3tAMd3GX6uVe5iIRmx4lMuW3YXK7jI1c", "was made for development"),
        ("k" * 32, "can be guessed"),
        ("abab" * 10, "can be guessed"),
        ("my-very-long-and-good-Secret-of-2026", "can be guessed"),
        ("please-ChangeMe-before-you-go-live!", "can be guessed"),
        ("hopsackhopsackhopsackhopsackhopsack", "can be guessed"),
    ],
)
def test_secrets(catalogue: Catalogue, tmp_path: Path, secret: str | None, reason: str) -> None:
    [problem] = told(catalogue, tmp_path, Surroundings(secret=secret))

    assert reason in problem
    assert "HOPSACK_SECRET_FILE" in problem
    assert secret is None or secret not in problem


@pytest.mark.parametrize("make", [lambda: secrets.token_hex(32), lambda: secrets.token_urlsafe(32)])
def test_random_secrets_pass(catalogue: Catalogue, tmp_path: Path, make: Any) -> None:
    for _ in range(200):
        assert told(catalogue, tmp_path, Surroundings(secret=make())) == []


def test_guests_who_may_change_things(catalogue: Catalogue, tmp_path: Path) -> None:
    [problem] = told(catalogue, tmp_path, HOPSACK_GUESTS="all")

    assert "publish lab.news, publish lab.{name}.mine, register lab.write, call lab.write)" in problem
    assert "HOPSACK_GUESTS=read or none" in problem


def test_guests_who_may_only_read(tmp_path: Path) -> None:
    schemas = tmp_path / "schemas"
    schemas.mkdir()
    topic = "{summary: x, payload: {type: string}, publish: [service], subscribe: [guest]}"
    (schemas / "lab.yaml").write_text(f"topics:\n  lab.news: {topic}\n")

    assert told(load(schemas), tmp_path, HOPSACK_GUESTS="all") == []


@pytest.mark.parametrize("origin", ["*", "null", "https://*", "http://*:8080", "https://app.example, *"])
def test_origins_of_everybody(catalogue: Catalogue, tmp_path: Path, origin: str) -> None:
    [problem] = told(catalogue, tmp_path, HOPSACK_ORIGINS=origin)

    assert problem.startswith("HOPSACK_ORIGINS: ")


def test_neither_tls_nor_a_proxy(catalogue: Catalogue, tmp_path: Path) -> None:
    [problem] = told(catalogue, tmp_path, HOPSACK_PROXY="")

    assert "HOPSACK_TLS_CERT and HOPSACK_TLS_KEY" in problem
    assert "HOPSACK_PROXY" in problem


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_everybody_is_a_proxy(catalogue: Catalogue, tmp_path: Path, network: str) -> None:
    [problem] = told(catalogue, tmp_path, HOPSACK_PROXY=network)

    assert "believes everybody" in problem


def test_files_that_everybody_reads(catalogue: Catalogue, tmp_path: Path) -> None:
    data, key = tmp_path / "data", tmp_path / "node.key"
    data.mkdir(mode=0o755)
    data.chmod(0o755)
    (data / "secret").write_text(secrets.token_hex(32))
    (data / "secret").chmod(0o640)
    key.write_text("")
    key.chmod(0o604)
    given = {"HOPSACK_PROXY": "", "HOPSACK_TLS_CERT": str(key), "HOPSACK_TLS_KEY": str(key)}

    said = [str(one) for one in problems(settings(tmp_path, **given), catalogue, look(settings(tmp_path, **given)))]

    assert said == [
        f"{data} is open to every user of this machine (mode 755): chmod 700 {data}",
        f"{key} is open to every user of this machine (mode 604): chmod 600 {key}",
    ]


@pytest.mark.parametrize(
    ("place", "mode", "is_ours", "cure"),
    [
        ("/etc/hopsack/secret", 0o600, True, ""),
        ("/etc/hopsack/secret", 0o644, True, "chmod 600 /etc/hopsack/secret"),
        ("/etc/hopsack/secret", 0o640, True, "chmod 600 /etc/hopsack/secret"),
        ("/etc/hopsack/secret", 0o640, False, ""),
        ("/etc/hopsack/secret", 0o644, False, "chmod o= /etc/hopsack/secret"),
        ("/run/secrets/hopsack", 0o444, False, ""),
        ("/run/secretsx/hopsack", 0o444, False, "chmod o= /run/secretsx/hopsack"),
    ],
)
def test_a_given_file_that_others_read_is_a_warning(place: str, mode: int, is_ours: bool, cure: str) -> None:
    found = warnings(Surroundings(given={Path(place): (mode, is_ours)}))

    assert [one.cure for one in found] == ([cure] if cure else [])
    assert all(f"{place} holds a secret and is open to others" in one.message for one in found)


def test_the_file_of_the_secret_is_looked_at(catalogue: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    secret = tmp_path / "secret"
    secret.write_text(secrets.token_hex(32))
    secret.chmod(0o644)
    given = settings(tmp_path, HOPSACK_SECRET_FILE=str(secret))

    (warning,) = check(given, catalogue)
    secret.chmod(0o600)

    assert str(warning).endswith(f"(mode 644): chmod 600 {secret}")
    assert check(given, catalogue) == []


def test_all_of_it_is_told_at_once(catalogue: Catalogue, tmp_path: Path) -> None:
    wrong = settings(tmp_path, HOPSACK_PROXY="", HOPSACK_GUESTS="all", HOPSACK_ORIGINS="*")

    with pytest.raises(Unfit) as refused:
        check(wrong, catalogue)

    assert len(refused.value.reasons) == 4
    assert len(str(refused.value).splitlines()) == 5
    assert exit_of(refused.value) == Exit.CONFIGURATION


def test_in_development_nothing_is_checked(catalogue: Catalogue, tmp_path: Path) -> None:
    check(Settings.from_environ({"HOPSACK_DATA": str(tmp_path), "HOPSACK_ORIGINS": "*"}), catalogue)


def test_what_development_makes_up_production_refuses(catalogue: Catalogue, tmp_path: Path) -> None:
    Settings.from_environ({"HOPSACK_DATA": str(tmp_path / "data")}).secret()
    (tmp_path / "data").chmod(0o700)

    said = [str(one) for one in problems(settings(tmp_path), catalogue, look(settings(tmp_path)))]

    assert len(said) == 1
    assert "was made for development" in said[0]


def test_the_doctor_tells_the_same(catalogue: Catalogue, tmp_path: Path) -> None:
    wrong = settings(tmp_path, HOPSACK_PROXY="", HOPSACK_ORIGINS="*", HOPSACK_SCHEMAS=str(tmp_path / "schemas"))
    right = settings(tmp_path, HOPSACK_SECRET=secrets.token_hex(32), HOPSACK_SCHEMAS=str(tmp_path / "schemas"))

    assert [one.cure for one in fitness(wrong)] == [one.cure for one in problems(wrong, catalogue, look(wrong))]
    assert [one.verdict for one in fitness(right)] == ["ok"]


def test_up_does_not_start_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hopsack.cli.main import cli

    monkeypatch.setenv("HOPSACK_ENV", "prod")

    ran = CliRunner().invoke(cli, ["up", "--data", str(tmp_path / "data"), "--no-services"])

    assert isinstance(ran.exception, production.Unfit)
    assert "HOPSACK_SECRET_FILE" in str(ran.exception)
    assert "HOPSACK_TLS_CERT" in str(ran.exception)
