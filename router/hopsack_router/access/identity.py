"""Who a session is: what its proof has shown, whatever the proof was. The same facts on every door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Proof = Literal["guest", "token", "cookie", "key", "ticket", "scram", "tls", "node"]
"""What a client has shown to be let in; ``guest``: nothing."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The facts of a session that permissions, limits, revocation and the audit log go by.

    :ivar subject: whom it is about; the session's authid.
    :ivar role: one of the roles of the contracts, never ``trusted``.
    :ivar groups: the groups it is in. :ivar tenant: whose customer it is.
    :ivar issued: when the proof was made, in seconds since the epoch; ``None``: it does not say.
    :ivar expires: when the proof ends; ``None``: never.
    :ivar key: the fingerprint of the key that proved it; ``None`` where none did.
    :ivar token_id: the token's ``jti``.
    """

    subject: str
    role: str
    groups: frozenset[str] = frozenset()
    tenant: str | None = None
    issued: float | None = None
    expires: float | None = None
    proof: Proof = "guest"
    key: str | None = None
    token_id: str | None = None

    def facts(self) -> dict[str, Any]:
        """What its bearer is told: never more of a token than permissions read."""
        return {
            "subject": self.subject,
            "role": self.role,
            "groups": sorted(self.groups),
            "tenant": self.tenant,
            "proof": self.proof,
            "expires": self.expires,
        }
