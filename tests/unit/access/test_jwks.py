"""A login service's keys, which change without notice: fetched again and again, with a clock that the test turns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any, cast

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure

from hopsack.errors import LoginRequired, Overloaded, RemoteError, Unavailable
from hopsack.tokens import mint
from hopsack_router.access.fetching import Unfetched
from hopsack_router.access.identity import Identity
from hopsack_router.access.jwks import JITTER, MOST_WAITING, PAUSE, REFRESH, STALE, JwkSet
from hopsack_router.access.keyring import MOST_KEYS, Keyring, KeysInvalid, read_jwks
from hopsack_router.access.logins import Cookie, Logins
from hopsack_router.access.verifying import Issuer, own

LOGIN = "https://login.example"
URL = f"{LOGIN}/keys"
SECRET = "s" * 32
ONE, TWO = (Ed25519PrivateKey.generate() for _ in range(2))
RSA = generate_private_key(65537, 2048)


def jwk(key: Any, kid: str | None = None, **changes: Any) -> dict[str, Any]:
    algorithm: Any = RSAAlgorithm if isinstance(key, RSAPrivateKey) else OKPAlgorithm
    whole = algorithm.to_jwk(key.public_key(), as_dict=True) | ({"kid": kid} if kid else {}) | changes
    return {name: value for name, value in whole.items() if value is not None}


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def token(key: Any, kid: str, sub: str = "ann") -> str:
    return mint(key, sub=sub, role="user", algorithm="EdDSA", kid=kid, issuer=LOGIN, now=lambda: 1000)


class World:
    """A node's logins, and a login service that answers when the test says so.

    :ivar asked: the URLs that were fetched.
    """

    def __init__(self, *, answers: bytes | None = None) -> None:
        self.clock = Clock()
        self.asked: list[str] = []
        self._coming: list[Deferred[bytes]] = []
        self._answers = answers
        self.set = JwkSet(URL, Issuer(LOGIN), self._fetch, self.clock, Random(1))
        self.logins = Logins(Keyring(lambda: SECRET, own(), [self.set]), self.set, lambda: 1000.0)

    def _fetch(self, url: str) -> Deferred[bytes]:
        self.asked.append(url)
        if self._answers is not None:
            return succeed(self._answers)
        self._coming.append(Deferred())
        return self._coming[-1]

    def answer(self, text: bytes) -> None:
        self._coming.pop(0).callback(text)

    def fail(self, why: str = "it is gone") -> None:
        self._coming.pop(0).errback(Failure(Unfetched(why)))

    def login(self, key: Any = ONE, kid: str = "one", sub: str = "ann") -> Any:
        """Who it is; a list that will hold that or the refusal, where it takes time; or the refusal."""
        try:
            found = self.logins.identify(token(key, kid, sub))
        except RemoteError as refused:
            return refused
        if isinstance(found, Identity):
            return found.subject
        ends: list[Any] = []
        found.addCallbacks(lambda who: ends.append(who.subject), lambda failure: ends.append(failure.value))
        return ends


@pytest.fixture
def world() -> World:
    made = World()
    made.set.start()
    return made


def kinds(ends: Sequence[Any]) -> list[Any]:
    return [type(one) if isinstance(one, Exception) else one for one in ends]


# ---- fetching -------------------------------------------------------------------------------------------------------


def test_a_login_waits_for_the_first_set(world: World) -> None:
    early = world.login()

    world.answer(jwks(jwk(ONE, "one")))

    assert early == ["ann"]
    assert world.login() == "ann"
    assert world.asked == [URL]


def test_keys_are_rotated_without_anybody_noticing(world: World) -> None:
    world.answer(jwks(jwk(ONE, "one")))
    world.clock.advance(PAUSE)

    first, second = world.login(TWO, "two"), world.login(TWO, "two", "eve")
    old = world.login()
    world.answer(jwks(jwk(ONE, "one"), jwk(TWO, "two")))

    assert (first, second, old) == (["ann"], ["eve"], "ann")
    assert len(world.asked) == 2


def test_a_key_that_is_withdrawn_verifies_nothing_any_more(world: World) -> None:
    world.answer(jwks(jwk(ONE, "one")))
    world.clock.advance(REFRESH * (1 + JITTER))
    world.answer(jwks(jwk(TWO, "two")))

    assert isinstance(world.login(), LoginRequired)
    assert world.login(TWO, "two") == "ann"


def test_unknown_keys_have_the_set_fetched_once_in_a_while(world: World) -> None:
    world.answer(jwks(jwk(ONE, "one")))
    soon = [world.login(TWO, f"new-{number}") for number in range(50)]
    world.clock.advance(PAUSE)
    late = [world.login(TWO, f"newer-{number}") for number in range(50)]
    world.answer(jwks(jwk(ONE, "one")))
    after = [world.login(TWO, f"newest-{number}") for number in range(50)]

    assert all(isinstance(one, LoginRequired) for one in (*soon, *after))
    assert all(kinds(one) == [kind] for one in late for kind in [type(soon[0])])
    assert len(world.asked) == 2


def test_a_known_key_with_a_wrong_signature_fetches_nothing(world: World) -> None:
    world.answer(jwks(jwk(ONE, "one")))
    world.clock.advance(PAUSE)

    assert isinstance(world.login(TWO, "one"), LoginRequired)
    assert len(world.asked) == 1


def test_own_tokens_wait_for_nothing(world: World) -> None:
    found = world.logins.identify(mint(SECRET, sub="bob", role="operator", now=lambda: 1000))

    assert cast(Identity, found).subject == "bob"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "EdDSA", "kid": "x", "jku": "http://127.0.0.1:1/keys"},
        {"alg": "RS256", "kid": "x", "x5u": "http://127.0.0.1:1/keys"},
        {"alg": "EdDSA", "kid": "http://127.0.0.1:1/keys"},
        {"alg": "ES256", "kid": "x"},
        {"alg": "none", "kid": "x"},
    ],
    ids=str,
)
def test_no_token_has_anything_else_fetched(world: World, header: dict[str, Any]) -> None:
    world.answer(jwks(jwk(ONE, "one")))
    world.clock.advance(PAUSE)
    part = jwt.utils.base64url_encode(json.dumps(header).encode()).decode()

    with suppress(RemoteError):  # or it waits for a fetch of the one URL
        world.logins.identify(f"{part}.e30.eA")

    assert set(world.asked) == {URL}


def test_it_is_fetched_again_after_a_while_and_nodes_do_not_ask_in_step() -> None:
    waits = set()
    for seed in range(20):
        world = World(answers=jwks(jwk(ONE, "one")))
        world.set = JwkSet(URL, Issuer(LOGIN), world._fetch, world.clock, Random(seed))
        world.set.start()
        (due,) = world.clock.getDelayedCalls()
        waits.add(due.getTime())
        world.clock.advance(REFRESH * (1 + JITTER))
        assert len(world.asked) == 2

    assert len(waits) == 20
    assert all(abs(wait - REFRESH) <= REFRESH * JITTER for wait in waits)


# ---- and when it cannot be had --------------------------------------------------------------------------------------


def test_the_old_set_goes_on_while_no_newer_one_can_be_had(world: World) -> None:
    world.answer(jwks(jwk(ONE, "one")))
    world.clock.advance(REFRESH * (1 + JITTER))

    for step, why in enumerate(["gone", "gone", "still gone"]):
        world.fail(why)
        assert world.login() == "ann"
        world.clock.advance(PAUSE)
        assert len(world.asked) == step + 3  # it is tried again, soon
    world.answer(b"<html>")
    assert world.login() == "ann"
    world.clock.advance(PAUSE)
    world.answer(jwks())

    assert world.login() == "ann"


def test_but_not_for_ever() -> None:
    world = World()
    world.set.start()
    world.answer(jwks(jwk(ONE, "one")))
    for _ in range(int(STALE / PAUSE) + 2):
        world.clock.advance(PAUSE)
        if world._coming:
            world.fail()

    last = world.login()

    if isinstance(last, list):  # a fetch was due
        world.fail()
        (last,) = last
    assert isinstance(last, Unavailable)


def test_without_keys_nobody_is_told_that_his_token_is_bad(world: World) -> None:
    """A client gives up with a token that is refused; it comes back to a node that cannot know yet."""
    waiting = world.login()
    world.fail()

    soon = world.login()

    for told in (soon, *waiting):
        assert isinstance(told, Unavailable)
        assert told.data == {"retry_after": 5}
    assert len(waiting) == 1


def test_so_many_wait_and_no_more(world: World) -> None:
    waiting = [world.login() for _ in range(MOST_WAITING)]

    assert isinstance(world.login(), Overloaded)
    world.answer(jwks(jwk(ONE, "one")))
    assert waiting == [["ann"]] * MOST_WAITING


def test_a_node_that_stops_fetches_no_more(world: World) -> None:
    waiting = world.login()
    world.set.stop()

    world.answer(jwks(jwk(ONE, "one")))

    assert waiting == ["ann"]
    assert not world.clock.getDelayedCalls()


def test_a_cookie_with_such_a_token(world: World) -> None:
    coming = world.logins.identify(Cookie(token(ONE, "one")))
    refused = world.logins.identify(Cookie(token(TWO, "two")))
    proofs: list[Any] = []
    cast(Any, coming).addCallback(lambda who: proofs.append(who.proof))
    cast(Any, refused).addErrback(lambda failure: proofs.append(failure.value.advice))

    world.answer(jwks(jwk(ONE, "one")))

    assert proofs == ["cookie", "POST /login with a new token, or POST /logout"]


# ---- sets -----------------------------------------------------------------------------------------------------------

EC = ECAlgorithm.to_jwk(ec_key(SECP256R1()).public_key(), as_dict=True) | {"kid": "ec"}
WEAK = jwk(generate_private_key(65537, 1024), "weak")
PASSED_OVER = {
    "a shared secret": {"kty": "oct", "k": "c2VjcmV0", "kid": "one", "alg": "HS256"},
    "an elliptic curve": EC,
    "a short RSA key": WEAK,
    "an RSA key with an exponent of one": jwk(RSA, "e", e="AQ"),
    "an RSA key with an exponent of three": jwk(RSA, "e", e="Aw"),
    "an RSA key of nothing": jwk(RSA, "e", n=""),
    "an endless RSA key": jwk(RSA, "e", n="A" * 100_000),
    "an RSA key for another algorithm": jwk(RSA, "r", alg="RS512"),
    "an RSA key for PSS": jwk(RSA, "r", alg="PS256"),
    "an RSA key as if it were the secret": jwk(RSA, "r", alg="HS256"),
    "for encryption": jwk(ONE, "o", use="enc"),
    "for signing only": jwk(ONE, "o", key_ops=["sign"]),
    "a private key": OKPAlgorithm.to_jwk(ONE, as_dict=True),
    "another curve": jwk(ONE, "o", crv="Ed448"),
    "for key agreement": jwk(ONE, "o", crv="X25519"),
    "a short one": jwk(ONE, "o", x="AAAA"),
    "with padding": jwk(ONE, "o", x=jwk(ONE)["x"] + "="),
    "without a value": jwk(ONE, "o", x=None),
    "a number": jwk(ONE, "o", x=7),
    "a name that is none": jwk(ONE) | {"kid": ["o"]},
    "no object": "key",
    "nothing": None,
    "without a kind": {"x": jwk(ONE)["x"]},
}


@pytest.mark.parametrize("name", PASSED_OVER)
def test_what_cannot_verify_a_token_is_passed_over(name: str) -> None:
    found = read_jwks(jwks(cast(Any, PASSED_OVER[name]), jwk(TWO, "two")), Issuer(LOGIN))

    assert [key.kid for key in found] == ["two"]
    with pytest.raises(KeysInvalid):
        read_jwks(jwks(cast(Any, PASSED_OVER[name])), Issuer(LOGIN))


def test_what_is_taken() -> None:
    given = [
        jwk(ONE, "one", alg="EdDSA", use="sig"), jwk(TWO, None), jwk(TWO, "named", alg="Ed25519"),
        jwk(RSA, "rsa", alg="RS256", key_ops=["verify"]), jwk(RSA, "plain", alg=None, key_ops=None),
    ]  # fmt: skip

    found = read_jwks(jwks(*given), Issuer(LOGIN))

    assert [(key.kid, key.algorithm) for key in found] == [
        ("one", "EdDSA"), (None, "EdDSA"), ("named", "EdDSA"), ("rsa", "RS256"), ("plain", "RS256"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", [b"", b"\xff", b"[]", b"null", b'{"keys": {}}', b'{"keys": null}', b"[" * 100_000, b'{"keys": [1e999]}'],
    ids=lambda text: str(text)[:20],
)  # fmt: skip
def test_what_is_no_set(text: bytes) -> None:
    with pytest.raises(KeysInvalid):
        read_jwks(text, Issuer(LOGIN))


def test_a_set_has_so_many_keys() -> None:
    many = [jwk(ONE, f"k{number}") for number in range(MOST_KEYS + 1)]

    assert len(read_jwks(jwks(*many[:-1]), Issuer(LOGIN))) == MOST_KEYS
    with pytest.raises(KeysInvalid, match="33 keys"):
        read_jwks(jwks(*many), Issuer(LOGIN))


def test_the_log_does_not_have_what_a_url_keeps_secret() -> None:
    failing: Deferred[bytes] = Deferred()
    url = "https://ann:hunter2@login.example/keys?api=hunter3#hunter4"
    keys = JwkSet(url, Issuer(LOGIN), lambda _: failing, Clock(), Random(1))

    with capturedLogs() as logged:
        keys.start()
        failing.errback(Failure(Unfetched("it is gone")))
    keys.stop()

    (said,) = [formatEvent(one) for one in logged]
    assert "https://login.example/keys?…: it is gone" in said
    assert "hunter" not in said


def test_who_gives_up_leaves_its_place() -> None:
    world = World()
    waiting = [world.set.newer() for _ in range(MOST_WAITING)]
    with pytest.raises(Overloaded):
        world.set.newer()

    gone = waiting[0]
    assert gone is not None
    gone.addErrback(lambda failure: failure.trap(CancelledError))
    gone.cancel()
    another = world.set.newer()
    world.answer(jwks(jwk(ONE, "one")))

    assert another is not None
    assert another.called
    assert all(one is not None and one.called for one in waiting)
