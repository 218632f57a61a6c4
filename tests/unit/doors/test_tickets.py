"""Tokens: whatever is wrong with one, its bearer is refused in the same words, and nothing else happens."""

from __future__ import annotations

import base64
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest

from hopsack_router.access.identity import Identity
from hopsack_router.access.secret import YOUNG, Secret
from hopsack_router.access.tickets import LEEWAY, LONGEST, TokenRefused, verify

SECRET = "s" * 32
ANN = Identity("ann", "user", proof="token")
GOOD: dict[str, Any] = {"sub": "ann", "role": "user", "iss": "hopsack"}


def signed(**claims: Any) -> str:
    return jwt.encode(GOOD | claims, SECRET, algorithm="HS256")


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def headed(header: dict[str, Any], key: str = SECRET, alg: str = "HS256") -> str:
    """A token that says of itself what it likes, signed as told."""
    signed_part = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(GOOD).encode())}"
    algorithm = jwt.get_algorithm_by_name(alg)
    return f"{signed_part}.{encoded(algorithm.sign(signed_part.encode(), algorithm.prepare_key(key)))}"


def test_a_good_token() -> None:
    assert verify(signed(), SECRET) == ANN


@pytest.mark.parametrize(
    "claims",
    [
        {"role": []},
        {"role": {}},
        {"role": None},
        {"role": 1},
        {"role": "trusted"},
        {"role": ["user"]},
        {"sub": ""},
        {"sub": "x" * 201},
        {"exp": {}},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"exp": 1},
        {"iat": []},
        {"iat": 4_000_000_000},
        {"nbf": 4_000_000_000},
        {"nbf": "soon"},
        {"exp": "4000000000"},
        {"exp": True},
        {"aud": "another"},
        {"jti": "1", "iss": "hopsack "},
    ],
    ids=str,
)
def test_claims_that_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        verify(signed(**claims), SECRET)


@pytest.mark.parametrize("claims", [{"sub": 12}, {"sub": []}, {"iss": ["hopsack"]}, {"iss": "other"}, [], "text", 1])
def test_payloads_that_are_refused(claims: Any) -> None:
    """Made without PyJWT's encoder, which refuses some of them itself."""
    payload = json.dumps(GOOD | claims if isinstance(claims, dict) else claims)
    body = jwt.api_jws.encode(payload.encode(), SECRET, "HS256")

    with pytest.raises(TokenRefused):
        verify(body, SECRET)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "\udc80",
        "grüße",
        encoded(b"[" * 9000) + ".e30.x",
        encoded(b'{"alg": []}') + ".e30.x",
        "x" * (LONGEST + 1),
    ],
    ids=["empty", "dots", "surrogate", "umlaut", "nested", "alg", "long"],
)
def test_noise_is_refused(token: str) -> None:
    with pytest.raises(TokenRefused):
        verify(token, SECRET)


@pytest.mark.parametrize(
    "token",
    [
        headed({"typ": "JWT", "alg": "HS256"}, key="x" * 32),
        headed({"typ": "JWT", "alg": "HS512"}, alg="HS512", key=SECRET * 2),
        headed({"typ": "JWT", "alg": "HS256"}, alg="HS512", key=SECRET * 2),
        headed({"typ": "JWT", "alg": "none"}),
        headed({"typ": "JWT", "alg": "none"}).rpartition(".")[0] + ".",
        headed({"typ": "JWT", "alg": "None"}),
        headed({"typ": "JWT", "alg": "RS256"}),
        headed({"typ": "JWT"}),
        headed({"typ": "JOSE", "alg": "HS256"}),
        headed({"typ": ["JWT"], "alg": "HS256"}),
        headed({"alg": "HS256", "kid": "another"}, key="another" * 8),
        headed({"alg": "HS256", "kid": "../../../dev/null"}, key="x" * 32),
        headed({"alg": "HS256", "kid": 7}),
        headed({"alg": "HS256", "jku": "https://127.0.0.1:1/keys"}),
        headed({"alg": "HS256", "jwk": {"kty": "oct", "k": encoded(SECRET.encode())}}),
        headed({"alg": "HS256", "crit": ["exp"]}),
        headed({"alg": "HS256", "b64": False}),
        signed() + "=",
        signed() + ".x",
        signed()[:-1],
        signed().replace(".", ".=", 1),
        "." + signed(),
    ],
    ids=[
        "key", "hs512", "mixed", "none", "unsigned", "None", "rs256", "no-alg", "typ", "typ-list", "kid", "kid-path",
        "kid-type", "jku", "jwk", "crit", "b64", "padded", "longer", "cut", "odd", "four",
    ],
)  # fmt: skip
def test_forged_tokens_are_refused_in_the_same_words(token: str) -> None:
    with pytest.raises(
        TokenRefused,
        match=r"^hopsack.login_required: the token is not one this node accepts \(get a new token, or send none\)$",
    ):
        verify(token, SECRET)


@pytest.mark.parametrize(
    "header", [{"alg": "HS256"}, {"alg": "HS256", "typ": "jwt", "kid": "2026", "cty": "x"}], ids=str
)
def test_headers_of_other_makers(header: dict[str, Any]) -> None:
    assert verify(headed(header), SECRET) == ANN


def test_a_token_is_good_until_it_expires_and_a_little_longer() -> None:
    token = signed(exp=1000, iat=900, nbf=900)

    for now in (900 - LEEWAY, 999, 1000 + LEEWAY - 0.1):
        assert verify(token, SECRET, partial(float, now)).subject == "ann"
    with pytest.raises(TokenRefused, match="not one this node accepts"):
        verify(token, SECRET, lambda: 900 - LEEWAY - 1)
    with pytest.raises(TokenRefused, match="the token has expired"):
        verify(token, SECRET, lambda: 1000 + LEEWAY)


def test_what_was_good_is_verified_again() -> None:
    token = signed(exp=1000, iat=900)
    verify(token, SECRET, lambda: 950)

    for secret, now in ((SECRET, 2000), ("n" * 32, 950)):
        with pytest.raises(TokenRefused):
            verify(token, secret, partial(float, now))


def test_the_secret_is_read_again_when_its_file_was_changed(tmp_path: Path) -> None:
    path, now = tmp_path / "secret", [0]
    reads: list[str] = []

    def read() -> str:
        reads.append(path.read_text())
        return reads[-1]

    secret = Secret(read, path, lambda: now[0])
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
    secret = Secret(lambda: reads.append(1) or SECRET, None)  # type: ignore[func-returns-value]

    assert [secret(), secret()] == [SECRET, SECRET]
    assert reads == [1]
