"""Everything about a connection that is not its address, as one frozen value."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hopsack.privacy import KeyRing

__all__ = ["Options"]


def _incident() -> str:
    return secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class Options:
    """What may be set. Times are in seconds.

    :ivar timeout: how long a request may take if it does not say.
    :ivar open_timeout: how long an attempt to connect and join may take.
    :ivar close_timeout: how long finishing what is in hand may take, and how long leaving may take.
    :ivar ping_interval: silence after which the node is asked for a sign of life.
    :ivar ping_timeout: how long it may take to give one: a dead peer is known within the sum of the two.
    :ivar check_interval: how long a stream may be silent before the node is asked whether an event of it was lost on
        the way; 0: it never is.
    :ivar buffer: bytes that may wait unsent before requests are refused.
    :ivar in_flight: requests that may be under way.
    :ivar at_once: invocations that may run.
    :ivar chance: a random number from 0 to 1, for the jitter.
    :ivar incident: a random name for an undeclared exception.
    :ivar keyring: seals what is published to topics that it has keys of, and opens what is read of them.
    """

    timeout: float = 10.0
    open_timeout: float = 10.0
    close_timeout: float = 2.0
    ping_interval: float = 5.0
    ping_timeout: float = 5.0
    check_interval: float = 4.0
    buffer: int = 16 << 20
    in_flight: int = 10_000
    at_once: int = 10_000
    chance: Callable[[], float] = random.random
    incident: Callable[[], str] = _incident
    keyring: KeyRing | None = None
