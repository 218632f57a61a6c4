"""Frames of few bytes that would become much: what CBOR has beyond JSON, and batches of many messages.

A value of 200 bytes whose parts refer to each other (CBOR tags 28 and 29, "value sharing") is a million values as soon
as somebody writes it out, checks it or counts it; a text that is referred to (tags 25 and 256) swells as well. Of a
regular expression or a MIME message (tags 35 and 36) its reader makes what nobody can send on, in seconds, and of a
decimal fraction whose digits are a mebibyte (tag 4 around 2 or 3) in minutes. A frame of a mebibyte holds 350,000
messages of a batch, and nobody else is served until the last one has been taken. Pure.
"""

from __future__ import annotations

import re
from typing import Any

MOST_IN_BATCH = 100
"""Messages in one frame; as the raw door has it."""

MOST_LISTED = 1000
"""Readers that one list of an event lets through or leaves out."""

MOST_FORWARDED = 32
"""Routers that a message says it has come through. Each entry takes microseconds to read, and none counts."""

_LISTS = ("exclude", "exclude_authid", "exclude_authrole", "eligible", "eligible_authid", "eligible_authrole")

_REFUSED = frozenset((25, 29, 35, 36))

_BIGNUMS = (2, 3)
_LITTLE = frozenset(bytes((head,)) for head in range(0x40, 0x59))
"""Heads of byte strings of up to 255 bytes: what stands behind the tag of a number that is too large for one head."""

_ANY = re.compile(rb"[\xc2\xc3]|[\xd8-\xdb]\x00{0,7}[\x02\x03\x19\x1d\x23\x24]")
"""The head of a refused tag, however long it is written (RFC 8949, section 3). Other bytes may look the same."""

_SMALL = re.compile(
    rb"(?:[\x00-\x17\x20-\x37\x40\x5f\x60\x7f-\x97\x9f-\xb7\xbf-\xc1\xc4-\xd7\xe0-\xf7\xff]|[\x18\x38\x98\xb8\xf8].|\xd8[^\x02\x03\x19\x1d\x23\x24]"
    rb"|[\x19\x39\x99\xb9\xf9].{2}|[\x1a\x3a\x9a\xba\xfa].{4}|[\x1b\x3b\x9b\xbb\xfb].{8}"
    + b"".join(rb"|[%c%c].{%d}" % (0x40 + size, 0x60 + size, size) for size in range(1, 24))
    + rb")*+",
    re.DOTALL,
)
"""Items that can be passed over at once: all but long strings and tags that are worth a look."""


def is_beyond_json(payload: bytes) -> bool:
    """Whether there is a tag in CBOR by which a reader would make much of little. Nothing else is judged."""
    if _ANY.search(payload) is None:
        return False
    place = 0
    while place < len(payload):
        place = _SMALL.match(payload, place).end()  # type: ignore[union-attr]
        if place >= len(payload):
            return False
        kind, info = payload[place] >> 5, payload[place] & 31
        if info > 27 or (info < 24 and kind != 6):
            return False  # no head, or cut short: the reader stops here
        size = 0 if info < 24 else 1 << info - 24
        number = int.from_bytes(payload[place + 1 : place + 1 + size]) if size else info
        place += 1 + size
        if kind == 6 and (number in _REFUSED or (number in _BIGNUMS and payload[place : place + 1] not in _LITTLE)):
            return True
        place += number if kind in (2, 3) else 0
    return False


def too_long_a_list(raw: list[Any]) -> str | None:
    """The option of a message, decoded and not yet read, whose list is longer than any needs to be."""
    for options in raw[1:4]:
        if type(options) is dict:
            for name, most in _MOST.items():
                listed = options.get(name)
                if type(listed) is list and len(listed) > most:
                    return name
    return None


_MOST = dict.fromkeys(_LISTS, MOST_LISTED) | {"forward_for": MOST_FORWARDED}


def batch_of(payload: bytes, is_binary: bool) -> list[bytes] | None:
    """The messages of a batched frame; ``None``: more than :data:`MOST_IN_BATCH`, none of which has been read.

    :param is_binary: each has its length before it, in four bytes; else the byte 0x18 behind it.
    """
    if not is_binary:
        return None if payload.count(b"\x18") > MOST_IN_BATCH else payload.split(b"\x18")
    place = 0
    found: list[bytes] = []
    while place < len(payload) and len(found) <= MOST_IN_BATCH:
        end = place + 4 + int.from_bytes(payload[place : place + 4])
        found.append(payload[place + 4 : end])
        place = end
    return None if len(found) > MOST_IN_BATCH else found
