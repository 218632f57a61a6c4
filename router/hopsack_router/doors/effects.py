"""What the doors' machines ask of their shells, where several machines ask for the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from autobahn.wamp import message

REALM: Final = "hopsack"
"""The one realm of a node."""


@dataclass(frozen=True, slots=True)
class Join:
    """Join the realm with this token, or as a guest; then call ``joined`` or ``refused``."""

    token: str | None


@dataclass(frozen=True, slots=True)
class Route:
    """Hand this message to the session."""

    message: message.Message
