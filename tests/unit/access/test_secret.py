"""Keys in files: taken as they are now, without reading the file for each token."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import OKPAlgorithm

from hopsack.settings import ConfigError, Settings
from hopsack_router.access.logins import issuer_of
from hopsack_router.access.secret import MOST_BYTES, YOUNG, FromFile, KeyFile, secret_of
from hopsack_router.access.verifying import Issuer

SECRET = "s" * 32
LOGIN = Issuer("https://login.example")
ED = Ed25519PrivateKey.generate()
PEM = ED.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
JWK = json.dumps(OKPAlgorithm.to_jwk(ED.public_key(), as_dict=True) | {"kid": "one"})


def test_the_secret_is_read_again_when_its_file_was_changed(tmp_path: Path) -> None:
    path, now = tmp_path / "secret", [0]
    reads: list[str] = []

    def read() -> str:
        reads.append(path.read_text())
        return reads[-1]

    secret = FromFile(read, path, lambda: now[0])
    path.write_text("a" * 32)
    now[0] = os.stat(path).st_mtime_ns + YOUNG // 2
    young = [secret(), secret()]
    now[0] += 2 * YOUNG
    old = [secret(), secret(), secret()]
    (tmp_path / "new").write_text("b" * 32)
    (tmp_path / "new").replace(path)

    replaced = [secret(), secret()]

    assert young + old == ["a" * 32] * 5
    assert replaced == ["b" * 32] * 2
    assert [one[0] for one in reads] == ["a", "a", "a", "b"]


def test_a_secret_of_the_environment_is_read_once() -> None:
    reads: list[int] = []
    secret = FromFile(lambda: reads.append(1) or SECRET, None)  # type: ignore[func-returns-value]

    assert [secret(), secret()] == [SECRET, SECRET]
    assert reads == [1]


def test_the_secret_of_a_node_comes_from_its_settings(tmp_path: Path) -> None:
    made = secret_of(Settings.from_environ({}, data=tmp_path))

    assert made() == (tmp_path / "secret").read_text().strip()
    assert secret_of(Settings.from_environ({"HOPSACK_SECRET": SECRET}, data=tmp_path))() == SECRET


# ---- public keys ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kids"),
    [
        (PEM, [None]),
        (f"the old one:\n{PEM}\nand the same again\n{PEM}", [None, None]),
        (JWK, ["one"]),
        (f'\n {{"keys": [{JWK}, {{"kty": "oct", "k": "c2VjcmV0"}}]}}', ["one"]),
    ],
    ids=["pem", "two", "jwk", "set"],
)
def test_files_of_public_keys(tmp_path: Path, text: str, kids: list[str | None]) -> None:
    (tmp_path / "keys").write_text(text)

    keys = KeyFile(tmp_path / "keys", LOGIN)()

    assert [(key.kid, key.algorithm, key.issuer) for key in keys] == [(kid, "EdDSA", LOGIN) for kid in kids]


PRIVATE = ED.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
SHORT = generate_private_key(65537, 1024).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "neither PEM nor a JWK set"),
        ("ssh-ed25519 AAAA", "neither PEM nor a JWK set"),
        (PRIVATE, "it holds a private key"),
        (PEM + PRIVATE, "it holds a private key"),
        (SHORT.decode(), "neither Ed25519 nor RSA of 2048"),
        (PEM.replace("MC", "MM"), "cannot be read"),
        ('{"keys": []}', "none of its keys"),
        ('{"keys": 1}', "not a list"),
        ("{", "not JSON"),
        (PEM * 33, "it holds 33 keys"),
        ("x" * (MOST_BYTES + 1), "larger than"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_file_without_good_keys_keeps_the_node_from_starting(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "keys").write_text(text)

    with pytest.raises(ConfigError, match=why) as error:
        KeyFile(tmp_path / "keys", LOGIN)

    assert "HOPSACK_TOKEN_KEYS" in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        KeyFile(tmp_path / "keys", LOGIN)


def test_a_file_that_goes_bad_leaves_the_keys_of_before(tmp_path: Path) -> None:
    path, now = tmp_path / "keys", [0]
    path.write_text(PEM)
    now[0] = os.stat(path).st_mtime_ns + 2 * YOUNG
    keys = KeyFile(path, LOGIN, lambda: now[0])
    before = keys()

    path.write_text("half of it")
    bad = keys()
    path.unlink()
    gone = keys()
    path.write_text(JWK)
    good = keys()

    assert bad == gone == before
    assert [key.kid for key in good] == ["one"]


# ---- whose they are -------------------------------------------------------------------------------------------------


def test_whose_keys_they_are_must_be_said() -> None:
    with pytest.raises(ConfigError, match="HOPSACK_ISSUER"):
        issuer_of(Settings.from_environ({"HOPSACK_JWKS": "https://login.example/keys"}))


def test_what_is_believed_of_them_is_configured() -> None:
    settings = Settings.from_environ({
        "HOPSACK_ISSUER": "https://login.example", "HOPSACK_AUDIENCE": "fabric", "HOPSACK_TOKEN_ROLES": "user, service",
        "HOPSACK_CLAIMS": "role = realm.role, tenant=org",
    })  # fmt: skip

    assert issuer_of(settings) == Issuer(
        "https://login.example",
        "fabric",
        roles=frozenset(("user", "service")),
        places={"role": "realm.role", "tenant": "org"},
    )
    assert issuer_of(Settings.from_environ({"HOPSACK_ISSUER": "x"})) == Issuer("x", roles=frozenset(("user",)))
