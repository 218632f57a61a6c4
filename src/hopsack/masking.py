"""Tokens do not stand in logs, whoever wrote the line and whatever brought them there. The last thing a line passes.

A net and no licence: whoever knows that a value is a secret does not log it.
"""

from __future__ import annotations

import re

__all__ = ["masked"]

_TOKEN = re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*")
"""A JWT in its compact form (RFC 7519): a JSON object in base64url always begins so."""

_NAMED = re.compile(
    r"""(?ix)
    ( \b (?:proxy-)? authorization ["']? \s* [:=] \s* ["']? (?:bearer|basic|digest)? \s*
    | \b bearer \s+ (?! tokens? \b )
    | \b (?:set-)? cookie ["']? \s* [:=] \s* ["']? [^\s=;,"']+ =
    | [?&] (?:access_token|id_token|token|jwt|ticket|secret|password) =
    | :// [^\s/:@]* : (?= [^\s/@]+ @ )
    )
    [^\s,;&"'@<>\\]{4,}
    """
)
"""What stands behind a name that says what it is: in a header, in a URL, or before its host."""

_HINTS = ("eyJ", "earer", "uthorization", "ookie", "oken=", "jwt=", "icket=", "ecret=", "assword=", "://")


def masked(text: str) -> str:
    """A text, with *** in the place of what looks like a token."""
    if not any(hint in text for hint in _HINTS):  # nearly every line
        return text
    return _TOKEN.sub("***", _NAMED.sub(r"\1***", text))
