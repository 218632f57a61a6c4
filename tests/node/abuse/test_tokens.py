"""Tokens that are forged, stale, early, or for somebody else: refused in one sentence on every door."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import jwt
import pytest

from hopsack.settings import Settings

from ..conftest import Node
from .attacker import Attacker
from .conftest import AUDITED, ED, ISSUER, PEM, PUBLIC_KEYS, RSA, Audit, Log

pytestmark = pytest.mark.node

Connect = Callable[[], Attacker]
NOW = int(time.time())
HOUSE: dict[str, Any] = {"sub": "mallory", "role": "operator", "iss": "hopsack"}
LOGIN: dict[str, Any] = {"sub": "mallory", "role": "user", "iss": ISSUER, "aud": "fabric"}
REFUSED = "the token is not one this node accepts"


def part(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def hs256(secret: bytes, claims: Any = HOUSE, **header: Any) -> str:
    """Signed with this secret, with a header that says what it likes."""
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT'} | header)}.{part(claims)}"
    return f"{signed}.{part(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def by_login(key: Any = ED, **changes: Any) -> str:
    algorithm = "EdDSA" if key is ED else "RS256"
    return jwt.encode(LOGIN | changes, key, algorithm=algorithm)


def forgeries(secret: bytes, elsewhere: str) -> dict[str, str]:
    good = hs256(secret)
    head, claims, signature = good.split(".")
    unsigned = {f"alg {alg!r}": f"{part({'alg': alg})}.{claims}." for alg in ("none", "None", "NONE", "nOnE", "", None)}
    kept = {
        f"alg {alg!r}, signature kept": f"{part({'alg': alg})}.{claims}.{signature}"
        for alg in ("none", "HS512", "RS256")
    }
    confused = {f"HS256 by public key {n}": hs256(key, LOGIN) for n, key in enumerate((*PEM, PUBLIC_KEYS))}
    confused |= {f"house, HS256 by public key {n}": hs256(key) for n, key in enumerate(PEM)}
    sources = {name: hs256(secret, **{name: elsewhere}) for name in ("jku", "x5u", "jwk", "x5c", "crit", "b64")}
    sources |= {f"login, {name}": jwt.encode(LOGIN, ED, "EdDSA", {name: elsewhere}) for name in ("jku", "x5u")}
    own = jwt.algorithms.OKPAlgorithm.to_jwk(ED.public_key(), as_dict=True)
    stale: dict[str, Any] = {
        "expired": {"exp": NOW - 60},
        "future iat": {"iat": NOW + 600},
        "future nbf": {"nbf": NOW + 600},
    }
    stale |= {"exp is text": {"exp": "never"}, "exp is infinite": {"exp": 1e400}, "exp is true": {"exp": True}}
    wrong: dict[str, Any] = {
        "another audience": {"aud": "other"},
        "no issuer": {"iss": None},
        "another issuer": {"iss": "https://evil.example"},
        "trusted": {"role": "trusted"},
        "a role that is a list": {"role": ["operator"]},
        "no subject": {"sub": ""},
        "a subject of a megabyte": {"sub": "x" * 9000},
        "a subject that is a number": {"sub": 5},
    }
    return {
        **unsigned, **kept, **confused, **sources,
        "a key of its own in the header": jwt.encode(LOGIN, ED, "EdDSA", {"jwk": own}),
        "another secret": hs256(b"x" * 32),
        "no secret": hs256(b""),
        "kid is a path": hs256(b"", kid="../../../../dev/null"),
        "kid is SQL": hs256(b"x", kid="' UNION SELECT 'x"),
        "kid is a list": hs256(secret, kid=["x"]),
        "house by the login service": by_login(iss="hopsack", role="operator"),
        "operator by the login service": by_login(role="operator"),
        "trusted by the login service": by_login(role="trusted"),
        "login service without audience": by_login(aud=None),
        "login service by the house": hs256(secret, LOGIN),
        "RS256 for the other audience": by_login(RSA, aud=["other"]),
        "a bit of the signature": good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1],
        "the signature twice": f"{good}.{signature}",
        "padding": good + "=",
        "spaces within": f"{head} .{claims}.{signature}",
        "two parts": f"{head}.{claims}",
        "five parts": f"{good}.x.y",
        "nothing": "",
        "claims that are no object": hs256(secret, [1]),
        "deep claims": hs256(secret, b"[" * 5000),
        "huge": hs256(secret, HOUSE | {"x": "y" * 20_000}),
        **{name: hs256(secret, HOUSE | claims) for name, claims in (stale | wrong).items()},
    }  # fmt: skip


@contextmanager
def nobody_asked() -> Iterator[str]:
    """A URL of a key set that nobody must ask for."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/keys"
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def by_header(connect: Connect, token: str) -> str:
    client = connect()
    answer = client.ask("POST", "/call/hopsack.session.whoami", f"Authorization: Bearer {token}", body=b"null")
    assert answer.status == 401, answer
    detail: str = answer.problem["detail"]
    return detail


