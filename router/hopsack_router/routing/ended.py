"""What a session is told of a subscription or registration that the node takes away.

WAMP has messages for that (advanced profile, "Subscription Revocation", "Registration Revocation"): UNSUBSCRIBED and
UNREGISTERED with the request number 0, and a URI for a reason. ``x_hopsack_error`` beside it is the whole error, as an
ERROR would have it. Doors that do not speak WAMP say it in their own way.
"""

from __future__ import annotations

from typing import Any

from autobahn.wamp import message

from hopsack.errors import RemoteError, wamp_uri


class Unsubscribed(message.Unsubscribed):  # type: ignore[misc]
    """
    :ivar uri: the topic or pattern. :ivar refusal: why.
    """

    def __init__(self, subscription: Any, refusal: RemoteError, reason: str | None = None) -> None:
        """:param reason: a URI that somebody else gave for it."""
        super().__init__(0, subscription.id, reason or wamp_uri(refusal))
        self.uri, self.match, self.refusal = subscription.uri, subscription.match, refusal

    def marshal(self) -> list[Any]:
        return _with_error(super().marshal(), self.refusal)


class Unregistered(message.Unregistered):  # type: ignore[misc]
    """
    :ivar uri: the procedure or pattern. :ivar refusal: why.
    """

    def __init__(self, registration: Any, refusal: RemoteError) -> None:
        super().__init__(0, registration.id, wamp_uri(refusal))
        self.uri, self.match, self.refusal = registration.uri, registration.match, refusal

    def marshal(self) -> list[Any]:
        return _with_error(super().marshal(), self.refusal)


Ended = Unsubscribed | Unregistered


def facts_of(ended: Ended) -> dict[str, Any]:
    """As the doors that do not speak WAMP tell it."""
    which = (
        {"subscription": ended.subscription}
        if isinstance(ended, Unsubscribed)
        else {"registration": ended.registration}
    )
    refusal = ended.refusal
    return which | {"uri": ended.uri, "match": ended.match, "reason": refusal.message, "error": refusal.details()}


def _with_error(marshalled: list[Any], refusal: RemoteError) -> list[Any]:
    number, request, details = marshalled
    return [number, request, {**details, "x_hopsack_error": refusal.details()}]
