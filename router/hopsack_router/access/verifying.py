"""Tokens: a JWT (RFC 7519, compact serialization of RFC 7515) becomes an identity, or is refused.

    token -> header     says of which kind it claims to be, and is believed in nothing else
          -> keys       those of that kind: each key has one algorithm, and verifies with no other
          -> signature  from here on it is its issuer's word
          -> claims     iss, aud, exp, nbf, iat; then who: sub, role, groups, tenant

A header picks among the keys that the node has, by ``alg`` and ``kid``; it cannot name a place to get one from
(``jku``, ``jwk``, ``x5u``, ``x5c``) or another way to sign (``crit``, ``b64``): a token that tries is refused. A key
belongs to an :class:`Issuer`, and a token has that issuer's ``iss``, however its ``kid`` is called. The role comes from
a short list that the issuer may give, and never is a claim copied into Crossbar's built-in role ``trusted``.

A core without I/O. Nothing is kept of a token that was accepted: the next one is verified again, with the keys and the
time there are then. That costs 10 µs with the node's own secret; PyJWT, which mints them, takes 85.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, Protocol, get_args

import msgspec

from hopsack.errors import LoginRequired
from hopsack_router.access.identity import Identity

Algorithm = Literal["HS256", "EdDSA", "RS256"]

ROLES = ("guest", "user", "service", "operator")
"""What a token may give, the least first."""
ISSUER = "hopsack"
"""The ``iss`` of tokens that the node's own secret signs."""
LONGEST = 16 * 1024
"""Characters of token that are looked at; no honest one is longer."""
LEEWAY = 5
"""Seconds by which the clocks of who mints and who verifies may differ."""
LONGEST_NAME = 200
"""Characters of a subject, a group, a tenant or a ``jti``."""
MOST_GROUPS = 100
MOST_TRIED = 4
"""Keys that a token without ``kid`` is tried with: who sends noise gets no more work out of the node."""

_FOREIGN = frozenset(("b64", "crit", "jku", "jwk", "x5c", "x5u"))
"""Members of a header that ask for other keys or other ways to sign, which there are not (RFC 7515, section 4.1)."""
_TYPES = frozenset(("JWT", "AT+JWT"))
"""RFC 7519, section 5.1, and RFC 9068, section 2.1."""
_TO_STANDARD = str.maketrans("-_+/=", "+/***")
"""What must not stand in a part becomes what base64 does not have either."""
_LATEST = 1 << 53
"""Seconds: beyond it a number is no time."""
_NOT_OURS = "the token is not one this node accepts"


class TokenRefused(LoginRequired):
    """The token is not one this node accepts. The message tells its bearer what to do, and a guesser nothing.

    :ivar why: one word, for the node's own log.
    """

    def __init__(self, why: str, message: str = _NOT_OURS) -> None:
        self.why = why
        super().__init__(message, advice="get a new token, or send none")


