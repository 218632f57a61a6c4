"""What a URI may look like (WAMP basic profile, section 2.1.1: loose rule, no empty component)."""

from __future__ import annotations

import re

from hopsack.errors import Denied, RemoteError

LONGEST = 1000
"""Characters of a URI. It is kept with each subscription and each kept event, and told in refusals."""

# Asked with fullmatch: "$" lets a line break through at the end, and a line break in a topic ends a field of SSE.
_LOOSE = re.compile(r"([^\s.#]+\.)*[^\s.#]+")
_PATTERNS = {
    "exact": _LOOSE,
    "prefix": re.compile(r"([^\s.#]+\.)*[^\s.#]*"),
    "wildcard": re.compile(r"([^\s.#]*\.)*[^\s.#]*"),
}


def check(uri: str, *, restricted: bool, where: str) -> RemoteError | None:
    """Why ``uri`` cannot be published to, called or registered, if it cannot.

    :param restricted: whether ``wamp.`` is out of bounds for the sender (section 2.1.2: reserved for the router).
    :param where: ``"topic"`` or ``"procedure"``, for the message.
    """
    if len(uri) > LONGEST or not _LOOSE.fullmatch(uri):
        return invalid(uri, where)
    return check_restricted(uri) if restricted else None


def check_pattern(uri: str, match: str, *, where: str) -> RemoteError | None:
    """Why ``uri`` cannot be subscribed to or registered under a matching policy (advanced profile, "Pattern-based …").

    A prefix may end with an empty component, a wildcard pattern may have them anywhere.
    """
    return None if len(uri) <= LONGEST and _PATTERNS[match].fullmatch(uri) else invalid(uri, where)


def check_restricted(uri: str) -> RemoteError | None:
    if uri.startswith("wamp."):
        return Denied(f"the prefix wamp. is the router's own: {uri}", where=uri)
    return None


def invalid(uri: str, where: str) -> RemoteError:
    advice = "components are separated by single dots and hold no spaces and no '#'"
    if len(uri) > LONGEST:
        advice = f"a URI has at most {LONGEST} characters, this one {len(uri)}"
    message = f"{uri[:100]!r} is not a valid {where}"
    return RemoteError(message, code="hopsack.invalid_uri", where=uri[:100], advice=advice)
