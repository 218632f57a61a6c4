"""Who logs in by Crossbar's own methods: a file of principals, and what strangers learn of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from autobahn.wamp import auth
from autobahn.wamp.types import Accept, Challenge
from twisted.logger import Logger

from hopsack.errors import Revoked
from hopsack.settings import ConfigError
from hopsack_router.access.limits import Rules
from hopsack_router.access.meters import Limits
from hopsack_router.access.principals import authentication, load
from hopsack_router.routing import links
from hopsack_router.routing.vouching import Vouched

from .conftest import Realm
from .test_joining import ABORT, AUTHENTICATE, CHALLENGE, FAILED, GOODBYE, WELCOME, Stranger, token, with_worker
from .test_joining import logins as logins

PASSWORD, TICKET = "correct horse", "a ticket of some length"
REFUSED = [[ABORT, {"message": "this node does not accept this name, or its proof"}, FAILED]]


def scram(password: str) -> dict[str, Any]:
    salt = bytes(range(16))
    salted = auth._hash_argon2id13_secret(password.encode(), base64.b64encode(salt), 1, 16)
    client = hmac.digest(salted, b"Client Key", hashlib.sha256)
    return {
        "role": "user",
        "kdf": "argon2id-13",
        "iterations": 1,
        "memory": 16,
        "salt": salt.hex(),
        "stored-key": hashlib.sha256(client).hexdigest(),
        "server-key": hmac.digest(salted, b"Server Key", hashlib.sha256).hex(),
    }


def write(path: Path, **parts: Any) -> Path:
    (path / "principals.yaml").write_text(yaml.safe_dump(parts))
    return path / "principals.yaml"


@pytest.fixture
def config(tmp_path: Path, open_realm: Realm) -> dict[str, Any]:
    with_worker(open_realm)
    people = {"ticket": {"meter": {"role": "service", "ticket": TICKET}}, "scram": {"ann": scram(PASSWORD)}}
    people["tls"] = {"gate": {"role": "service", "sha1": "ab" * 20}}
    return authentication(links.AUTHENTICATION, write(tmp_path, **people))


def log_in(realm: Realm, config: dict[str, Any], password: str, name: str = "ann") -> tuple[Any, list[Any]]:
    """As a stock Autobahn client does."""
    client: Any = auth.create_authenticator("scram", authid=name, password=password)
    stranger = Stranger(realm, config)
    ((kind, method, extra),) = stranger.hello("scram", authid=name, authextra=client.authextra)
    assert (kind, method) == (CHALLENGE, "scram")
    proof: bytes = client.on_challenge(None, Challenge(method, extra))
    return client, stranger.says(AUTHENTICATE, proof.decode(), {})


# ---- let in ---------------------------------------------------------------------------------------------------------


def test_a_ticket_and_a_name(open_realm: Realm, config: dict[str, Any]) -> None:
    stranger = Stranger(open_realm, config)
    stranger.hello("ticket", authid="meter")

    ((kind, _, details),) = stranger.says(AUTHENTICATE, TICKET, {})

    assert (kind, details["authid"], details["authrole"]) == (WELCOME, "meter", "service")
    assert stranger.session.identity is not None
    assert stranger.session.identity.proof == "ticket"


@pytest.mark.parametrize("name", ["meter", "ann", None])
def test_a_token_is_taken_as_before_whatever_the_name(open_realm: Realm, config: dict[str, Any], name: Any) -> None:
    stranger = Stranger(open_realm, config)
    stranger.hello("ticket", **({} if name is None else {"authid": name}))

    ((kind, _, details),) = stranger.says(AUTHENTICATE, token(), {})

    assert (kind, details["authid"], details["authrole"]) == (WELCOME, "ann", "user")


# ---- guesses --------------------------------------------------------------------------------------------------------


@pytest.fixture
def limits(open_realm: Realm) -> Limits:
    factory: Any = open_realm.node.router._factory
    factory.limits = Limits(Rules(), open_realm.clock.seconds)
    limits: Limits = factory.limits
    return limits


def guess(realm: Realm, config: dict[str, Any], ticket: str, name: str = "meter") -> str:
    """What it is answered: the reason of ABORT, or the role."""
    stranger = Stranger(realm, config)
    stranger.hello("ticket", authid=name)
    ((kind, said, last),) = stranger.says(AUTHENTICATE, ticket, {})
    return str(said if kind == GOODBYE else last if kind == ABORT else last["authrole"])


@pytest.mark.parametrize("name", ["meter", "nobody"])
def test_a_right_guess_is_not_told_from_a_wrong_one(
    open_realm: Realm, config: dict[str, Any], limits: Limits, name: str
) -> None:
    wrong = [guess(open_realm, config, f"guess {number}", name) for number in range(11)]

    assert wrong == [FAILED] * 10 + ["hopsack.rate_limited"]
    assert guess(open_realm, config, TICKET, name) == "hopsack.rate_limited"
    assert guess(open_realm, config, token(), name) == "user"
    assert guess(open_realm, config, TICKET, name) == "hopsack.rate_limited"
    open_realm.clock.advance(3600)
    assert guess(open_realm, config, TICKET, name) == ("service" if name == "meter" else FAILED)


def test_nor_is_a_right_password(open_realm: Realm, config: dict[str, Any], limits: Limits) -> None:
    client: Any = auth.create_authenticator("scram", authid="ann", password=PASSWORD)
    stranger = Stranger(open_realm, config)
    ((_, method, extra),) = stranger.hello("scram", authid="ann", authextra=client.authextra)
    proof: bytes = client.on_challenge(None, Challenge(method, extra))

    for _ in range(11):  # over other connections, meanwhile
        limits.failed("ann", "")

    assert stranger.says(AUTHENTICATE, proof.decode(), {})[0][2] == "hopsack.rate_limited"


def test_nobody_is_forgiven_what_another_name_was_guessed_for(
    open_realm: Realm, config: dict[str, Any], limits: Limits
) -> None:
    """Not by a token of one's own, nor as a guest: who gives up being another goes on over the same connection."""
    for number in range(10):
        guess(open_realm, config, f"guess {number}")
        if number == 5:
            assert guess(open_realm, config, token()) == "user"
        if number == 7:
            stranger = Stranger(open_realm, config)
            stranger.hello("ticket", authid="meter")
            stranger.says(ABORT, {}, "wamp.close.normal")
            ((kind, _, details),) = stranger.hello("anonymous")
            assert (kind, details["authrole"]) == (WELCOME, "guest")

    assert guess(open_realm, config, "one more") == "hopsack.rate_limited"


