"""Tokens: whatever is wrong with one, its bearer is refused in the same words, and nothing else happens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import partial
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hopsack_router.access.identity import Identity
from hopsack_router.access.keyring import Keyring, PublicKey
from hopsack_router.access.verifying import LEEWAY, LONGEST, Issuer, KeyUnknown, TokenRefused, own, verify

SECRET = "s" * 32
NOW = 1_000_000.0
GOOD: dict[str, Any] = {"sub": "ann", "role": "user", "iss": "hopsack"}
ANN = Identity("ann", "user", proof="token")

LOGIN = "https://login.example"
FOREIGN: dict[str, Any] = {"sub": "ann", "iss": LOGIN}
ED, OTHER_ED = (Ed25519PrivateKey.generate() for _ in range(2))
RSA, OTHER_RSA = (generate_private_key(65537, 2048) for _ in range(2))
EC = ec_key(SECP256R1())


def keys(*public: PublicKey, secret: str = SECRET, audience: str | None = None) -> Keyring:
    return Keyring(lambda: secret, own(audience), [lambda: public])


def issuer(**changes: Any) -> Issuer:
    return Issuer(**({"name": LOGIN} | changes))


def ring(**changes: Any) -> Keyring:
    """A keyring with an Ed25519 and an RSA key of a login service."""
    who = issuer(**changes)
    return keys(PublicKey(ED.public_key(), who, "ed"), PublicKey(RSA.public_key(), who, "rsa"))


def read(token: str, known: Keyring | None = None, now: float = NOW) -> Identity:
    return verify(token, known or keys(), partial(float, now))


def signed(**claims: Any) -> str:
    return jwt.encode(GOOD | claims, SECRET, algorithm="HS256")


def foreign(key: Any = ED, kid: str | None = "ed", alg: str | None = None, **claims: Any) -> str:
    alg = alg or ("RS256" if isinstance(key, RSAPrivateKey) else "EdDSA")
    return jwt.encode(FOREIGN | claims, key, algorithm=alg, headers={"kid": kid} if kid else {})


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def headed(header: dict[str, Any], key: Any = SECRET, alg: str = "HS256", claims: dict[str, Any] = GOOD) -> str:
    """A token that says of itself what it likes, signed as told."""
    signed_part = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"
    algorithm = jwt.get_algorithm_by_name(alg)
    return f"{signed_part}.{encoded(algorithm.sign(signed_part.encode(), algorithm.prepare_key(key)))}"


def as_secret(header: dict[str, Any], key: bytes) -> str:
    """A token that is signed with these bytes as if they were the secret: PyJWT refuses to make one."""
    part = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(GOOD).encode())}"
    return f"{part}.{encoded(hmac.digest(key, part.encode(), hashlib.sha256))}"


def refused(token: str, known: Keyring | None = None) -> TokenRefused:
    with pytest.raises(TokenRefused) as error:
        read(token, known)
    return error.value


# ---- the node's own -------------------------------------------------------------------------------------------------


def test_a_good_token() -> None:
    assert read(signed()) == ANN


def test_a_token_says_who_somebody_is_and_no_more_of_it_is_kept() -> None:
    claims = {"groups": ["b", "a", "b"], "tenant": "acme", "iat": 999_000, "exp": 1_000_600, "jti": "7", "email": "a@b"}

    assert read(signed(**claims)) == Identity(
        "ann", "user", frozenset(("a", "b")), "acme", 999_000, 1_000_600, "token", token_id="7"
    )


@pytest.mark.parametrize(
    "claims",
    [
        {"role": []},
        {"role": {}},
        {"role": None},
        {"role": 1},
        {"role": "trusted"},
        {"role": "Operator"},
        {"role": ["user"]},
        {"sub": ""},
        {"sub": "x" * 201},
        {"sub": "ann\nrole: operator"},
        {"sub": "ann\u202e"},
        {"exp": {}},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"exp": -float("inf")},
        {"exp": 1e300},
        {"exp": 1},
        {"iat": []},
        {"iat": 4_000_000_000},
        {"nbf": 4_000_000_000},
        {"nbf": "soon"},
        {"exp": "4000000000"},
        {"exp": True},
        {"exp": None},
        {"aud": "another"},
        {"aud": ["another"]},
        {"jti": "1", "iss": "hopsack "},
        {"jti": ["1"]},
        {"jti": ""},
        {"groups": {}},
        {"groups": [1]},
        {"groups": [""]},
        {"groups": ["x" * 201]},
        {"groups": ["x"] * 101},
        {"tenant": ["acme"]},
        {"tenant": ""},
        {"tenant": "acme\x00"},
    ],
    ids=lambda claims: str(claims)[:40],
)
def test_claims_that_are_refused(claims: dict[str, Any]) -> None:
    refused(signed(**claims))


@pytest.mark.parametrize("claims", [{"sub": 12}, {"sub": []}, {"iss": ["hopsack"]}, {"iss": "other"}, [], "text", 1])
def test_payloads_that_are_refused(claims: Any) -> None:
    """Made without PyJWT's encoder, which refuses some of them itself."""
    payload = json.dumps(GOOD | claims if isinstance(claims, dict) else claims)

    refused(jwt.api_jws.encode(payload.encode(), SECRET, "HS256"))


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "\udc80",
        "grüße",
        "\x00.\x00.\x00",
        encoded(b"[" * 9000) + ".e30.x",
        encoded(b'{"alg": []}') + ".e30.x",
        encoded(b'{"alg": {"a": 1}}') + ".e30.x",
        encoded(b"\xff\xfe") + ".e30.x",
        encoded(b"[]") + ".e30.x",
        encoded(b'{"alg":"HS256","kid":"' + b"x" * 9000 + b'"}') + ".e30.x",
        "x" * (LONGEST + 1),
    ],
    ids=[
        "empty", "dot", "two dots", "dots", "surrogate", "umlaut", "nul", "nested", "alg", "alg-object", "bytes",
        "list", "long header", "long",
    ],
)  # fmt: skip
def test_noise_is_refused(token: str) -> None:
    refused(token)


