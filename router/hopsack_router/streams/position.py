"""Where an event stands in its stream: ``epoch:offset``, opaque to readers.

Offsets count from 1 and are contiguous within an epoch. An epoch ends when the journal of its topic is lost: two events
with the same position are the same event. Offset 0 stands before the first event.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2b

from hopsack.position import Position

__all__ = ["EPOCH_LENGTH", "Position", "Randomness", "epoch_of", "new_epoch", "parse"]

_TEXT = re.compile(r"([a-z2-7]{1,32}):(0|[1-9][0-9]{0,15})\Z")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
EPOCH_LENGTH = 8

Randomness = Callable[[int], bytes]
"""Gives that many random bytes; :func:`os.urandom` is one."""


def parse(text: str) -> Position | None:
    """A position that this node may have written; ``None`` for anything else. Clients take any epoch as it comes."""
    found = _TEXT.match(text)
    return Position(found[1], int(found[2])) if found else None


def new_epoch(random: Randomness) -> str:
    """40 random bits: that an epoch comes again is for nobody to see."""
    return "".join(_ALPHABET[byte & 31] for byte in random(EPOCH_LENGTH))


def epoch_of(seed: str, contract: str) -> str:
    """The epoch that a contract's topics begin with: another one for each seed and each contract."""
    digest = blake2b(f"{seed} {contract}".encode(), digest_size=EPOCH_LENGTH).digest()
    return "".join(_ALPHABET[byte & 31] for byte in digest)
