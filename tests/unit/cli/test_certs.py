"""``hopsack certs --dev``: what it makes holds for its names, and what it prints is enough to use it."""

from __future__ import annotations

import json
import shlex
import ssl
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from OpenSSL import SSL

from hopsack.address import Address
from hopsack.certificates import make
from hopsack.cli.certs import certs
from hopsack.errors import UsageError
from hopsack.link import trusting
from hopsack.settings import ConfigError, Settings
from hopsack_router.access.tls import Files, context_of


def asked(*words: str) -> Result:
    return CliRunner().invoke(certs, list(words), catch_exceptions=False)


def variables(result: Result) -> dict[str, str]:
    lines = [line for line in result.stdout.splitlines() if line.startswith("export ")]
    return dict(shlex.split(line)[1].split("=", 1) for line in lines)


def handshake(files: Files, trusted: ssl.SSLContext, name: str) -> str:
    """The name that a client of ours has checked, in memory."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusted.wrap_bio(incoming, outgoing, server_hostname=name)
    server = SSL.Connection(context_of(files), None)
    server.set_accept_state()
    for _ in range(5):
        try:
            client.do_handshake()
            return name
        except ssl.SSLWantReadError:
            server.bio_write(outgoing.read())
        with suppress(SSL.WantReadError):
            server.do_handshake()
        incoming.write(server.bio_read(1 << 16))
    raise AssertionError("no end")


def test_what_it_prints_is_what_a_node_and_its_clients_need(tmp_path: Path) -> None:
    printed = variables(asked("--dev", "--data", str(tmp_path), "--name", "node.example", "--name", "192.0.2.7"))
    settings = Settings.from_environ(printed)
    files = Files.of(settings)

    assert set(printed) == {"HOPSACK_TLS_CERT", "HOPSACK_TLS_KEY", "HOPSACK_TLS_CA"}
    assert settings.url == "tls://127.0.0.1:8081"
    assert files is not None
    for name in ("localhost", "127.0.0.1", "::1", "node.example", "192.0.2.7"):
        assert handshake(files, trusting(settings.tls_ca), name) == name
    for name in ("other.example", "192.0.2.8", "evil.node.example"):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(files, trusting(settings.tls_ca), name)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(files, trusting(), "localhost")


def test_nobody_else_reads_it_and_the_authority_cannot_sign_again(tmp_path: Path) -> None:
    asked("--dev", "--out", str(tmp_path / "here"))

    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "here").iterdir()}
    authority = x509.load_pem_x509_certificate((tmp_path / "here" / "authority.pem").read_bytes())
    limits = authority.extensions.get_extension_for_class(x509.NameConstraints)

    assert found == {"node.pem": 0o600, "node.key": 0o600, "authority.pem": 0o600}
    assert stat.S_IMODE((tmp_path / "here").stat().st_mode) == 0o700
    assert limits.critical
    assert limits.value.permitted_subtrees is not None
    assert x509.DNSName("localhost") in limits.value.permitted_subtrees


def test_a_data_folder_that_it_makes_is_closed_to_others(tmp_path: Path) -> None:
    asked("--dev", "--out", str(tmp_path / "data" / "certs"))

    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_what_is_there_is_kept_unless_it_is_to_be_renewed(tmp_path: Path) -> None:
    asked("--dev", "--data", str(tmp_path))
    first = (tmp_path / "certs" / "node.pem").read_bytes()

    kept = asked("--dev", "--data", str(tmp_path))
    again = (tmp_path / "certs" / "node.pem").read_bytes()
    renewed = asked("--dev", "--data", str(tmp_path), "--renew", "--json")

    assert again == first
    assert variables(kept)
    assert (tmp_path / "certs" / "node.pem").read_bytes() != first
    assert set(json.loads(renewed.stdout)) == {"HOPSACK_TLS_CERT", "HOPSACK_TLS_KEY", "HOPSACK_TLS_CA"}


def test_there_are_none_but_for_development(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--dev"):
        asked("--data", str(tmp_path))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("grüße.example", "is no name of a host"),
        ("bad name", "is no name of a host"),
        ("https://node.example", "is no name of a host"),
        ("", "is no name of a host"),
        ("node.example.", "is no name of a host"),
        ("*.example", "whole names only"),
    ],
)
def test_a_name_that_can_be_none(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        asked("--dev", "--data", str(tmp_path), "--name", name)

    assert list(tmp_path.iterdir()) == []


def test_a_certificate_holds_for_as_long_as_browsers_accept() -> None:
    made = x509.load_pem_x509_certificate(make(["localhost"], datetime(2026, 1, 1, tzinfo=UTC)).cert)

    assert (made.not_valid_after_utc - made.not_valid_before_utc).days <= 398


@pytest.mark.parametrize(
    ("environ", "advice"),
    [
        ({"HOPSACK_TLS_CERT": "/a"}, "HOPSACK_TLS_KEY"),
        ({"HOPSACK_TLS_KEY": "/a"}, "HOPSACK_TLS_CERT"),
        ({"HOPSACK_TLS_CLIENT_CA": "/a"}, "HOPSACK_TLS_CERT"),
        ({"HOPSACK_URL": "tcp://ann:hush@node.example:8081"}, "HOPSACK_TOKEN"),
    ],
)
def test_settings_that_cannot_be_right(environ: dict[str, str], advice: str) -> None:
    with pytest.raises(ConfigError, match=advice) as refused:
        Settings.from_environ(environ)

    assert "hush" not in str(refused.value)


def test_an_authority_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("no")

    for path in (tmp_path / "none.pem", tmp_path / "missing.pem"):
        with pytest.raises(ConfigError, match="HOPSACK_TLS_CA"):
            trusting(path)


def test_an_address_with_tls() -> None:
    address = Address.parse("tls://node.example:8081")

    assert (address.carrier, address.host, address.port, address.is_tls) == ("tcp", "node.example", 8081, True)
    assert address.url == "tls://node.example:8081"
    assert not Address.parse("tcp://node.example:8081").is_tls
    assert Address.parse("wss://node.example/ws").url == "wss://node.example:443/ws"


@pytest.mark.parametrize(
    "url",
    [
        "ws://node.example/raw?token=hush-hush",
        "ws://node.example/ws?access_token=hush-hush",
        "tcp://ann:hush-hush@node.example:8081",
        "wss://hush-hush@node.example/ws",
    ],
)
def test_an_address_with_a_secret_is_refused_without_it(url: str) -> None:
    with pytest.raises(UsageError, match="no place for a token") as refused:
        Address.parse(url)

    assert "hush" not in str(refused.value)