RSA_PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
RSA_DER = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
ED_RAW = ED.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
ED_PEM = ED.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

FORGED = {
    "another key": headed({"typ": "JWT", "alg": "HS256"}, key="x" * 32),
    "no key": as_secret({"alg": "HS256"}, b""),
    "hs512": headed({"typ": "JWT", "alg": "HS512"}, alg="HS512", key=SECRET * 2),
    "hs384": headed({"alg": "HS384"}, alg="HS384", key=SECRET * 2),
    "says hs256, is hs512": headed({"typ": "JWT", "alg": "HS256"}, alg="HS512", key=SECRET * 2),
    "none": headed({"typ": "JWT", "alg": "none"}),
    "none, unsigned": headed({"typ": "JWT", "alg": "none"}).rpartition(".")[0] + ".",
    "None": headed({"typ": "JWT", "alg": "None"}),
    "NONE, unsigned": headed({"alg": "NONE"}).rpartition(".")[0] + ".",
    "hs256, unsigned": signed().rpartition(".")[0] + ".",
    "empty alg": headed({"alg": ""}),
    "no alg": headed({"typ": "JWT"}),
    "alg in lower case": headed({"alg": "hs256"}),
    "alg with a space": headed({"alg": "HS256 "}),
    "rs256, by the secret": headed({"typ": "JWT", "alg": "RS256"}),
    "eddsa, by the secret": headed({"typ": "JWT", "alg": "EdDSA"}),
    "typ": headed({"typ": "JOSE", "alg": "HS256"}),
    "typ-list": headed({"typ": ["JWT"], "alg": "HS256"}),
    "kid": headed({"alg": "HS256", "kid": "another"}, key="another" * 8),
    "kid-path": headed({"alg": "HS256", "kid": "../../../dev/null"}, key="x" * 32),
    "kid-sql": headed({"alg": "HS256", "kid": "' UNION SELECT 'x"}, key="x" * 32),
    "kid-type": headed({"alg": "HS256", "kid": 7}),
    "jku": headed({"alg": "HS256", "jku": "https://127.0.0.1:1/keys"}),
    "x5u": headed({"alg": "HS256", "x5u": "https://127.0.0.1:1/keys"}),
    "jwk": headed({"alg": "HS256", "jwk": {"kty": "oct", "k": encoded(SECRET.encode())}}),
    "x5c": headed({"alg": "HS256", "x5c": ["x"]}),
    "crit": headed({"alg": "HS256", "crit": ["exp"]}),
    "b64": headed({"alg": "HS256", "b64": False}),
    "padded": signed() + "=",
    "longer": signed() + ".x",
    "cut": signed()[:-1],
    "white space": signed() + " ",
    "a line break": signed() + "\n",
    "odd": signed().replace(".", ".=", 1),
    "four parts": "." + signed(),
    "the other alphabet": signed().rpartition(".")[0] + "." + signed().rpartition(".")[2].replace("-", "+"),
    "another's payload": signed(role="operator").rpartition(".")[0] + "." + signed().rpartition(".")[2],
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in FORGED if name != "the other alphabet" or "-" in signed()[-43:]])
def test_forged_tokens_are_refused_in_the_same_words(name: str) -> None:
    error = refused(FORGED[name])

    assert (error.code, error.message) == ("hopsack.login_required", "the token is not one this node accepts")