def by_stream(connect: Connect, token: str) -> str:
    answer = connect().ask("GET", "/events?topic=demo.news", f"Authorization: Bearer {token}")
    assert answer.status == 401, answer
    detail: str = answer.problem["detail"]
    return detail


def by_hello(connect: Connect, token: str) -> str:
    client = connect().page()
    client.request(1, "hopsack.hello", {"token": token})
    error = client.hear()["error"]["data"]
    assert client.closed().code == 4401
    message: str = error["message"]
    return message


def by_ticket(connect: Connect, token: str) -> str:
    client = connect()
    client.open("/ws", "Sec-WebSocket-Protocol: wamp.2.json")
    roles: dict[str, Any] = {"caller": {}}
    assert client.reply(1, "hopsack", {"roles": roles, "authid": "mallory", "authmethods": ["ticket"]})[0] == 4
    kind, details, _ = client.reply(5, token, {})
    assert kind == 3
    message: str = details["message"]
    return message


DOORS = {"http": by_header, "sse": by_stream, "raw": by_hello, "wamp": by_ticket}


@pytest.fixture
def secret(node: Node) -> bytes:
    return Settings.from_environ({}, data=node.data).secret().encode()


@pytest.mark.parametrize("door", DOORS)
def test_forgeries(attacker: Connect, secret: bytes, audit: Audit, log: Log, door: str) -> None:
    """The audit log has the first of them and then a sum, and the log nothing: what is forged is nobody's news."""
    with nobody_asked() as elsewhere:
        told = {}
        for name, forged in forgeries(secret, elsewhere).items():
            if not forged and door in ("http", "sse"):
                continue  # no token: another sentence, and another test's
            try:
                told[name] = DOORS[door](attacker, forged)
            except (AssertionError, EOFError) as accepted:
                told[name] = f"not refused: {accepted}"

    others = {"expired": "the token has expired", "huge": "the token is too long"}
    assert {name: said for name, said in told.items() if said != others.get(name, REFUSED)} == {}
    assert len(told) >= 50
    refused = audit.entries("login_refused")
    assert len(refused) <= 2 * AUDITED
    assert not [one for one in refused if "mallory" in (one.get("subject"), one.get("role"))]  # nothing in it is true
    assert len(log.text().splitlines()) <= 10


def test_good_ones_get_in(attacker: Connect, secret: bytes) -> None:
    """Else nothing was shown above."""
    for good in (hs256(secret), hs256(secret, HOUSE | {"exp": NOW + 600}), by_login(), by_login(RSA)):
        client = attacker()
        answer = client.ask("POST", "/call/hopsack.session.whoami", f"Authorization: Bearer {good}", body=b"null")
        assert (answer.status, answer.problem["subject"]) == (200, "mallory")


def test_a_user_who_is_not_known_and_a_signature_that_is_wrong(attacker: Connect, secret: bytes) -> None:
    """There are no users to be known or unknown: who guesses learns nothing (stock Crossbar tells them apart)."""
    said = {by_hello(attacker, hs256(b"x" * 32, HOUSE | {"sub": name})) for name in ("ann", "nobody", "root", "")}

    assert said == {REFUSED}