def test_a_password_that_the_node_does_not_have(open_realm: Realm, config: dict[str, Any]) -> None:
    client, ((kind, _, details),) = log_in(open_realm, config, PASSWORD)

    assert (kind, details["authid"], details["authrole"], details["authmethod"]) == (WELCOME, "ann", "user", "scram")
    assert (
        client.on_welcome(SimpleNamespace(log=Logger()), details["authextra"]) is None
    )  # the node has proved itself, too


def test_a_certificate(open_realm: Realm, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {"sha1": ":".join(["AB"] * 20)}
    monkeypatch.setattr("hopsack_router.routing.vouching.extract_peer_certificate", lambda transport: seen)
    known, unknown = Stranger(open_realm, config), Stranger(open_realm, config)

    ((kind, _, details),) = known.hello("tls")
    seen["sha1"] = ":".join(["AC"] * 20)

    assert (kind, details["authid"], details["authrole"], details["authmethod"]) == (WELCOME, "gate", "service", "tls")
    assert unknown.hello("tls") == REFUSED
    monkeypatch.undo()
    assert Stranger(open_realm, config).hello("tls") == REFUSED


# ---- and not --------------------------------------------------------------------------------------------------------


def test_who_is_not_there_reads_what_a_wrong_password_reads(open_realm: Realm, config: dict[str, Any]) -> None:
    """Stock says at HELLO that there is no such principal."""
    _, wrong = log_in(open_realm, config, "wrong")
    _, nobody = log_in(open_realm, config, PASSWORD, "nobody")

    assert wrong == nobody == REFUSED


def test_a_name_that_nobody_has_is_asked_the_same_each_time(open_realm: Realm, config: dict[str, Any]) -> None:
    def asked(name: str) -> dict[str, Any]:
        ((_, _, extra),) = Stranger(open_realm, config).hello("scram", authid=name, authextra={"nonce": "AAAA"})
        return {key: value for key, value in extra.items() if key != "nonce"}

    assert asked("nobody") == asked("nobody")
    assert asked("nobody")["salt"] != asked("somebody")["salt"]
    assert asked("nobody").keys() == asked("ann").keys()
    assert len(asked("nobody")["salt"]) == len(asked("ann")["salt"])


@pytest.mark.parametrize(("name", "ticket"), [("meter", "wrong"), ("nobody", TICKET), ("meter", ""), ("meter", "é")])
def test_a_wrong_ticket_reads_as_a_wrong_token(
    open_realm: Realm, config: dict[str, Any], name: str, ticket: str
) -> None:
    stranger = Stranger(open_realm, config)
    stranger.hello("ticket", authid=name)

    assert stranger.says(AUTHENTICATE, ticket, {}) == [
        [ABORT, {"message": "the token is not one this node accepts"}, FAILED]
    ]


@pytest.mark.parametrize("extra", [None, {}, {"nonce": 7}, {"nonce": "é"}, {"nonce": "A" * 1000}])
def test_what_cannot_begin_scram(open_realm: Realm, config: dict[str, Any], extra: Any) -> None:
    """Stock raises here, and writes a traceback for everybody who tries."""
    assert Stranger(open_realm, config).hello("scram", authid="ann", authextra=extra) == REFUSED


@pytest.mark.parametrize("signature", ["", "=", "é", "AAAA", "A" * 10_000])
def test_what_is_no_proof(open_realm: Realm, config: dict[str, Any], signature: str) -> None:
    stranger = Stranger(open_realm, config)
    stranger.hello("scram", authid="ann", authextra={"nonce": "AAAA"})

    assert stranger.says(AUTHENTICATE, signature, {}) == REFUSED


def test_what_is_against_somebody_counts_here_too(open_realm: Realm, config: dict[str, Any]) -> None:
    factory: Any = open_realm.node.router._factory
    factory.vet = lambda who: Revoked("gone") if who.subject == "ann" else None

    _, told = log_in(open_realm, config, PASSWORD)

    assert told == [[ABORT, {"message": "gone"}, "hopsack.revoked"]]


def test_crossbar_gives_nobody_the_role_trusted(open_realm: Realm) -> None:
    judge = SimpleNamespace(hello=lambda *_: Accept("hopsack", "x", "trusted", "tls"))
    factory: Any = open_realm.node.router._factory

    answer = Vouched(judge, "tls", factory).hello("hopsack", None)

    assert answer.reason == "wamp.error.no_such_role"


# ---- the file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"wampcra": {}}, "other parts than ticket, scram, tls"),
        ({"ticket": []}, "not a map"),
        ({"ticket": {"a": {"ticket": TICKET}}}, "needs a role"),
        ({"ticket": {"a": {"role": "trusted", "ticket": TICKET}}}, "needs a role"),
        ({"ticket": {"a": {"role": "guest", "ticket": TICKET}}}, "needs a role"),
        ({"ticket": {"a": {"role": "user", "ticket": "short"}}}, "16 characters"),
        ({"ticket": {7: {"role": "user", "ticket": TICKET}}}, "not a name"),
        ({"ticket": {"a": {"role": "user", "ticket": TICKET, "realm": "other"}}}, "nothing else"),
        ({"scram": {"a": {"role": "user"}}}, "needs kdf"),
        ({"scram": {"a": scram("x") | {"kdf": "md5"}}}, "argon2id-13 or pbkdf2"),
        ({"scram": {"a": scram("x") | {"salt": "xyz"}}}, "are hex"),
        ({"scram": {"a": scram("x") | {"default-role": "trusted"}}}, "nothing beside"),
        ({"tls": {"a": {"role": "user"}}}, "needs a certificate"),
        ({"tls": {"a": {"role": "user", "sha1": "12"}}}, "40 hex digits"),
        ({"tls": {"a": {"role": "user", "certificate": "none.pem"}}}, "cannot read the certificate"),
    ],
)
def test_what_cannot_be_stops_the_start(tmp_path: Path, parts: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        load(write(tmp_path, **parts))


def test_without_a_file_nothing_is_different(tmp_path: Path) -> None:
    assert authentication(links.AUTHENTICATION, None) == links.AUTHENTICATION
    with pytest.raises(ConfigError, match="cannot read"):
        authentication(links.AUTHENTICATION, tmp_path / "none.yaml")
