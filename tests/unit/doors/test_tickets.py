"""Tokens: whatever is wrong with one, its bearer is refused in the same words, and nothing else happens."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from autobahn.wamp.exception import ApplicationError

from hopsack_router.access import tickets
from hopsack_router.access.tickets import LONGEST, Identity, TokenRefused, verify

SECRET = "s" * 32
GOOD: dict[str, Any] = {"sub": "ann", "role": "user", "iss": "hopsack"}


def signed(**claims: Any) -> str:
    return jwt.encode(GOOD | claims, SECRET, algorithm="HS256")


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def test_a_good_token() -> None:
    assert verify(signed(), SECRET) == Identity("ann", "user")


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


def test_the_authenticator_says_so_in_wamp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "_secret", lambda: SECRET)
    authenticate = tickets.create({})

    granted = authenticate("hopsack", "", {"ticket": signed()})
    with pytest.raises(ApplicationError) as refused:
        authenticate("hopsack", "", {"ticket": signed(role={})})

    assert granted == {"realm": "hopsack", "authid": "ann", "role": "user"}
    assert refused.value.error == ApplicationError.AUTHENTICATION_FAILED