CONFUSED = {
    "the RSA key as the secret, PEM": as_secret({"alg": "HS256", "kid": "rsa"}, RSA_PEM),
    "the RSA key as the secret, PEM without its last line break": as_secret({"alg": "HS256"}, RSA_PEM.rstrip()),
    "the RSA key as the secret, DER": as_secret({"alg": "HS256", "kid": "rsa"}, RSA_DER),
    "the Ed25519 key as the secret": as_secret({"alg": "HS256", "kid": "ed"}, ED_RAW),
    "the Ed25519 key as the secret, PEM": as_secret({"alg": "HS256", "kid": "ed"}, ED_PEM),
    "a token of the own issuer, by the login service": foreign(iss="hopsack", role="operator"),
    "the Ed25519 key, said to be RSA": headed({"alg": "RS256", "kid": "ed"}, ED, "EdDSA", FOREIGN),
    "the RSA key, said to be Ed25519": headed({"alg": "EdDSA", "kid": "rsa"}, RSA, "RS256", FOREIGN),
    "RSA with padding of another kind": headed({"alg": "PS256", "kid": "rsa"}, RSA, "PS256", FOREIGN),
    "says RS256, is PS256": headed({"alg": "RS256", "kid": "rsa"}, RSA, "PS256", FOREIGN),
    "RS512": headed({"alg": "RS512", "kid": "rsa"}, RSA, "RS512", FOREIGN),
    "says RS256, is RS512": headed({"alg": "RS256", "kid": "rsa"}, RSA, "RS512", FOREIGN),
    "ES256": headed({"alg": "ES256", "kid": "ed"}, EC, "ES256", FOREIGN),
    "another Ed25519 key with the same name": foreign(OTHER_ED),
    "another RSA key with the same name": foreign(OTHER_RSA, "rsa"),
    "an unknown name": foreign(OTHER_ED, "new"),
    "without a name, by another key": foreign(OTHER_ED, None),
    "its own key in it": headed(
        {"alg": "EdDSA", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": encoded(ED_RAW)}}, OTHER_ED, "EdDSA", FOREIGN
    ),
    "where its key is": headed({"alg": "RS256", "jku": "https://evil.example/keys"}, OTHER_RSA, "RS256", FOREIGN),
    "another issuer, the same name": foreign(iss="https://evil.example"),
    "another issuer, the same key": foreign(iss=f"{LOGIN}/"),
    "no issuer": headed({"alg": "EdDSA", "kid": "ed"}, ED, "EdDSA", {"sub": "ann"}),
    "two issuers": headed({"alg": "EdDSA", "kid": "ed"}, ED, "EdDSA", FOREIGN | {"iss": [LOGIN]}),
    "for somebody else": foreign(aud="another"),
    "from the future": foreign(iat=NOW + LEEWAY + 1),
    "not yet": foreign(nbf=NOW + LEEWAY + 1),
    "an operator": foreign(role="operator"),
    "a service": foreign(role="service"),
    "trusted": foreign(role="trusted"),
    "an empty role": foreign(role=""),
    "a role that is none": foreign(role="admin"),
    "roles that are none": foreign(role=["admin", "operator"]),
    "a role in an object": foreign(role={"user": True}),
    "the signature in another spelling": "",
    "with an empty signature": foreign().rpartition(".")[0] + ".",
    "with zeros as its signature": foreign().rpartition(".")[0] + "." + encoded(bytes(64)),
    "with a longer signature": foreign() + "AA",
    "an RSA signature of one": foreign(RSA, "rsa").rpartition(".")[0] + "." + encoded(bytes(255) + b"\x01"),
}  # fmt: skip


def respelled() -> str:
    """The same signature with other bits behind its last byte, which base64 does not read."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = foreign()
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


CONFUSED["the signature in another spelling"] = respelled()


@pytest.mark.parametrize("name", CONFUSED)
def test_a_key_verifies_for_its_issuer_and_its_algorithm_only(name: str) -> None:
    error = refused(CONFUSED[name], ring())

    assert (error.code, error.message) == ("hopsack.login_required", "the token is not one this node accepts")


@pytest.mark.parametrize(
    "header", [{"alg": "HS256"}, {"alg": "HS256", "typ": "jwt", "kid": "2026", "cty": "x"}], ids=str
)
def test_headers_of_other_makers(header: dict[str, Any]) -> None:
    assert read(headed(header)) == ANN


def test_a_token_is_good_until_it_expires_and_a_little_longer() -> None:
    token = signed(exp=1000, iat=900, nbf=900)

    for now in (900 - LEEWAY, 999, 1000 + LEEWAY - 0.1):
        assert read(token, now=now).subject == "ann"
    with pytest.raises(TokenRefused, match="not one this node accepts"):
        read(token, now=900 - LEEWAY - 1)
    with pytest.raises(TokenRefused, match="the token has expired"):
        read(token, now=1000 + LEEWAY)


def test_what_was_good_is_verified_again() -> None:
    token = signed(exp=1000, iat=900)
    read(token, now=950)

    for secret, now in ((SECRET, 2000), ("n" * 32, 950)):
        with pytest.raises(TokenRefused):
            read(token, keys(secret=secret), now)


def test_a_new_secret_counts_at_once() -> None:
    secret = [SECRET]
    known = Keyring(lambda: secret[0], own())
    read(signed(), known)

    secret[0] = "n" * 32

    refused(signed(), known)
    assert read(jwt.encode(GOOD, "n" * 32, algorithm="HS256"), known) == ANN


def test_own_tokens_may_leave_out_whom_they_are_for() -> None:
    known = keys(audience="fabric")

    assert read(signed(), known) == read(signed(aud="fabric"), known) == read(signed(aud=["x", "fabric"]), known) == ANN
    refused(signed(aud="x"), known)


# ---- others' --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "kid"), [(ED, "ed"), (RSA, "rsa"), (ED, None), (RSA, None)])
def test_a_token_of_a_login_service(key: Any, kid: str | None) -> None:
    assert read(foreign(key, kid), ring()) == ANN


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt"])
def test_types_of_tokens(typ: str) -> None:
    assert read(headed({"alg": "EdDSA", "kid": "ed", "typ": typ}, ED, "EdDSA", FOREIGN), ring()) == ANN


@pytest.mark.parametrize(
    ("aud", "audience", "is_good"),
    [
        (None, None, True),
        ("fabric", None, False),
        ("fabric", "fabric", True),
        (["other", "fabric"], "fabric", True),
        (None, "fabric", False),
        ([], "fabric", False),
        ("fabric2", "fabric", False),
        ("xfabricx", "fabric", False),
        ({"fabric": 1}, "fabric", False),
        ([["fabric"]], "fabric", False),
    ],
)
def test_whom_a_token_is_for(aud: Any, audience: str | None, is_good: bool) -> None:
    claims = FOREIGN if aud is None else FOREIGN | {"aud": aud}
    token = headed({"alg": "EdDSA", "kid": "ed"}, ED, "EdDSA", claims)

    if is_good:
        assert read(token, ring(audience=audience)) == ANN
    else:
        refused(token, ring(audience=audience))


@pytest.mark.parametrize(
    ("role", "allowed", "found"),
    [
        (None, ("user",), "user"),
        ("user", ("user",), "user"),
        ("service", ("user", "service"), "service"),
        (["offline_access", "user", "service"], ("user", "service"), "service"),
        (["operator", "user"], ("user", "service"), "user"),
        (None, ("service",), None),
        ([], ("user",), None),
        ("guest", ("user",), None),
    ],
)
def test_the_role_of_a_login_service_is_one_that_it_may_give(role: Any, allowed: Any, found: str | None) -> None:
    token = foreign(role=role) if role is not None else foreign()
    known = ring(roles=frozenset(allowed))

    if found is None:
        refused(token, known)
    else:
        assert read(token, known).role == found


def test_where_facts_stand_is_configured() -> None:
    places = {"role": "realm_access.roles", "groups": "https://app.example/groups", "tenant": "org.id"}
    right = {"realm_access": {"roles": ["user"]}, "https://app.example/groups": ["a"], "org": {"id": "acme"}}
    wrong = {"role": "operator", "groups": ["root"], "tenant": "other"}
    token = headed({"alg": "EdDSA", "kid": "ed"}, ED, "EdDSA", FOREIGN | right | wrong)

    found = read(token, ring(places=places))

    assert (found.role, found.groups, found.tenant) == ("user", frozenset("a"), "acme")


def test_what_does_not_stand_there_is_not_found() -> None:
    found = read(foreign(org="acme"), ring(places={"tenant": "org.id", "groups": "a.b.c"}))

    assert (found.groups, found.tenant) == (frozenset(), None)


def test_one_group_may_stand_alone() -> None:
    assert read(foreign(groups="a"), ring()).groups == {"a"}


def test_a_key_that_is_not_known_may_be_among_newer_ones() -> None:
    with pytest.raises(KeyUnknown):
        read(foreign(OTHER_ED, "new"), ring())
    with pytest.raises(TokenRefused) as known:
        read(foreign(OTHER_ED, "ed"), ring())
    assert not isinstance(known.value, KeyUnknown)


def test_a_key_without_a_name_is_tried_whatever_the_token_calls_its_own() -> None:
    known = keys(PublicKey(OTHER_ED.public_key(), issuer()), PublicKey(ED.public_key(), issuer()))

    assert read(foreign(ED, "2026-11"), known) == read(foreign(ED, None), known) == ANN


def test_a_token_without_a_name_is_tried_with_a_few_keys_only() -> None:
    def some(number: int) -> Keyring:
        others = (Ed25519PrivateKey.generate() for _ in range(number - 1))
        return keys(*(PublicKey(one.public_key(), issuer(), f"k{n}") for n, one in enumerate(others)),
                    PublicKey(ED.public_key(), issuer(), "ed"))  # fmt: skip

    assert read(foreign(ED, None), some(4)) == ANN
    assert read(foreign(ED, "ed"), some(30)) == ANN
    refused(foreign(ED, None), some(5))
