"""The keys that verify tokens: the node's own secret, public keys of a file, and those of an issuer's JWK set.

    a PEM file     one or several public keys or certificates; they have no names
    a JWK set      RFC 7517; as a file, or fetched (``access/jwks.py``)
    -> PublicKey   Ed25519 for EdDSA (RFC 8037), or RSA of 2048 bits and more for RS256 (RFC 7518, section 3.3)

What else is in a set is passed over: keys of other kinds, for other uses, too short, or secret ones. Public keys are
never keys of the node's own algorithm, so nobody can sign with one of them as if it were the secret.

Bounds: :data:`MOST_KEYS` keys of one set, RSA keys of :data:`RSA_BITS` bits.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from hopsack_router.access.verifying import Algorithm, Issuer, Key, decoded

MOST_KEYS = 32
RSA_BITS = range(2048, 8193)
"""RFC 7518, section 3.3, says what is enough; what is much more costs the node more than its sender."""

_PADDING, _HASH = PKCS1v15(), SHA256()


class KeysInvalid(Exception):
    """What there is holds no key that could verify a token; the message is for who configures the node."""


class OwnKey:
    """The node's own key: HMAC with SHA-256. No header names it, and no other algorithm has it."""

    __slots__ = ("_key", "issuer")
    algorithm: Algorithm = "HS256"
    kid: str | None = None

    def __init__(self, key: bytes, issuer: Issuer) -> None:
        self._key = key
        self.issuer = issuer

    def verifies(self, signed: str, signature: str) -> bool:
        digest = hmac.digest(self._key, signed.encode("ascii"), "sha256")
        made = base64.urlsafe_b64encode(digest).rstrip(b"=")
        return hmac.compare_digest(made, signature.encode("ascii"))


class PublicKey:
    """An issuer's public key, with the one algorithm that it is for."""

    __slots__ = ("_key", "algorithm", "issuer", "kid")

    def __init__(self, key: Ed25519PublicKey | RSAPublicKey, issuer: Issuer, kid: str | None = None) -> None:
        self._key = key
        self.algorithm: Algorithm = "EdDSA" if isinstance(key, Ed25519PublicKey) else "RS256"
        self.issuer = issuer
        self.kid = kid

    def verifies(self, signed: str, signature: str) -> bool:
        data, given = signed.encode("ascii"), decoded(signature)
        if base64.urlsafe_b64encode(given).rstrip(b"=").decode() != signature:
            return False  # one signature is written in one way only
        try:
            if isinstance(self._key, Ed25519PublicKey):
                self._key.verify(given, data)
            else:
                self._key.verify(given, data, _PADDING, _HASH)
        except InvalidSignature:
            return False
        return True


# ---- reading --------------------------------------------------------------------------------------------------------


def read_keys(text: str, issuer: Issuer) -> tuple[PublicKey, ...]:
    """The keys of a file.

    :raises KeysInvalid: there are none, too many, or one that must not be there.
    """
    if text.lstrip().startswith("{"):
        return read_jwks(text.encode(), issuer)
    blocks = _PEM.findall(text)
    keys = tuple(_of_pem(label, whole, issuer) for whole, label in blocks)
    return _counted(keys, "it is neither PEM nor a JWK set")


_PEM = re.compile(r"(-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \2-----)", re.DOTALL)


def _of_pem(label: str, block: str, issuer: Issuer) -> PublicKey:
    if "PRIVATE" in label:
        raise KeysInvalid("it holds a private key, which nobody but the issuer may have")
    try:
        if label == "CERTIFICATE":
            key: Any = load_pem_x509_certificate(block.encode()).public_key()
        else:
            key = load_pem_public_key(block.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeysInvalid(f"its {label.lower()} cannot be read") from error
    if not is_fit(key):
        raise KeysInvalid(f"its {label.lower()} is neither Ed25519 nor RSA of {RSA_BITS[0]} to {RSA_BITS[-1]} bits")
    return PublicKey(key, issuer)


def read_jwks(text: bytes, issuer: Issuer) -> tuple[PublicKey, ...]:
    """The keys of a JWK set, or of a single JWK.

    :raises KeysInvalid: it is none, or none of its keys could verify a token.
    """
    try:
        whole = msgspec.json.decode(text, type=dict)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise KeysInvalid("it is not JSON with an object") from error
    members = whole.get("keys", [whole])
    if type(members) is not list:
        raise KeysInvalid("its keys are not a list")
    keys = tuple(key for one in members[: 4 * MOST_KEYS] if (key := _of_jwk(one, issuer)) is not None)
    return _counted(keys, "none of its keys is Ed25519, or RSA of 2048 bits and more, for signatures")


def _counted(keys: tuple[PublicKey, ...], none: str) -> tuple[PublicKey, ...]:
    if not keys:
        raise KeysInvalid(none)
    if len(keys) > MOST_KEYS:
        raise KeysInvalid(f"it holds {len(keys)} keys, {MOST_KEYS} at most are looked at")
    return keys


def _of_jwk(jwk: Any, issuer: Issuer) -> PublicKey | None:
    """A key of a set; ``None``: it is not for this (RFC 7517, section 5: what is not understood is passed over)."""
    if type(jwk) is not dict or "d" in jwk or jwk.get("use", "sig") != "sig":
        return None
    uses, kid = jwk.get("key_ops", ["verify"]), jwk.get("kid")
    if type(uses) is not list or "verify" not in uses or type(kid) not in (str, type(None)):
        return None
    try:
        match jwk.get("kty"), jwk.get("crv"), jwk.get("alg"):
            case "OKP", "Ed25519", None | "EdDSA" | "Ed25519":
                key: Any = Ed25519PublicKey.from_public_bytes(decoded(jwk["x"]))
            case "RSA", _, None | "RS256":
                key = RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"])).public_key()
            case _:
                return None
    except (KeyError, ValueError, TypeError, AttributeError, UnsupportedAlgorithm):
        return None
    return PublicKey(key, issuer, kid) if is_fit(key) else None


def _number(text: str) -> int:
    if len(text) > RSA_BITS[-1] // 4:
        raise ValueError("longer than any key")
    return int.from_bytes(decoded(text), "big")


def is_fit(key: Any) -> bool:
    """Whether a key is of a kind and a size that signatures are trusted of."""
    if isinstance(key, RSAPublicKey):
        return key.key_size in RSA_BITS and 65537 <= key.public_numbers().e < 1 << 32
    return isinstance(key, Ed25519PublicKey)


# ---- all of them ----------------------------------------------------------------------------------------------------

Source = Callable[[], Sequence[Key]]


class Keyring:
    """The keys of one node.

    :param secret: gives the node's own key, as it is now.
    :param issuer: what is believed of the tokens that it signs.
    :param sources: give other issuers' keys, as they are now.
    """

    def __init__(self, secret: Callable[[], str], issuer: Issuer, sources: Sequence[Source] = ()) -> None:
        self._secret, self._issuer, self._sources = secret, issuer, tuple(sources)
        self._text = ""
        self._own: tuple[OwnKey, ...] = ()

    def of(self, algorithm: Algorithm) -> Sequence[Key]:
        if algorithm != "HS256":
            return [key for source in self._sources for key in source() if key.algorithm == algorithm]
        text = self._secret()
        if text != self._text:
            self._text, self._own = text, (OwnKey(text.encode(), self._issuer),)
        return self._own
