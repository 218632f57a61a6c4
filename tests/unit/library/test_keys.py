"""Keys that programs log in with: the forms they are written in, and what is refused."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from nacl.signing import VerifyKey

from hopsack.errors import UsageError
from hopsack.keys import PrivateKey, fingerprint, public_from, public_text
from hopsack.settings import ConfigError

# RFC 8032, section 7.1, test 1; RFC 8410, section 10.3, whose second key has the public half behind the private one.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
RFC8410 = """-----BEGIN PRIVATE KEY-----
MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB
Z9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PRIVATE KEY-----
"""


def test_a_signature_is_that_of_rfc_8032() -> None:
    key = PrivateKey(SEED)

    assert key.public.hex() == PUBLIC
    assert key.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a")
    VerifyKey(key.public).verify(b"x" * 32, key.sign(b"x" * 32))


def test_its_file_is_read_back_and_only_its_owner_may() -> None:
    key = PrivateKey.new()

    assert PrivateKey.parse(key.text()).public == key.public
    assert key.text() not in repr(key)


def test_writing_takes_no_key_away(tmp_path: Path) -> None:
    path = tmp_path / "new" / "key.pem"
    key = PrivateKey.new()
    key.write(path)

    with pytest.raises(UsageError, match="is there already"):
        PrivateKey.new().write(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert PrivateKey.read(path).public == key.public
    assert [one.name for one in path.parent.iterdir()] == ["key.pem"]


def test_a_key_with_its_public_half_behind_it_is_read() -> None:
    assert public_text(PrivateKey.parse(RFC8410).public) == "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_openssl_s_keys_are_ours_and_ours_are_openssl_s(tmp_path: Path) -> None:
    made, ours = tmp_path / "made.pem", tmp_path / "ours.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(made)], check=True)
    PrivateKey.read(made).write(ours)

    said = [
        subprocess.run(
            ["openssl", "pkey", "-in", str(one), "-pubout", "-outform", "DER"], capture_output=True, check=True
        )
        for one in (made, ours)
    ]

    assert said[0].stdout == said[1].stdout
    assert said[0].stdout[-32:] == PrivateKey.read(made).public


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not in PEM form"),
        (PUBLIC, "not in PEM form"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
            "first line says OPENSSH PRIVATE KEY",
        ),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "not an Ed25519 one"),
        ("-----BEGIN PRIVATE KEY-----\nAAA\n-----END PRIVATE KEY-----", "damaged"),
    ],
)
def test_what_is_no_key_is_told(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "key.pem"
    path.write_text(text)

    with pytest.raises(ConfigError, match=why):
        PrivateKey.read(path)


def test_a_file_that_is_not_there_names_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        PrivateKey.read(tmp_path / "none.pem")

    assert refused.value.advice == "`hopsack keygen` makes one"


def test_public_keys_are_read_as_people_write_them() -> None:
    public = bytes.fromhex(PUBLIC)

    assert public_from(public_text(public)) == public
    assert public_from(PUBLIC) == public
    assert public_from("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n") == public
    assert fingerprint(public) == fingerprint(public_from(PUBLIC.upper()))


@pytest.mark.parametrize("text", ["", "x", "é" * 43, "A" * 43, "00" * 31, "00" * 32, "A" * 10_000])
def test_what_cannot_be_a_public_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"32 bytes"):
        public_from(text)
