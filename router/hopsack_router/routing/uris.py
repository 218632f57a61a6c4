"""What a URI may look like (WAMP basic profile, section 2.1.1: loose rule, no empty component)."""

from __future__ import annotations

import re

from hopsack.errors import Denied, RemoteError

_LOOSE = re.compile(r"^([^\s.#]+\.)*[^\s.#]+$")


def check(uri: str, *, restricted: bool, where: str) -> RemoteError | None:
    """Why ``uri`` cannot be published to, called or registered, if it cannot.

    :param restricted: whether ``wamp.`` is out of bounds for the sender (section 2.1.2: reserved for the router).
    :param where: ``"topic"`` or ``"procedure"``, for the message.
    """
    if not _LOOSE.match(uri):
        return invalid(uri, where)
    if restricted and uri.startswith("wamp."):
        return Denied(f"the prefix wamp. is the router's own: {uri}", where=uri)
    return None


def invalid(uri: str, where: str) -> RemoteError:
    return RemoteError(
        f"{uri[:100]!r} is not a valid {where}",
        code="hopsack.invalid_uri",
        where=uri[:100],
        advice="components are separated by single dots and hold no spaces and no '#'",
    )