class KeyUnknown(TokenRefused):
    """The token names a key that is not known, or not yet."""

    def __init__(self) -> None:
        super().__init__("key")


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs tokens, and what is believed of them.

    :ivar name: their ``iss``.
    :ivar audience: the ``aud`` that they have; ``None``: tokens that have one are for somebody else.
    :ivar needs_audience: whether one without ``aud`` is refused, where there is an audience.
    :ivar roles: those that they may give.
    :ivar usual: the role of one that gives none; ``None``: it is refused.
    :ivar places: fact → where it stands among the claims.
    """

    name: str
    audience: str | None = None
    needs_audience: bool = True
    roles: frozenset[str] = frozenset(("user",))
    usual: str | None = "user"
    places: Mapping[str, str] = field(default_factory=dict)


class Key(Protocol):
    """One key, bound to its algorithm and its issuer.

    :ivar kid: its name; ``None``: it has none, and is tried whatever the token's header says.
    """

    @property
    def algorithm(self) -> Algorithm: ...
    @property
    def issuer(self) -> Issuer: ...
    @property
    def kid(self) -> str | None: ...

    def verifies(self, signed: str, signature: str) -> bool:
        """
        :param signed: header and payload, as they stand in the token. :param signature: in base64url.
        :raises ValueError: one of them is no text that could be there.
        """


class Keys(Protocol):
    """The keys that there are now."""

    def of(self, algorithm: Algorithm) -> Sequence[Key]: ...


def own(audience: str | None = None) -> Issuer:
    """The node itself, with its secret. Its tokens may leave out whom they are for: nobody else has the secret."""
    return Issuer(ISSUER, audience, needs_audience=False, roles=frozenset(ROLES), usual=None)


def verify(token: str, keys: Keys, now: Callable[[], float]) -> Identity:
    """Read a token.

    :param now: the clock, in seconds since the epoch.
    :raises TokenRefused: it is not good. :raises KeyUnknown: the key that it names is not among these.
    """
    if len(token) > LONGEST:
        raise TokenRefused("length", "the token is too long")
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    try:
        kind = _header(header) if len(header) <= _KEPT else _read_header(header)
        key = _signer(kind, keys, signed, signature)
        claims = msgspec.json.decode(decoded(payload), type=dict)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:  # binascii's and text's are ValueErrors
        raise TokenRefused("form") from error
    _check_times(claims, now())
    return _identity(claims, key.issuer)


def _signer(kind: Header, keys: Keys, signed: str, signature: str) -> Key:
    """Whose key verifies it."""
    possible = [one for one in keys.of(kind.algorithm) if kind.kid is None or one.kid in (None, kind.kid)]
    if not possible:
        raise KeyUnknown
    if len(possible) > MOST_TRIED:
        raise TokenRefused("kid")
    for key in possible:
        if key.verifies(signed, signature):
            return key
    raise TokenRefused("signature")


# ---- the header -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Header:
    """What a token says of its signature.

    :ivar kid: the name of the key, if it names one.
    """

    algorithm: Algorithm
    kid: str | None


_KEPT = 300
"""Characters of a header that is looked up. Honest ones are few, some fifty long, and come again and again; what
strangers send in between costs what it costs to read it."""


@lru_cache(maxsize=64)
def _header(part: str) -> Header:
    return _read_header(part)


def _read_header(part: str) -> Header:
    facts = msgspec.json.decode(decoded(part), type=dict)
    algorithm: Any = facts.get("alg")
    kid: Any = facts.get("kid")
    if algorithm not in get_args(Algorithm) or str(facts.get("typ", "JWT")).upper() not in _TYPES:
        raise TokenRefused("header")
    if type(kid) not in (str, type(None)) or not _FOREIGN.isdisjoint(facts):
        raise TokenRefused("header")
    return Header(algorithm, kid)


def decoded(part: str) -> bytes:
    """Base64url without padding, and nothing that only resembles it (RFC 7515, section 2).

    :raises ValueError: it is something else.
    """
    return binascii.a2b_base64(part.translate(_TO_STANDARD) + "=" * (-len(part) % 4), strict_mode=True)


# ---- the claims -----------------------------------------------------------------------------------------------------


def _check_times(claims: dict[str, Any], now: float) -> None:
    """``exp``, ``nbf`` and ``iat`` (RFC 7519, section 4.1); each may be absent."""
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name, 0)
        if type(value) not in (int, float) or not -_LATEST < value < _LATEST:
            raise TokenRefused("time")
    if "exp" in claims and claims["exp"] <= now - LEEWAY:
        raise TokenRefused("expired", "the token has expired")
    if max(claims.get("nbf", 0), claims.get("iat", 0)) > now + LEEWAY:
        raise TokenRefused("early")


def _identity(claims: dict[str, Any], issuer: Issuer) -> Identity:
    """Signed, but made by anybody who has the key: of any type."""
    if claims.get("iss") != issuer.name:
        raise TokenRefused("issuer")
    if not _is_for(claims.get("aud"), issuer):
        raise TokenRefused("audience")
    subject: Any = claims.get("sub")
    token_id: Any = claims.get("jti")
    if not is_name(subject) or not (token_id is None or is_name(token_id)):
        raise TokenRefused("subject")
    return Identity(
        subject,
        _role(_found(claims, issuer, "role"), issuer),
        _groups(_found(claims, issuer, "groups")),
        _tenant(_found(claims, issuer, "tenant")),
        issued=claims.get("iat"),
        expires=claims.get("exp"),
        proof="token",
        token_id=token_id,
    )


def _is_for(audience: Any, issuer: Issuer) -> bool:
    """RFC 7519, section 4.1.3."""
    if not audience:
        return issuer.audience is None or not issuer.needs_audience
    return issuer.audience is not None and issuer.audience in (audience if type(audience) is list else (audience,))


def _found(claims: dict[str, Any], issuer: Issuer, fact: str) -> Any:
    """What stands at a fact's place; ``None``: nothing. Some issuers have dots in the names of their claims."""
    place = issuer.places.get(fact, fact)
    found: Any = claims.get(place)
    if found is None and "." in place:
        found = claims
        for step in place.split("."):
            found = found.get(step) if type(found) is dict else None
    return found


def _role(given: Any, issuer: Issuer) -> str:
    """A role as a word, or, in a list of words of which most are for others, the one that may do most."""
    if given is None and issuer.usual in issuer.roles:
        return issuer.usual
    if type(given) is str and given in issuer.roles:
        return given
    if type(given) is list and issuer.usual is not None:
        for role in reversed(ROLES):
            if role in given and role in issuer.roles:
                return role
    raise TokenRefused("role")


_NONE: frozenset[str] = frozenset()


def _groups(given: Any) -> frozenset[str]:
    if given is None:
        return _NONE
    names = [given] if type(given) is str else given
    if type(names) is not list or len(names) > MOST_GROUPS or not all(map(is_name, names)):
        raise TokenRefused("groups")
    return frozenset(names)


def _tenant(given: Any) -> Any:
    if given is None or is_name(given):
        return given
    raise TokenRefused("tenant")


def is_name(value: Any) -> bool:
    """Whether this may stand where somebody is named: in logs and URIs, too."""
    return type(value) is str and 0 < len(value) <= LONGEST_NAME and value.isprintable()
