"""Why a WebSocket door closes: RFC 6455 codes, and ours from its private range 4000–4999 (section 7.4.2)."""

from __future__ import annotations

from dataclasses import dataclass

from autobahn.wamp import message

from hopsack.backoff import hint_of, with_hint
from hopsack.errors import Denied, Expired, RateLimited, RemoteError, Revoked, Unavailable, class_of
from hopsack_router.routing.backlog import Why

MAX_REASON = 123
"""Bytes: a control frame carries 125, the code takes two (RFC 6455, section 5.5.1)."""


@dataclass(frozen=True, slots=True)
class CloseCode:
    """One row: the number on the wire and the sentence where nothing better is known."""

    number: int
    meaning: str


NORMAL = CloseCode(1000, "Goodbye.")
GOING_AWAY = CloseCode(1001, "The node is going away.")
TOKEN_REFUSED = CloseCode(4401, "The token is not one this node accepts.")
DENIED = CloseCode(4403, "This session may not read that.")
UNKNOWN = CloseCode(4404, "There is no such topic.")
KICKED = CloseCode(4403, "An operator ended this session.")
NO_PROGRESS = CloseCode(4408, "Nothing moved for too long.")
LIMITS = CloseCode(4429, "This client does more than it may.")


def reason_of(error: RemoteError) -> str:
    """The reason that tells an error: its code, its sentence and advice, and when to come back, as much as fits."""
    advice = f" ({error.advice})" if error.advice else ""
    return reason_with(f"{error.code}: {error.message}{advice}", hint_of(error.data))


def dismissal_of(error: RemoteError) -> tuple[int, str]:
    """Code and reason for somebody who goes on where it was told to wait. They do not say when to come back: clients
    that are told so take what they have under way for never begun."""
    return refused_by(error).number, clip(f"{error.code}: {error.message}")


def reason_with(sentence: str, retry_after: float | None) -> str:
    """A reason that ends with when to come back, where that is known.

    :param retry_after: seconds.
    """
    if retry_after is None:
        return clip(sentence)
    hint = with_hint("", retry_after)
    return sentence.encode()[: MAX_REASON - len(hint)].decode(errors="ignore") + hint


def slow_reader(why: Why, retry_after: float) -> str:
    """The reason of a connection that cannot be helped: what it did not do, and when to come back."""
    return reason_with(f"This connection is too slow: {why.value}.", retry_after)


def clip(reason: str) -> str:
    """As many whole characters of a reason as a close frame carries."""
    return reason.encode()[:MAX_REASON].decode(errors="ignore")


def ended_by(goodbye: message.Goodbye) -> RemoteError:
    """Why the node ends a session: what it logged in with is worth nothing any more, or an operator wants it so."""
    ours = class_of(goodbye.reason) if goodbye.reason in _LOGINS else Denied
    return ours(goodbye.message or KICKED.meaning)


_LOGINS = frozenset((Expired.CODE, Revoked.CODE))


def dismissed_by(error: RemoteError) -> tuple[CloseCode, str]:
    """The code and the reason that tell it."""
    return (TOKEN_REFUSED, reason_of(error)) if error.code in _LOGINS else (KICKED, error.message)


def refused_by(error: RemoteError) -> CloseCode:
    """Why a session that was not let in is closed."""
    match error:
        case Unavailable():
            return GOING_AWAY
        case RateLimited():
            return LIMITS
    return TOKEN_REFUSED
