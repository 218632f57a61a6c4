"""Frames of few bytes that would become much: references of CBOR, and batches of many messages.

A value of 200 bytes whose parts refer to each other (CBOR tags 28 and 29, "value sharing") is a million values as soon
as somebody writes it out, checks it or counts it; a text that is referred to (tags 25 and 256) swells as well. A frame
of a mebibyte holds 350,000 messages of a batch, and nobody else is served until the last one has been taken. Pure.
"""

from __future__ import annotations

import re
from typing import Any

MOST_IN_BATCH = 100
"""Messages in one frame; as the raw door has it."""

_REFERENCE = re.compile(rb"[\xd8-\xdb]\x00{0,7}[\x19\x1d]")
"""The head of a tag 25 or 29, however long it is written (RFC 8949, section 3). Other bytes may look the same."""


def swells(payload: bytes, decoded: Any) -> bool:
    """Whether there is more in what CBOR has been read as than in its bytes: no item takes less than one."""
    if _REFERENCE.search(payload) is None:
        return False
    left, held = len(payload) + 1, [decoded]  # a list of messages is around the one that it is
    while held and left >= 0:
        one = held.pop()
        left -= 1
        if isinstance(one, (str, bytes)):
            left -= len(one)
        elif isinstance(one, (list, tuple, set, frozenset)):
            held.extend(one)
        elif isinstance(one, dict):
            held.extend(one)
            held.extend(one.values())
        elif hasattr(one, "tag"):  # of a tag that nobody knows
            held.append(one.value)
        if len(held) > left:
            return True
    return left < 0


def is_crowded(payload: bytes, is_binary: bool) -> bool:
    """Whether a batched frame holds more than :data:`MOST_IN_BATCH` messages, before any of them is read.

    :param is_binary: each has its length before it, in four bytes; else the byte 0x18 behind it.
    """
    if not is_binary:
        return payload.count(b"\x18") > MOST_IN_BATCH
    place = count = 0
    while place < len(payload) and count <= MOST_IN_BATCH:
        place += 4 + int.from_bytes(payload[place : place + 4])
        count += 1
    return count > MOST_IN_BATCH
