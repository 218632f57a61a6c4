"""WAMP-cryptosign (WAMP advanced profile): a client proves that it has a key by signing what the node made up.

    HELLO, authextra.pubkey  -> CHALLENGE, 32 random bytes
    AUTHENTICATE, a signature of exactly these bytes and the bytes -> who it is, if its key is one that is accepted

Whoever has no key of ours is asked the same, waits as long, and reads the same refusal: nobody learns which keys there
are. A challenge is good for one answer. What Crossbar's own implementation knows beyond this is not taken: certificates
of blockchains, roles that a proxy vouches for, and channel binding, which TLS 1.3 has no ``tls-unique`` for.
"""

from __future__ import annotations

import hmac
import re
from typing import Any

from autobahn.wamp.exception import ApplicationError
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from hopsack.errors import LoginRequired
from hopsack_router.access.identity import Identity
from hopsack_router.access.publickeys import PublicKeys

CREATE = "hopsack_router.access.cryptosign.create"
"""Stands in the configuration for this way to log in."""

CHALLENGE = 32
"""Bytes of a challenge."""
SIGNED = 2 * (64 + CHALLENGE)
"""Characters of an answer: the signature and what was signed, in hex."""
_HEX = re.compile(f"[0-9a-fA-F]{{{SIGNED}}}")


def key_of(extra: dict[str, Any] | None) -> bytes:
    """The public key that a client says it has.

    :raises LoginRequired: it says none, or asks for what is not done here.
    """
    said = extra or {}
    public = said.get("pubkey")
    if type(public) is not str or not re.fullmatch("[0-9a-fA-F]{64}", public):
        raise LoginRequired("WAMP-cryptosign begins with a public key", advice="send authextra.pubkey: 64 hex digits")
    if said.get("channel_binding") is not None:
        raise LoginRequired("there is no channel binding here", advice="leave authextra.channel_binding out")
    return bytes.fromhex(public)


def identify(
    keys: PublicKeys | None, public: bytes, challenge: bytes, answer: str, name: str | None = None
) -> Identity:
    """Who has answered the challenge.

    :param name: whom it said that it is, if it said so.
    :raises LoginRequired: nobody that this node knows.
    """
    # The signature first, and only then whether anybody knows the key: who guesses keys learns nothing by the clock.
    is_signed = _is_signed(public, challenge, answer)
    found = keys.find(public) if keys is not None else None
    if not is_signed or found is None or (name is not None and name != found.subject):
        raise LoginRequired(
            "this node does not accept this key, or the signature is not its own",
            advice="an operator adds a public key with `hopsack keys add`",
        )
    return found.identity()


def _is_signed(public: bytes, challenge: bytes, answer: str) -> bool:
    if type(answer) is not str or not _HEX.fullmatch(answer):
        return False
    data = bytes.fromhex(answer)
    try:
        VerifyKey(public).verify(data[64:], data[:64])
    except (BadSignatureError, ValueError):
        return False
    return hmac.compare_digest(data[64:], challenge)


def create(config: dict[str, Any], controller: Any = None) -> Any:
    """Crossbar's plug for authenticators of ``"type": "function"``. Our sessions have their own way."""

    def authenticate(realm: str, authid: str, details: dict[str, Any]) -> dict[str, Any]:
        raise ApplicationError(ApplicationError.AUTHENTICATION_FAILED, "keys log in through this node's own doors")

    return authenticate
