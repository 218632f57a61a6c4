"""Who logs in with a key: WAMP-cryptosign over the routing core in memory, the folder of keys, and its procedures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hopsack.contracts import load
from hopsack.keys import PrivateKey, public_text
from hopsack_router.access.publickeys import PublicKeys
from hopsack_router.keys import LOOK, KeyWatch

from .conftest import Client, Realm
from .test_calls import CALL, ERROR, RESULT
from .test_joining import ABORT, AUTHENTICATE, CHALLENGE, FAILED, GOODBYE, HELLO, WELCOME, Stranger, members

KEY, OTHER = PrivateKey(b"k" * 32), PrivateKey(b"o" * 32)
REFUSED = "this node does not accept this key, or the signature is not its own"


@pytest.fixture
def keys(open_realm: Realm, tmp_path: Path) -> PublicKeys:
    return with_keys(open_realm, tmp_path)


def with_keys(realm: Realm, path: Path) -> PublicKeys:
    factory: Any = realm.node.router._factory
    factory.keys = PublicKeys(path / "keys")
    return factory.keys  # type: ignore[no-any-return]


def greet(stranger: Stranger, key: PrivateKey = KEY, **details: Any) -> str:
    """Begin to log in; returns the challenge."""
    ((kind, method, extra),) = stranger.hello("cryptosign", authextra={"pubkey": key.public.hex()}, **details)
    assert (kind, method) == (CHALLENGE, "cryptosign")
    challenge: str = extra["challenge"]
    return challenge


def signed(challenge: str, key: PrivateKey = KEY) -> str:
    return key.sign(bytes.fromhex(challenge)).hex() + challenge


def log_in(realm: Realm, key: PrivateKey = KEY) -> Stranger:
    stranger = Stranger(realm)
    ((kind, *_),) = stranger.says(AUTHENTICATE, signed(greet(stranger, key), key), {})
    assert kind == WELCOME
    return stranger


# ---- let in ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [{}, {"authid": "host"}, {"authrole": "operator"}])
def test_a_key_says_who_somebody_is(open_realm: Realm, keys: PublicKeys, said: dict[str, Any]) -> None:
    added = keys.add("host", "service", KEY.public.hex())
    stranger = Stranger(open_realm)

    ((kind, _, details),) = stranger.says(AUTHENTICATE, signed(greet(stranger, **said)), {})

    assert kind == WELCOME
    assert (details["authid"], details["authrole"], details["authmethod"]) == ("host", "service", "cryptosign")
    assert stranger.session.identity == added.identity()


def test_each_challenge_is_another_one(open_realm: Realm, keys: PublicKeys) -> None:
    challenges = {greet(Stranger(open_realm)) for _ in range(20)}

    assert len(challenges) == 20
    assert {len(one) for one in challenges} == {64}


# ---- and not --------------------------------------------------------------------------------------------------------


def test_who_is_not_known_is_asked_and_refused_as_who_cannot_sign(open_realm: Realm, keys: PublicKeys) -> None:
    keys.add("host", "service", KEY.public.hex())
    unknown, forger, liar = Stranger(open_realm), Stranger(open_realm), Stranger(open_realm)

    ends = [
        unknown.says(AUTHENTICATE, signed(greet(unknown, OTHER), OTHER), {}),
        forger.says(AUTHENTICATE, signed(greet(forger), OTHER), {}),
        liar.says(AUTHENTICATE, signed(greet(liar, authid="other")), {}),
    ]

    assert ends == [[[ABORT, {"message": REFUSED}, FAILED]]] * 3
    assert members(open_realm) == 0


@pytest.mark.parametrize("answer", ["", "00", "zz" * 96, "00" * 96, "00" * 97, "é" * 192])
def test_what_is_no_signature(open_realm: Realm, keys: PublicKeys, answer: str) -> None:
    keys.add("host", "service", KEY.public.hex())
    stranger = Stranger(open_realm)
    greet(stranger)

    assert stranger.says(AUTHENTICATE, answer, {}) == [[ABORT, {"message": REFUSED}, FAILED]]


def test_an_answer_is_good_for_its_own_challenge_and_once(open_realm: Realm, keys: PublicKeys) -> None:
    keys.add("host", "service", KEY.public.hex())
    first, second = Stranger(open_realm), Stranger(open_realm)
    answer = signed(greet(first))
    greet(second)

    ((replayed, *_),) = second.says(AUTHENTICATE, answer, {})
    ((again, *_),) = second.says(AUTHENTICATE, answer, {})
    ((kind, *_),) = first.says(AUTHENTICATE, answer, {})

    assert (replayed, again, kind) == (ABORT, ABORT, WELCOME)


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (None, "begins with a public key"),
        ({}, "begins with a public key"),
        ({"pubkey": "00" * 31}, "begins with a public key"),
        ({"pubkey": ["00" * 32]}, "begins with a public key"),
        ({"pubkey": KEY.public.hex(), "channel_binding": "tls-unique"}, "no channel binding"),
    ],
)
def test_what_cannot_begin(open_realm: Realm, keys: PublicKeys, extra: Any, says: str) -> None:
    stranger = Stranger(open_realm)

    ((kind, details, reason),) = stranger.says(
        HELLO, "hopsack", {"roles": {"caller": {}}, "authmethods": ["cryptosign"], "authextra": extra}
    )

    assert (kind, reason) == (ABORT, FAILED)
    assert says in details["message"]


def test_a_proxy_vouches_for_nobody(open_realm: Realm, keys: PublicKeys) -> None:
    """Stock lets a configured proxy say the role itself."""
    extra = {"pubkey": KEY.public.hex(), "proxy_authrole": "trusted", "proxy_authid": "root", "proxy_realm": "hopsack"}

    ((kind, _, reason),) = Stranger(open_realm).hello("cryptosign-proxy", authextra=extra)

    assert (kind, reason) == (ABORT, "wamp.error.no_auth_method")


def test_a_node_without_a_folder_accepts_no_key(open_realm: Realm) -> None:
    stranger = Stranger(open_realm)

    ((kind, details, _),) = stranger.says(AUTHENTICATE, signed(greet(stranger)), {})

    assert (kind, details["message"]) == (ABORT, REFUSED)


# ---- revoked --------------------------------------------------------------------------------------------------------


def test_a_file_that_is_removed_ends_its_sessions_within_a_second(open_realm: Realm, keys: PublicKeys) -> None:
    added = keys.add("host", "service", KEY.public.hex())
    keys.add("watch", "service", OTHER.public.hex())
    gone, stays = log_in(open_realm), log_in(open_realm, OTHER)
    watch = KeyWatch(keys, open_realm.node.router._factory, open_realm.clock)
    watch.start()

    keys._path(added.name).unlink()
    open_realm.clock.advance(LOOK)
    heard, unheard = gone.hears(), stays.hears()
    watch.stop()

    assert heard == [
        [GOODBYE, {"message": "the key that this client logged in with is accepted no longer"}, "hopsack.revoked"]
    ]
    assert unheard == []
    assert members(open_realm) == 1


# ---- the procedures -------------------------------------------------------------------------------------------------


def ask(client: Client, uri: str, *arguments: Any) -> Any:
    (answer,) = client.send(CALL, 1, {}, uri, list(arguments))
    if answer[0] == ERROR:
        return answer[4], answer[6]
    assert answer[0] == RESULT
    return answer[3][0]


def test_an_operator_adds_lists_and_revokes_keys(tmp_path: Path) -> None:
    realm = Realm.ours(load(tmp_path))
    with_keys(realm, tmp_path)
    operator = realm.join("operator", "op")
    asked = {"subject": "host", "role": "service", "public": public_text(KEY.public), "note": "by hand"}

    added = ask(operator, "hopsack.keys.add", asked)
    stranger = log_in(realm)
    listed = ask(operator, "hopsack.keys.list")
    ended = ask(operator, "hopsack.keys.revoke", {"key": added["fingerprint"]})

    assert listed == [added | {"sessions": 1}]
    assert (added["subject"], added["note"]) == ("host", "by hand")
    assert [goodbye[0] for goodbye in stranger.received] == [GOODBYE]
    assert len(ended["ended"]) == 1
    assert ask(operator, "hopsack.keys.list") == []


def test_what_operators_are_told_when_it_cannot_be(tmp_path: Path) -> None:
    realm = Realm.ours(load(tmp_path))
    operator = realm.join("operator", "op")
    asked = {"subject": "host", "role": "service", "public": "00" * 32}

    nowhere, _ = ask(operator, "hopsack.keys.list")
    with_keys(realm, tmp_path)
    no_key, facts = ask(operator, "hopsack.keys.add", asked)
    _, unknown = ask(operator, "hopsack.keys.revoke", {"key": "none"})

    assert nowhere == "wamp.error.invalid_argument"
    assert (no_key, facts["path"]) == ("wamp.error.invalid_argument", "/public")
    assert "hopsack keys ls" in unknown["advice"]


@pytest.mark.parametrize("word", ["host", "hosst", "host-{}x"])
def test_a_key_that_is_not_there_comes_with_the_one_that_was_meant(tmp_path: Path, word: str) -> None:
    realm = Realm.ours(load(tmp_path))
    with_keys(realm, tmp_path)
    operator = realm.join("operator", "op")
    asked = {"subject": "host", "role": "service", "public": public_text(KEY.public)}
    name = ask(operator, "hopsack.keys.add", asked)["name"]

    _, facts = ask(operator, "hopsack.keys.revoke", {"key": word.format(name.partition("-")[2])})

    assert name in facts["advice"]
    assert len(ask(operator, "hopsack.keys.list")) == 1


@pytest.mark.parametrize("role", ["guest", "user", "service"])
@pytest.mark.parametrize("uri", ["hopsack.keys.list", "hopsack.keys.add", "hopsack.keys.revoke"])
def test_nobody_else_may(tmp_path: Path, role: str, uri: str) -> None:
    realm = Realm.ours(load(tmp_path))
    with_keys(realm, tmp_path)

    code, _ = ask(realm.join(role), uri, {"subject": "a", "role": "operator", "public": "00" * 32, "key": "x"})

    assert code == "wamp.error.not_authorized"
