"""Crossbar's own ways to log in, as ways of ours: SCRAM, client certificates, and whatever a personality adds.

Crossbar judges. Whom it lets in passes where all do (:func:`~hopsack_router.routing.joining.admit`), so nobody gets a
role that is not a client's, and who is revoked stays out. Whom its own ways refuse reads one text, whatever was wrong;
where SCRAM would say at once that there is no such name, it is made to go on with one that nobody has (RFC 5802,
section 7).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any

from autobahn.twisted.util import extract_peer_certificate
from autobahn.wamp.types import Accept, Challenge, Deny, TransportDetails
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from hopsack.errors import LoginRequired
from hopsack_router.access.identity import Identity
from hopsack_router.access.identity import Proof as Shown
from hopsack_router.routing import joining

LOG = Logger()

LONGEST_NONCE = 200
"""Characters."""

_DECOYS = secrets.token_bytes(32)
_OURS_TO_REFUSE = frozenset(("scram", "tls"))
"""Ways of which each refusal reads the same; a personality's own say what they like."""

_SHOWN: Mapping[str, Shown] = {"scram": "scram", "tls": "tls", "cryptosign": "key"}
"""What has been shown, by WAMP's name of the way; of others: something like a ticket."""


def config_for(method: str, config: Mapping[str, Any], name: str | None) -> Mapping[str, Any]:
    """The configuration, with somebody of that name in it where SCRAM would tell that there is nobody."""
    people = config.get("principals")
    if method != "scram" or not people or name is None or name in people:
        return config
    like = next(iter(people.values()))
    salt = hmac.digest(_DECOYS, name.encode("utf-8", "replace"), hashlib.sha256).hex()[: len(like["salt"])]
    nobody = {**like, "salt": salt, "stored-key": secrets.token_hex(32), "server-key": secrets.token_hex(32)}
    return {**config, "principals": {name: nobody}}


def details_for(method: str, transport: Any) -> TransportDetails:
    """What Crossbar wants to know of a transport; with the client's certificate, where that is the proof."""
    details: TransportDetails = transport.transport_details
    if method == "tls" and details.peer_cert is None:
        details.peer_cert = extract_peer_certificate(getattr(transport, "transport", None))
    return details


class Vouched:
    """A proof that Crossbar judges.

    :param proof: as Crossbar makes it.
    """

    def __init__(self, proof: Any, method: str, realms: joining.Realms) -> None:
        self._proof, self._method, self._realms = proof, method, realms

    def hello(self, realm: str, details: Any) -> Any:
        if self._method == "scram" and not _begins_scram(details):
            return refusal()
        return self._step(self._proof.hello, realm, details)

    def authenticate(self, signature: str) -> Any:
        return self._step(self._proof.authenticate, signature)

    def _step(self, step: Any, *said: Any) -> Any:
        try:
            answer = step(*said)
        except Exception as error:  # Crossbar takes apart what a stranger says without a look
            if self._method not in _OURS_TO_REFUSE:
                raise
            LOG.debug("a login by {method} came to nothing: {error!r}", method=self._method, error=error)
            return refusal()
        return answer.addCallback(self._judged) if isinstance(answer, Deferred) else self._judged(answer)

    def _judged(self, answer: Any) -> Accept | Challenge | Deny:
        if isinstance(answer, Challenge):
            return answer
        if not isinstance(answer, Accept):
            return refusal() if self._method in _OURS_TO_REFUSE else answer
        if answer.authrole == "trusted":
            return joining.TRUSTED
        who = Identity(answer.authid, answer.authrole, proof=_SHOWN.get(self._method, "ticket"))
        admitted = joining.admit(self._realms, answer.realm, who)
        if isinstance(admitted, Accept):
            admitted.authextra = answer.authextra  # with SCRAM, the node proves by it that it knows the password
        return admitted


def _begins_scram(details: Any) -> bool:
    nonce = (details.authextra or {}).get("nonce")
    return type(nonce) is str and len(nonce) <= LONGEST_NONCE and type(details.authid) is str


def refusal() -> Deny:
    return joining.Refusal(LoginRequired("this node does not accept this name, or its proof"))
